"""The functions that rules use and ``math`` does not have: the twin of ``csrc/special.c``, with the same algorithms.

A&S is Abramowitz and Stegun, Handbook of Mathematical Functions; DLMF is https://dlmf.nist.gov.
"""

from __future__ import annotations

from math import ceil, copysign, erfc, floor, inf, isfinite, isnan, log, nan, pi, pow, tan

from ._ieee import exp

_INV_SQRT_PI = 0.5641895835477563
_INV_SQRT_2, _INV_SQRT_2_REST = 0.7071067811865476, -4.833646656726457e-17
_VELTKAMP = 134217729.0  # 2**27 + 1 splits a double into two halves of 26 bits

_FRACTION_TERMS = 10  # of erfcx's continued fraction: full precision for x >= 10
_ASYMPTOTIC = 10.0  # the asymptotic series have full precision for x >= _ASYMPTOTIC + n
_MAX_ORDER = 170  # factorials beyond it are not doubles

# B(2), B(4), ...: DLMF 24.2, table 24.2.1.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)


def _halves(x: float) -> tuple[float, float]:
    shifted = _VELTKAMP * x
    high = shifted - (shifted - x)
    return high, x - high


def _product_error(x: float, y: float, product: float) -> float:
    """x * y - product, exactly, where product is x * y rounded (T. J. Dekker 1971)."""
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    return ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _exp_square(x: float) -> float:
    """exp(x * x), where the rounding error of x * x would cost abs(x * x) ulp."""
    square = x * x
    return exp(square) * (1.0 + _product_error(x, x, square))


def ndtr(x: float, /) -> float:
    """The normal distribution function, erfc(-x / sqrt(2)) / 2."""
    y = _INV_SQRT_2 * x
    if abs(y) > 30.0 or y != y:
        return erfc(-y) / 2.0
    error = _product_error(_INV_SQRT_2, x, y) + _INV_SQRT_2_REST * x
    return 0.5 * erfc(-y) + _INV_SQRT_PI * exp(-(y * y)) * error


def erfcx(x: float, /) -> float:
    """exp(x * x) * erfc(x)."""
    if x < -27.0:
        return inf
    if x < 0.0:
        return 2.0 * _exp_square(x) - erfcx(-x)
    if x < 10.0:
        return _exp_square(x) * erfc(x)
    tail = 0.0  # Laplace's continued fraction, A&S 7.1.14, DLMF 7.9.1
    for k in range(_FRACTION_TERMS, 0, -1):
        tail = 0.5 * k / (x + tail)
    return _INV_SQRT_PI / (x + tail)


def _cot_pi(x: float) -> float:
    """cot(pi * x), reduced to where pi * x and the tangent keep their relative accuracy."""
    r = x - floor(x + 0.5)
    if abs(r) <= 0.25:
        return 1.0 / tan(pi * r)
    return copysign(tan(pi * (0.5 - abs(r))), r)


def digamma(x: float, /) -> float:
    """The derivative of lgamma."""
    if x <= 0.0:
        if not isfinite(x) or floor(x) == x:
            return copysign(inf, -x) if x == 0.0 else nan
        return digamma(1.0 - x) - pi * _cot_pi(x)  # DLMF 5.5.4
    count = ceil(_ASYMPTOTIC - x) if x < _ASYMPTOTIC else 0
    shifts = 0.0  # DLMF 5.5.2, the small terms first
    for k in range(count - 1, -1, -1):
        shifts += 1.0 / (x + k)
    z, series = x + count, 0.0  # DLMF 5.11.2
    for k in range(len(_BERNOULLI), 0, -1):
        series = (series + _BERNOULLI[k - 1] / (2.0 * k)) / (z * z)
    return log(z) - 0.5 / z - series - shifts


def _pi_cot_derivative(n: int, x: float) -> float:
    """The n-th derivative of pi * cot(pi * x): a polynomial in the cotangent, of derivative -pi * (1 + cot**2)."""
    coefficient = [0.0, 1.0]
    scale = pi
    for _ in range(n):
        slope = [k * c for k, c in enumerate(coefficient)][1:]
        coefficient = [a + b for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
        scale *= -pi
    cot, value = _cot_pi(x), coefficient.pop()
    for c in reversed(coefficient):
        value = value * cot + c
    return scale * value


def _zeta_sum(n: int, x: float) -> float:
    """abs(polygamma(n, x)) for n > 0, x > 0, which is n! * zeta(n + 1, x).

    Terms up to where the asymptotic series holds (A&S 6.4.11, DLMF 5.15.8), all relative to (n - 1)! / x**n.
    """
    head, z = 0.0, x
    while z < _ASYMPTOTIC + n:
        head += pow(x / z, n + 1.0)
        z += 1.0
    term, series = 1.0, 0.0
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        i = n + 2.0 * k
        term *= (i - 2.0) * (i - 1.0) / ((2.0 * k - 1.0) * (2.0 * k) * (z * z))
        series += bernoulli * term
    value = (n / x * head + pow(x / z, n) * (1.0 + (0.5 * n / z + series))) / x
    for k in range(1, n):
        value *= k / x
    return value


def polygamma(n: float, x: float, /) -> float:
    """The n-th derivative of digamma for a whole n >= 0; nan for another n."""
    if n == 0.0:
        return digamma(x)
    if not (0.0 < n <= _MAX_ORDER and floor(n) == n) or isnan(x):
        return nan
    if not isfinite(x):
        return 0.0 if x > 0.0 else nan
    order, sign = int(n), -1.0 if n % 2.0 == 0.0 else 1.0
    if x > 0.0:
        return sign * _zeta_sum(order, x)
    if floor(x) == x:
        return inf if sign > 0.0 else copysign(inf, -x) if x == 0.0 else nan
    return -_zeta_sum(order, 1.0 - x) - _pi_cot_derivative(order, x)  # DLMF 5.15.6
