"""Derivatives as quotients of differences, with an estimate of what is wrong with them.

Two errors pull in opposite directions. *Truncation*: the quotient is the slope of a secant, and differs from the
derivative by about ``h/2 f''`` (forward) or ``h**2/6 f'''`` (central). *Rounding*: each value of f is off by about its
last bit, and the quotient divides that by h. So there is a best h, near the square root of the spacing of floats for
forward differences and near its cube root for central ones [1]_. Extrapolating from several h to h = 0 gains many
digits [2]_. The complex step has no difference in it, and so no rounding error to speak of [3]_.

.. [1] N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM 2002, section 1.14.
.. [2] C. J. F. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", Advances in Engineering Software 4(2), 1982.
.. [3] W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40(1),
   1998.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, overload

from .. import _errors as _engine_errors
from .._backend import Value, no_grad
from . import _errors
from ._functions import Function, a_number, name_of, number_of, of_one_number

EPSILON = sys.float_info.epsilon
_WHERE = "numerical_derivative"


class NumericalDerivative(float):
    """A derivative from differences: a float that knows how far off it may be.

    Attributes
    ----------
    error : float
        An estimate of the absolute error, truncation and rounding together; not a bound.
    h : float
        The step; of an extrapolation the smallest one that went into it.
    method : str
        How it was computed.
    """

    error: float
    h: float
    method: str

    def __new__(cls, value: float, error: float, h: float, method: str) -> NumericalDerivative:
        self = super().__new__(cls, value)
        self.error, self.h, self.method = error, h, method
        return self

    def __getnewargs__(self) -> tuple[float, float, float, str]:  # type: ignore[override]
        return float(self), self.error, self.h, self.method

    def __repr__(self) -> str:
        return f"NumericalDerivative({float(self)!r}, error={self.error:.1e}, h={self.h:.3g}, method={self.method!r})"

    __str__ = float.__repr__


class Problem(NamedTuple):
    """A function of one number, where to take its derivative, and how far off its values may be."""

    f: Callable[[float], float]
    x: float
    rounding: float | None = None  # the absolute error of a value of f, if it is known
    call: Callable[[complex], Any] | None = None  # the same function for complex numbers
    name: str = "f"

    def noise(self, a: float, b: float, slope: float) -> float:
        """How far off the difference of two values is: their last bits, and that of what f computes from x first."""
        if self.rounding is not None:
            return 2.0 * self.rounding
        return EPSILON * (abs(a) + abs(b) + 2.0 * abs(self.x * slope))

    @property
    def scale(self) -> float:
        return max(1.0, abs(self.x))


# ------------------------------------------------------------------------------------------------------ methods


def _quotient(p: Problem, left: float, right: float) -> tuple[float, float]:
    """The slope of a secant, and its rounding error."""
    step = right - left  # what the floats are apart, which is not quite what was asked for
    a, b = p.f(left), p.f(right)
    slope = (b - a) / step
    return slope, p.noise(a, b, slope) / abs(step)


def _forward(p: Problem, h: float) -> NumericalDerivative:
    """The error of the secant is first order in h: halving h takes half of it away."""
    slope, rounding = _quotient(p, p.x, p.x + h)
    truncation = 0.0
    if p.x + h / 2.0 not in (p.x, p.x + h):
        truncation = 2.0 * abs(slope - _quotient(p, p.x, p.x + h / 2.0)[0])
    return NumericalDerivative(slope, truncation + rounding, h, "forward")


def _central(p: Problem, h: float) -> NumericalDerivative:
    """The error of the secant is second order in h: halving h takes three quarters of it away."""
    slope, rounding = _quotient(p, p.x - h, p.x + h)
    truncation = 0.0
    if p.x - h / 2.0 != p.x != p.x + h / 2.0:
        truncation = 4.0 / 3.0 * abs(slope - _quotient(p, p.x - h / 2.0, p.x + h / 2.0)[0])
    return NumericalDerivative(slope, truncation + rounding, h, "central")


#: By what the steps of an extrapolation shrink, how many there are, and how many at a time are extrapolated from. The
#: factor is no simple fraction, lest the steps be periods of the function.
_FACTOR, _ROWS, _COLUMNS = 1.4, 30, 8


def richardson(p: Problem, h: float) -> NumericalDerivative:
    """Extrapolate central differences to h = 0, with an even power of h less in the error for each column [2]_.

    An entry's error is taken to be how much it differs from the two it was made of, besides their rounding errors. The
    entry with the least error is the result; steps shrink until rounding alone would be more than that.
    """
    best = NumericalDerivative(math.nan, math.inf, h, "richardson")
    above: list[tuple[float, float]] = []  # the row of the step before: entries, and their rounding errors
    for _ in range(_ROWS):
        if p.x + h in (p.x, p.x - h):
            break
        row = [_quotient(p, p.x - h, p.x + h)]
        if row[0][1] > best.error:
            break
        for k, (before, before_rounding) in enumerate(above[: _COLUMNS - 1], 1):
            weight = _FACTOR ** (2 * k)
            entry, rounding = row[-1]
            better = (weight * entry - before) / (weight - 1.0)
            rounding = (weight * rounding + before_rounding) / (weight - 1.0)
            row.append((better, rounding))
            error = max(abs(better - entry), abs(better - before)) + rounding
            if k > 1 and error < best.error:  # a single agreement may be chance
                best = NumericalDerivative(better, error, h, "richardson")
        above = row
        h /= _FACTOR
    return best


def _complex(p: Problem, h: float) -> NumericalDerivative:
    """Im f(x + ih) / h [3]_; its error is rounding alone, unless central differences contradict."""
    assert p.call is not None
    try:
        found = p.call(complex(p.x, h))
    except TypeError as cause:
        raise _errors.no_complex(p.name, cause) from cause
    if not isinstance(found, complex):
        raise _errors.real_result(p.name, found)
    slope = found.imag / h
    central = _chosen_step("central", p)
    apart = abs(slope - central)
    error = apart if apart > central.error else EPSILON * abs(slope)
    return NumericalDerivative(slope, error, h, "complex")


_METHODS: dict[str, Callable[[Problem, float], NumericalDerivative]] = {
    "forward": _forward,
    "central": _central,
    "richardson": richardson,
    "complex": _complex,
}
#: The best step for a function and derivatives of about 1, at a place of about 1: where both errors are alike.
_STEPS = {"forward": EPSILON ** (1.0 / 2.0), "central": EPSILON ** (1.0 / 3.0), "richardson": 0.1, "complex": 1e-20}


def _chosen_step(method: str, p: Problem) -> NumericalDerivative:
    """With the method's own step; less where the function's domain ends before."""
    h = _STEPS[method] * p.scale
    if method == "complex":
        return _complex(p, h)
    left = p.x if method == "forward" else p.x - h
    while not (_is_defined(p, left) and _is_defined(p, p.x + h)) and p.x + h / 4.0 not in (p.x, p.x - h / 4.0):
        h /= 4.0
        left = p.x if method == "forward" else p.x - h
    return _METHODS[method](p, h)


def _is_defined(p: Problem, at: float) -> bool:
    try:
        return math.isfinite(p.f(at))
    except (ArithmeticError, ValueError):  # what arithmetic raises outside of a domain: the step is too large
        return False


def best_estimate(p: Problem) -> NumericalDerivative:
    """The extrapolated derivative, with a step of its own choice."""
    return _chosen_step("richardson", p)


def one_sided(p: Problem, sign: float) -> NumericalDerivative:
    """The derivative to the right, or with sign -1 to the left."""
    return _forward(p, sign * _STEPS["forward"] * p.scale)


# ----------------------------------------------------------------------------------------------------- the function


@overload
def numerical_derivative(
    f: Callable[..., Any], x: Any, h: float | None = None, method: str = "central"
) -> NumericalDerivative: ...


@overload
def numerical_derivative(
    f: Callable[..., Any], x: Any, h: Iterable[float], method: str = "central"
) -> list[NumericalDerivative]: ...


def numerical_derivative(f: Callable[..., Any], x: Any, h: Any = None, method: str = "central") -> Any:
    """Estimate a derivative from values of the function alone, and say how good the estimate is.

    Parameters
    ----------
    f : callable
        A function of one number with one number as its result: any Python function, on Values or not, or a compiled
        one.
    x : float or Value
        Where; if it is a Value the function is called with Values, else with floats.
    h : float, or iterable of float, optional
        The step, positive or negative; of "richardson" the largest one. With several, one result for each. Without it,
        one that suits the method and x, and shrinks where the function is not defined so far from x.
    method : {"central", "forward", "richardson", "complex"}
        The slope between x - h and x + h, with an error of order ``h**2``; between x and x + h, with an error of order
        h; central ones for smaller and smaller h, extrapolated to 0 [2]_; or ``Im f(x + ih) / h``, which is exact but
        for rounding where f is analytic, and made of Python's arithmetic, cmath and NumPy [3]_.

    Returns
    -------
    NumericalDerivative, or list of them
        A float, with ``error``, an estimate of its absolute error, and ``h``. The error is twofold: what the result
        still changes with h, and the last bits of f's values, and of what f computes from x first, divided by h. It is
        an estimate, and no bound: if f rounds worse than that, or h is too large to see what f does, it is too small.

    Raises
    ------
    TypeError
        If f is no function of one number, or returns something else than a number; for "complex", if f cannot take a
        complex number.
    ValueError
        If h is 0, not finite, or so small that x + h == x; if x is not finite; if there is no such method.

    Examples
    --------
    >>> import fastgrad as fg
    >>> def f(x):
    ...     return 3 * x**2 - 4 * x + 5
    >>> fg.numerical_derivative(f, 3.0, h=1e-7, method="forward")
    NumericalDerivative(14.000000328626015, error=6.8e-07, h=1e-07, method='forward')
    >>> [round(d, 3) for d in fg.numerical_derivative(f, 3.0, h=[1.0, 0.1, 0.01], method="forward")]
    [17.0, 14.3, 14.03]
    >>> best = fg.numerical_derivative(fg.sin, 1.0, method="richardson")
    >>> abs(best - fg.cos(1.0)) < best.error < 1e-11
    True
    """
    function = of_one_number(_WHERE, f, "hold the others: lambda x: f(x, 2.0)")
    if method not in _METHODS:
        raise _errors.unknown_method(method, _METHODS)
    name, at = name_of(f), a_number(f"{_WHERE}(x)", x)
    if not math.isfinite(at):
        raise _errors.not_finite("x", at)
    call = _on_values(function) if isinstance(x, Value) else function
    problem = Problem(lambda t: _real_number(name, call(t)), at, None, call, name)
    if h is None:
        return _chosen_step(method, problem)
    if isinstance(h, Iterable) and getattr(h, "shape", None) != ():
        return [_METHODS[method](problem, _step(step, at, method)) for step in h]
    return _METHODS[method](problem, _step(h, at, method))


def _on_values(function: Function) -> Function:
    """The function called with Values, for one that uses their methods; no graph is kept."""

    def call(t: Any) -> Any:
        with no_grad():
            return function(Value(t))

    return call


def _real_number(name: str, result: Any) -> float:
    if isinstance(result, complex) and result.imag == 0.0:  # of cmath's functions
        return result.real
    return number_of(_WHERE, name, result)


def _step(h: Any, x: float, method: str) -> float:
    step = _engine_errors.real(f"{_WHERE}(h)", h)
    if not math.isfinite(step):
        raise _errors.not_finite("h", step)
    if step == 0.0:
        raise _errors.zero_step()
    if method == "complex":
        return step
    if not math.isfinite(x + step) or not math.isfinite(x - step):
        raise _errors.step_too_large(x, step)
    if x + step == x or (method != "forward" and x - step == x):
        raise _errors.step_too_small(x, step, math.ulp(x))
    return step
