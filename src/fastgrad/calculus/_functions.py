"""What the toolkit asks of a function: its parameters, and to be a function of one row of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from inspect import Parameter
from itertools import islice
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _errors as _engine_errors
from .._backend import Value
from .._derived import Derivative, python_of
from .._engine import Engine
from . import _errors

Function = Callable[..., Any]
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def checked(where: str, f: Any) -> Function:
    """Return the function, or raise if it is none, or one without arguments."""
    if isinstance(f, Value) or not callable(f):
        raise _errors.not_a_function(where, f)
    if not parameters_of(f):
        raise _errors.no_arguments(where, _errors.name_of(f))
    return f  # type: ignore[no-any-return]


def parameters_of(f: Any) -> list[Parameter]:
    signature = f.python if isinstance(f, Engine) else python_of(f)
    return list(signature.parameters.values())


def names_of(f: Any) -> list[str]:
    return [p.name for p in parameters_of(f) if p.kind not in _VARIADIC]


def required(f: Any) -> list[str]:
    """The names of the arguments that every call gives."""
    return [p.name for p in parameters_of(f) if p.default is Parameter.empty and p.kind not in _VARIADIC]


def name_of(f: Any) -> str:
    if isinstance(f, (Engine, Derivative)):
        return f.subject.name if isinstance(f, Engine) else repr(f)
    return _errors.name_of(f)


def of_one_number(where: str, f: Any, instead: str) -> Function:
    """Return a function that can be called with one argument, or raise."""
    function = checked(where, f)
    if len(required(function)) > 1:
        raise _errors.several_arguments(where, name_of(f), required(function), instead)
    return function


def number_of(where: str, name: str, result: Any) -> float:
    """The float that a function returned, also as a Value, or raise."""
    if isinstance(result, Value):
        return result.data
    if isinstance(result, np.ndarray) and result.ndim == 0:
        return number_of(where, name, result.item())
    if not _engine_errors.is_real(result):
        raise _errors.not_scalar(where, name, result)
    return float(result)


def a_number(what: str, given: Any) -> float:
    """The number that an argument is: a Value stands for its data."""
    return given.data if isinstance(given, Value) else _engine_errors.real(what, given)


def whole(where: str, given: Any, least: int) -> int:
    """The order that is asked for."""
    try:
        found = index(given)
    except TypeError:
        raise _errors.bad_order(where, given, least) from None
    if found < least or isinstance(given, bool):
        raise _errors.bad_order(where, given, least)
    return found


class Flat:
    """A function at a point, as a function of one row of numbers: those of all its arguments, one behind the other.

    Parameters
    ----------
    where : str
        Who asks, for messages.
    f : callable
        The function.
    x : float, array, tuple or mapping
        The point: a tuple has one number or array for each argument, a mapping one by name; all else is the one
        argument, or if the function takes several numbers, as many of them.
    """

    def __init__(self, where: str, f: Any, x: Any) -> None:
        self._where = where
        self.function = checked(where, f)
        self.name = name_of(f)
        self._keys, leaves = self._arguments(x)
        arrays = [self._array(key, leaf) for key, leaf in zip(self._keys, leaves, strict=True)]
        self._shapes = [array.shape for array in arrays]
        self.returns_number = True
        self.numbers: list[float] = [number for array in arrays for number in array.ravel().tolist()]

    def _arguments(self, x: Any) -> tuple[list[str | int], list[Any]]:
        """By what each part of the point is passed on, a position or a name, and the parts."""
        known, needed = names_of(self.function), required(self.function)
        if isinstance(x, Mapping):
            if not all(isinstance(name, str) and name in known for name in x):
                raise _errors.unknown_name(f"{self._where}(x)", self.name, next(n for n in x if n not in known), known)
            if not set(needed) <= set(x):
                raise _errors.wrong_count(self._where, self.name, needed, len(x))
            return list(x), list(x.values())
        parts = x if isinstance(x, tuple) else [x]
        if not isinstance(x, tuple) and len(needed) > 1 and isinstance(x, (list, np.ndarray)):
            parts = list(x)
        most = len(parts) if len(known) < len(parameters_of(self.function)) else len(known)
        if not len(needed) <= len(parts) <= most:
            raise _errors.wrong_count(self._where, self.name, needed, len(parts))
        return list(range(len(parts))), list(parts)

    def _array(self, key: str | int, leaf: Any) -> NDArray[np.float64]:
        what = f"{self._where}(x[{key!r}])"
        if isinstance(leaf, (list, tuple, np.ndarray)) and np.ndim(leaf):
            elements = [a_number(what, element) for element in np.asarray(leaf, object).ravel()]
            return np.array(elements, float).reshape(np.shape(leaf))
        return np.array(a_number(what, leaf))

    def with_function(self, function: Function) -> Flat:
        """Return another function at the same point."""
        other = copy(self)
        other.function, other.name = function, name_of(function)
        return other

    @property
    def structure(self) -> tuple[Any, ...]:
        """What two points have in common that can be given to the same function of a row."""
        return tuple(self._keys), tuple(self._shapes)

    @property
    def names(self) -> list[str]:
        """What each of the numbers is called: ``x`` or ``x[2]``."""
        known = names_of(self.function)
        found: list[str] = []
        for key, shape in zip(self._keys, self._shapes, strict=True):
            name = key if isinstance(key, str) else known[key] if key < len(known) else f"x{key}"
            found += [name + (f"[{', '.join(map(str, at))}]" if at else "") for at in np.ndindex(shape)]
        return found

    def row(self, given: Any, what: str) -> list[float]:
        """The numbers of something that has the same structure as the point."""
        other = Flat(self._where, self.function, given)
        if other.structure != self.structure:
            mine, theirs = next((a, b) for a, b in zip(self._shapes, other._shapes, strict=False) if a != b)
            raise _errors.shapes_differ(self._where, what, mine, theirs)
        return other.numbers

    def __call__(self, elements: Iterable[Any]) -> Any:
        """Call the function with these numbers or Values in the places of the point's."""
        rest = iter(elements)
        positional, named = [], {}
        for key, shape in zip(self._keys, self._shapes, strict=True):
            leaf = _shaped(list(islice(rest, math.prod(shape))), shape)
            if isinstance(key, str):
                named[key] = leaf
            else:
                positional.append(leaf)
        return self.function(*positional, **named)

    def number(self, elements: Iterable[Any]) -> float:
        return number_of(self._where, self.name, self(elements))

    def results(self, elements: Iterable[Any]) -> list[Any]:
        """All numbers and Values of the result."""
        result = self(elements)
        self.returns_number = isinstance(result, Value) or _engine_errors.is_real(result)
        return self.flattened(result)

    def check_returns_number(self) -> None:
        """Raise unless the latest result was one number."""
        if not self.returns_number:
            raise _errors.several_results(self._where, self.name, "several numbers")

    def flattened(self, result: Any) -> list[Any]:
        if isinstance(result, (tuple, list)):
            return [element for part in result for element in self.flattened(part)]
        if isinstance(result, np.ndarray):
            return self.flattened(result.tolist())
        if not isinstance(result, Value) and not _engine_errors.is_real(result):
            raise _errors.bad_result(self._where, self.name, result)
        return [result]


def _shaped(elements: Sequence[Any], shape: tuple[int, ...]) -> Any:
    if shape == ():
        return elements[0]
    kind = object if any(isinstance(element, Value) for element in elements) else float
    array = np.empty(len(elements), kind)
    array[:] = elements
    return array.reshape(shape)
