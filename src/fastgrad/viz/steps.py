"""The backward pass as a table: node by node, what arrives and what is passed on."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from .._backend import Value
from .._frames import Line
from .._walk import Node, formula, walk
from .symbols import as_text, partial, short

#: So many rows are written out; the others are counted.
MOST_ROWS = 60
_HEADS = ("step", "node", "operation", "data", "adjoint", "passes on")


class Passed(NamedTuple):
    """What a node passes on to one of its operands: ``amount = local * adjoint``."""

    to: str  # the operand's name
    symbol: str  # the local derivative in names: "f"; empty where there is no rule of the table
    local: float
    adjoint: float
    amount: float

    @property
    def text(self) -> str:
        """``f · adjoint = -2 · 1 = -2 to d``."""
        named = f"({self.symbol})" if " " in self.symbol else self.symbol or "local derivative"
        numbers = f"{short(self.local)} · {short(self.adjoint)} = {short(self.amount)}"
        return f"{named} · adjoint = {numbers} to {self.to}"


class Step(NamedTuple):
    """One step of the backward pass: a node, all of whose users have passed on what they have to."""

    number: int  # from 1, which is the output
    name: str
    operation: str  # how the node was computed: "d * f"; of a leaf ""
    data: float
    adjoint: float  # the derivative of the output with respect to this node: what backward() adds to its grad
    passed: tuple[Passed, ...]  # to each operand that gets anything
    node: Node

    @property
    def line(self) -> Line | None:
        """Where in the program the node was made, if that was noted."""
        return self.node.line

    @property
    def words(self) -> str:
        """The step as a sentence."""
        if not self.operation:
            return f"{self.name} is a leaf: its grad grows by {short(self.adjoint)}."
        what = f"{self.name} = {self.operation}"
        if self.adjoint == 0.0:
            return f"Nothing arrives at {what}, and it passes nothing on."
        if not self.passed:
            return f"{what} has the adjoint {short(self.adjoint)}, and passes nothing on."
        return f"{what} has the adjoint {short(self.adjoint)}. It passes on {', '.join(p.text for p in self.passed)}."


class Steps(Sequence[Step]):
    """What `Value.steps` returns: the steps of the backward pass, in its order. It shows itself as a table.

    It prints as text, and in a notebook as an HTML table.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes  # of the whole graph, the output last; a step of `Node.edges` counts in it
        self._order = [node.index for node in reversed(nodes) if node.kind != "number"]

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, which: Any) -> Any:
        """Return a step by its number from 0 on, or several by a slice."""
        if isinstance(which, slice):
            return [self._step(number) for number in range(len(self))[which]]
        return self._step(range(len(self))[which])

    def __iter__(self) -> Iterator[Step]:
        return map(self._step, range(len(self)))

    def _step(self, number: int) -> Step:
        node = self.nodes[self._order[number]]
        names = [self.nodes[edge.operand].name for edge in node.edges]
        passed = [
            Passed(names[k], as_text(partial(self.nodes, node, k)), edge.local, node.adjoint, edge.amount)
            for k, edge in enumerate(node.edges)
            if edge.passes and node.adjoint != 0.0
        ]
        operation = formula(node, names) if node.edges else ""
        return Step(number + 1, node.name, operation, node.data, node.adjoint, tuple(passed), node)

    # ------------------------------------------------------------------------------------------------- as a table

    @cached_property
    def _rows(self) -> list[tuple[str, ...]]:
        """Each cell as text; several things passed on are on lines of their own."""
        return [
            (
                str(step.number),
                step.name,
                step.operation or "(leaf)",
                short(step.data),
                short(step.adjoint),
                "\n".join(passed.text for passed in step.passed),
            )
            for step in self[:MOST_ROWS]
        ]

    @property
    def _more(self) -> str:
        left = len(self) - len(self._rows)
        return f"and {left} more steps" if left else ""

    def __repr__(self) -> str:
        rows = [_HEADS, *self._rows]
        widths = [max(len(line) for row in rows for line in row[k].split("\n")) for k in range(len(_HEADS))]
        lines = []
        for row in rows:
            cells = [cell.split("\n") for cell in row]
            for k in range(max(map(len, cells))):
                parts = [cell[k] if k < len(cell) else "" for cell in cells]
                lines.append("  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())
        return "\n".join([*lines, *filter(None, [self._more])])

    def _repr_markdown_(self) -> str:
        rows = [_HEADS, ("---",) * len(_HEADS), *([_markdown(cell) for cell in row] for row in self._rows)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return f"{table}\n\n{self._more}".rstrip()

    def _repr_html_(self) -> str:
        heads = "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
        rows = "".join(f"<tr>{''.join(f'<td>{_html(cell)}</td>' for cell in row)}</tr>" for row in self._rows)
        more = f"<p>{self._more}</p>" if self._more else ""
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _markdown(cell: str) -> str:
    for letter in "\\`*_[]<>|#$":
        cell = cell.replace(letter, "\\" + letter)
    return cell.replace("\n", "<br>")


def _html(cell: str) -> str:
    return html.escape(cell).replace("\n", "<br>")


def steps(output: Value) -> Steps:
    """Return what `Value.steps` returns."""
    return Steps(walk(output))
