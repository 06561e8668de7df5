/* Handles, operands and nodes: what the C files that see Python.h share. Inline is what runs once an operation.
 *
 * A handle is 40 bytes and comes from a free list; it has no collector header, so that building a graph never wakes the
 * cyclic collector. The tape is one for the process, under the GIL, in static storage: a pointer to it in each handle
 * would cost 8 bytes a handle and a load an operation. */
#ifndef FG_HANDLE_H
#define FG_HANDLE_H

#include "record.h"
#include "slots.h"

#define FREE_LIST 4096

#if defined(__GNUC__)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NEVER_INLINE __attribute__((noinline))
#else
#define UNLIKELY(x) (x)
#define ALWAYS_INLINE inline
#define NEVER_INLINE
#endif

/* A place in a program: an instruction of a code object. */
typedef struct fg_site {
    PyCodeObject *code; /* owned; NULL: unknown */
    int instruction;
    int of_user; /* not the package's own code, nor the standard library's */
} fg_site;

/* A recording under way in one thread; see trace.c. */
struct fg_tracer {
    fg_recorder recorder;
    unsigned long thread;
    int no_grad;            /* contexts begun inside it            */
    struct fg_tracer *next; /* begun before it, in whatever thread */
    fg_site *site;          /* sites 1, 2, ...                     */
    uint32_t *bucket;       /* a hash table of their numbers       */
    uint32_t sites, buckets;
};

typedef struct fg_state {
    PyTypeObject *type;
    fg_tape tape;
    fg_hooks hook;
    uint32_t constant_bit;
    int recording_off; /* no_grad contexts of all threads                            */
    int unusual;       /* and recordings, and watchers: while it is not 0 the quick way is closed */
    int watchers;      /* detect_anomaly contexts of all threads                     */
    fg_tracer *tracers;
    int free_count;
    fg_value *free[FREE_LIST];
} fg_state;

extern fg_state S;

enum { FAILED = -1, FOREIGN, VALUE, NUMBER, INTEGER };

/* In handle.c, for what is rare. */
int fg_no_node(PyObject *self);
int fg_unusual_operand(PyObject *o, double *value);
int fg_as_real(const char *where, PyObject *o, double *value);
PyObject *fg_leaf(double value);
void fg_dealloc(PyObject *self);

/* In trace.c, of this thread's recording if it has one. fg_trace notes that it made the node of v, the result of an
 * operation, or shows it to who watches, after which it becomes a leaf under no_grad. It takes and gives a reference, or
 * NULL. */
PyObject *fg_trace(PyObject *v);
int fg_trace_guard(PyObject *v, int outcome);

/* In slots.c: an order of two operands as a node, and NumPy's name for it. */
PyObject *fg_compare(PyObject *l, PyObject *r, int how);
const char *fg_comparison(int how);

/* In slots.c and reduction.c: the tables for the type and the module. */
extern PyMethodDef fg_methods[], fg_functions[];
extern const PyType_Slot fg_number_slots[];
extern const size_t fg_number_slot_count;

static inline uint32_t node_of(PyObject *o)
{
    return ((fg_value *)o)->handle.node;
}

/* What kind of operand an object is, and its value. */
static ALWAYS_INLINE int operand(PyObject *o, double *value)
{
    if (Py_TYPE(o) == S.type) {
        *value = S.tape.value[node_of(o)];
        return VALUE;
    }
    if (PyFloat_CheckExact(o)) {
        *value = PyFloat_AS_DOUBLE(o);
        return NUMBER;
    }
    return fg_unusual_operand(o, value);
}

static inline fg_value *recycled_handle(void)
{
    fg_value *v = S.free[--S.free_count];
#if defined(Py_TRACE_REFS) || defined(Py_REF_DEBUG) || defined(Py_GIL_DISABLED)
    _Py_NewReference((PyObject *)v);
#else
    Py_SET_REFCNT((PyObject *)v, 1);
#endif
    v->handle.flags = 0;
    return v;
}

static inline fg_value *new_handle(void)
{
    return S.free_count > 0 ? recycled_handle() : (fg_value *)S.type->tp_alloc(S.type, 0);
}

static inline int room(uint32_t nodes)
{
    return UNLIKELY(S.tape.capacity - S.tape.size < nodes) ? S.hook.make_room(nodes, 0) : 0;
}

static inline int more_room(uint32_t nodes, uint32_t entries)
{
    int full = S.tape.capacity - S.tape.size < nodes || S.tape.pool_capacity - S.tape.pool_size < entries;
    return UNLIKELY(full) ? S.hook.make_room(nodes, entries) : 0;
}

/* The recording of this thread, the innermost one, or NULL. */
static inline fg_tracer *tracer(void)
{
    fg_tracer *t = S.tracers;
    if (UNLIKELY(t != NULL)) {
        unsigned long thread = PyThread_get_thread_ident();
        while (t && t->thread != thread)
            t = t->next;
    }
    return t;
}

static inline PyObject *traced(PyObject *v)
{
    return UNLIKELY(S.tracers != NULL) ? fg_trace(v) : v;
}

/* Whether this thread records a function, so that `what` cannot be; then raises. */
static inline int refused(const char *what)
{
    return UNLIKELY(S.tracers != NULL) && fg_refuse(what);
}

/* Whether to record; negative with an exception. It may run Python code: call it before making room, never after. */
static inline int recording(void)
{
    if (!UNLIKELY(S.recording_off > 0) || tracer() || S.watchers > 0) /* no_grad there: see fg_trace */
        return 1;
    int off = S.hook.recording_off();
    return off < 0 ? -1 : !off;
}

static inline PyObject *bind(int op, uint32_t a, uint32_t b, double value, fg_value *v)
{
    v->handle.node = fg_append(&S.tape, op, a, b, value, &v->handle);
    return (PyObject *)v;
}

static inline uint32_t constant(int kind, double value, uint32_t bit)
{
    return fg_append(&S.tape, kind == INTEGER ? FG_CONST_INT : FG_CONST, 0, 0, value, NULL) | bit;
}

/* Whether a node, and a constant before it, can be appended with nothing else to do. */
static ALWAYS_INLINE int ready(void)
{
    return S.tape.capacity - S.tape.size >= 2 && S.free_count > 0 && S.unusual == 0;
}

#endif
