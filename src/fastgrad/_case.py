"""A function for one structure, one set of static values and one set of core shapes: its paths, and what it answers.

A row takes the path whose guards hold for it. Rows that no path takes are recorded afresh, one at a time, until none
is left: so a result is what the function itself gives for that row, always.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _compile_errors as _errors
from ._derivatives import Space
from ._paths import Call, Path, Subject, splitting_line
from ._questions import Argument, Question
from ._row_sums import BLOCK, RowSums
from ._signature import Floats
from ._tracing import Refill, Results, nesting, record


class Case:
    """See the head of this file."""

    def __init__(
        self, subject: Subject, arguments: tuple[Argument, ...], inputs: Space, results: Results, positional: bool
    ) -> None:
        self.subject = subject
        self.arguments = arguments
        self.inputs = inputs  # all leaves of all arguments
        self.sizes = inputs.sizes
        self.positional = positional  # whether the arguments are plain numbers and arrays, given by position
        self.paths: list[Path] = []
        self.results = results
        self._questions: dict[tuple[str, Any], Question] = {}

    @property
    def leaf_names(self) -> list[str]:
        return [name for argument in self.arguments for name in argument.structure.names(argument.name)]

    def question(self, kind: str, argnums: Any = None) -> Question:
        """Return what is asked; the results have to be known by now."""
        key = (kind, tuple(argnums) if isinstance(argnums, list) else argnums)
        found = self._questions.get(key)
        if found is None or not found.is_complete:
            assert self.results.space is not None, "prepare() comes first"
            found = Question(kind, argnums, self.subject, self.arguments, self.inputs, self.results.space)
            self._questions[key] = found
        return found

    # ------------------------------------------------------------------------------------------------ answering

    def evaluate(self, question: Question, call: Call, outputs: list[Floats], refill: Refill) -> Path | None:
        """Fill the outputs, a matrix for each array of the answer; return the path if all rows took the same."""
        whole = call.rows
        rest: NDArray[np.intp] | None = None  # the numbers of the rows of `call`, which are still to do
        targets = outputs
        turn = 0
        while call.rows:
            known = turn < len(self.paths)
            path = self.paths[turn] if known else self.record(call, refill)
            left = self._run(path, question, call, targets)
            if left is not None and not known:
                left[0] = False  # it was recorded from this row: where the guard fails by rounding, Python is right
            if rest is not None:
                took = slice(None) if left is None else ~left
                for output, target in zip(outputs, targets, strict=True):
                    output[rest[took]] = target[took]
            if left is None or not left.any():
                path.rows += call.rows
                return path if call.rows == whole else None
            index = np.flatnonzero(left)
            path.rows += call.rows - len(index)
            rest = index if rest is None else rest[index]
            call = call.pick(index)
            targets = [np.empty((len(index), output.shape[1])) for output in outputs]
            turn += 1
        return None

    def total(self, question: Question, call: Call, refill: Refill) -> list[Floats]:
        """Return the sums over all rows; they do not depend on which paths the rows took."""
        if len(self.paths) == 1:
            sums = [np.zeros((1, size)) for size in question.sizes]
            left = self._run(self.paths[0], question, call, sums, summed=True)
            if left is None or not left.any():
                self.paths[0].rows += call.rows
                return sums
        row_sums = RowSums(question.sizes)
        for start in range(0, call.rows, BLOCK):
            part = call.pick(slice(start, start + BLOCK))
            outputs = [np.empty((part.rows, size)) for size in question.sizes]
            self.evaluate(question, part, outputs, refill)
            row_sums.add(outputs)
        return row_sums.total()

    def _run(
        self, path: Path, question: Question, call: Call, outputs: list[Floats], summed: bool = False
    ) -> NDArray[np.bool_] | None:
        """Run one path on all rows; return which of them left it, or None if it has no guards."""
        key = (question, call.batched, summed)
        code = path.codes.get(key)
        if code is None:
            count = len(self.sizes)
            batched = np.repeat(call.batched[:count], self.sizes).tolist() + [False] * len(path.parameters)
            batched += np.repeat(call.batched[count:], question.extra_sizes(path)).tolist()
            code = path.code(question.program(path), batched, summed, self.subject.fastmath)
            path.codes[key] = code
        return path.run(code, call, question.extra_matrices(path, call.extra) if call.extra else [], outputs)

    def path_of(self, numbers: list[float], refill: Refill) -> Path:
        """Return the path that a single row takes."""
        row = np.array([numbers], float)
        call = Call(1, [row[:, piece] for piece in self.inputs.pieces()], [], (False,) * len(self.sizes))
        self.prepare(call, refill)
        question = self.question("value")
        path = self.evaluate(question, call, [np.empty((1, size)) for size in question.sizes], refill)
        assert path is not None  # one row takes one path
        return path

    # ------------------------------------------------------------------------------------------------- recording

    def prepare(self, call: Call, refill: Refill) -> None:
        """See to it that the results are known."""
        if self.results.space is None:
            if call.rows:
                self.record(call, refill)
            else:  # nothing to compute, but the shapes of nothing depend on what the function returns
                self.subject.learn(self._record(np.ones(sum(self.sizes)).tolist(), refill).parameters)

    def record(self, call: Call, refill: Refill) -> Path:
        """Record the function for the first row; return the path, which may be one that is known already."""
        subject = self.subject
        if len(self.paths) >= subject.max_paths:
            raise _errors.too_many_paths(subject.name, subject.max_paths, splitting_line(self.paths))
        row = [matrix[0].tolist() for matrix in call.arguments]
        path = self._record(list(itertools.chain.from_iterable(row)), refill)
        subject.learn(path.parameters)
        with subject.lock:
            for known in self.paths:
                if known.is_same(path):
                    return known
            self.paths.append(path)
        return path

    def _record(self, numbers: list[float], refill: Refill) -> Path:
        if self.subject.function is None:
            raise _errors.no_function(self.subject.name, self.subject.absence)
        with nesting(self, self.subject.name):
            return Path(record(refill, numbers, self.inputs.shapes, self.results))
