#include "handle.h"

fg_state S;

fg_tape *fg_the_tape(void)
{
    return &S.tape;
}

void fg_count_recording_off(int change)
{
    fg_tracer *t = tracer();
    S.recording_off += change;
    S.unusual += change;
    if (t)
        t->no_grad += change;
}

void fg_constants_are_leaves(int yes)
{
    S.constant_bit = yes ? 0 : FG_NO_ADJOINT;
}

void fg_set_watch(PyObject *watch)
{
    Py_XSETREF(S.hook.watch, Py_NewRef(watch));
}

void fg_set_elementwise(PyObject *elementwise)
{
    Py_XSETREF(S.hook.elementwise, Py_NewRef(elementwise));
}

void fg_set_construct(PyObject *construct)
{
    Py_XSETREF(S.hook.construct, Py_NewRef(construct));
}

void fg_dealloc(PyObject *self)
{
    fg_value *v = (fg_value *)self;
    PyTypeObject *type = Py_TYPE(self);
    S.tape.handle[v->handle.node] = NULL;
    if (UNLIKELY(v->weakrefs != NULL))
        PyObject_ClearWeakRefs(self);
    if (UNLIKELY(v->attributes != NULL))
        Py_CLEAR(v->attributes);
    if (type == S.type && S.free_count < FREE_LIST) {
        S.free[S.free_count++] = v;
        return;
    }
    type->tp_free(self);
    Py_DECREF(type);
}

void fg_rebind(fg_value *v, uint32_t node)
{
    S.tape.handle[v->handle.node] = NULL;
    v->handle.node = node;
    if (node != FG_VOID)
        S.tape.handle[node] = &v->handle;
}

void fg_drop_attributes(fg_value *v)
{
    Py_CLEAR(v->attributes);
}

static inline fg_value *owner(fg_handle *h)
{
    return (fg_value *)((char *)h - offsetof(fg_value, handle));
}

PyObject *fg_handle_of(uint32_t node)
{
    fg_handle *h = S.tape.handle[node];
    if (h)
        return Py_NewRef((PyObject *)owner(h));
    fg_value *v = new_handle();
    if (!v)
        return NULL;
    v->handle.node = FG_VOID;
    fg_rebind(v, node);
    if (S.hook.pin(v) < 0) {
        Py_DECREF(v);
        return NULL;
    }
    return (PyObject *)v;
}

/* Whether a handle has no node, as in a subclass whose __init__ forgot super().__init__(); then raises. */
int fg_no_node(PyObject *self)
{
    if (node_of(self) != FG_VOID)
        return 0;
    Py_XDECREF(PyObject_CallOneArg(S.hook.uninitialised, (PyObject *)Py_TYPE(self)));
    return 1;
}

int fg_unusual_operand(PyObject *o, double *value)
{
    if (PyLong_Check(o)) {
        *value = PyLong_AsDouble(o);
        return *value == -1.0 && PyErr_Occurred() ? FAILED : INTEGER;
    }
    if (PyFloat_Check(o)) {
        *value = PyFloat_AS_DOUBLE(o);
        return NUMBER;
    }
    if (PyObject_TypeCheck(o, S.type)) {
        *value = S.tape.value[node_of(o)];
        return fg_no_node(o) ? FAILED : VALUE;
    }
    PyObject *real = PyObject_CallOneArg(S.hook.is_real, o);
    if (!real)
        return FAILED;
    int yes = PyObject_IsTrue(real);
    Py_DECREF(real);
    if (yes <= 0)
        return yes < 0 ? FAILED : FOREIGN;
    *value = PyFloat_AsDouble(o);
    return *value == -1.0 && PyErr_Occurred() ? FAILED : PyIndex_Check(o) ? INTEGER : NUMBER;
}

/* The float of an object where only a number will do; `where` names the place in the error. */
int fg_as_real(const char *where, PyObject *o, double *value)
{
    if (PyFloat_CheckExact(o)) {
        *value = PyFloat_AS_DOUBLE(o);
        return 0;
    }
    PyObject *real = PyObject_CallFunction(S.hook.real, "sO", where, o);
    if (!real)
        return -1;
    *value = PyFloat_AsDouble(real);
    Py_DECREF(real);
    return *value == -1.0 && PyErr_Occurred() ? -1 : 0;
}

PyObject *fg_leaf(double value)
{
    if (room(1) < 0)
        return NULL;
    fg_value *v = new_handle();
    if (!v)
        return NULL;
    PyObject *leaf = bind(FG_LEAF, 0, 0, value, v);
    if (UNLIKELY(S.tracers != NULL) && fg_trace_made(leaf) < 0)
        Py_CLEAR(leaf);
    return leaf;
}
