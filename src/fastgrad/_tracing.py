"""Running a function on Values while what they do is recorded, and what it may return."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import numpy as np

from . import _compile_errors as _errors
from ._backend import Value, module
from ._derivatives import Space
from ._recording import Recording
from ._signature import Core, Shape, check_core
from ._structure import LEAF, sequence, take_result_apart

Refill = Callable[[Sequence[Any]], Any]  # calls the function with these leaves in the places of its arguments'


def as_leaf(elements: Sequence[Any], shape: Shape) -> Any:
    """Return elements as the function gets them: an object array, or without dimensions the one element."""
    if shape == ():
        return elements[0]
    return np.fromiter(elements, object, len(elements)).reshape(shape)


def as_leaves(elements: Sequence[Any], shapes: Sequence[Shape]) -> list[Any]:
    """Return the elements of all leaves, which lie one behind the other, leaf by leaf."""
    rest = iter(elements)
    return [as_leaf(list(islice(rest, int(np.prod(shape)))), shape) for shape in shapes]


def record(refill: Refill, numbers: Sequence[float], shapes: Sequence[Shape], results: Results) -> Recording:
    """Run a function on Values that stand for these numbers, and return what they did."""
    values = module.start_recording(numbers)
    try:
        recording: Recording = module.finish_recording(results.take(refill(as_leaves(values, shapes))))
    except BaseException as error:
        module.abandon_recording()
        if isinstance(error, TypeError) and _NO_ARRAY.search(str(error)):
            raise _errors.no_array(error) from error
        raise
    return recording


#: What Python says of a Value that is taken for an array or a list.
_NO_ARRAY = re.compile(
    r"Value' object is not (subscriptable|iterable)$|Value' has no len\(\)$|must be an iterable, not \S*Value$"
)


class Results:
    """What a function returns: the same structure and shapes on every path."""

    def __init__(self, name: str, cores: tuple[Core, ...] | None, sizes: dict[str, tuple[int, str]]) -> None:
        self.space: Space | None = None  # known from the first time on
        self._name = name
        self._cores = cores
        self._sizes = sizes  # of the core dimensions in the arguments

    @property
    def sizes(self) -> list[int]:
        """The numbers of elements; none if the results are not known."""
        return [] if self.space is None else self.space.sizes

    def take(self, result: Any) -> list[Any]:
        """Check what the function returned, and return its elements one behind the other."""
        arrays: list[Any] = []
        if self._cores is None:
            structure = take_result_apart(self._name, result, Value, arrays)
        else:
            arrays = self._by_signature(result, self._cores)
            structure = LEAF if len(self._cores) == 1 else sequence([LEAF] * len(arrays))
        space = Space(structure, tuple([_shape(array) for array in arrays]))
        elements = list(chain.from_iterable(map(_elements, arrays)))
        for element in elements:
            if not isinstance(element, Value) and not _errors.is_real(element):
                raise _errors.no_result(self._name, element)
        if self.space is None:
            self.space = space
        elif self.space != space:
            raise _errors.results_differ(self._name, str(self.space), str(space))
        return [element if isinstance(element, Value) else float(element) for element in elements]

    def _by_signature(self, result: Any, cores: tuple[Core, ...]) -> list[Any]:
        """The results that the signature names, those with core dimensions as arrays."""
        if len(cores) == 1:
            parts = [result]
        elif isinstance(result, (tuple, list)) and len(result) == len(cores):
            parts = list(result)
        else:
            raise _errors.result_count(self._name, len(cores), result)
        sizes = dict(self._sizes)
        arrays: list[Any] = []
        for part, core in zip(parts, cores, strict=True):
            array = np.array(part, object) if core and isinstance(part, (list, tuple)) else part
            check_core(_errors.result_of(self._name), core, _shape(array), sizes)
            arrays.append(array)
        return arrays


def _shape(array: Any) -> Shape:
    return array.shape if isinstance(array, np.ndarray) else ()


def _elements(array: Any) -> list[Any]:
    return array.ravel().tolist() if isinstance(array, np.ndarray) else [array]


# -------------------------------------------------------------------------------------------------- recursion

#: How often a function may be recorded while it is being recorded, by calling itself with numbers.
_DEEPEST = 32
_under_way = threading.local()


@contextmanager
def nesting(case: object, name: str) -> Iterator[None]:
    """Bound the recursion of a function into itself."""
    cases: list[object] = _under_way.__dict__.setdefault("cases", [])
    if sum(other is case for other in cases) >= _DEEPEST:
        raise _errors.endless_recursion(name, _DEEPEST)
    cases.append(case)
    try:
        yield
    finally:
        cases.pop()
