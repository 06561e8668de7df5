"""The graph of the pure-Python backend: Value, the recording of nodes, and the reverse sweep.

A node holds its operands, so that a graph lives as long as its results do and is freed by reference counting alone.
Serial numbers give the order of creation, which is a topological order: nothing recurses, whatever the depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import _errors
from ._errors import real
from ._rules import OPCODES

if TYPE_CHECKING:
    from ._trace import Tracer


class Rule(NamedTuple):
    """What nodes of one kind have in common: their label, and partials(*operands, result)."""

    label: str
    partials: Callable[..., Iterable[float]]
    opcode: int
    passes: tuple[bool, ...] = ()  # for each operand whether its partial is more than a literal 0.0; (): all are
    numbers: tuple[float, ...] = ()  # operands behind the node's own: an exponent that is a number is no child
    closure: bool = False  # the node's own _backward takes the place of the partials


def _no_partials(*_: float) -> tuple[float, ...]:
    return ()


LEAF = Rule("", _no_partials, OPCODES["leaf"])
CONSTANT = Rule("", _no_partials, OPCODES["const"])
STALE = Rule("", _no_partials, OPCODES["stale"])


class _State(NamedTuple):
    """What the operations of this thread do besides the usual."""

    off: int = 0  # no_grad contexts, begun inside the recording if there is one
    tracer: Tracer | None = None
    watching: int = 0  # how often it watches; not inside a recording


_ALL = repeat(True)
_NOTHING: tuple[Any, ...] = ()  # Python has only one empty tuple
_serial = count(1).__next__
_state: ContextVar[_State | None] = ContextVar("state", default=None)
_unusual = _state.get  # None: nothing
_sweeping: ContextVar[bool] = ContextVar("sweeping", default=False)
_numbers_are_leaves = False


def _ignore(_: Value) -> None:
    """What nobody has asked to see."""


_made: Callable[[Value], None] = _ignore
_before_sweep: Callable[[Value], None] = _ignore


class Value:
    """The Value of this backend; its documentation is in _value."""

    __slots__ = ("__dict__", "__weakref__", "_data", "_grad", "_operands", "_rule", "_serial")

    _data: float
    _grad: float
    _serial: int
    _operands: tuple[Any, ...]  # Values, and floats: constants that nobody has looked at yet
    _rule: Rule

    def __init__(
        self,
        data: Any,
        _children: Iterable[Value] = _NOTHING,
        _op: str | tuple[float, ...] = "",
        label: str = "",
        *,
        children: Iterable[Value] = _NOTHING,
        local_grads: Iterable[float] = _NOTHING,
    ) -> None:
        number = data if data.__class__ is float else real("Value(data)", data)
        if _unusual() is not None and hasattr(self, "_serial"):
            self._refuse("set_data")
        self._data = number
        self._grad = 0.0
        self._serial = _serial()
        self._operands = ()
        self._rule = LEAF
        if _unusual() is not None:
            _note(self)
        if label != "":
            self.label = label
        if _op != "" or _children is not _NOTHING or children is not _NOTHING or local_grads is not _NOTHING:
            self._give(*_errors.node_arguments(Value, _children or children, _op, local_grads))

    def _give(self, children: tuple[Value, ...], op: str, local_grads: tuple[float, ...]) -> None:
        if op:
            self._op = op
        if children:
            self._refuse("node")
        if children and not _recording_off():
            self._operands = children
            self._rule = Rule("", lambda *_: local_grads, OPCODES["given" if local_grads else "custom"])
            if is_watching():
                _made(self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "__getattr__"):
            cls.__getattr__ = _missing_attribute  # type: ignore[attr-defined]

    @property
    def data(self) -> float:
        """The value, a float."""
        if _unusual() is not None:
            self._refuse("data")
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        _ = self._serial  # there is none before __init__ ran, and the error says so
        self._refuse("set_data")
        self._data = data if data.__class__ is float else real("Value.data", data)

    @property
    def grad(self) -> float:
        """The derivative of what backward() was called on, summed over the calls."""
        if _unusual() is not None:
            self._refuse("grad")
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        _ = self._serial
        self._refuse("grad")
        self._grad = grad if grad.__class__ is float else real("Value.grad", grad)

    @property
    def _op(self) -> str:
        op: str = self.__dict__.get("_op", self._rule.label)
        return op

    @_op.setter
    def _op(self, op: str) -> None:
        self.__dict__["_op"] = op

    @property
    def _children(self) -> tuple[Value, ...]:
        if any(x.__class__ is float for x in self._operands):
            self._operands = tuple(_number_node(x) if x.__class__ is float else x for x in self._operands)
        return self._operands

    @property
    def _prev(self) -> set[Value]:
        return set(self._children)

    @property
    def _local_grads(self) -> tuple[float, ...]:
        self._refuse("rule")
        partials = tuple(self._rule.partials(*map(_data_of, self._operands), self._data))
        return partials or (0.0,) * len(self._operands)

    @property
    def _backward(self) -> Callable[[], None]:
        own: Callable[[], None] = self.__dict__.get("_backward", self._push_grad)
        return own

    @_backward.setter
    def _backward(self, closure: Callable[[], None]) -> None:
        if not callable(closure):
            raise _errors.not_callable(closure)
        self._refuse("rule")
        self.__dict__["_backward"] = closure
        if not _recording_off():
            self._rule = self._rule._replace(closure=True)

    def _push_grad(self) -> None:
        for child, partial in zip(self._operands, self._local_grads, strict=False):
            if isinstance(child, Value) and child._rule is not CONSTANT:
                child._grad += self._grad * partial

    def backward(self) -> None:
        self._refuse("backward")
        if _sweeping.get():
            raise _errors.nested_backward()
        if is_watching():
            _before_sweep(self)
        reached = reached_from([self])
        adjoints = dict.fromkeys(reached, 0.0)
        adjoints[self._serial] = 1.0
        for serial in sorted(reached, reverse=True):
            g = adjoints[serial]
            if g != 0.0:
                _pass_on(reached[serial], g, adjoints)

    def zero_grad(self) -> None:
        self._refuse("zero_grad")
        for node in reached_from([self]).values():
            node._grad = 0.0

    def _refuse(self, what: str) -> None:
        if tracer() is not None:
            _errors.refuse(what)

    def __bool__(self) -> bool:
        outcome = self._data != 0.0
        recording = tracer()
        if recording is not None:
            recording.guard(self, outcome)
        return outcome

    def __float__(self) -> float:
        if _unusual() is not None:
            self._refuse("float")
        return self._data

    def __int__(self) -> int:
        self._refuse("int")
        return int(self._data)

    def __pos__(self) -> Value:
        return self

    def __hash__(self) -> int:
        return object.__hash__(self)


def _missing_attribute(self: Value, name: str) -> NoReturn:
    try:
        object.__getattribute__(self, "_serial")
    except AttributeError:
        raise _errors.uninitialised(type(self)) from None
    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)


# ------------------------------------------------------------------------------------------------------ nodes

_new = object.__new__


def new_node(data: float, operands: tuple[Any, ...], rule: Rule) -> Value:
    node = _new(Value)
    node._data = data
    node._grad = 0.0
    node._serial = _serial()
    node._operands = operands
    node._rule = rule
    return node


def record(data: float, operands: tuple[Any, ...], rule: Rule) -> Value:
    node = new_node(data, operands, rule)
    return node if _unusual() is None else _recorded(node)


def _recorded(node: Value) -> Value:
    state = _unusual()
    assert state is not None
    if state.tracer is not None:
        state.tracer.own(node)
        return state.tracer.without_gradient(node) if state.off > 0 else node
    if state.watching > 0:
        _made(node)
    if state.off > 0:
        node._operands = ()
        node._rule = LEAF
    return node


def _note(leaf: Value) -> None:
    recording = tracer()
    if recording is not None:
        recording.own(leaf)


def look(values: Iterable[Value]) -> list[tuple[int, int, bool, float | None]]:
    """For each Value its place in the order of the nodes, its opcode, whether a closure takes the rule's place, and the
    exponent that is no operand, or None."""
    rules = ((value._serial, value._rule) for value in values)
    return [(serial, rule.opcode, rule.closure, next(iter(rule.numbers), None)) for serial, rule in rules]


def _number_node(number: float) -> Value:
    """Return the child that stands for a number operand. It is older than its user, as every operand is."""
    node = Value(number)
    node._serial = -node._serial
    if not _numbers_are_leaves:
        node._rule = CONSTANT
    return node


def _data_of(operand: Value | float) -> float:
    return operand._data if isinstance(operand, Value) else operand


# ---------------------------------------------------------------------------------------------- reverse sweep


def reached_from(roots: Iterable[Value]) -> dict[int, Value]:
    """Everything that the roots were computed from, and the roots, by serial number."""
    reached = {root._serial: root for root in roots}
    stack = list(reached.values())
    while stack:
        node = stack.pop()
        for child in node._children if _numbers_are_leaves else node._operands:
            if child.__class__ is not float and child._serial not in reached:
                reached[child._serial] = child
                stack.append(child)
    return reached


def _pass_on(node: Value, g: float, adjoints: dict[int, float]) -> None:
    """Add the adjoint g of a node to its gradient, and what follows from it to the adjoints of its operands."""
    node._grad += g
    operands, rule = node._operands, node._rule
    if rule.closure:
        for child, added in _run_closure(node, g):
            adjoints[child._serial] += added
    elif operands:
        data = [x if x.__class__ is float else x._data for x in operands]
        partials = rule.partials(*data, node._data)
        for child, partial, passes in zip(operands, partials, rule.passes or _ALL, strict=False):
            if passes and child.__class__ is not float and child._rule is not CONSTANT:
                adjoints[child._serial] += g * partial


def _run_closure(node: Value, g: float) -> list[tuple[Value, float]]:
    """Run a rule of the user's, which reads out.grad and adds to the grad of the children, as micrograd's do.

    For the time of the call .grad holds this sweep's adjoints alone, so that a second sweep passes on what is its own.
    """
    variables = [x for x in node._operands if isinstance(x, Value) and x._rule is not CONSTANT]
    children = list({id(child): child for child in variables}.values())
    saved = [child._grad for child in children]
    total, node._grad = node._grad, g
    for child in children:
        child._grad = 0.0
    token = _sweeping.set(True)
    try:
        node._backward()
        return [(child, child._grad) for child in children]
    finally:
        _sweeping.reset(token)
        node._grad = total
        for child, grad in zip(children, saved, strict=True):
            child._grad = grad


# --------------------------------------------------------------------------------------------------- switches


def set_micrograd_mode(on: bool) -> None:
    """Whether number operands are leaves that get gradients, as in micrograd."""
    global _numbers_are_leaves
    _numbers_are_leaves = on


def switch_recording(change: int) -> None:
    """Count the no_grad contexts of this thread."""
    state = _unusual() or _State()
    set_state(state._replace(off=state.off + change))


def set_watch_hooks(made: Callable[[Value], None], before_sweep: Callable[[Value], None]) -> None:
    """What is called, while a thread watches, with the result of each operation, and before a sweep with its root."""
    global _made, _before_sweep
    _made, _before_sweep = made, before_sweep


def switch_watching(change: int) -> None:
    """Count how often this thread watches."""
    state = _unusual() or _State()
    set_state(state._replace(watching=state.watching + change))


def is_watching() -> bool:
    """Whether this thread watches, and records no function."""
    state = _unusual()
    return state is not None and state.watching > 0


def goes_on() -> bool:
    """Whether an operation that failed makes a node all the same: in a recording, or for who watches to raise it."""
    state = _unusual()
    return state is not None and (state.tracer is not None or state.watching > 0)


def set_state(state: _State | None) -> _State | None:
    """Change the state of this thread; return what it was."""
    before = _unusual()
    _state.set(None if state == _State() else state)
    return before


def begin_tracing(recording: Tracer) -> _State | None:
    return set_state(_State(0, recording))


def tracer() -> Tracer | None:
    """Return the recording of this thread, the innermost one."""
    state = _unusual()
    return None if state is None else state.tracer


def _recording_off() -> bool:
    state = _unusual()
    return state is not None and state.off > 0


def tape_stats() -> dict[str, int]:
    """There is no tape: nodes are Python objects."""
    return {"nodes": 0, "capacity": 0, "bytes": 0, "reclaims": 0}
