/* What runs once for each operation of a user's program: for each row of ops.def a number slot or a method of Value,
 * and a module function. Everything about an operation is expanded from the table; no line here is for any one of them. */
#include "docs.h"
#include "handle.h"
#include "kernels.h"

/* What a slot, a method or a function does with arguments that are neither Values nor numbers: it returns a new
 * reference, or NULL with an exception. */
typedef PyObject *(*foreign_fn)(const char *name, const char *method, Py_ssize_t n, PyObject *const *arguments);

static NEVER_INLINE PyObject *foreign_operand(const char *name, const char *method, Py_ssize_t n, PyObject *const *arguments)
{
    (void)name;
    if (n == 2 && (PyObject_TypeCheck(arguments[0], S.hook.ndarray) || PyObject_TypeCheck(arguments[1], S.hook.ndarray)))
        return PyObject_CallFunction(S.hook.array_operator, "sOO", method, arguments[0], arguments[1]);
    Py_RETURN_NOTIMPLEMENTED;
}

static NEVER_INLINE PyObject *foreign_argument(const char *name, const char *method, Py_ssize_t n, PyObject *const *arguments)
{
    (void)method;
    PyObject *tuple = PyTuple_New(n);
    if (!tuple)
        return NULL;
    for (Py_ssize_t i = 0; i < n; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(arguments[i]));
    PyObject *result = PyObject_CallFunction(S.hook.elementwise, "sO", name, tuple);
    Py_DECREF(tuple);
    return result;
}

static PyObject *node1(int op, PyObject *x, double z)
{
    int record = recording();
    if (record < 0 || room(1) < 0)
        return NULL;
    fg_value *v = new_handle();
    if (!v)
        return NULL;
    if (!record)
        return bind(FG_LEAF, 0, 0, z, v);
    return traced(bind(op, node_of(x), 0, z, v));
}

/* An exponent is never a child in micrograd, so it is a constant there too. */
#define EXPONENT_BIT_ARITH S.constant_bit
#define EXPONENT_BIT_POWER FG_NO_ADJOINT
#define EXPONENT_BIT_MATH S.constant_bit

static inline PyObject *node2(int op, PyObject *l, int kl, double x, PyObject *r, int kr, double y, double z,
                              uint32_t right_bit)
{
    int record = recording();
    if (record < 0 || room(2) < 0)
        return NULL;
    fg_value *v = new_handle();
    if (!v)
        return NULL;
    if (!record)
        return bind(FG_LEAF, 0, 0, z, v);
    uint32_t a = kl == VALUE ? node_of(l) : constant(kl, x, S.constant_bit);
    uint32_t b = kr == VALUE ? node_of(r) : constant(kr, y, right_bit);
    return traced(bind(op, a, b, z, v));
}

static PyObject *node3(int op, PyObject *const *o, const int *kind, const double *value, double z)
{
    int record = recording();
    if (record < 0 || more_room(4, 3) < 0)
        return NULL;
    fg_value *v = new_handle();
    if (!v)
        return NULL;
    if (!record)
        return bind(FG_LEAF, 0, 0, z, v);
    uint32_t at = S.tape.pool_size;
    for (int k = 0; k < 3; k++)
        S.tape.pool[at + k] = kind[k] == VALUE ? node_of(o[k]) : constant(kind[k], value[k], S.constant_bit);
    S.tape.pool_size += 3;
    return traced(bind(op, at, 3, z, v));
}

/* `values`: whether one of the operands is a Value. Then a recorded function goes on, as it does over arrays; and so does
 * a watched program, as who watches raises what is to be raised. */
static NEVER_INLINE int failed(const char *name, int values, int n, double x, double y, double w, double z)
{
    if (values && (tracer() || S.watchers > 0))
        return 0;
    PyObject *done = n == 1   ? PyObject_CallFunction(S.hook.check, "s(d)d", name, x, z)
                     : n == 2 ? PyObject_CallFunction(S.hook.check, "s(dd)d", name, x, y, z)
                              : PyObject_CallFunction(S.hook.check, "s(ddd)d", name, x, y, w, z);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Whether the table has to be asked if an operation failed: see the head of ops.def. */
#define SUSPECT_ARITH(inside, z) (!(inside))
#define SUSPECT_POWER(inside, z) (!isfinite(z))
#define SUSPECT_MATH(inside, z) (!isfinite(z))

/* NAME_apply: the quick way for Values, everything else out of line, so that the quick way needs no stack frame. */
#define OP1(kind, name, method, label, forward, dx, domain, doc) \
    static NEVER_INLINE PyObject *name##_general(PyObject *ox, foreign_fn foreign) \
    { \
        double x, z; \
        int kx = operand(ox, &x); \
        if (kx <= FOREIGN) \
            return kx == FAILED ? NULL : foreign(#name, #method, 1, &ox); \
        z = fg_##name##_forward(x); \
        if (SUSPECT_##kind(fg_##name##_domain(x), z) && failed(#name, kx == VALUE, 1, x, 0.0, 0.0, z) < 0) \
            return NULL; \
        return kx == VALUE ? node1(FG_OP_##name, ox, z) : PyFloat_FromDouble(z); \
    } \
    static ALWAYS_INLINE PyObject *name##_apply(PyObject *ox, foreign_fn foreign) \
    { \
        if (UNLIKELY(Py_TYPE(ox) != S.type || !ready())) \
            return name##_general(ox, foreign); \
        double x = S.tape.value[node_of(ox)], z = fg_##name##_forward(x); \
        if (UNLIKELY(SUSPECT_##kind(fg_##name##_domain(x), z))) \
            return name##_general(ox, foreign); \
        return bind(FG_OP_##name, node_of(ox), 0, z, recycled_handle()); \
    }
#define OP2(kind, name, method, label, forward, dx, dy, domain, doc) \
    static NEVER_INLINE PyObject *name##_general(PyObject *ox, PyObject *oy, foreign_fn foreign) \
    { \
        double x, y, z; \
        int kx = operand(ox, &x), ky = operand(oy, &y); \
        if (kx <= FOREIGN || ky <= FOREIGN) { \
            PyObject *arguments[] = {ox, oy}; \
            return kx == FAILED || ky == FAILED ? NULL : foreign(#name, #method, 2, arguments); \
        } \
        z = fg_##name##_forward(x, y); \
        int values = kx == VALUE || ky == VALUE; \
        if (UNLIKELY(SUSPECT_##kind(fg_##name##_domain(x, y), z)) && failed(#name, values, 2, x, y, 0.0, z) < 0) \
            return NULL; \
        if (!values) \
            return PyFloat_FromDouble(z); \
        return node2(FG_OP_##name, ox, kx, x, oy, ky, y, z, EXPONENT_BIT_##kind); \
    } \
    static ALWAYS_INLINE PyObject *name##_apply(PyObject *ox, PyObject *oy, foreign_fn foreign) \
    { \
        if (UNLIKELY(Py_TYPE(ox) != S.type || Py_TYPE(oy) != S.type || !ready())) \
            return name##_general(ox, oy, foreign); \
        double x = S.tape.value[node_of(ox)], y = S.tape.value[node_of(oy)], z = fg_##name##_forward(x, y); \
        if (UNLIKELY(SUSPECT_##kind(fg_##name##_domain(x, y), z))) \
            return name##_general(ox, oy, foreign); \
        return bind(FG_OP_##name, node_of(ox), node_of(oy), z, recycled_handle()); \
    }
#define OP3(kind, name, method, label, forward, dx, dy, dw, domain, doc) \
    static PyObject *name##_apply(PyObject *const *o, foreign_fn foreign) \
    { \
        double value[3], z; \
        int kinds[3], values = 0; \
        for (int k = 0; k < 3; k++) { \
            kinds[k] = operand(o[k], &value[k]); \
            if (kinds[k] <= FOREIGN) \
                return kinds[k] == FAILED ? NULL : foreign(#name, #method, 3, o); \
            values += kinds[k] == VALUE; \
        } \
        z = fg_##name##_forward(value[0], value[1], value[2]); \
        if (SUSPECT_##kind(1, z) && failed(#name, values > 0, 3, value[0], value[1], value[2], z) < 0) \
            return NULL; \
        return values ? node3(FG_OP_##name, o, kinds, value, z) : PyFloat_FromDouble(z); \
    }
#include "ops.def"

/* ---------------------------------------------------------------- slots, methods and functions from the rows */

/* ARITH and POWER rows are operators, MATH rows are methods; all are module functions. */
#define SLOT1_ARITH(name) \
    static PyObject *name##_slot(PyObject *x) { return name##_apply(x, foreign_operand); }
#define SLOT1_MATH(name) \
    static PyObject *name##_method(PyObject *x, PyObject *unused) \
    { (void)unused; return name##_apply(x, foreign_argument); }
#define SLOT2_ARITH(name) \
    static PyObject *name##_slot(PyObject *x, PyObject *y) { return name##_apply(x, y, foreign_operand); }
#define SLOT2_POWER(name) \
    static PyObject *name##_slot(PyObject *x, PyObject *y, PyObject *modulus) \
    { \
        if (modulus != Py_None) \
            Py_RETURN_NOTIMPLEMENTED; \
        return name##_apply(x, y, foreign_operand); \
    }
#define SLOT2_MATH(name) \
    static PyObject *name##_method(PyObject *x, PyObject *y) { return name##_apply(x, y, foreign_argument); }

static int wrong_count(const char *name, Py_ssize_t expected, Py_ssize_t got)
{
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", name, expected, got);
    return -1;
}

#define OP1(kind, name, ...) \
    SLOT1_##kind(name) \
    static PyObject *name##_function(PyObject *module, PyObject *x) \
    { (void)module; return name##_apply(x, foreign_argument); }
#define OP2(kind, name, ...) \
    SLOT2_##kind(name) \
    static PyObject *name##_function(PyObject *module, PyObject *const *o, Py_ssize_t n) \
    { \
        (void)module; \
        if (n != 2 && wrong_count(#name, 2, n) < 0) \
            return NULL; \
        return name##_apply(o[0], o[1], foreign_argument); \
    }
#define PARAM2(name, method, label, parameter, value, ...) \
    static PyObject *name##_with_default(const char *called, PyObject *x, Py_ssize_t n, PyObject *const *rest) \
    { \
        if (n > 1 && wrong_count(called, 2, n + 1) < 0) \
            return NULL; \
        PyObject *y = n ? Py_NewRef(rest[0]) : PyFloat_FromDouble(value); \
        PyObject *z = y ? name##_apply(x, y, foreign_argument) : NULL; \
        Py_XDECREF(y); \
        return z; \
    } \
    static PyObject *name##_method(PyObject *x, PyObject *const *o, Py_ssize_t n) \
    { return name##_with_default(#name, x, n, o); } \
    static PyObject *name##_function(PyObject *module, PyObject *const *o, Py_ssize_t n) \
    { \
        (void)module; \
        if (n == 0 && wrong_count(#name, 2, n) < 0) \
            return NULL; \
        return name##_with_default(#name, o[0], n - 1, o + 1); \
    }
#define OP3(kind, name, ...) \
    static PyObject *name##_function(PyObject *module, PyObject *const *o, Py_ssize_t n) \
    { \
        (void)module; \
        if (n != 3 && wrong_count(#name, 3, n) < 0) \
            return NULL; \
        return name##_apply(o, foreign_argument); \
    }
#include "ops.def"

/* The operators that order, and their rows: those with the same label. */
static const char *const comparison[] = {"<", "<=", "==", "!=", ">", ">="};

PyObject *fg_compare(PyObject *l, PyObject *r, int how)
{
#define OP2(kind, name, method, label, ...) \
    if (strcmp(comparison[how], label) == 0) \
        return name##_apply(l, r, foreign_operand);
#include "ops.def"
    Py_RETURN_NOTIMPLEMENTED;
}

const char *fg_comparison(int how)
{
#define OP2(kind, name, method, label, ...) \
    if (strcmp(comparison[how], label) == 0) \
        return #method;
#include "ops.def"
    return "";
}

/* Reductions are in reduction.c. */
#define REDUCE1(name, ...) PyObject *fg_##name##_function(PyObject *module, PyObject *xs);
#define REDUCE2(name, ...) PyObject *fg_##name##_function(PyObject *module, PyObject *const *o, Py_ssize_t n);
#include "ops.def"

/* -------------------------------------------------------------------------------------------------- tables */

#define METHOD1_ARITH(name, method)
#define METHOD1_MATH(name, method) \
    {#method, name##_method, METH_NOARGS, #method "($self, /)\n--\n\n" FG_DOC_##name},
#define METHOD2_ARITH(name, method)
#define METHOD2_POWER(name, method)
#define METHOD2_MATH(name, method) \
    {#method, name##_method, METH_O, #method "($self, y, /)\n--\n\n" FG_DOC_##name},

PyMethodDef fg_methods[] = {
#define OP1(kind, name, method, ...) METHOD1_##kind(name, method)
#define OP2(kind, name, method, ...) METHOD2_##kind(name, method)
#define PARAM2(name, method, label, parameter, value, ...) \
    {#method, (PyCFunction)(void (*)(void))name##_method, METH_FASTCALL, \
     #method "($self, " #parameter "=" #value ", /)\n--\n\n" FG_DOC_##name},
#include "ops.def"
    {NULL, NULL, 0, NULL},
};

PyMethodDef fg_functions[] = {
#define OP1(kind, name, ...) \
    {#name, name##_function, METH_O, #name "(x, /)\n--\n\n" FG_DOC_##name},
#define OP2(kind, name, ...) \
    {#name, (PyCFunction)(void (*)(void))name##_function, METH_FASTCALL, #name "(x, y, /)\n--\n\n" FG_DOC_##name},
#define OP3(kind, name, ...) \
    {#name, (PyCFunction)(void (*)(void))name##_function, METH_FASTCALL, #name "(x, y, w, /)\n--\n\n" FG_DOC_##name},
#define PARAM2(name, method, label, parameter, value, ...) \
    {#name, (PyCFunction)(void (*)(void))name##_function, METH_FASTCALL, \
     #name "(x, " #parameter "=" #value ", /)\n--\n\n" FG_DOC_##name},
#define REDUCE1(name, ...) \
    {#name, fg_##name##_function, METH_O, #name "(values, /)\n--\n\n" FG_DOC_##name},
#define REDUCE2(name, ...) \
    {#name, (PyCFunction)(void (*)(void))fg_##name##_function, METH_FASTCALL, #name "(xs, ys, /)\n--\n\n" FG_DOC_##name},
#include "ops.def"
    {NULL, NULL, 0, NULL},
};

const char *fg_label(int op)
{
    switch (op & ~FG_CLOSURE) {
#define OP1(kind, name, method, label, ...) case FG_OP_##name: return label;
#define OP2(kind, name, method, label, ...) case FG_OP_##name: return label;
#define OP3(kind, name, method, label, ...) case FG_OP_##name: return label;
#define REDUCE1(name, method, label, ...) case FG_OP_##name: return label;
#define REDUCE2(name, method, label, ...) case FG_OP_##name: return label;
#include "ops.def"
    }
    return "";
}

#define NUMBER_SLOT_ARITH(name, method) {Py_nb_##method, name##_slot},
#define NUMBER_SLOT_POWER(name, method) {Py_nb_##method, name##_slot},
#define NUMBER_SLOT_MATH(name, method)

const PyType_Slot fg_number_slots[] = {
#define OP1(kind, name, method, ...) NUMBER_SLOT_##kind(name, method)
#define OP2(kind, name, method, ...) NUMBER_SLOT_##kind(name, method)
#include "ops.def"
};

const size_t fg_number_slot_count = sizeof fg_number_slots / sizeof *fg_number_slots;

#define IS_ARITH 0
#define IS_POWER 1
#define IS_MATH 0

int fg_is_power(int op)
{
    switch (op & ~FG_CLOSURE) {
#define OP2(kind, name, ...) case FG_OP_##name: return IS_##kind;
#include "ops.def"
    }
    return 0;
}
