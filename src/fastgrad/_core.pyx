# cython: language_level=3, binding=True
"""The compiled backend: what the Value type needs beyond its hot slots, and the lifetimes of what hangs on nodes.

Here are calls and no arithmetic: values and gradients are computed in csrc/tape.c, operations in csrc/slots.c.
"""
from __future__ import annotations

import gc
import sys
import threading

import numpy as np

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_REFCNT
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from fastgrad import _errors, _value

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

cdef extern from "slots.h":
    enum: FG_PINNED
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
        PyTypeObject *ndarray
        int (*make_room)(uint32_t nodes, uint32_t entries) except -1
        int (*recording_off)() except -1
        int (*pin)(fg_value *v) except -1
    PyTypeObject *fg_slots_init(const fg_hooks *hooks) except NULL
    int fg_add_functions(object module) except -1
    void fg_set_elementwise(object elementwise)
    void fg_set_construct(object construct)
    fg_tape *fg_the_tape()
    void fg_count_recording_off(int change)
    void fg_constants_are_leaves(int yes)
    object fg_handle_of(uint32_t node)
    void fg_rebind(fg_value *v, uint32_t node)
    void fg_drop_attributes(fg_value *v)
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


# ------------------------------------------------------------------------------------------------ lifetimes
#
# What a user hangs on a handle (a label, an attribute, a closure) has to live as long as the node, even when the user
# no longer holds the handle: the tape pins such a handle, that is, it owns a reference. Closures usually refer back to
# their own handle, as in the lecture's `out._backward = _backward`, so a pinned handle cannot simply be dropped when
# its count falls to one. Reclaiming therefore subtracts from the count of each handle the references that come from
# the pins and from what only pinned handles own (the trial deletion of Bacon and Rajan, 2001, over what hangs on
# nodes): a handle that is left with none is weak, and lives only if a living node needs it.

cdef enum:
    EXPANDED = 4          # flag: what this handle keeps alive has been rooted
    REFERENCE = 8         # unit of the count of explained references, above the flags
    SHRINK_AFTER = 8      # so many reclaims in a row that left the arrays almost empty
    ALMOST_EMPTY = 16
    INITIAL_CAPACITY = 8192
    ENTRIES_PER_NODE = 8
    WALKED_PER_NODE = 8   # objects looked at in the time that an operation takes
    MOST_NODES = 1 << 20

cdef list pinned = []
cdef int idle_reclaims = 0
cdef int held = 0             # while positive nothing is reclaimed: somebody holds the number of a node
cdef Py_ssize_t walked = 0    # objects that the latest reclaim looked at


cdef int pin(fg_value *v) except -1:
    pinned.append(<object><PyObject *>v)
    v.handle.flags |= FG_PINNED
    return 0


cdef list owned_values(fg_value *v):
    """Addresses of the Values that a handle's attributes refer to through objects that nothing else owns."""
    global walked
    cdef list found = [], stack = [], referents
    cdef PyObject *o
    cdef Py_ssize_t i
    if v.attributes is NULL or v.attributes.ob_refcnt > 1:
        return found
    stack.append(<object>v.attributes)
    while stack:
        referents = gc.get_referents(stack.pop())
        walked += PyList_GET_SIZE(referents)
        for i in range(PyList_GET_SIZE(referents)):
            o = PyList_GET_ITEM(referents, i)
            if PyObject_TypeCheck(o, <PyTypeObject *>Value):
                found.append(<size_t>o)
            elif Py_REFCNT(<object>o) <= 2 and FG_IS_GC(o):  # one is its owner's, one the list's
                stack.append(<object>o)
    return found


cdef int find_weak(list touched) except -1:
    """Flags the handles whose every reference is explained, and gathers the addresses of all that were looked at."""
    cdef fg_value *v
    cdef size_t address
    for i in range(PyList_GET_SIZE(pinned)):
        v = <fg_value *>PyList_GET_ITEM(pinned, i)
        touched.append(<size_t>v)
        touched += owned_values(v)
    for address in touched:
        (<fg_value *>address).handle.flags += REFERENCE
    for address in touched:
        v = <fg_value *>address
        if (<Py_ssize_t>(v.handle.flags // REFERENCE)) == (<PyObject *>v).ob_refcnt:
            v.handle.flags |= FG_WEAK
    return 0


cdef bint root_what_hangs_on(fg_value *v) except -1:
    """Roots the handles that a living one keeps, and what they keep; says whether one of them was not marked."""
    cdef bint rooted = False
    cdef list keepers = [<size_t>v]
    cdef size_t address
    while keepers:
        address = keepers.pop()
        (<fg_value *>address).handle.flags |= EXPANDED
        for address in owned_values(<fg_value *>address):
            v = <fg_value *>address
            v.handle.flags &= ~<uint32_t>FG_WEAK
            rooted = rooted or not tape.reached[v.handle.node]
            if v.handle.flags & FG_PINNED and not v.handle.flags & EXPANDED:
                keepers.append(address)
    return rooted


cdef int mark_living() except -1:
    """Marks the living nodes; what hangs on one of them roots the handles that it refers to."""
    cdef fg_value *v
    cdef bint rooted = True
    while rooted:
        rooted = False
        fg_tape_mark(tape)
        for i in range(PyList_GET_SIZE(pinned)):
            v = <fg_value *>PyList_GET_ITEM(pinned, i)
            if tape.reached[v.handle.node] and not v.handle.flags & EXPANDED and root_what_hangs_on(v):
                rooted = True
    return 0


cdef list take_dead(list touched):
    """Takes the nodes away from the weak handles that no living node needs; returns the pinned ones among them."""
    global pinned
    cdef fg_value *v
    cdef size_t address
    cdef list living = [], dead = []
    for handle in pinned:
        v = handle_of(handle)
        (living if tape.reached[v.handle.node] else dead).append(handle)
    for address in touched:
        v = <fg_value *>address
        if not tape.reached[v.handle.node]:
            fg_rebind(v, FG_VOID)
    for handle in dead:
        handle_of(handle).handle.flags &= ~<uint32_t>FG_PINNED
    pinned = living
    return dead


cdef int reclaim() except -1:
    global held, walked
    cdef size_t address
    cdef list touched = [], dead
    cdef bint collecting = PyGC_Disable()  # a run of Python's collector would change the counts under us
    held += 1
    walked = 0
    try:
        find_weak(touched)
        mark_living()
        dead = take_dead(touched)
        fg_tape_slide(tape)
    finally:
        for address in touched:
            (<fg_value *>address).handle.flags &= FG_PINNED
        fg_tape_unmark(tape)
        held -= 1
        if collecting:
            PyGC_Enable()
    for handle in dead:
        fg_drop_attributes(handle_of(handle))  # breaks the cycles
    return 0


cdef int make_room(uint32_t nodes, uint32_t entries) except -1:
    global idle_reclaims
    cdef bint short_of_nodes = tape.capacity - tape.size < nodes
    if not short_of_nodes and tape.pool_capacity - tape.pool_size >= entries:
        return 0
    # A run of the collector costs what lives: it should pay off in nodes, and a pool is cheap to grow up to a point.
    if tape.sweeping or held or (not short_of_nodes and tape.size < tape.capacity // 2
                         and tape.pool_capacity // ENTRIES_PER_NODE < tape.capacity):
        return grow(nodes, entries)
    reclaim()
    idle_reclaims = idle_reclaims + 1 if tape.size < tape.capacity // ALMOST_EMPTY else 0
    if idle_reclaims > SHRINK_AFTER and tape.capacity > INITIAL_CAPACITY and walked < tape.capacity:
        idle_reclaims = 0
        fg_tape_shrink(tape)
    # The next run has to pay off for what users hung on their Values, too, which it walks through.
    return grow(max(nodes, <uint32_t>min(walked // WALKED_PER_NODE, MOST_NODES)), entries)


cdef int grow(uint32_t nodes, uint32_t entries) except -1:
    """Doubles what is more than half full, and makes room for so many more in any case."""
    cdef uint32_t spare = tape.capacity - tape.size, pool_spare = tape.pool_capacity - tape.pool_size
    cdef int status = fg_tape_grow(tape, max(nodes, spare + 1 if spare <= tape.size else 0),
                                   max(entries, pool_spare + 1 if pool_spare <= tape.pool_size else 0))
    if status == FG_OK or (spare >= nodes and pool_spare >= entries):
        return 0
    raise _errors.out_of_memory(tape.size, status == FG_TOO_LARGE)


# -------------------------------------------------------------------------------------------------- backward

cdef object sweep_turn = threading.Lock()  # held while a sweep runs user code, when other threads may run as well
cdef unsigned long sweep_thread = 0


def backward(self) -> None:
    node_of(self)
    if tape.sweeping:
        if sweep_thread == threading.get_ident():
            raise _errors.nested_backward()
        with sweep_turn:
            pass
        return backward(self)
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
    held += 1
    try:
        return tuple([fg_tape_partial(tape, node, k) for k in visible_operands(node)])
    finally:
        held -= 1


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
    fg_tape_push_grad(tape, node_of(self))


def get_backward(self):
    node_of(self)
    return hung(self, "_backward") or push_grad.__get__(self)


def set_backward(self, closure) -> None:
    if not callable(closure):
        raise _errors.not_callable(closure)
    if recording():
        tape.op[node_of(self)] |= FG_CLOSURE
    hang(self, "_backward", closure)


# ------------------------------------------------------------------------------------------------ construction

def build(value, double x, tuple children, str op, tuple local) -> None:
    """Makes the node of a Value that is given more than a number."""
    if children:
        fg_rebind(handle_of(value), append_custom(x, children, local))
    else:
        make_room(1, 0)
        fg_rebind(handle_of(value), append_leaf(x))
    if op:
        hang(value, "_op", op)


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


# --------------------------------------------------------------------------------------------------- switches

cdef object switched_off = threading.local()


cdef int recording_off() except -1:
    return getattr(switched_off, "depth", 0) > 0


cdef bint recording() except -1:
    return not recording_off()


def switch_recording(change: int) -> None:
    """Counts this thread's no_grad contexts."""
    switched_off.depth = getattr(switched_off, "depth", 0) + change
    fg_count_recording_off(change)


def set_micrograd_mode(on: bool) -> None:
    """Whether number operands are leaves that get gradients, as in micrograd."""
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
    hooks.ndarray = <PyTypeObject *>keep(np.ndarray)
    hooks.make_room = make_room
    hooks.recording_off = recording_off
    hooks.pin = pin
    return <object><PyObject *>fg_slots_init(&hooks)


Value = make_type()
fg_set_construct(_value.initialiser(Value, build))
fg_add_functions(sys.modules[__name__])
_value.equip(Value, {
    "backward": backward,
    "zero_grad": zero_grad,
    "_children": property(get_children),
    "_prev": property(get_prev),
    "_local_grads": property(get_local_grads),
    "_op": property(get_op, set_op),
    "_backward": property(get_backward, set_backward),
})
