/* The n-ary nodes: sum, dot and what else ops.def reduces. */
#include <math.h>

#include "handle.h"

static PyObject *bad_reduction(const char *name, PyObject *xs, PyObject *ys)
{
    PyErr_Clear();
    Py_XDECREF(PyObject_CallFunction(S.hook.reduction_error, "sOO", name, xs, ys ? ys : Py_None));
    return NULL;
}

/* Replaces item i by x, in a list of our own: the caller's is not ours to write to. */
static PyObject *replace_item(PyObject *items, int *own, Py_ssize_t i, double x)
{
    PyObject *list = *own ? Py_NewRef(items) : PySequence_List(items);
    PyObject *number = PyFloat_FromDouble(x);
    Py_DECREF(items);
    *own = 1;
    if (list && number && PyList_SetItem(list, i, Py_NewRef(number)) < 0)
        Py_CLEAR(list);
    else if (!number)
        Py_CLEAR(list);
    Py_XDECREF(number);
    return list;
}

/* The items of an iterable as a list of our own, or a tuple: nobody can change them under us. *own: it is a list. */
static PyObject *sequence(const char *name, PyObject *iterable, int *own)
{
    PyObject *iterator = PyObject_GetIter(iterable);
    if (!iterator)
        return PyErr_ExceptionMatches(PyExc_TypeError) ? bad_reduction(name, iterable, NULL) : NULL;
    *own = !PyTuple_CheckExact(iterable);
    PyObject *items = *own ? PySequence_List(PyList_CheckExact(iterable) ? iterable : iterator) : Py_NewRef(iterable);
    Py_DECREF(iterator);
    return items;
}

/* The items with every number as a float or an int: the loops that follow run no Python code, so that nothing can
 * reclaim or append while they fill the pool. Takes the reference to items. */
static PyObject *plain_items(const char *name, PyObject *items, int own)
{
    for (Py_ssize_t i = 0; items && i < PySequence_Fast_GET_SIZE(items); i++) {
        double x;
        PyObject *o = PySequence_Fast_GET_ITEM(items, i);
        if (Py_TYPE(o) == S.type || PyFloat_CheckExact(o))
            continue;
        int kind = operand(o, &x);
        if (kind == FOREIGN)
            bad_reduction(name, items, NULL);
        if (kind <= FOREIGN)
            Py_CLEAR(items);
        else if (kind != VALUE && !PyLong_CheckExact(o))
            items = replace_item(items, &own, i, x);
    }
    return items;
}

/* Appends the constants among the items and writes every operand to `pool`. Returns how many are Values. */
static Py_ssize_t write_operands(PyObject *items, uint32_t *pool)
{
    Py_ssize_t values = 0;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        double x = 0.0;
        PyObject *o = PySequence_Fast_GET_ITEM(items, i);
        int kind = operand(o, &x);
        pool[i] = kind == VALUE ? node_of(o) : constant(kind, x, S.constant_bit);
        values += kind == VALUE;
    }
    return values;
}

static PyObject *reduce_items(int op, const char *name, PyObject *xs, PyObject *ys)
{
    fg_tape *t = &S.tape;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(xs), count = ys ? 2 * n : n;
    if (count >= (Py_ssize_t)FG_MAX_NODES)
        return PyErr_NoMemory();
    int record = recording();
    fg_value *v = record < 0 ? NULL : new_handle();
    if (!v)
        return NULL;
    v->handle.node = FG_VOID;
    if (more_room((uint32_t)count + 1, (uint32_t)count) < 0) {
        Py_DECREF(v);
        return NULL;
    }
    uint32_t size = t->size, at = t->pool_size;
    Py_ssize_t values = write_operands(xs, t->pool + at) + (ys ? write_operands(ys, t->pool + at + n) : 0);
    double z = fg_tape_reduce(t, op, t->pool + at, (uint32_t)count);
    if (values && record) {
        t->pool_size += (uint32_t)count;
        return traced(bind(op, at, (uint32_t)count, z, v));
    }
    t->size = size;
    if (values)
        return bind(FG_LEAF, 0, 0, z, v);
    Py_DECREF(v);
    return count == 0 && !isfinite(z) ? bad_reduction(name, xs, ys) : PyFloat_FromDouble(z);
}

static PyObject *reduction(int op, const char *name, PyObject *xs, PyObject *ys)
{
    PyObject *result = NULL;
    int own_x = 0, own_y = 0;
    PyObject *x = sequence(name, xs, &own_x), *y = x && ys ? sequence(name, ys, &own_y) : NULL;
    if (x && (y || !ys)) {
        x = plain_items(name, x, own_x);
        y = x && y ? plain_items(name, y, own_y) : y;
    }
    if (x && y && PySequence_Fast_GET_SIZE(x) != PySequence_Fast_GET_SIZE(y))
        bad_reduction(name, x, y);
    else if (x && !PyErr_Occurred() && (y || !ys))
        result = reduce_items(op, name, x, y);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return result;
}

PyObject *fg_take(PyObject *operands)
{
    return reduction(FG_TAKE, "take", operands, NULL);
}

#define REDUCE1(name, ...) \
    PyObject *fg_##name##_function(PyObject *module, PyObject *xs); \
    PyObject *fg_##name##_function(PyObject *module, PyObject *xs) \
    { (void)module; return reduction(FG_OP_##name, #name, xs, NULL); }
#define REDUCE2(name, ...) \
    PyObject *fg_##name##_function(PyObject *module, PyObject *const *o, Py_ssize_t n); \
    PyObject *fg_##name##_function(PyObject *module, PyObject *const *o, Py_ssize_t n) \
    { \
        (void)module; \
        if (n != 2) { \
            PyErr_Format(PyExc_TypeError, "%s() takes 2 arguments (%zd given)", #name, n); \
            return NULL; \
        } \
        return reduction(FG_OP_##name, #name, o[0], o[1]); \
    }
#include "ops.def"
