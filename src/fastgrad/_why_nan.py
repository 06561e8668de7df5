"""Which operation of a compiled function made a nan or an infinity: a row is done again, on Values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from operator import index
from typing import Any

import numpy as np

from . import _compile_errors as _errors
from ._anomaly import Anomaly, backward_anomaly, forward_anomaly, tolerant
from ._backend import Value
from ._case import Case
from ._engine import Read, prepare
from ._frames import Line
from ._paths import Call, Path
from ._questions import Question
from ._signature import Shape
from ._values import as_values, replay
from ._walk import walk

#: So many numbers of an answer are computed at a time, while rows are looked for.
_AT_ONCE = 1 << 20


def why_nan(read: Read, row: int | tuple[int, ...] | None) -> Anomaly | None:
    """Return what `Compiled.why_nan` returns."""
    read = read.numeric()
    prepare(read)
    shape, call = read.rows()
    rows = _rows_with_nan(read, call) if row is None else iter([_number_of(row, shape)])
    for number in rows:
        found = _in_row(read, call, number)
        if found is not None:
            place = tuple(map(int, np.unravel_index(number, shape))) if shape else None
            return replace(found, row=place[0] if place is not None and len(place) == 1 else place)
    return None


def _number_of(row: Any, shape: Shape) -> int:
    try:
        place = tuple(map(index, row if isinstance(row, tuple) else (row,)))
    except TypeError as error:
        raise _errors.bad_row(row) from error
    if len(place) != len(shape) or not all(-n <= k < n for k, n in zip(place, shape, strict=True)):
        raise _errors.no_such_row(row, shape)
    return int(np.ravel_multi_index(tuple(k % n for k, n in zip(place, shape, strict=True)), shape))


# ---------------------------------------------------------------------------------------------------- the rows


def _rows_with_nan(read: Read, call: Call) -> Iterator[int]:
    """The rows whose value or derivatives are not finite, in their order."""
    questions = _questions(read.case)
    step = max(1, _AT_ONCE // max(1, *(sum(question.sizes) for question in questions)))
    for start in range(0, call.rows, step):
        part = call.pick(slice(start, start + step))
        bad = np.zeros(part.rows, bool)
        for question in questions:
            outputs = [np.empty((part.rows, size)) for size in question.sizes]
            read.case.evaluate(question, part, outputs, read.refill)
            for output in outputs:
                bad |= ~np.isfinite(output).all(axis=1)
        yield from (start + np.flatnonzero(bad)).tolist()


def _questions(case: Case) -> list[Question]:
    wrt: list[int | str] = [k for k, a in enumerate(case.arguments) if a.leaves.start < a.leaves.stop]
    wrt += ["parameters"] if case.subject.parameters else []
    return [case.question("value"), *([case.question("jacobian", tuple(wrt))] if wrt else [])]


# ----------------------------------------------------------------------------------------------------- one row


def _in_row(read: Read, call: Call, row: int) -> Anomaly | None:
    matrices = zip(call.arguments, call.batched, strict=False)
    numbers = list(chain.from_iterable(matrix[row if batched else 0].tolist() for matrix, batched in matrices))
    path = read.case.path_of(numbers, read.refill)
    outputs = _outputs(path, _labelled(read, numbers))
    graphs = [walk(output) for output in outputs]
    for find in (forward_anomaly, backward_anomaly):
        for graph in graphs:
            found = find(graph)
            if found is not None:
                return found
    return None


def _labelled(read: Read, numbers: list[float]) -> list[Value]:
    """The elements of all arguments as Values that bear the names of their places."""
    names: list[str] = []
    for name, shape in zip(read.names, read.shapes, strict=True):
        names += [f"{name}[{', '.join(map(str, place))}]" for place in np.ndindex(shape)] if shape else [name]
    return [Value(number, label=name) for number, name in zip(numbers, names, strict=True)]


def _outputs(path: Path, inputs: list[Value]) -> list[Value]:
    """Do a recording on Values; return the results, whose nodes know their lines."""
    with tolerant():
        nodes = replay(path.program, [*inputs, *path.parameters], float)
    for value, site in zip(nodes, path.recording.nodes["line"].tolist(), strict=False):
        if isinstance(value, Value) and value._children and value._line is None:  # type: ignore[attr-defined]
            value._line = Line(*path.recording.lines[site])  # type: ignore[attr-defined]
    return as_values([nodes[k] for k in path.recording.outputs.tolist()])
