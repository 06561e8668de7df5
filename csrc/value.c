/* The Value type: what is not an operation. The binding adds the rest to it, in Python. */
#include "handle.h"

#include <structmember.h>

static PyObject *get_data(PyObject *self, void *unused)
{
    (void)unused;
    return UNLIKELY(fg_no_node(self)) || refused("data") ? NULL : PyFloat_FromDouble(S.tape.value[node_of(self)]);
}

static PyObject *get_grad(PyObject *self, void *unused)
{
    (void)unused;
    return UNLIKELY(fg_no_node(self)) || refused("grad") ? NULL : PyFloat_FromDouble(S.tape.grad[node_of(self)]);
}

static int new_number(PyObject *self, PyObject *number, const char *where, double *x)
{
    if (!number) {
        PyErr_Format(PyExc_AttributeError, "%s cannot be deleted", where);
        return -1;
    }
    return fg_no_node(self) ? -1 : fg_as_real(where, number, x);
}

static int set_data(PyObject *self, PyObject *number, void *unused)
{
    double x = 0.0;
    (void)unused;
    if (refused("set_data") || new_number(self, number, "Value.data", &x) < 0)
        return -1;
    S.tape.value[node_of(self)] = x;
    return 0;
}

static int set_grad(PyObject *self, PyObject *number, void *unused)
{
    double x = 0.0;
    (void)unused;
    if (refused("grad") || new_number(self, number, "Value.grad", &x) < 0)
        return -1;
    S.tape.grad[node_of(self)] = x;
    return 0;
}

static int value_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    fg_value *v = (fg_value *)self;
    if (PyObject_GenericSetAttr(self, name, value) < 0)
        return -1;
    return UNLIKELY(v->attributes && !(v->handle.flags & FG_PINNED)) ? S.hook.pin(v) : 0;
}

/* Who has the dict can hang something on the handle: it is pinned. */
static PyObject *get_dict(PyObject *self, void *unused)
{
    fg_value *v = (fg_value *)self;
    PyObject *dict = PyObject_GenericGetDict(self, unused);
    if (dict && !(v->handle.flags & FG_PINNED) && S.hook.pin(v) < 0)
        Py_CLEAR(dict);
    return dict;
}

static PyGetSetDef getset[] = {
    {"data", get_data, set_data, "The value, a float.", NULL},
    {"grad", get_grad, set_grad, "The derivative of what backward() was called on, summed over the calls.", NULL},
    {"__dict__", get_dict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(fg_value, attributes), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(fg_value, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *value_richcompare(PyObject *l, PyObject *r, int how)
{
    double x, y;
    int identity = how == Py_EQ || how == Py_NE, trace = !identity && UNLIKELY(S.tracers != NULL) && tracer();
    if (PyObject_TypeCheck(r, S.hook.ndarray))
        return PyObject_CallFunction(S.hook.array_operator, "sOOi", fg_comparison(how), l, r, trace);
    if (identity)
        Py_RETURN_NOTIMPLEMENTED;
    if (trace)
        return fg_compare(l, r, how);
    int kl = operand(l, &x), kr = operand(r, &y);
    if (kl == FAILED || kr == FAILED)
        return NULL;
    if (kr == FOREIGN)
        Py_RETURN_NOTIMPLEMENTED;
    Py_RETURN_RICHCOMPARE(x, y, how);
}

static Py_hash_t value_hash(PyObject *self)
{
    return PyBaseObject_Type.tp_hash(self);
}

static int value_bool(PyObject *self)
{
    if (fg_no_node(self))
        return -1;
    int outcome = S.tape.value[node_of(self)] != 0.0;
    return UNLIKELY(S.tracers != NULL) && fg_trace_guard(self, outcome) < 0 ? -1 : outcome;
}

static PyObject *value_float(PyObject *self)
{
    return fg_no_node(self) || refused("float") ? NULL : PyFloat_FromDouble(S.tape.value[node_of(self)]);
}

static PyObject *value_int(PyObject *self)
{
    return fg_no_node(self) || refused("int") ? NULL : PyLong_FromDouble(S.tape.value[node_of(self)]);
}

static PyObject *value_positive(PyObject *self)
{
    return Py_NewRef(self);
}

static PyObject *value_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    fg_value *v = type == S.type ? new_handle() : (fg_value *)type->tp_alloc(type, 0);
    if (v)
        v->handle.node = FG_VOID;
    return (PyObject *)v;
}

/* Value(x) with nothing but a number. */
static int init_leaf(PyObject *self, PyObject *number)
{
    double x = 0.0;
    if (fg_as_real("Value(data)", number, &x) < 0 || (node_of(self) != FG_VOID && refused("set_data")) || room(1) < 0)
        return -1;
    uint32_t node = node_of(self);
    if (node != FG_VOID && S.tape.op[node] == FG_LEAF) { /* called once more: the same leaf */
        S.tape.value[node] = x;
        S.tape.grad[node] = 0.0;
        return 0;
    }
    fg_rebind((fg_value *)self, fg_append(&S.tape, FG_LEAF, 0, 0, x, NULL));
    return UNLIKELY(S.tracers != NULL) ? fg_trace_made(self) : 0;
}

static int value_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (!kwargs && PyTuple_GET_SIZE(args) == 1)
        return init_leaf(self, PyTuple_GET_ITEM(args, 0));
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    PyObject *with_self = PyTuple_New(n + 1);
    if (!with_self)
        return -1;
    PyTuple_SET_ITEM(with_self, 0, Py_NewRef(self));
    for (Py_ssize_t i = 0; i < n; i++)
        PyTuple_SET_ITEM(with_self, i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
    PyObject *done = PyObject_Call(S.hook.construct, with_self, kwargs);
    Py_DECREF(with_self);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static PyObject *value_vectorcall(PyObject *type, PyObject *const *o, size_t nf, PyObject *names)
{
    double x;
    int plain = PyVectorcall_NARGS(nf) == 1 && !names && PyFloat_CheckExact(o[0]);
    if (plain && S.type->tp_init == value_init && S.type->tp_new == value_new) {
        x = PyFloat_AS_DOUBLE(o[0]);
        return fg_leaf(x);
    }
    PyObject *args = PyTuple_New(PyVectorcall_NARGS(nf)), *kwargs = NULL, *result = NULL;
    if (!args)
        return NULL;
    for (Py_ssize_t i = 0; i < PyVectorcall_NARGS(nf); i++)
        PyTuple_SET_ITEM(args, i, Py_NewRef(o[i]));
    if (names && (kwargs = PyDict_New()) != NULL)
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++)
            if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(names, i), o[PyVectorcall_NARGS(nf) + i]) < 0)
                Py_CLEAR(kwargs);
    if (!names || kwargs)
        result = PyType_Type.tp_call(type, args, kwargs);
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

static const PyType_Slot own_slots[] = {
    {Py_nb_bool, value_bool},
    {Py_nb_float, value_float},
    {Py_nb_int, value_int},
    {Py_nb_positive, value_positive},
    {Py_tp_new, value_new},
    {Py_tp_init, value_init},
    {Py_tp_dealloc, fg_dealloc},
    {Py_tp_hash, value_hash},
    {Py_tp_richcompare, value_richcompare},
    {Py_tp_setattro, value_setattro},
    {Py_tp_methods, fg_methods},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
};

/* The type from its own slots and those of the operators. */
static PyTypeObject *make_type(void)
{
    size_t own = sizeof own_slots / sizeof *own_slots;
    PyType_Slot *slots = PyMem_Calloc(own + fg_number_slot_count + 1, sizeof *slots);
    if (!slots)
        return (PyTypeObject *)PyErr_NoMemory();
    memcpy(slots, own_slots, sizeof own_slots);
    memcpy(slots + own, fg_number_slots, fg_number_slot_count * sizeof *slots);
    PyType_Spec spec = {
        .name = "fastgrad.Value",
        .basicsize = sizeof(fg_value),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
        .slots = slots,
    };
    PyObject *type = PyType_FromSpec(&spec);
    PyMem_Free(slots);
    return (PyTypeObject *)type;
}

PyTypeObject *fg_slots_init(const fg_hooks *hooks)
{
    int status = fg_tape_init(&S.tape, 8192);
    if (status != FG_OK)
        return (PyTypeObject *)PyErr_NoMemory();
    S.hook = *hooks;
    S.constant_bit = FG_NO_ADJOINT;
    S.type = make_type();
    if (S.type)
        S.type->tp_vectorcall = value_vectorcall;
    return S.type;
}

int fg_add_functions(PyObject *module)
{
    return PyModule_AddFunctions(module, fg_functions);
}
