"""The functions that rules use, as C has them: infinities and nan where Python's operators and ``math`` raise.

They take floats and answer every float, so that a rule of ``ops.def`` means the same here as in C.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from math import copysign, inf, nan

# These raise for no float.
abs = math.fabs
asinh = math.asinh
atan = math.atan
atan2 = math.atan2
erf = math.erf
erfc = math.erfc
hypot = math.hypot
tanh = math.tanh

_NO_POLES: Mapping[float, float] = {}


def _total(
    function: Callable[[float], float], poles: Mapping[float, float] = _NO_POLES, invalid: float = nan
) -> Callable[[float], float]:
    """Answer where ``function`` raises: at its poles, elsewhere outside its domain, and where it overflows."""

    def total(x: float, /) -> float:
        try:
            return function(x)
        except ValueError:
            return poles.get(x, invalid)
        except OverflowError:
            return copysign(inf, function(copysign(1.0, x)))

    return total


acos = _total(math.acos)
acosh = _total(math.acosh)
asin = _total(math.asin)
atanh = _total(math.atanh, poles={1.0: inf, -1.0: -inf})
cos = _total(math.cos)
cosh = _total(math.cosh)
exp = _total(math.exp)
expm1 = _total(math.expm1)
lgamma = _total(math.lgamma, invalid=inf)
log = _total(math.log, poles={0.0: -inf})
log10 = _total(math.log10, poles={0.0: -inf})
log1p = _total(math.log1p, poles={-1.0: -inf})
log2 = _total(math.log2, poles={0.0: -inf})
sin = _total(math.sin)
sinh = _total(math.sinh)
sqrt = _total(math.sqrt)
tan = _total(math.tan)

if sys.version_info >= (3, 11):
    cbrt = math.cbrt
    exp2 = _total(math.exp2)
else:

    def cbrt(x: float, /) -> float:
        if x == 0.0 or not math.isfinite(x):
            return x
        mantissa, exponent = math.frexp(x)
        thirds, rest = divmod(exponent, 3)
        mantissa = math.ldexp(mantissa, rest)
        root = copysign(math.fabs(mantissa) ** (1.0 / 3.0), x)
        root -= (root - mantissa / (root * root)) / 3.0  # a step of Newton's takes out the rounding of 1 / 3
        return math.ldexp(root, thirds)

    exp2 = _total(lambda x: math.pow(2.0, x))


def floor(x: float, /) -> float:
    return copysign(math.floor(x), x) if math.isfinite(x) else x


def ceil(x: float, /) -> float:
    return copysign(math.ceil(x), x) if math.isfinite(x) else x


def div(x: float, y: float, /) -> float:
    try:
        return x / y
    except ZeroDivisionError:
        return nan if x == 0.0 or x != x else copysign(inf, x) * copysign(1.0, y)


def floordiv(x: float, y: float, /) -> float:
    return x // y if y != 0.0 else div(x, y)


def mod(x: float, y: float, /) -> float:
    return x % y if y != 0.0 else nan


def fmod(x: float, y: float, /) -> float:
    try:
        return math.fmod(x, y)
    except ValueError:
        return nan


def pow(x: float, y: float, /) -> float:
    try:
        return math.pow(x, y)
    except (ValueError, OverflowError):
        if x < 0.0 and math.floor(y) != y:
            return nan
        return copysign(inf, x) if y % 2.0 == 1.0 else inf
