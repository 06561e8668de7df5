"""What a compiled function does when it is asked: arguments in, the case found, rows computed, results out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _compile_errors as _errors
from ._arguments import Binder, Bound, Layout, Static, matched, take_arguments_apart
from ._backend import Value, module
from ._case import Case
from ._derivatives import KINDS, Space
from ._leases import empty
from ._paths import Call, Subject
from ._questions import Question, as_tuple
from ._repeat import Repeats, key_of
from ._signature import Shape, Signature, as_array, as_rows
from ._single import SingleRow
from ._structure import LEAF, Parts, Structure
from ._tracing import Refill, as_leaves
from ._values import answer, as_values, number

#: How many sets of structures and static values are remembered; what is forgotten is recorded again.
_MOST_LAYOUTS = 1024


class Read(NamedTuple):
    """A call's arrays, of float64, or of Values and numbers; and the case that it is."""

    case: Case
    names: list[str]
    arrays: list[NDArray[Any]]
    shapes: tuple[Shape, ...]  # without batch dimensions
    sizes: list[int]  # the numbers of elements in those
    refill: Refill

    @property
    def has_values(self) -> bool:
        return any([array.dtype.kind == "O" for array in self.arrays])

    def numeric(self) -> Read:
        """The same with numbers in the places of Values."""
        to_numbers = np.frompyfunc(number, 1, 1)
        return self._replace(
            arrays=[np.asarray(to_numbers(array), float) if array.dtype == object else array for array in self.arrays]
        )

    def rows(self) -> tuple[Shape, Call]:
        """The batch dimensions, and all as rows."""
        batch = as_rows(self.names, self.arrays, self.shapes, self.sizes)
        count = len(self.case.sizes)
        return batch.shape, Call(batch.rows, batch.matrices[:count], batch.matrices[count:], batch.batched)


class Engine:
    """What is behind a compiled function, whose methods are those of the subclass."""

    def __init__(
        self, subject: Subject, signature: Signature | None, python: inspect.Signature, static: Static
    ) -> None:
        self.subject = subject
        self.gufunc = signature
        self.python = python
        self.static: tuple[int | str, ...] = as_tuple(static)
        self._binder = Binder(python, subject.name, self.static)
        self._layouts: dict[tuple[Bound, tuple[Structure, ...]], Layout] = {}
        self.singles: dict[str, SingleRow] = {}  # by kind
        self._repeats = Repeats()
        self.__name__ = subject.name
        if subject.function is not None:
            itself: Any = self
            functools.update_wrapper(itself, subject.function, updated=())
        for kind in KINDS:  # before the methods of the subclass stands what answers calls with a single row faster
            name = "_value" if kind == "value" else kind
            method = getattr(self, name)
            single = self.singles[kind] = SingleRow(method)
            vars(self)[name] = functools.update_wrapper(single.entry, method, updated=())

    @property
    def signature(self) -> str | None:
        """The core dimensions of arguments and results, or None if all are numbers."""
        return None if self.gufunc is None else self.gufunc.text

    @property
    def layouts(self) -> list[Layout]:
        return list(self._layouts.values())

    @property
    def cases(self) -> list[Case]:
        return [case for layout in self.layouts for case in layout.cases]

    # ------------------------------------------------------------------------------------------------- arguments

    def take_apart(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Layout, Parts]:
        """Return what a call gives as numbers, arrays and static parts, and how they are put together."""
        bound, values = self._binder.bind(args, kwargs)
        parts = Parts([], [])
        structures = take_arguments_apart(bound, values, parts)
        layout = self._layouts.get((bound, structures))
        if layout is None:
            layout = self.add_layout(Layout(self.subject, self.gufunc, bound, structures))
        return layout, parts

    def _read(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Read:
        layout, parts = self.take_apart(args, kwargs)
        names = layout.leaf_names
        arrays = [as_array(name, leaf, Value) for name, leaf in zip(names, parts.leaves, strict=True)]
        case = layout.case(arrays)
        return Read(case, names, arrays, case.inputs.shapes, case.sizes, layout.refill(parts.statics))

    def add_layout(self, layout: Layout) -> Layout:
        """Remember a layout; return the one that is remembered."""
        if len(self._layouts) >= _MOST_LAYOUTS:
            self._layouts.pop(next(iter(self._layouts)), None)
        return self._layouts.setdefault((layout.bound, layout.structures), layout)

    def _split(self, kind: str, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], Any]:
        """Take off the tangents, cotangents or vectors: given by name, or behind the arguments."""
        name = KINDS[kind].extra
        if not name:
            return args, None
        if name in kwargs:
            return args, kwargs.pop(name)
        if not args:
            raise _errors.no_extra(self.subject.name, kind, name)
        return args[:-1], args[-1]

    def _with_extra(self, read: Read, question: Question, given: Any) -> Read:
        """Add the arrays of tangents, cotangents or vectors, which have the shapes of results or of arguments."""
        space = question.extra
        if space is None:
            return read
        name = KINDS[question.kind].extra
        leaves = matched(name, space.structure, given)
        names = list(space.structure.names(name))
        arrays = [as_array(part, leaf, Value) for part, leaf in zip(names, leaves, strict=True)]
        for part, array, shape in zip(names, arrays, space.shapes, strict=True):
            if array.shape[array.ndim - len(shape) :] != shape or array.ndim < len(shape):
                raise _errors.extra_shape(part, array.shape, shape)
        return read._replace(
            names=[*read.names, *names],
            arrays=[*read.arrays, *arrays],
            shapes=read.shapes + space.shapes,
            sizes=[*read.sizes, *space.sizes],
        )

    # ------------------------------------------------------------------------------------------------- answering

    def question(self, kind: str, args: Sequence[Any], kwargs: dict[str, Any], argnums: Any = None) -> Question:
        """Return what a call asks; there need not be any rows in it."""
        read = self._read(args, kwargs)
        prepare(read)
        return read.case.question(kind, argnums)

    def _answer(
        self, kind: str, args: Sequence[Any], kwargs: dict[str, Any], argnums: Any = None, out: Any = None
    ) -> Any:
        key = None if out is not None else self._key(kind, args, kwargs, argnums)
        repeat = self._repeats.find(key)
        # A recording has to see the parameters, or it would keep their data and lose their gradients.
        if repeat is not None and not (self.subject.parameters and module.is_recording()):
            arrays, matrices = _space_for(repeat.question, repeat.shape, repeat.rows)
            if repeat.run(args, matrices):
                return _results(repeat.question.answer, arrays)
        args, given = self._split(kind, args, kwargs)
        read = self._read(args, kwargs)
        if kind == "value" and read.has_values and self.subject.function is not None:
            return self._call_on_values(read, out)
        prepare(read)
        question = read.case.question(kind, argnums)
        read = self._with_extra(read, question, given)
        if not read.has_values:
            result = self._compute(read, question, argnums, out, key)
            if not (self.subject.parameters and module.is_recording()):
                return result
        if kind == "value" and self.subject.function is not None:
            return self._call_on_values(read, out)
        return self._answer_on_values(read, question, out)

    def _key(self, kind: str, args: Sequence[Any], kwargs: dict[str, Any], argnums: Any, summed: bool = False) -> Any:
        """What tells the call from others that may come to something else; None if that is not simple."""
        return None if kwargs or self.static else key_of(kind, args, argnums, summed)

    def _compute(self, read: Read, question: Question, argnums: Any, out: Any, key: Any) -> Any:
        shape, call = read.rows()
        if out is not None:
            return self._fill(read, question, argnums, out)
        while True:
            arrays, matrices = _space_for(question, shape, call.rows)
            path = read.case.evaluate(question, call, matrices, read.refill)
            if question.is_complete:
                break
            question = read.case.question(question.kind, argnums)  # parameters have turned up meanwhile
        space = question.answer
        self._repeats.remember(key, read.case, question, read.arrays, call, shape)
        if shape == () and read.case.positional and not (path is None or path.parameters or question.parameter_leaves):
            code = path.codes[question, call.batched, False]
            self.singles[question.kind].remember(path, code, read.shapes, space, argnums)
        return _results(space, arrays)

    def _fill(self, read: Read, question: Question, argnums: Any, out: Any) -> Any:
        """Compute into arrays of the caller's."""
        shape, call = read.rows()
        while True:
            arrays = _outputs(question.answer, shape, out)
            matrices = _targets(arrays, call.rows, question.sizes, read.arrays)
            read.case.evaluate(question, call, matrices, read.refill)
            if question.is_complete:
                break
            question = read.case.question(question.kind, argnums)
        for array, matrix in zip(arrays, matrices, strict=True):
            if not np.may_share_memory(array, matrix):
                array[...] = matrix.reshape(array.shape)
        return out

    def _total(
        self, kind: str, args: Sequence[Any], kwargs: dict[str, Any], argnums: Any
    ) -> tuple[int, Space, list[Any]]:
        """The answer summed over all rows: their number, what is in the answer, and a matrix for each array of it."""
        key = self._key(kind, args, kwargs, argnums, summed=True)
        repeat = self._repeats.find(key)
        if repeat is not None:
            sums = [np.zeros((1, size)) for size in repeat.question.sizes]
            if repeat.run(args, sums):
                return repeat.rows, repeat.question.answer, sums
        read = self._read(args, kwargs)
        if read.has_values:
            raise _errors.sums_need_numbers(self.subject.name)
        prepare(read)
        shape, call = read.rows()
        while True:
            question = read.case.question(kind, argnums)
            sums = read.case.total(question, call, read.refill)
            if question.is_complete:
                self._repeats.remember(key, read.case, question, read.arrays, call, shape, summed=True)
                return call.rows, question.answer, sums

    # ------------------------------------------------------------------------------------------------ on Values

    def _call_on_values(self, read: Read, out: Any) -> Any:
        """Run the function itself, row by row."""
        shape, call = self._rows_of_values(read, out)
        if shape == ():
            return read.refill(as_leaves(as_values(_row(call, 0)), read.shapes))
        rows = [
            read.case.results.take(read.refill(as_leaves(as_values(_row(call, i)), read.shapes)))
            for i in range(call.rows)
        ]
        prepare(read)
        return _from_rows(read.case.question("value").answer, shape, rows)

    def _answer_on_values(self, read: Read, question: Question, out: Any) -> Any:
        shape, call = self._rows_of_values(read, out)
        space = question.answer
        count = sum(read.case.sizes)
        rows = []
        for i in range(call.rows):
            elements = _row(call, i)
            rows.append(answer(read.case, question, elements[:count], elements[count:], read.refill))
        if shape == ():
            return _together(space.structure, as_leaves(rows[0], space.shapes))
        return _from_rows(space, shape, rows)

    def _rows_of_values(self, read: Read, out: Any) -> tuple[Shape, Call]:
        if out is not None:
            raise _errors.out_for_values(self.subject.name)
        return read.rows()


def prepare(read: Read) -> None:
    """See to it that it is known what the function returns."""
    if read.case.results.space is None:
        read.case.prepare(read.numeric().rows()[1], read.refill)


def _row(call: Call, i: int) -> list[Any]:
    """All elements of one row."""
    matrices = zip([*call.arguments, *call.extra], call.batched, strict=True)
    return list(chain.from_iterable(matrix[i if batched else 0].tolist() for matrix, batched in matrices))


def _from_rows(space: Space, shape: Shape, rows: list[list[Any]]) -> Any:
    """Object arrays from the elements of each row."""
    table = np.empty((len(rows), sum(space.sizes)), object)
    for i, elements in enumerate(rows):
        table[i] = elements
    pieces = zip(space.pieces(), space.shapes, strict=True)
    return _together(space.structure, [table[:, piece].reshape(shape + core) for piece, core in pieces])


def _space_for(question: Question, shape: Shape, rows: int) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """New arrays for an answer, and the same as matrices."""
    arrays = [empty(shape + core) for core in question.answer.shapes]
    return arrays, [array.reshape(rows, size) for array, size in zip(arrays, question.sizes, strict=True)]


def _results(space: Space, arrays: list[NDArray[Any]]) -> Any:
    """An answer from its arrays."""
    return _together(space.structure, [array if array.ndim else array.item() for array in arrays])


def _together(structure: Structure, parts: list[Any]) -> Any:
    return parts[0] if structure.kind == LEAF.kind else structure.build(iter(parts))


# ---------------------------------------------------------------------------------------------------- outputs


def _outputs(space: Space, shape: Shape, out: Any) -> list[NDArray[Any]]:
    """The caller's arrays, checked."""
    arrays = matched("out", space.structure, out)
    for name, array, core in zip(space.structure.names("out"), arrays, space.shapes, strict=True):
        if not isinstance(array, np.ndarray) or array.dtype != np.float64 or not array.flags.writeable:
            raise _errors.bad_out(name, array)
        if array.shape != shape + core:
            raise _errors.out_shape(name, array.shape, shape + core)
    return arrays


def _targets(arrays: list[NDArray[Any]], rows: int, sizes: list[int], inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Matrices that can be filled row by row: new ones where an array shares memory, or has no such view."""
    targets: list[NDArray[Any]] = []
    for k, (array, size) in enumerate(zip(arrays, sizes, strict=True)):
        shared = any(np.may_share_memory(array, other) for other in (*inputs, *arrays[:k]))
        targets.append(np.empty((rows, size)) if shared or not array.flags.aligned else array.reshape(rows, size))
    return targets
