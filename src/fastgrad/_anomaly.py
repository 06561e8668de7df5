"""Where a nan or an infinity comes from: the first operation, forward or backward, that made it from finite operands.

While a thread watches, a backend shows the result of each operation as it is made, and the root of each sweep before it
begins; otherwise it does nothing for this. The node's line is noted on the way, for who looks at the graph later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import isfinite
from typing import Any

from . import _errors
from ._backend import Value, module
from ._frames import UNKNOWN, Line, user_line
from ._rules import Row
from ._walk import Edge, Node, formula, number_text, walk


@dataclass(frozen=True)
class Anomaly:
    """An operation that made a nan or an infinity from finite operands.

    Attributes
    ----------
    direction : str
        ``"forward"``, or ``"backward"`` if the operation's derivative did it.
    operation : str
        The operation's name in the table, such as ``"true_divide"``, or its symbol.
    formula : str
        The operation with its operands: ``"x / y"``.
    operands : dict of str to float
        The data of the operands by label, or by a name made up for them.
    result : float
        What the operation gave forward.
    adjoint : float or None
        Backward: what arrived at the operation.
    wrt : str or None
        Backward: the operand that gets the nan or the infinity. None if it came of adding up what arrived.
    made : float
        The nan or infinity.
    line : tuple of file, line, function
        Where in the program the operation was done. Its ``line`` is 0 if that is not known.
    row : int, tuple of int or None
        The row of the batch, for a compiled function.
    """

    direction: str
    operation: str
    formula: str
    operands: dict[str, float]
    result: float
    adjoint: float | None
    wrt: str | None
    made: float
    line: Line
    row: int | tuple[int, ...] | None = None

    def __str__(self) -> str:
        where = f"{self.line}: " if self.line.line else ""
        row = "" if self.row is None else f"row {self.row}: "
        finite = {**self.operands}
        if self.adjoint is None:
            return f"{where}{row}forward, {self.formula} made {self.made} from finite operands{_listed(finite)}"
        finite |= {"result": self.result, "adjoint": self.adjoint}
        what = f"the derivative of {self.formula} with respect to {self.wrt}, times its adjoint,"
        if self.wrt is None:
            what = f"the sum of what arrived at {self.formula}"
        return f"{where}{row}backward, {what} made {self.made} from finite operands{_listed(finite)}"


def _listed(numbers: dict[str, float]) -> str:
    # A number has no name of its own.
    texts = [f"{name} = {number!r}" for name, number in numbers.items() if name != number_text(number)]
    return f": {', '.join(texts)}" if texts else ""


class detect_anomaly(ContextDecorator):
    """Raise where a nan or an infinity is made from finite operands, forward or backward.

    In this context each operation on Values is looked at as it is done, and each ``backward()`` is gone through before
    it changes any ``grad``. It is slow; outside of it nothing is any slower. It holds for the thread that it is in, and
    as a decorator for each call of the function. ``no_grad`` changes nothing about it. What is done while a function is
    recorded, and what a compiled function computes, is not looked at: see `Compiled.why_nan`. A ``_backward`` closure
    of one's own is called more than once, with ``grad`` set back each time.

    Where an operation raises ZeroDivisionError, ValueError or OverflowError of itself, the error here is that as well.

    Raises
    ------
    AnomalyError
        At the operation: it names it, its operands, the line, and whether it was forward or backward. Its ``anomaly``
        holds them as data.

    Examples
    --------
    >>> import fastgrad as fg
    >>> x, y = fg.Value(1e200, label="x"), fg.Value(1e150, label="y")
    >>> x * y
    Value(data=inf, grad=0.0)
    >>> try:
    ...     with fg.detect_anomaly():
    ...         x * y
    ... except fg.AnomalyError as error:
    ...     error.anomaly.formula, error.anomaly.operands
    ('x * y', {'x': 1e+200, 'y': 1e+150})
    """

    def __enter__(self) -> None:
        module.switch_watching(1)

    def __exit__(self, *exc_info: object) -> None:
        module.switch_watching(-1)


#: While set, results are let through whatever they are.
_tolerant: ContextVar[bool] = ContextVar("tolerant", default=False)


@contextmanager
def tolerant() -> Iterator[None]:
    """Let operations on Values give inf and nan, as over arrays, where they would raise."""
    token = _tolerant.set(True)
    module.switch_watching(1)
    try:
        yield
    finally:
        module.switch_watching(-1)
        _tolerant.reset(token)


# ------------------------------------------------------------------------------------- what a backend shows


def _made(value: Any) -> None:
    """See the result of an operation, of whatever thread, or a node that somebody makes by hand."""
    if _tolerant.get():
        return
    watching = module.is_watching()
    if watching:
        value._line = user_line()
    if isfinite(value.data):
        return
    nodes = walk(value, shallow=True)
    failure = _failure(nodes[-1], nodes)
    if watching and _operands_are_finite(nodes, nodes[-1]):
        raise _errors.anomaly(_forward(nodes, nodes[-1]), failure)
    if failure is not None:
        raise failure


def _failure(node: Node, nodes: Sequence[Node]) -> ArithmeticError | ValueError | None:
    """What the operation would have raised, had it not been let through."""
    if not isinstance(node.row, Row):
        return None
    try:
        _errors.check(node.row.name, _data(nodes, node), node.data)
    except (ArithmeticError, ValueError) as error:
        return error
    return None


def _before_sweep(root: Value) -> None:
    if not _tolerant.get():
        found = backward_anomaly(walk(root))
        if found is not None:
            raise _errors.anomaly(found, None)


module.set_watch_hooks(_made, _before_sweep)

# ----------------------------------------------------------------------------------------- what is an anomaly


def forward_anomaly(nodes: Sequence[Node]) -> Anomaly | None:
    """Return the first operation that made a nan or inf which reached the last node, or None."""
    reached = {len(nodes) - 1} if not isfinite(nodes[-1].data) else set()
    first: Node | None = None
    for node in reversed(nodes):
        if node.index in reached:
            reached |= {edge.operand for edge in node.edges if not isfinite(nodes[edge.operand].data)}
            if node.edges and _operands_are_finite(nodes, node):
                first = node
    return None if first is None else _forward(nodes, first)


def backward_anomaly(nodes: Sequence[Node]) -> Anomaly | None:
    """Return the first step of the sweep from the last node that made a nan or inf from finite operands, or None."""
    tainted: set[int] = set()  # what gets a nan or inf that was made before
    for node in reversed(nodes):
        if not isfinite(node.adjoint) and node.index not in tainted:
            return _backward(nodes, node, None)
        for edge in node.edges:
            if not isfinite(edge.amount):
                tainted.add(edge.operand)
                if isfinite(node.adjoint) and isfinite(node.data) and _operands_are_finite(nodes, node):
                    return _backward(nodes, node, edge)
    return None


def _operands_are_finite(nodes: Sequence[Node], node: Node) -> bool:
    return all(map(isfinite, _data(nodes, node)))


def _data(nodes: Sequence[Node], node: Node) -> tuple[float, ...]:
    """The operands of an operation, with an exponent that is no operand but part of the symbol."""
    data = tuple(nodes[edge.operand].data for edge in node.edges)
    return data if node.exponent is None else (*data, node.exponent)


def _forward(nodes: Sequence[Node], node: Node) -> Anomaly:
    return _anomaly(nodes, node, "forward", None, None, node.data)


def _backward(nodes: Sequence[Node], node: Node, edge: Edge | None) -> Anomaly:
    if edge is None:
        return _anomaly(nodes, node, "backward", node.adjoint, None, node.adjoint)
    return _anomaly(nodes, node, "backward", node.adjoint, nodes[edge.operand].name, edge.amount)


def _anomaly(
    nodes: Sequence[Node], node: Node, direction: str, adjoint: float | None, wrt: str | None, made: float
) -> Anomaly:
    operands = [nodes[edge.operand] for edge in node.edges]
    names = [operand.name for operand in operands]
    text = formula(node, names) if node.edges else node.name
    return Anomaly(
        direction=direction,
        operation=node.row.method if node.row is not None else node.op or "made by hand",
        formula=f"{text} (= {node.label})" if node.label and node.edges else text,
        operands={operand.name: operand.data for operand in operands},
        result=node.data,
        adjoint=adjoint,
        wrt=wrt,
        made=made,
        line=node.line or UNKNOWN,
    )
