"""Derivatives of compiled functions as functions, and what the methods that compute them have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from inspect import Parameter
from typing import Any, TypeVar

from ._derivatives import KINDS
from ._engine import Engine
from ._signature import Signature

Argnums = int | str | Iterable[int | str] | None
Method = TypeVar("Method", bound=Callable[..., Any])

_SHARED = """Parameters
----------
*args, **kwargs
    The arguments of the function: numbers and arrays, or Values{aside}.
argnums : int or str, or tuple of int and str, optional
    The arguments to take derivatives with respect to, by number or by name; ``"parameters"`` are the Values
    that the function uses besides. Without it, all numbers and arrays that the call gives.
out : ndarray, or the structure of the result with ndarrays, optional
    Arrays of float64 to put the result into; they are returned.

Returns
-------
float, ndarray, or a structure of them
    {result}

Raises
------
TypeError
    {failure}an argument is no number and no array of numbers, where one is expected.
ValueError
    If shapes do not fit.

Examples"""


def derivative(result: str, aside: str = "", scalar: bool = True) -> Callable[[Method], Method]:
    """Give a method the sections of documentation that all derivatives share."""
    failure = "If the function has other results than one number, or " if scalar else "If "

    def document(method: Method) -> Method:
        shared = _SHARED.format(result=result, aside=aside, failure=failure)
        method.__doc__ = inspect.cleandoc(method.__doc__ or "").replace("Examples", shared, 1)
        return method

    return document


class Derivative:
    """A derivative of a compiled function, as a function; `grad` and its kin make it."""

    def __init__(self, function: Engine, kind: str, argnums: Argnums) -> None:
        self.function = function
        self.kind = kind
        self.argnums = argnums

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the derivative; see the method of the compiled function that has its name."""
        return getattr(self.function, self.kind)(*args, **{"argnums": self.argnums, **kwargs})

    def __repr__(self) -> str:
        argnums = "" if self.argnums is None else f", argnums={self.argnums!r}"
        return f"<fg.{self.kind}({self.function.subject.name}{argnums})>"


def gufunc_of(function: Any) -> Signature | None:
    """The signature that a function has already."""
    if isinstance(function, Engine):
        return function.gufunc
    if isinstance(function, Derivative) and function.function.gufunc and not KINDS[function.kind].extra:
        return function.function.gufunc._replace(outputs=None)
    return None


#: The parameters of a function that does not say what they are.
_ANY = inspect.Signature([Parameter("arguments", Parameter.VAR_POSITIONAL)])


def python_of(function: Any) -> inspect.Signature:
    """The parameters of a function, and their defaults."""
    if isinstance(function, Derivative):
        return _ANY if KINDS[function.kind].extra else function.function.python
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return _ANY
    parameters = [p.replace(annotation=Parameter.empty) for p in signature.parameters.values()]
    return inspect.Signature(parameters)
