"""Questions: what is asked of a compiled function for given arguments, and what the answer looks like."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from . import _compile_errors as _errors
from ._derivatives import KINDS, Space, Variables, is_scalar
from ._paths import Path, Subject
from ._signature import Floats
from ._structure import LEAF, Structure, sequence

_PARAMETERS = -1  # as an argument's number: the captured parameters


class Argument(NamedTuple):
    """One argument of the function: which of the arrays are its leaves, and whether the caller gave it."""

    name: str
    structure: Structure
    leaves: slice
    given: bool


class Question:
    """A kind of question, and with respect to which arguments. It is the key of the programs that answer it."""

    def __init__(
        self,
        kind: str,
        argnums: Any,
        subject: Subject,
        arguments: Sequence[Argument],
        inputs: Space,
        results: Space,
    ) -> None:
        how = KINDS[kind]
        if how.scalar and not is_scalar(results):
            raise _errors.not_scalar(subject.name, kind, str(results))
        self.kind = kind
        self._subject = subject
        self._numbers, single = _asked_for(kind, argnums, subject.name, arguments)
        self._leaves = [slice(0, 0) if n == _PARAMETERS else arguments[n].leaves for n in self._numbers]
        self._pieces = inputs.pieces()
        self._inputs = sum(inputs.sizes)
        self._parameters = len(subject.parameters) if _PARAMETERS in self._numbers else 0
        self._results = results
        parts = [LEAF if n == _PARAMETERS else arguments[n].structure for n in self._numbers]
        shapes = [
            ((self._parameters,),) if n == _PARAMETERS else inputs.shapes[leaves]
            for n, leaves in zip(self._numbers, self._leaves, strict=True)
        ]
        self._wrt = Space(parts[0] if single else sequence(parts), tuple(itertools.chain.from_iterable(shapes)))
        self.answer = how.result(results, self._wrt)
        self.sizes = self.answer.sizes
        #: The arrays that are given besides the arguments: tangents, cotangents or vectors.
        self.extra = None if not how.extra else results if how.of_results else self._wrt
        self._drops = _PARAMETERS in self._numbers and self.extra is self._wrt

    @property
    def is_complete(self) -> bool:
        """Whether it is about all parameters that have turned up by now, if it is about them."""
        return _PARAMETERS not in self._numbers or self._parameters == len(self._subject.parameters)

    @property
    def parameter_leaves(self) -> list[int]:
        """Which of the arrays that derivatives are taken to hold the captured parameters."""
        counts = [1 if n == _PARAMETERS else s.stop - s.start for n, s in zip(self._numbers, self._leaves, strict=True)]
        starts = itertools.accumulate(counts, initial=0)
        return [start for n, start in zip(self._numbers, starts, strict=False) if n == _PARAMETERS]

    def program(self, path: Path) -> Any:
        """The program that answers on one path."""
        found = path.programs.get(self)
        if found is None:
            made, nodes = KINDS[self.kind].emit(path.source(self._variables(path)), self._results, self._wrt)
            found = path.programs[self] = path.with_guards(made, nodes)
        return found

    def extra_sizes(self, path: Path) -> list[int]:
        """How many inputs of a path's program each of the further arrays is."""
        if self.extra is None:
            return []
        if not self._drops:
            return self.extra.sizes
        present = self._variables(path).present
        return [int(np.count_nonzero(present[piece])) for piece in self._wrt.pieces()]

    def extra_matrices(self, path: Path, matrices: list[Floats]) -> list[Floats]:
        """The further matrices, without the columns of parameters that a path does not use."""
        if not self._drops:
            return matrices
        present = self._variables(path).present
        return [matrix[:, present[piece]] for matrix, piece in zip(matrices, self._wrt.pieces(), strict=True)]

    def extra_elements(self, path: Path, elements: Sequence[Any]) -> list[Any]:
        """The same for a single row."""
        return list(itertools.compress(elements, self._variables(path).present) if self._drops else elements)

    def _variables(self, path: Path) -> Variables:
        """The inputs of a path's program that derivatives are taken to."""
        places = {parameter: self._inputs + i for i, parameter in enumerate(path.parameters)}
        inputs: list[int | None] = []
        for number, leaves in zip(self._numbers, self._leaves, strict=True):
            if number == _PARAMETERS:
                inputs += [places.get(parameter) for parameter in self._subject.parameters[: self._parameters]]
            else:
                for piece in self._pieces[leaves]:
                    inputs += range(piece.start, piece.stop)
        present = [place is not None for place in inputs]
        return Variables([place for place in inputs if place is not None], np.array(present, bool))


def as_tuple(which: Any) -> tuple[Any, ...]:
    """Return several numbers or names, or one, as a tuple."""
    return tuple(which) if isinstance(which, Iterable) and not isinstance(which, str) else (which,)


def _asked_for(kind: str, argnums: Any, name: str, arguments: Sequence[Argument]) -> tuple[tuple[int, ...], bool]:
    """The numbers of the arguments that are asked for, and whether the answer is one rather than a tuple."""
    if kind == "value":
        return (), False
    if argnums is None:
        numbers = tuple(i for i, a in enumerate(arguments) if a.given and a.leaves.start < a.leaves.stop)
        if not numbers:
            raise _errors.nothing_to_derive(name, kind)
        return numbers, len(numbers) == 1
    several = as_tuple(argnums)
    return tuple(_number_of(which, arguments) for which in several), several == (argnums,)


def _number_of(which: Any, arguments: Sequence[Argument]) -> int:
    names = [argument.name for argument in arguments]
    if isinstance(which, str):
        if which not in names and which == "parameters":
            return _PARAMETERS
        found = names.index(which) if which in names else len(names)
    else:
        found = _as_index(which, len(names))
    if found >= len(names):
        raise _errors.unknown_argument(which, names)
    if arguments[found].leaves.start == arguments[found].leaves.stop:
        raise _errors.static_argument(names[found])
    return found


def _as_index(which: Any, count: int) -> int:
    """The number that an index means; ``count`` if it means none."""
    try:
        return range(count)[index(which)]
    except (TypeError, IndexError):
        return count
