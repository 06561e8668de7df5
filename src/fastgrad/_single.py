"""Calls with a single row: next to no Python between the call and the evaluator, where the backend has such a way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from ._backend import program
from ._derivatives import Space
from ._paths import Path
from ._signature import Shape
from ._structure import Structure

#: Of argnums: a list may have others in it at the next call.
_UNCHANGING = (type(None), int, str, tuple)


class _Entry:
    """For backends without one: leaves every call to ``slow``."""

    calls = 0

    def __init__(self, slow: Callable[..., Any]) -> None:
        self._slow = slow

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._slow(*args, **kwargs)

    def set(
        self, code: Any, arguments: tuple[Shape, ...], outputs: tuple[Shape, ...], result: Any, argnums: Any
    ) -> None:
        """Do nothing."""


class SingleRow:
    """One method's way for calls with a single row: the path that such a call took last."""

    def __init__(self, slow: Callable[..., Any]) -> None:
        self.entry: Any = getattr(program, "Entry", _Entry)(slow)
        self._path: Path | None = None
        self._counted = 0

    def remember(self, path: Path, code: Any, arguments: Sequence[Shape], answer: Space, argnums: Any) -> None:
        """Answer calls with plain floats and arrays of these shapes by this code, as long as its guards hold."""
        self.count()
        numbers = _numbers(answer.structure, count())
        if numbers is not None and type(argnums) in _UNCHANGING:
            self.entry.set(code, tuple(arguments), answer.shapes, numbers, argnums)
            self._path, self._counted = path, 0

    def count(self) -> None:
        """Add the calls since the last time to the rows of the path."""
        if self._path is not None:
            self._path.rows += self.entry.calls - self._counted
            self._counted = self.entry.calls


def _numbers(structure: Structure, numbers: Iterator[int]) -> Any:
    """The structure with the numbers of outputs in the place of its leaves; None if it is not of tuples alone."""
    if structure.kind == "leaf":
        return next(numbers)
    if structure.kind is not tuple:
        return None
    parts = tuple([_numbers(child, numbers) for child in structure.children])
    return None if None in parts else parts
