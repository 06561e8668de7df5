/* What the binding sees of the compiled Value type. The hot part of it (allocation, number slots, methods, module
 * functions, data and grad) is in slots.c; the binding adds the rest to the type, and gives the hooks below. */
#ifndef FG_SLOTS_H
#define FG_SLOTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "record.h"

typedef struct fg_value {
    PyObject_HEAD
    fg_handle handle;
    PyObject *attributes;
    PyObject *weakrefs;
} fg_value;

#define FG_PINNED 2u /* flag: the tape holds a reference, so that what hangs on the handle lives as long as its node */

/* What slots.c asks of its owner, in Python unless hot. */
typedef struct fg_hooks {
    PyObject *check;          /* (name, operands, result): raises if a failed operation has to                 */
    PyObject *real;           /* (where, object): the float that object is, or TypeError                       */
    PyObject *is_real;        /* (object): whether object is a number that operators take                      */
    PyObject *array_operator; /* (method, left, right): NumPy's answer when one of the two is an array         */
    PyObject *elementwise;    /* (name, arguments): a module function over arrays and sequences                */
    PyObject *reduction_error; /* (name, xs, ys or None): raises what is wrong with a reduction's arguments     */
    PyObject *uninitialised;  /* (type): raises that a handle has no node                                      */
    PyObject *construct;      /* (value, *args, **kwargs): Value.__init__ with more than a number              */
    PyObject *is_users;       /* (file): whether code of that file is the user's                               */
    PyObject *refuse;         /* (what): raises that this cannot be while a function is recorded               */
    PyObject *watch;          /* (value): sees the result of each operation while somebody watches             */
    PyTypeObject *ndarray;
    int (*make_room)(uint32_t nodes, uint32_t entries);
    int (*recording_off)(void);
    int (*pin)(fg_value *v);
} fg_hooks;

PyTypeObject *fg_slots_init(const fg_hooks *hooks);
int fg_add_functions(PyObject *module);

/* The hooks that need the type, or come later. */
void fg_set_elementwise(PyObject *elementwise);
void fg_set_construct(PyObject *construct);
void fg_set_watch(PyObject *watch);

fg_tape *fg_the_tape(void);

/* While positive some thread has switched recording off, and the hook recording_off says whether this one has. */
void fg_count_recording_off(int change);

/* While positive some thread watches, and the hook watch sees all results, of whatever thread. */
void fg_count_watchers(int change);

/* Number operands become leaves with an adjoint, as in micrograd, rather than constants. */
void fg_constants_are_leaves(int yes);

/* The living handle of a node, or a new one that is pinned. New reference. */
PyObject *fg_handle_of(uint32_t node);

/* Points a handle to another node. */
void fg_rebind(fg_value *v, uint32_t node);

/* Drops what the user hung on a handle. */
void fg_drop_attributes(fg_value *v);

/* Recordings of this thread, which nest. fg_trace_begin gives the list of the inputs, as new Values; nothing must be
 * reclaimed until fg_trace_end. fg_recording is the innermost one, or NULL. */
typedef struct fg_tracer fg_tracer;
PyObject *fg_trace_begin(const double *values, uint32_t count);
fg_tracer *fg_recording(void);
int fg_trace_extract(fg_tracer *t, fg_extract *e);
void fg_trace_end(fg_tracer *t);
int fg_trace_made(PyObject *v);  /* notes that a recording of this thread, if any, made the node of v */
int fg_refuse(const char *what); /* whether this thread records; then raises that `what` cannot be */

/* The sites of a recording, from number 1 on: a list of (code, byte of the instruction), or None. Its guards: bytes of
 * each outcome, and of each site as uint32_t. */
uint32_t fg_trace_inputs(const fg_tracer *t);
PyObject *fg_trace_sites(const fg_tracer *t);
PyObject *fg_trace_outcomes(const fg_tracer *t);
PyObject *fg_trace_guard_sites(const fg_tracer *t);

/* The node FG_TAKE of a list: the index, a Value, and the entries. */
PyObject *fg_take(PyObject *operands);

const char *fg_label(int op);
int fg_is_power(int op);

#endif
