/* What the binding sees of the compiled Value type. The hot part of it (allocation, number slots, methods, module
 * functions, data and grad) is in slots.c; the binding adds the rest to the type, and gives the hooks below. */
#ifndef FG_SLOTS_H
#define FG_SLOTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "tape.h"

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

fg_tape *fg_the_tape(void);

/* While positive some thread has switched recording off, and the hook recording_off says whether this one has. */
void fg_count_recording_off(int change);

/* Number operands become leaves with an adjoint, as in micrograd, rather than constants. */
void fg_constants_are_leaves(int yes);

/* The living handle of a node, or a new one that is pinned. New reference. */
PyObject *fg_handle_of(uint32_t node);

/* Points a handle to another node. */
void fg_rebind(fg_value *v, uint32_t node);

/* Drops what the user hung on a handle. */
void fg_drop_attributes(fg_value *v);

const char *fg_label(int op);
int fg_is_power(int op);

#endif
