"""Calls like one before: arrays of the same shapes, asked the same, need not be taken apart and looked up again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._case import Case
from ._paths import Call, Path
from ._questions import Question
from ._signature import Floats, Shape

#: How many kinds of calls are remembered.
_MOST_REPEATS = 256
_FLOAT64 = np.dtype(np.float64)


class Repeat(NamedTuple):
    """What a call came to: one path of a case, for all rows."""

    case: Case
    question: Question
    path: Path
    code: Any
    shape: Shape  # the batch dimensions
    rows: int
    matrices: tuple[Shape, ...]  # what the arguments are as rows
    batched: tuple[bool, ...]

    def is_valid(self) -> bool:
        """Whether such a call would still come to the same."""
        return len(self.case.paths) == 1 and self.question.is_complete

    def run(self, args: Sequence[Any], outputs: list[Floats]) -> bool:
        """Fill the outputs; return whether all rows took the path."""
        arrays = [given if type(given) is np.ndarray else np.array(given) for given in args]
        matrices = [array.reshape(shape) for array, shape in zip(arrays, self.matrices, strict=True)]
        count = len(self.case.sizes)
        call = Call(self.rows, matrices[:count], matrices[count:], self.batched)
        left = self.path.run(self.code, call, self.question.extra_matrices(self.path, call.extra), outputs)
        if left is not None and left.any():
            return False
        self.path.rows += self.rows
        return True


class Repeats:
    """The calls that may come again."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Repeat] = {}

    def find(self, key: Hashable | None) -> Repeat | None:
        """Return what a call with this key came to, if that still holds."""
        found = self._known.get(key)
        return found if found is not None and found.is_valid() else None

    def remember(
        self,
        key: Hashable | None,
        case: Case,
        question: Question,
        arrays: Sequence[NDArray[Any]],
        call: Call,
        shape: Shape,
        summed: bool = False,
    ) -> None:
        """Remember a call that has a key, if all its rows took one path, the only one, and no array was repeated."""
        matrices = [*call.arguments, *call.extra]
        as_they_are = all(a.size == matrix.size for a, matrix in zip(arrays, matrices, strict=True))
        if key is None or len(case.paths) != 1 or not as_they_are:
            return
        code = case.paths[0].codes.get((question, call.batched, summed))
        if code is None:
            return
        if len(self._known) >= _MOST_REPEATS:
            self._known.clear()
        shapes = tuple(matrix.shape for matrix in matrices)
        self._known[key] = Repeat(case, question, case.paths[0], code, shape, call.rows, shapes, call.batched)


def key_of(kind: str, args: Sequence[Any], argnums: Any, summed: bool = False) -> Hashable | None:
    """Return what tells a call from others, or None if it is not of plain floats and arrays of float64 alone."""
    asked = tuple(argnums) if type(argnums) in (list, tuple) else (argnums,)
    if argnums is not None and not all([type(which) in (int, str) for which in asked]):
        return None  # what else it might be, and whether it is an error, is seen elsewhere
    key: list[Any] = [kind, summed, type(argnums), asked]
    for given in args:
        if type(given) is np.ndarray:
            if given.dtype is not _FLOAT64 or not given.flags.aligned:
                return None
            key.append(given.shape)
        elif type(given) is float or type(given) is np.float64:
            key.append(None)
        else:
            return None
    return tuple(key)
