"""The graph of the pure-Python backend: Value, the recording of nodes, and the reverse sweep.

A node holds its operands, so that a graph lives as long as its results do and is freed by reference counting alone.
Serial numbers give the order of creation, which is a topological order: nothing recurses, whatever the depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from itertools import count
from typing import Any, NamedTuple, NoReturn

from . import _errors
from ._errors import real


class Rule(NamedTuple):
    """What nodes of one kind have in common: their label, and partials(*operands, result)."""

    label: str
    partials: Callable[..., Iterable[float]]
    closure: bool = False  # the node's own _backward takes the place of the partials


def _no_partials(*_: float) -> tuple[float, ...]:
    return ()


_LEAF = Rule("", _no_partials)
_CONSTANT = Rule("", _no_partials)

_NOTHING: tuple[Any, ...] = ()  # Python has only one empty tuple
_serial = count(1).__next__
_switched_off: ContextVar[int] = ContextVar("switched_off", default=0)
_recording_off = _switched_off.get
_sweeping: ContextVar[bool] = ContextVar("sweeping", default=False)
_numbers_are_leaves = False


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
        self._data = data if data.__class__ is float else real("Value(data)", data)
        self._grad = 0.0
        self._serial = _serial()
        self._operands = ()
        self._rule = _LEAF
        if label != "":
            self.label = label
        if _op != "" or _children is not _NOTHING or children is not _NOTHING or local_grads is not _NOTHING:
            self._give(*_errors.node_arguments(Value, _children or children, _op, local_grads))

    def _give(self, children: tuple[Value, ...], op: str, local_grads: tuple[float, ...]) -> None:
        if op:
            self._op = op
        if children and not _recording_off():
            self._operands = children
            self._rule = Rule("", lambda *_: local_grads)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "__getattr__"):
            cls.__getattr__ = _missing_attribute  # type: ignore[attr-defined]

    @property
    def data(self) -> float:
        """The value, a float."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        _ = self._serial  # there is none before __init__ ran, and the error says so
        self._data = data if data.__class__ is float else real("Value.data", data)

    @property
    def grad(self) -> float:
        """The derivative of what backward() was called on, summed over the calls."""
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        _ = self._serial
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
        self.__dict__["_backward"] = closure
        if not _recording_off():
            self._rule = self._rule._replace(closure=True)

    def _push_grad(self) -> None:
        for child, partial in zip(self._operands, self._local_grads, strict=False):
            if isinstance(child, Value) and child._rule is not _CONSTANT:
                child._grad += self._grad * partial

    def backward(self) -> None:
        if _sweeping.get():
            raise _errors.nested_backward()
        reached = _reached_from(self)
        adjoints = dict.fromkeys(reached, 0.0)
        adjoints[self._serial] = 1.0
        for serial in sorted(reached, reverse=True):
            g = adjoints[serial]
            if g != 0.0:
                _pass_on(reached[serial], g, adjoints)

    def zero_grad(self) -> None:
        for node in _reached_from(self).values():
            node._grad = 0.0

    def __bool__(self) -> bool:
        return self._data != 0.0

    def __float__(self) -> float:
        return self._data

    def __int__(self) -> int:
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


def record(data: float, operands: tuple[Any, ...], rule: Rule) -> Value:
    node = _new(Value)
    node._data = data
    node._grad = 0.0
    node._serial = _serial()
    if _recording_off():
        node._operands = ()
        node._rule = _LEAF
    else:
        node._operands = operands
        node._rule = rule
    return node


def _number_node(number: float) -> Value:
    """Return the child that stands for a number operand. It is older than its user, as every operand is."""
    node = Value(number)
    node._serial = -node._serial
    if not _numbers_are_leaves:
        node._rule = _CONSTANT
    return node


def _data_of(operand: Value | float) -> float:
    return operand._data if isinstance(operand, Value) else operand


# ---------------------------------------------------------------------------------------------- reverse sweep


def _reached_from(root: Value) -> dict[int, Value]:
    """Everything that root was computed from, and root, by serial number."""
    reached = {root._serial: root}
    stack = [root]
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
    operands = node._operands
    if node._rule.closure:
        for child, added in _run_closure(node, g):
            adjoints[child._serial] += added
    elif operands:
        data = [x if x.__class__ is float else x._data for x in operands]
        for child, partial in zip(operands, node._rule.partials(*data, node._data), strict=False):
            if child.__class__ is not float and child._rule is not _CONSTANT:
                adjoints[child._serial] += g * partial


def _run_closure(node: Value, g: float) -> list[tuple[Value, float]]:
    """Run a rule of the user's, which reads out.grad and adds to the grad of the children, as micrograd's do.

    For the time of the call .grad holds this sweep's adjoints alone, so that a second sweep passes on what is its own.
    """
    variables = [x for x in node._operands if isinstance(x, Value) and x._rule is not _CONSTANT]
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
    _switched_off.set(_switched_off.get() + change)


def tape_stats() -> dict[str, int]:
    """There is no tape: nodes are Python objects."""
    return {"nodes": 0, "capacity": 0, "bytes": 0, "reclaims": 0}
