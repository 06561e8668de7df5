"""What is drawn, whether it was computed eagerly or recorded: items with their operands before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .._case import Case
from .._frames import Line
from .._paths import Path
from .._recording import OPCODES, Recording
from .._rules import REDUCTIONS, ROWS, Reduction, Row
from .._walk import Node, Outline

_OPERATIONS: tuple[Row | Reduction, ...] = (*ROWS, *REDUCTIONS)
_LABELS = {OPCODES[row.name]: row.label for row in _OPERATIONS} | {OPCODES["take"]: "take"}
_ARITY = {OPCODES[row.name]: len(row.operands) for row in ROWS}


class Item(NamedTuple):
    """A node of a drawing."""

    label: str
    kind: str  # "leaf", "number", "operation", "given", "result" or "guard"
    op: str
    data: float | None  # None: it is another in each row
    grad: float | None
    operands: tuple[int, ...]
    locals: tuple[float, ...]  # the derivatives to the operands; none, if they are another in each row
    line: Line | None


def of_graph(nodes: Sequence[Node]) -> list[Item]:
    """The items of an eager graph."""
    return [
        Item(
            label=node.label,
            kind=node.kind,
            op=node.op,
            data=node.data,
            grad=None if node.kind == "number" else node.value.grad,
            operands=tuple(edge.operand for edge in node.edges),
            locals=tuple(edge.local for edge in node.edges),
            line=node.line,
        )
        for node in nodes
    ]


def of_outline(nodes: Sequence[Outline]) -> list[Item]:
    """The items of an eager graph that is too large for each to be drawn with its numbers."""
    return [
        Item(
            label=str(node.value.label),
            kind=node.kind,
            op=node.value._op,
            data=None,
            grad=None,
            operands=tuple(node.operands),
            locals=(),
            line=node.value._line,  # type: ignore[attr-defined]
        )
        for node in nodes
    ]


def of_path(case: Case, path: Path) -> list[Item]:
    """The items of one recording of a compiled function: inputs, operations, guards, results."""
    recording = path.recording
    names = _input_names(case, path)
    items = [_item(recording, names, *node) for node in recording.nodes.tolist()]
    for k, (line, outcome) in enumerate(path.guards()):
        label = f"is {outcome}"
        items.append(_end(label, "guard", int(recording.guards[k]), Line(*line)))
    results = case.results.space
    labels = _spread(results.structure.names("result"), results.sizes) if results is not None else iter(())
    for label, output in zip(labels, recording.outputs.tolist(), strict=False):
        items.append(_end(label, "result", output, None))
    return items


def _item(
    recording: Recording, names: Mapping[int, str], op: int, flags: int, a: int, b: int, c: int, line: int
) -> Item:
    where = recording.lines[line] if line else None
    if op == OPCODES["leaf"]:
        return Item(names.get(a, f"input {a}"), "leaf", "", None, None, (), (), None)
    if op == OPCODES["const"]:
        return Item("", "number", "", float(recording.constants[a]), None, (), (), None)
    operands = (a, b, c)[: _ARITY[op]] if op in _ARITY else tuple(recording.pool[a : a + b].tolist())
    return Item("", "operation", _LABELS[op], None, None, operands, (), where)


def _end(label: str, kind: str, operand: int, line: Line | None) -> Item:
    return Item(label, kind, "", None, None, (operand,), (), line)


def _input_names(case: Case, path: Path) -> dict[int, str]:
    names = list(_spread(case.leaf_names, case.sizes))
    names += [str(p.label) or f"parameter {i}" for i, p in enumerate(path.parameters)]
    return dict(enumerate(names))


def _spread(names: Iterable[str], sizes: Sequence[int]) -> Iterator[str]:
    """The names of single numbers: x[0], x[1] for an array x."""
    for name, size in zip(names, sizes, strict=True):
        yield from [name] if size == 1 else (f"{name}[{i}]" for i in range(size))
