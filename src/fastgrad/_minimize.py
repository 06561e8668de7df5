"""fg.minimize: SciPy's minimisers, given the derivatives that each of them wants."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._compiled import Compiled
from ._derived import Derivative

Floats = NDArray[np.float64]

#: What each of SciPy's methods asks for, besides the value.
_WANTS = {
    **dict.fromkeys(("nelder-mead", "powell", "cobyla", "cobyqa"), ()),
    **dict.fromkeys(("cg", "bfgs", "l-bfgs-b", "tnc", "slsqp"), ("jac",)),
    **dict.fromkeys(("newton-cg", "trust-ncg", "trust-krylov", "trust-constr"), ("jac", "hessp")),
    **dict.fromkeys(("dogleg", "trust-exact"), ("jac", "hess")),
}


def minimize(
    f: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: Any = None,
    *,
    tol: float | None = None,
    **options: Any,
) -> Any:
    """Minimise a function with ``scipy.optimize.minimize``, which is given exact derivatives.

    The method gets the gradient, products of the Hessian and vectors, or the Hessian, whatever it has a use for.

    Parameters
    ----------
    f : callable
        A plain function of one number or array, made of fastgrad's operations and functions, or a compiled one, whose
        first argument is varied. If a compiled function is given rows of arguments, the sum over the rows is minimised.
    x0 : float or array_like
        Where to begin, of the shape that ``f`` takes.
    args : tuple
        What ``f`` gets behind it; what is no tuple is one argument, as in SciPy. To a plain function anything may be
        given; it is fixed in the recording.
    method : str or callable, optional
        One of SciPy's methods; without it BFGS, L-BFGS-B or SLSQP, depending on bounds and constraints.
    tol : float, optional
        When to stop.
    **options
        All else that ``scipy.optimize.minimize`` takes: ``bounds``, ``constraints``, ``callback``, ``options``.

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's; its ``x`` has the shape of ``x0``.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    TypeError
        If ``f`` is no function or has other results than one number, or derivatives are given.
    ValueError
        If ``x0`` is not of finite numbers, the method is unknown, or the value or the gradient there is nan.

    Examples
    --------
    >>> import fastgrad as fg
    >>> found = fg.minimize(lambda x: (x[0] - 1.0) ** 2 + 10.0 * (x[1] - x[0] ** 2) ** 2, [0.0, 0.0])
    >>> found.x.round(4)
    array([1., 1.])
    >>> line = fg.compile(lambda w, x, y: (w[0] * x + w[1] - y) ** 2, signature="(2),(),()->()")
    >>> fg.minimize(line, [0.0, 0.0], ([0.0, 1.0, 2.0], [1.0, 3.0, 5.0]), method="trust-ncg").x.round(6)
    array([2., 1.])
    """
    optimize = _scipy_optimize()
    start = _start(x0)
    wanted = _wanted(method, options)
    objective = _Objective(f, start, args if isinstance(args, tuple) else (args,))
    objective.check(start.ravel(), bool(wanted))
    supplied = {name: getattr(objective, name) for name in wanted if name != "jac"}
    function = objective.value_and_grad if wanted else objective.value
    jac = {"jac": True} if wanted else {}
    found = optimize.minimize(function, start.ravel(), method=method, tol=tol, **jac, **supplied, **options)
    found.x = found.x.reshape(start.shape)
    return found


class _Objective:
    """A compiled function of one vector, its other arguments fixed, summed over rows if these are rows."""

    def __init__(self, f: Any, start: Floats, args: tuple[Any, ...]) -> None:
        if isinstance(f, (Compiled, Derivative)):
            self._f = f if isinstance(f, Compiled) else Compiled(f)
            self._args = args
        elif callable(f):
            core = ",".join(map(str, start.shape))
            self._f = Compiled(lambda x: _one_number(f(x, *args)), f"({core})->()")
            self._f.subject.name = self._f.__name__ = getattr(f, "__name__", type(f).__name__)
            self._args = ()
        else:
            raise TypeError(f"fg.minimize(f): expected a function, got {type(f).__name__} {f!r}")
        self._shape = start.shape
        self._has_rows = False

    def _at(self, x: Floats) -> tuple[Any, ...]:
        return (x.reshape(self._shape) if self._shape else x.item(), *self._args)

    def value(self, x: Floats) -> float:
        return float(np.sum(self._f(*self._at(x))))

    def value_and_grad(self, x: Floats) -> tuple[float, Floats]:
        ask = self._f.sum_grad if self._has_rows else self._f.value_and_grad
        value, gradient = ask(*self._at(x), argnums=0)
        return value, np.ravel(gradient)

    def hessp(self, x: Floats, vector: Floats) -> Floats:
        rows = self._f.hvp(*self._at(x), vector.reshape(self._shape), argnums=0)
        total: Floats = np.reshape(rows, (-1, x.size)).sum(axis=0)
        return total

    def hess(self, x: Floats) -> Floats:
        rows = self._f.hessian(*self._at(x), argnums=0)
        total: Floats = np.reshape(rows, (-1, x.size, x.size)).sum(axis=0)
        return total

    def check(self, x: Floats, gradient: bool) -> None:
        """Raise if nothing can be minimised from here."""
        results = _one_number(self._f(*self._at(x)), np.ndarray)
        self._has_rows = np.ndim(results) > 0
        if np.size(results) == 0:
            raise ValueError("fg.minimize(args): the batch is empty: there are no rows to sum over")
        value, slope = self.value_and_grad(x) if gradient else (self.value(x), np.zeros(0))
        if np.isnan(value):
            rows = np.argwhere(np.isnan(results))
            where = f" in row {', '.join(map(str, rows[0].tolist()))} of args" if np.ndim(results) and len(rows) else ""
            raise ValueError(
                f"fg.minimize(x0): the value of {self._f.__name__} at x0 is {value}{where}; begin elsewhere"
                + (", or mend args" if where else "")
            )
        if not np.isfinite(slope).all():
            raise ValueError(f"fg.minimize(x0): the gradient of {self._f.__name__} at x0 is {slope}; begin elsewhere")


def _one_number(result: Any, *allowed: type) -> Any:
    """The result of a function, which may be a Value, a number, or of a type that is allowed here."""
    if isinstance(result, (tuple, list, dict, np.ndarray)) and not isinstance(result, allowed):
        raise TypeError(f"fg.minimize(f): expected a function that returns one number, got {type(result).__name__}")
    return result


def _scipy_optimize() -> Any:
    try:
        return import_module("scipy.optimize")
    except ImportError as error:
        raise ImportError(
            f"fg.minimize is over SciPy, which cannot be imported ({error}): pip install 'fastgrad[scipy]'"
        ) from error


def _start(x0: Any) -> Floats:
    try:
        start = np.array(() if x0 is None else x0, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"fg.minimize(x0): expected a number or an array of numbers, got {x0!r}") from error
    if not start.size:
        raise ValueError(f"fg.minimize(x0): expected at least one number, got an array of shape {start.shape}")
    if not np.isfinite(start).all():
        place = np.argwhere(~np.isfinite(start))[0].tolist()
        raise ValueError(f"fg.minimize(x0): expected finite numbers, got {start[tuple(place)]} at {place}")
    return start


def _wanted(method: Any, options: dict[str, Any]) -> tuple[str, ...]:
    """What the method is given besides the value."""
    for name in ("jac", "hess", "hessp"):
        if name in options:
            raise TypeError(f"fg.minimize({name}): derivatives are fastgrad's own here; leave it out")
    if method is None or callable(method):
        return ("jac",) if method is None else ("jac", "hessp")
    wanted = _WANTS.get(str(method).lower())
    if wanted is None:
        raise ValueError(f"fg.minimize(method): expected one of {', '.join(_WANTS)}, or a function, got {method!r}")
    return wanted
