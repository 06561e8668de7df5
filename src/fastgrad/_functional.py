"""Derivatives of functions as functions: fg.grad(f) and its kin."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, Protocol

from ._compiled import Compiled
from ._derived import Argnums, Derivative

Function = Callable[..., Any]


@lru_cache(maxsize=256)
def _remembered(function: Function, signature: str | None) -> Compiled:
    return Compiled(function, signature)


def _compiled(function: Any, signature: str | None) -> Compiled:
    """The function compiled: once, if it is the same function as before."""
    if isinstance(function, Compiled) and signature is None:
        return function
    return _remembered(function, signature) if isinstance(function, Hashable) else Compiled(function, signature)


class Form(Protocol):
    """The functional form of a method of compiled functions."""

    def __call__(self, f: Function, argnums: Argnums = None, *, signature: str | None = None) -> Derivative: ...


def _form(kind: str, summary: str, example: str, aside: str = "") -> Form:

    def make(f: Function, argnums: Argnums = None, *, signature: str | None = None) -> Derivative:
        return Derivative(_compiled(f, signature), kind, argnums)

    make.__name__ = make.__qualname__ = kind
    make.__doc__ = f"""{summary}

    Parameters
    ----------
    f : callable
        A function on Values, or one that is compiled already.
    argnums : int or str, or tuple of int and str, optional
        The arguments to take derivatives with respect to, by number or by name. Without it, all numbers and arrays in
        the call.
    signature : str, optional
        The core dimensions of arguments and results, as for `compile`.

    Returns
    -------
    callable
        It takes the arguments of ``f``{aside}, numbers and arrays, as the method of compiled functions does that has
        its name. The function is compiled only once, however often this is asked for.

    Examples
    --------
    >>> import fastgrad as fg
{example}
    """
    return make


grad = _form(
    "grad",
    "Return the function that computes the gradient of a function with one number as its result.",
    """    >>> fg.grad(lambda x: x**3)([1.0, 2.0])
    array([ 3., 12.])
    >>> fg.grad(fg.grad(lambda x: x**3))(2.0)
    12.0""",
)
value_and_grad = _form(
    "value_and_grad",
    "Return the function that computes a function with one number as its result, and its gradient.",
    """    >>> fg.value_and_grad(lambda x: x**3)(2.0)
    (8.0, 12.0)""",
)
jacobian = _form(
    "jacobian",
    "Return the function that computes the derivatives of all results of a function.",
    """    >>> fg.jacobian(lambda x, y: (x * y, x + y))(2.0, 3.0)
    ((3.0, 2.0), (1.0, 1.0))""",
)
hessian = _form(
    "hessian",
    "Return the function that computes the second derivatives of a function with one number as its result.",
    """    >>> fg.hessian(lambda x: x[0] * x[0] * x[1], signature="(2)->()")([1.0, 3.0])
    array([[6., 2.],
           [2., 0.]])""",
)
hvp = _form(
    "hvp",
    "Return the function that computes products of the second derivatives and vectors, without the matrix.",
    """    >>> fg.hvp(lambda x: x[0] * x[0] * x[1], signature="(2)->()")([1.0, 3.0], [1.0, 0.0])
    array([6., 2.])""",
    ", and vectors behind them",
)
jvp = _form(
    "jvp",
    "Return the function that computes the derivatives of all results in one direction.",
    """    >>> fg.jvp(lambda x: (fg.sin(x), fg.exp(x)))(0.0, 2.0)
    (2.0, 2.0)""",
    ", and tangents behind them",
)
vjp = _form(
    "vjp",
    "Return the function that computes the gradient of a weighted sum of the results of a function.",
    """    >>> fg.vjp(lambda x, y: (x * y, x + y))(2.0, 3.0, (1.0, 10.0))
    (13.0, 12.0)""",
    ", and cotangents behind them",
)
