"""The graph of a Value as data: nodes in topological order, with local derivatives and the adjoints of a reverse sweep.

Explanations, tables, drawings and pages are made from it. It is the same on both backends, and changes no ``grad``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ._backend import Value, module
from ._frames import Line
from ._rules import OPCODES, REDUCTIONS, ROWS, Reduction, Row

_TABLE: tuple[Row | Reduction, ...] = (*ROWS, *REDUCTIONS)
_ROWS = {row.name: row for row in _TABLE}
_NAMES = {opcode: name for name, opcode in OPCODES.items()}
_NUMBERS = ("const", "const_int")
_WITHOUT_RULE = ("leaf", "stale", "custom", *_NUMBERS)


class Edge(NamedTuple):
    """An operand of a node, and what the node passes on to it."""

    operand: int  # the index of the operand's node
    local: float  # the derivative of the node with respect to this operand
    passes: bool  # whether anything is passed on: not to numbers, nor where the derivative is 0 everywhere
    amount: float  # what is added to the operand's adjoint: adjoint * local


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph. Its operands lie before it."""

    index: int
    value: Value
    label: str  # as the user gave it; may be empty
    name: str  # the label, made unique; else the number of a constant; else v1, v2, ...
    kind: str  # "leaf", "number" (a number that met a Value), "operation", "given" (made by hand)
    row: Row | Reduction | None  # of the table, if the node is an operation of it
    op: str  # the symbol, as in Value._op
    data: float
    adjoint: float  # the derivative of the output with respect to this node
    edges: tuple[Edge, ...]  # for each operand, repeated ones repeatedly; under a closure for each different one
    exponent: float | None  # of a power: a number as exponent is no operand, but part of the symbol
    line: Line | None  # where it was made, if that was noted

    @property
    def is_closure(self) -> bool:
        """Whether a ``_backward`` of the user's takes the place of the rule."""
        return "_backward" in getattr(self.value, "__dict__", ())


class _Found(NamedTuple):
    """What is known of a node before the sweep."""

    value: Value
    operands: list[int]
    local: Sequence[float]
    operation: str  # a name of _rules.OPCODES
    closure: bool
    exponent: float | None


_Look = tuple[int, int, bool, float | None]  # what a backend says of a Value


def walk(output: Value, shallow: bool = False) -> list[Node]:
    """Return what a Value was computed from: nodes in the order in which they were made, the Value last.

    If ``shallow``, that is its operands only. A number lies just before the first node that uses it. The adjoints are
    those of ``output.backward()``, to the last bit. A node with a ``_backward`` of the user's has that called, at 1 and
    at its adjoint, with ``grad`` set back after.

    Raises
    ------
    TypeError
        If the output is no Value.
    TracingError
        While a function is recorded.
    """
    if not isinstance(output, Value):
        raise TypeError(f"expected a Value, got {type(output).__name__} {output!r}")
    output._refuse("walk")  # type: ignore[attr-defined]
    found = _find(output, shallow)
    adjoints, passed = _sweep(found)
    labels = [str(node.value.label) for node in found]
    names = _named(found, labels)
    return [
        Node(
            index=index,
            value=node.value,
            label=labels[index],
            name=names[index],
            kind=_kind(node),
            row=_ROWS.get(node.operation),
            op=node.value._op,
            data=node.value.data,
            adjoint=adjoints[index],
            edges=tuple(map(Edge._make, zip(node.operands, node.local, *passed[index], strict=True))),
            exponent=node.exponent,
            line=node.value._line,  # type: ignore[attr-defined]
        )
        for index, node in enumerate(found)
    ]


# ---------------------------------------------------------------------------------------------------- the graph


def _find(output: Value, shallow: bool) -> list[_Found]:
    """Everything that the output was computed from, in the order of making."""
    children: dict[int, tuple[Value, ...]] = {}  # by id: a subclass may have a hash of its own
    values = [output]
    for value in values:  # grows as it goes
        if id(value) not in children:
            children[id(value)] = value._children if value is output or not shallow else ()
            values += children[id(value)]
    distinct = list({id(value): value for value in values}.values())
    looks = {id(value): look for value, look in zip(distinct, module.look(distinct), strict=True)}
    distinct.sort(key=lambda value: looks[id(value)][0])
    place: dict[int, int] = {}
    ordered: list[Value] = []

    def put(value: Value) -> None:
        if id(value) not in place:
            place[id(value)] = len(ordered)
            ordered.append(value)

    for value in distinct:
        number, opcode, *_ = looks[id(value)]
        if (number < 0 or _NAMES[opcode] in _NUMBERS) and value is not output:
            continue  # it comes with its first user
        for child in children[id(value)]:
            if id(child) not in place:
                put(child)
        put(value)
    return [_as_found(value, children[id(value)], place, looks[id(value)]) for value in ordered]


def _as_found(value: Value, children: tuple[Value, ...], place: dict[int, int], look: _Look) -> _Found:
    _, opcode, closure, exponent = look
    operands = [place[id(child)] for child in children]
    local: Sequence[float] = ()
    if closure and children:
        distinct = list({id(child): child for child in children}.values())
        operands = list(dict.fromkeys(operands))
        local = _run_closure(value, distinct, 1.0)
    elif children:
        local = value._local_grads
    return _Found(value, operands, local, _NAMES[opcode], closure, exponent)


def _kind(node: _Found) -> str:
    if node.operation in _NUMBERS:
        return "number"
    if node.operation in ("leaf", "stale"):
        return "leaf"
    return "operation" if node.operation in _ROWS or node.operation == "take" else "given"


def _named(found: Sequence[_Found], labels: Sequence[str]) -> list[str]:
    """Names that are all different, but for numbers."""
    twice = {label for label, count in Counter(labels).items() if count > 1}
    taken = set(labels)
    seen: Counter[str] = Counter()

    def fresh(stem: str) -> str:
        while True:
            seen[stem] += 1
            name = f"{stem}{seen[stem]}"
            if name not in taken:
                taken.add(name)
                return name

    return [
        (fresh(f"{label}#") if label in twice else label)
        if label
        else number_text(node.value.data)
        if _kind(node) == "number"
        else fresh("v")
        for node, label in zip(found, labels, strict=True)
    ]


def number_text(number: float) -> str:
    """Return a number as people write it: 2 rather than 2.0, the shortest text that means the same otherwise."""
    text = repr(number)
    return text[:-2] if text.endswith(".0") else text


# ---------------------------------------------------------------------------------------------------- the sweep


def _sweep(found: Sequence[_Found]) -> tuple[list[float], list[tuple[list[bool], list[float]]]]:
    """The adjoint of each node; and for each operand of each node whether something is passed on, and what.

    It adds in the order of the engine's sweep, so that the sums have the same bits.
    """
    adjoints = [0.0] * len(found)
    adjoints[-1] = 1.0
    passed: list[tuple[list[bool], list[float]]] = [([], [])] * len(found)
    for index in reversed(range(len(found))):
        node, g = found[index], adjoints[index]
        passes = [_passes(node, k) and _kind(found[operand]) != "number" for k, operand in enumerate(node.operands)]
        amounts: Sequence[float] = [0.0] * len(passes)
        if g != 0.0:
            amounts = _amounts(node, found, g)
            for operand, amount, does in zip(node.operands, amounts, passes, strict=True):
                if does:
                    adjoints[operand] += amount
        passed[index] = passes, [amount if does else 0.0 for amount, does in zip(amounts, passes, strict=True)]
    return adjoints, passed


def _passes(node: _Found, k: int) -> bool:
    """Whether a node passes anything on to its operand k."""
    if node.closure:
        return True
    if node.operation == "take":
        return node.local[k] != 0.0
    row = _ROWS.get(node.operation)
    if isinstance(row, Row):
        return row.partial_texts[k] != "0.0"
    return node.operation not in _WITHOUT_RULE


def _amounts(node: _Found, found: Sequence[_Found], g: float) -> Sequence[float]:
    if node.closure and node.operands:
        return _run_closure(node.value, [found[operand].value for operand in node.operands], g)
    return [g * local for local in node.local]


def _run_closure(value: Value, children: Sequence[Value], g: float) -> list[float]:
    """What a ``_backward`` of the user's adds to the ``grad`` of the children, its own being g."""
    saved = [(changed, changed.grad) for changed in (value, *children)]
    try:
        for child in children:
            child.grad = 0.0
        value.grad = g
        value._backward()
        return [child.grad for child in children]
    finally:
        for changed, grad in saved:
            changed.grad = grad


# ------------------------------------------------------------------------------------------------------ as text


def infix(node: Node) -> bool:
    """Whether the operation is written between its operands."""
    return isinstance(node.row, Row) and node.row.kind != "MATH" and len(node.edges) == 2


def formula(node: Node, operands: Sequence[str]) -> str:
    """Return how the node was computed: ``a * b``, ``tanh(n)``, ``x**2``; of a leaf its number."""
    if not node.edges:
        return number_text(node.data)
    if infix(node):
        return f"{operands[0]} {node.op} {operands[1]}"
    row = node.row
    if isinstance(row, Row) and row.kind == "POWER":  # a number as exponent is part of the symbol
        return f"{operands[0]}{node.op}"
    if isinstance(row, Row) and row.kind == "ARITH":
        return re.sub(r"\bx\b", lambda _: operands[0], row.forward_text)
    return f"{node.op or 'made by hand'}({', '.join(operands)})"


def texts(nodes: Iterable[Node]) -> Iterator[str]:
    """Return for each node the formula of its operands' names."""
    known = list(nodes)
    return (formula(node, [known[edge.operand].name for edge in node.edges]) for node in known)
