# cython: language_level=3, binding=True
"""The compiled backend: what the Value type needs beyond its hot slots, and the lifetimes of what hangs on nodes.

Here are calls and no arithmetic: values and gradients are computed in csrc/tape.c, operations in csrc/slots.c.
"""
from __future__ import annotations

import gc
import sys
import threading

import numpy as np

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_REFCNT
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from fastgrad import _errors, _frames, _recording, _value

NAME = "c"

cdef extern from *:
    """
    #define FG_IS_GC(o) PyObject_IS_GC((PyObject *)(o))
    """
    int FG_IS_GC(PyObject *o)
    int PyObject_TypeCheck(PyObject *o, PyTypeObject *type)  # unlike isinstance runs no code of the object's class
    int PyGC_Disable()
    int PyGC_Enable()

cdef extern from "tape.h":
    enum: FG_OK, FG_NO_MEMORY, FG_TOO_LARGE, FG_CALL_CLOSURE
    enum: FG_LEAF, FG_CONST, FG_CONST_INT, FG_CLOSURE
    enum: FG_VOID, FG_WEAK
    uint32_t FG_INDEX(uint32_t operand)
    ctypedef struct fg_handle:
        uint32_t node, flags
    ctypedef struct fg_tape:
        uint32_t size, capacity, pool_size, pool_capacity
        double *value
        double *grad
        uint8_t *op
        uint8_t *reached
        uint32_t *pool
        int sweeping
        uint64_t reclaims
    uint32_t fg_append(fg_tape *t, int op, uint32_t a, uint32_t b, double value, fg_handle *handle)
    size_t fg_tape_bytes(const fg_tape *t)
    int fg_tape_grow(fg_tape *t, uint32_t nodes, uint32_t entries)
    void fg_tape_shrink(fg_tape *t)
    void fg_tape_mark(fg_tape *t)
    void fg_tape_slide(fg_tape *t)
    void fg_tape_unmark(fg_tape *t)
    void fg_tape_sweep_begin(fg_tape *t, uint32_t root)
    int fg_tape_sweep_run(fg_tape *t, uint32_t *node, double *adjoint)
    void fg_tape_sweep_abandon(fg_tape *t)
    void fg_tape_contribute(fg_tape *t, uint32_t node, double adjoint)
    void fg_tape_zero_grad(fg_tape *t, uint32_t root)
    void fg_tape_push_grad(fg_tape *t, uint32_t node)
    uint32_t fg_tape_operand_count(const fg_tape *t, uint32_t node)
    uint32_t fg_tape_operand(const fg_tape *t, uint32_t node, uint32_t k)
    double fg_tape_partial(const fg_tape *t, uint32_t node, uint32_t k)
    uint32_t fg_tape_append_custom(fg_tape *t, uint32_t n, const double *local, double value)

cdef extern from "record.h":
    enum: FG_HAND_MADE, FG_OF_ANOTHER
    ctypedef struct fg_node:
        pass
    ctypedef struct fg_extract:
        fg_node *node
        uint32_t nodes, pool_size, constants, parameters, outputs, culprit_site
        uint32_t *pool
        double *constant
        uint32_t *parameter
        uint32_t *output
        uint32_t *guard
    void fg_extract_free(fg_extract *e)

cdef extern from "slots.h":
    enum: FG_PINNED
    ctypedef struct fg_tracer:
        pass
    ctypedef struct fg_value:
        fg_handle handle
        PyObject *attributes
    ctypedef struct fg_hooks:
        PyObject *check
        PyObject *real
        PyObject *is_real
        PyObject *array_operator
        PyObject *elementwise
        PyObject *reduction_error
        PyObject *uninitialised
        PyObject *construct
        PyObject *is_users
        PyObject *refuse
        PyObject *watch
        PyTypeObject *ndarray
        int (*make_room)(uint32_t nodes, uint32_t entries) except -1
        int (*recording_off)() except -1
        int (*pin)(fg_value *v) except -1
    PyTypeObject *fg_slots_init(const fg_hooks *hooks) except NULL
    int fg_add_functions(object module) except -1
    void fg_set_elementwise(object elementwise)
    void fg_set_construct(object construct)
    void fg_set_watch(object watch)
    fg_tape *fg_the_tape()
    void fg_count_recording_off(int change)
    void fg_count_watchers(int change)
    void fg_constants_are_leaves(int yes)
    object fg_handle_of(uint32_t node)
    void fg_rebind(fg_value *v, uint32_t node)
    void fg_drop_attributes(fg_value *v)
    int fg_trace_made(object v) except -1
    list fg_trace_begin(const double *values, uint32_t count)
    fg_tracer *fg_recording()
    int fg_trace_extract(fg_tracer *t, fg_extract *e)
    void fg_trace_end(fg_tracer *t)
    int fg_refuse(const char *what) except 1
    uint32_t fg_trace_inputs(const fg_tracer *t)
    list fg_trace_sites(const fg_tracer *t)
    bytes fg_trace_outcomes(const fg_tracer *t)
    bytes fg_trace_guard_sites(const fg_tracer *t)
    object fg_take(object operands)
    const char *fg_label(int op)
    int fg_is_power(int op)

cdef fg_tape *tape = fg_the_tape()


cdef inline fg_value *handle_of(object value):
    return <fg_value *><PyObject *>value


cdef uint32_t node_of(object value) except? 0:
    if not PyObject_TypeCheck(<PyObject *>value, <PyTypeObject *>Value):
        raise _errors.not_a_value(value)
    cdef uint32_t node = handle_of(value).handle.node
    if node == FG_VOID:
        raise _errors.uninitialised(type(value))
    return node


include "_core_lifetimes.pxi"

# -------------------------------------------------------------------------------------------------- backward

cdef object sweep_turn = threading.Lock()  # held while a sweep runs user code, when other threads may run as well
cdef unsigned long sweep_thread = 0


def backward(self) -> None:
    node_of(self)
    fg_refuse("backward")
    if tape.sweeping:
        if sweep_thread == threading.get_ident():
            raise _errors.nested_backward()
        with sweep_turn:
            pass
        return backward(self)
    if is_watching():
        before_sweep(self)
    cdef uint32_t node = 0
    cdef double adjoint = 0.0
    fg_tape_sweep_begin(tape, handle_of(self).handle.node)
    if fg_tape_sweep_run(tape, &node, &adjoint) == FG_CALL_CLOSURE:
        sweep_with_closures(node, adjoint)


cdef int sweep_with_closures(uint32_t node, double adjoint) except -1:
    global sweep_thread
    sweep_thread = threading.get_ident()  # before the lock, which may let other threads run
    try:
        with sweep_turn:
            run_closure(node, adjoint)
            while fg_tape_sweep_run(tape, &node, &adjoint) == FG_CALL_CLOSURE:
                run_closure(node, adjoint)
    finally:
        if tape.sweeping:
            fg_tape_sweep_abandon(tape)
    return 0


cdef int run_closure(uint32_t node, double adjoint) except -1:
    """Runs a rule of the user's, which reads out.grad and adds to the .grad of the operands, as micrograd's do.

    For the time of the call .grad holds this sweep's adjoints alone, so that a second sweep passes on what is its own.
    """
    cdef uint32_t child
    out = fg_handle_of(node)
    cdef list children = list({id(child_value): child_value for child_value in out._children}.values())
    cdef list saved = [child_value.grad for child_value in children]
    cdef double total = tape.grad[node]
    for value in children:
        tape.grad[node_of(value)] = 0.0
    tape.grad[node] = adjoint
    try:
        out.__dict__.get("_backward", push_grad.__get__(out))()
    finally:
        tape.grad[node] = total
        for value, grad in zip(children, saved):
            child = node_of(value)
            if tape.sweeping and tape.grad[child] != 0.0:
                fg_tape_contribute(tape, child, tape.grad[child])
            tape.grad[child] = grad
    return 0


def zero_grad(self) -> None:
    cdef uint32_t node = node_of(self), k
    fg_refuse("zero_grad")
    if not tape.sweeping:
        fg_tape_zero_grad(tape, node)
        return
    # Called by a closure: the marks are the sweep's.
    cdef set reached = {node}
    cdef list stack = [node]
    while stack:
        node = stack.pop()
        tape.grad[node] = 0.0
        for k in range(fg_tape_operand_count(tape, node)):
            operand = FG_INDEX(fg_tape_operand(tape, node, k))
            if operand not in reached:
                reached.add(operand)
                stack.append(operand)


# ------------------------------------------------------------------------------------------- the graph, as seen

cdef bint hidden(uint32_t node, uint32_t k, uint32_t operand):
    """Whether an operand is not a child: a number as exponent, which micrograd keeps in the label."""
    return k == 1 and fg_is_power(tape.op[node]) and tape.op[FG_INDEX(operand)] in (FG_CONST, FG_CONST_INT) \
        and operand != FG_INDEX(operand)


cdef list visible_operands(uint32_t node):
    cdef uint32_t k, count = fg_tape_operand_count(tape, node)
    return [k for k in range(count) if not hidden(node, k, fg_tape_operand(tape, node, k))]


def get_children(self) -> tuple:
    global held
    cdef uint32_t node = node_of(self)
    held += 1
    try:
        return tuple([fg_handle_of(FG_INDEX(fg_tape_operand(tape, node, k))) for k in visible_operands(node)])
    finally:
        held -= 1


def get_prev(self) -> set:
    return set(get_children(self))


def get_local_grads(self) -> tuple:
    global held
    cdef uint32_t node = node_of(self)
    fg_refuse("rule")
    held += 1
    try:
        return tuple([fg_tape_partial(tape, node, k) for k in visible_operands(node)])
    finally:
        held -= 1


def look(values: list) -> list:
    """For each Value its place in the order of the nodes, its opcode, whether a closure takes the rule's place, and the
    exponent that is no operand, or None."""
    global held
    cdef list found = []
    cdef uint32_t node, exponent
    cdef int op
    held += 1  # reclaiming would change the numbers between two of them
    try:
        for value in values:
            node = node_of(value)
            op = tape.op[node] & ~FG_CLOSURE
            if numbers_are_leaves and (op == FG_CONST or op == FG_CONST_INT):
                op = FG_LEAF
            exponent = fg_tape_operand(tape, node, 1) if fg_is_power(op) else 0
            shown = tape.value[FG_INDEX(exponent)] if hidden(node, 1, exponent) else None
            found.append((node, op, (tape.op[node] & FG_CLOSURE) != 0, shown))
    finally:
        held -= 1
    return found


cdef object hung(object self, str name):
    """What hangs on the handle under that name, or None."""
    cdef fg_value *v = handle_of(self)
    return None if v.attributes is NULL else (<dict>v.attributes).get(name)


def get_op(self) -> str:
    own = hung(self, "_op")
    if own is not None:
        return own
    cdef uint32_t node = node_of(self), operand
    cdef int kind
    cdef double exponent
    if fg_tape_operand_count(tape, node) == 2:
        operand = fg_tape_operand(tape, node, 1)
        if hidden(node, 1, operand):
            kind, exponent = tape.op[FG_INDEX(operand)], tape.value[FG_INDEX(operand)]
            return fg_label(tape.op[node]).decode() + str(int(exponent) if kind == FG_CONST_INT else exponent)
    return fg_label(tape.op[node]).decode()


cdef int hang(object self, str name, object what) except -1:
    """Keeps something on the handle, as long as its node lives: asking for __dict__ pins."""
    self.__dict__[name] = what
    return 0


def set_op(self, op) -> None:
    node_of(self)
    hang(self, "_op", op)


def push_grad(self) -> None:
    fg_refuse("rule")
    fg_tape_push_grad(tape, node_of(self))


def get_backward(self):
    node_of(self)
    return hung(self, "_backward") or push_grad.__get__(self)


def set_backward(self, closure) -> None:
    if not callable(closure):
        raise _errors.not_callable(closure)
    fg_refuse("rule")
    if recording():
        tape.op[node_of(self)] |= FG_CLOSURE
    hang(self, "_backward", closure)


# ------------------------------------------------------------------------------------------------ construction

def build(value, double x, tuple children, str op, tuple local) -> None:
    """Makes the node of a Value that is given more than a number."""
    if children:
        fg_refuse("node")
        fg_rebind(handle_of(value), append_custom(x, children, local))
    else:
        if handle_of(value).handle.node != FG_VOID:
            fg_refuse("set_data")
        make_room(1, 0)
        fg_rebind(handle_of(value), append_leaf(x))
        fg_trace_made(value)
    if op:
        hang(value, "_op", op)
    if children and is_watching():
        made(value)


cdef uint32_t append_leaf(double x):
    return fg_append(tape, FG_LEAF, 0, 0, x, NULL)


cdef uint32_t append_custom(double x, tuple operands, tuple local) except 0:
    cdef uint32_t n = len(operands)
    cdef double *gradients = NULL
    cdef bint record = recording()
    make_room(1, 3 * n)  # from here on nothing runs that could take the room
    if not record:
        return append_leaf(x)
    if local:
        gradients = <double *>malloc(n * sizeof(double))
        if gradients is NULL:
            raise MemoryError
    try:
        for i in range(n):
            tape.pool[tape.pool_size + i] = node_of(operands[i])
            if local:
                gradients[i] = local[i]
        return fg_tape_append_custom(tape, n, gradients, x)
    finally:
        free(gradients)


include "_core_recording.pxi"

# --------------------------------------------------------------------------------------------------- switches

cdef object switched_off = threading.local()  # what is unusual in a thread


cdef int recording_off() except -1:
    return getattr(switched_off, "depth", 0) > 0


cdef bint recording() except -1:
    return not recording_off()


def switch_recording(change: int) -> None:
    """Counts this thread's no_grad contexts."""
    switched_off.depth = getattr(switched_off, "depth", 0) + change
    fg_count_recording_off(change)


cdef object made = None  # what sees the results of operations while a thread watches
cdef object before_sweep = None  # and what sees the root of a sweep


def set_watch_hooks(made_hook, sweep_hook) -> None:
    """What is called, while a thread watches, with the result of each operation, and before a sweep with its root."""
    global made, before_sweep
    made, before_sweep = made_hook, sweep_hook
    fg_set_watch(made)


def switch_watching(change: int) -> None:
    """Counts how often this thread watches. While any does, results of all threads are shown."""
    switched_off.watching = getattr(switched_off, "watching", 0) + change
    fg_count_watchers(change)


def is_watching() -> bool:
    """Whether this thread watches, and records no function."""
    return getattr(switched_off, "watching", 0) > 0 and fg_recording() is NULL


cdef bint numbers_are_leaves = False


def set_micrograd_mode(on: bool) -> None:
    """Whether number operands are leaves that get gradients, as in micrograd."""
    global numbers_are_leaves
    numbers_are_leaves = on
    fg_constants_are_leaves(on)


def set_elementwise_hook(hook) -> None:
    """What module functions do with arrays and sequences: hook(name, arguments)."""
    fg_set_elementwise(hook)


def tape_stats() -> dict:
    """Size of the tape: nodes on it, dead ones included; nodes it has room for; bytes; how often it reclaimed."""
    return {"nodes": tape.size, "capacity": tape.capacity, "bytes": fg_tape_bytes(tape), "reclaims": tape.reclaims}


# ---------------------------------------------------------------------------------------------------- the type

def raise_uninitialised(value_type) -> None:
    raise _errors.uninitialised(value_type)


cdef PyObject *keep(object hook):
    Py_INCREF(hook)
    return <PyObject *>hook


cdef object make_type():
    cdef fg_hooks hooks
    hooks.check = keep(_errors.check)
    hooks.real = keep(_errors.real)
    hooks.is_real = keep(_errors.is_real)
    hooks.reduction_error = keep(_errors.reduction_error)
    hooks.array_operator = keep(_value.array_operator)
    hooks.elementwise = keep(None)
    hooks.uninitialised = keep(raise_uninitialised)
    hooks.construct = NULL
    hooks.is_users = keep(_frames.is_users)
    hooks.refuse = keep(_errors.refuse)
    hooks.watch = NULL
    hooks.ndarray = <PyTypeObject *>keep(np.ndarray)
    hooks.make_room = make_room
    hooks.recording_off = recording_off
    hooks.pin = pin
    return <object><PyObject *>fg_slots_init(&hooks)


Value = make_type()
fg_set_construct(_value.initialiser(Value, build))
fg_add_functions(sys.modules[__name__])
_value.equip(Value, {
    "_refuse": refuse,
    "backward": backward,
    "zero_grad": zero_grad,
    "_children": property(get_children),
    "_prev": property(get_prev),
    "_local_grads": property(get_local_grads),
    "_op": property(get_op, set_op),
    "_backward": property(get_backward, set_backward),
})
