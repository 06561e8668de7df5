"""Random numbers for what a model does differently each time, eagerly and in compiled functions.

A recording stands for all rows and all calls, so nothing random can be drawn in it: the numbers have to be arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar, Token
from typing import Any

from .._backend import module
from .._errors import TracingError
from .._frames import user_line

__all__ = ["noise"]


class noise:
    """A context in which `Dropout` takes its random numbers from those given, one for each of its inputs, in order.

    Parameters
    ----------
    numbers : iterable of Value and float, optional
        Drawn evenly from 0 to 1; to a compiled function they are an argument. Without them nothing is dropped, and
        ``used`` tells how many a model needs for one row.

    Attributes
    ----------
    used : int
        How many numbers were taken.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> from fastgrad import nn
    >>> dropout = nn.Dropout(0.5)
    >>> @fg.compile(signature="(2),(2)->(2)")
    ... def f(x, numbers):
    ...     with nn.noise(numbers):
    ...         return dropout(x)
    >>> f([[1.0, 2.0], [3.0, 4.0]], [[0.1, 0.7], [0.9, 0.8]])
    array([[0., 4.],
           [6., 8.]])
    """

    def __init__(self, numbers: Iterable[Any] | None = None) -> None:
        self._numbers = None if numbers is None else list(numbers)
        self.used = 0
        self._tokens: list[Token[noise | None]] = []

    def take(self, count: int) -> list[Any]:
        """Return the next numbers.

        Raises
        ------
        ValueError
            If there are not so many left.

        Examples
        --------
        >>> from fastgrad import nn
        >>> nn.noise([0.25, 0.5, 0.75]).take(2)
        [0.25, 0.5]
        """
        start = self.used
        self.used += count
        if self._numbers is None:
            return [1.0] * count
        if self.used > len(self._numbers):
            raise ValueError(
                f"nn.noise: {len(self._numbers)} numbers were given, and the model needs {self.used} or more for a "
                "row; `with nn.noise() as needed: model(row)` counts them, in needed.used"
            )
        return self._numbers[start : self.used]

    def __enter__(self) -> noise:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *exc_info: object) -> None:
        _current.reset(self._tokens.pop())


_current: ContextVar[noise | None] = ContextVar("noise", default=None)


def drawn(rng: Any, count: int) -> list[Any]:
    """Return random numbers from the context, or without one from a generator."""
    given = _current.get()
    if given is not None:
        return given.take(count)
    if module.is_recording():
        raise TracingError(
            f"{user_line()}: dropout cannot draw numbers while this function is recorded, for they would be the same "
            "in every row and call; give them to the function as one more argument, and call the model in "
            "`with nn.noise(numbers):`, or switch dropout off with model.eval()"
        )
    return [rng.random() for _ in range(count)]
