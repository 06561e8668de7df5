"""Sparsity, sparse Jacobians and Hessians by colouring, and Taylor coefficients."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# ----------------------------------------------------------------------------------------------------------- patterns


@st.composite
def places(draw: Any) -> tuple[int, int, list[tuple[int, int]]]:
    """Which of n inputs each of m results uses."""
    m, n = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    return m, n, sorted(draw(st.sets(st.tuples(st.integers(0, m - 1), st.integers(0, n - 1)), max_size=24)))


def with_pattern(fg: ModuleType, m: int, used: list[tuple[int, int]]) -> Callable[[Any], list[Any]]:
    return lambda x: [fg.sum([fg.sin((i + 1.0) * x[j]) * x[j] for k, j in used if k == i] + [1.0]) for i in range(m)]


@settings(max_examples=30)
@given(places())
def test_the_pattern_and_the_sparse_jacobian_are_those_of_the_dense_one(fg: ModuleType, drawn: Any) -> None:
    m, n, used = drawn
    f = with_pattern(fg, m, used)
    pattern = fg.sparsity(f, n)
    assert pattern.shape == (m, n)
    assert list(zip(pattern.rows.tolist(), pattern.columns.tolist(), strict=True)) == used
    x = np.linspace(0.3, 2.0, n)
    dense = fg.compile(f, signature="(n)->(m)").jacobian(x)
    jacobian = fg.calculus.sparse_jacobian(f)
    np.testing.assert_allclose(jacobian(x).toarray(), dense, rtol=1e-12, atol=1e-12)
    fewest = max([*np.bincount([i for i, _ in used], minlength=1)], default=0)
    assert min(fewest, max(np.bincount([j for _, j in used], minlength=1))) <= jacobian.sweeps <= min(m, n)


@settings(max_examples=30)
@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16))
def test_the_sparse_hessian_is_the_dense_one(fg: ModuleType, pairs: set[tuple[int, int]]) -> None:
    def f(x: Any) -> Any:
        return fg.sum([fg.sin(x[i] * x[j]) for i, j in sorted(pairs)] + [x[0]])

    x = np.linspace(0.3, 2.0, 8)
    dense = fg.compile(f, signature="(n)->()").hessian(x)
    hessian = fg.calculus.sparse_hessian(f)
    np.testing.assert_allclose(hessian(x).toarray(), dense, rtol=1e-12, atol=1e-12)
    assert hessian.sweeps <= 8
    assert (fg.sparsity(f, 8, order=2).toarray() | (dense == 0.0)).all()


BANDS = [(0, 1), (1, 3), (2, 5)]  # the half bandwidth, and how many colours a band needs


@pytest.mark.parametrize("width, colours", BANDS)
def test_bands_take_as_many_sweeps_as_they_are_wide(fg: ModuleType, width: int, colours: int) -> None:
    n = 60

    def band(x: Any) -> list[Any]:
        return [fg.sum([x[j] ** 2 for j in range(max(0, i - width), min(n, i + width + 1))]) for i in range(n)]

    jacobian = fg.calculus.sparse_jacobian(band)
    matrix = jacobian(np.arange(float(n)))
    assert jacobian.sweeps == colours and f"{colours} sweeps" in repr(jacobian)
    assert matrix.format == "csr" and matrix.nnz == sum(min(n, i + width + 1) - max(0, i - width) for i in range(n))


def test_arrows_take_few_sweeps(fg: ModuleType) -> None:
    x = np.linspace(1.0, 2.0, 50)
    dense_row = fg.calculus.sparse_jacobian(lambda x: [fg.sum(x), *x])
    dense_row(x)
    assert dense_row.sweeps == 2  # reverse sweeps: in forward ones no two columns go together
    arrow = fg.calculus.sparse_hessian(lambda x: fg.dot(x, x) * x[0])
    arrow(x)
    assert arrow.sweeps == 2  # by symmetry


def test_each_branch_has_a_pattern_of_its_own(fg: ModuleType) -> None:
    jacobian = fg.calculus.sparse_jacobian(lambda a, b: (a * b, b) if a > 0.0 else (a, a))
    np.testing.assert_array_equal(jacobian(1.0, 2.0).toarray(), [[2.0, 1.0], [0.0, 1.0]])
    assert jacobian.pattern.rows.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(jacobian(-1.0, 2.0).toarray(), [[1.0, 0.0], [1.0, 0.0]])
    assert jacobian.pattern.rows.tolist() == [0, 1]


def test_what_passes_nothing_on_is_not_in_the_pattern(fg: ModuleType) -> None:
    def f(a: Any, b: Any, c: Any) -> tuple[Any, ...]:
        return fg.where(a > b, b, c), fg.stop_gradient(a) * b, fg.floor(c), fg.take([a, b], fg.floor(c))

    assert str(fg.sparsity(f)) == ". x x\n. x .\n. . .\nx x ."


def test_patterns_need_no_scipy_and_matrices_say_how_to_get_it(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    assert fg.sparsity(lambda x: x * x).toarray().tolist() == [[True]]
    with pytest.raises(ImportError, match=r"pip install 'fastgrad\[sparse\]'"):
        fg.calculus.sparse_jacobian(lambda x: [x])(1.0)


BAD: list[tuple[Callable[[ModuleType], Any], type[Exception], str]] = [
    (lambda fg: fg.sparsity(3.0), TypeError, "expected a function"),
    (lambda fg: fg.sparsity(lambda: 1.0), TypeError, "takes no arguments"),
    (lambda fg: fg.sparsity(lambda x: x, order=3), ValueError, "1, for first"),
    (lambda fg: fg.sparsity(lambda x: "a"), TypeError, "expected <lambda> to return numbers"),
    (lambda fg: fg.sparsity(lambda x: (x, x), order=2), TypeError, "several numbers"),
    (lambda fg: fg.calculus.sparse_hessian(lambda x: (x, x))(1.0), TypeError, "several numbers"),
    (lambda fg: fg.calculus.sparse_jacobian(lambda x, y: x)(1.0), TypeError, "takes 'x', 'y'"),
    (lambda fg: fg.taylor(lambda: 1.0, 0.0, 1), TypeError, "takes no arguments"),
    (lambda fg: fg.taylor(lambda x, y: x, 0.0, 1), TypeError, "hold the others"),
    (lambda fg: fg.taylor(lambda x: (x, x), 0.0, 1), TypeError, "one number"),
    (lambda fg: fg.taylor(fg.sin, 0.0, -1), ValueError, "at least 0"),
    (lambda fg: fg.taylor(fg.sin, [0.0], 1), TypeError, "real number"),
    (lambda fg: fg.taylor(abs, 0.0, 2), ValueError, "kink"),
    (lambda fg: fg.taylor(fg.relu, 0.0, 2), ValueError, "x != 0.0"),
    (lambda fg: fg.taylor(fg.sqrt, 0.0, 2), ValueError, "x > 0.0"),
    (lambda fg: fg.taylor(lambda x: x**2.5, 0.0, 4), ValueError, "no Taylor series"),
    (lambda fg: fg.taylor(lambda x: 1.0 / x, 0.0, 2), ValueError, "y != 0.0"),
    (lambda fg: fg.taylor(lambda x: 1e308 * fg.exp(10.0 * x), 0.0, 2), ValueError, "is inf"),
]


@pytest.mark.parametrize("call, error, said", BAD)
def test_bad_input_is_refused_clearly(
    fg: ModuleType, call: Callable[[ModuleType], Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        call(fg)


# -------------------------------------------------------------------------------------------------------------- Taylor

#: By name: a function of fastgrad's, the same of mpmath's, and where.
EXPANSIONS: dict[str, tuple[str, str, float]] = {
    "polynomial at 0": ("3.0 * x**2 - 4.0 * x + x**5", "3 * x**2 - 4 * x + x**5", 0.0),
    "powers": ("x**2.5 + x**-3 + 2.0**x + x**x", "x**mpf(2.5) + x**-3 + 2**x + x**x", 1.3),
    "quotient": ("fg.sin(x) / x - x / 3.0", "sin(x) / x - x / 3", 2.0),
    "trigonometric": ("fg.tan(x) * fg.cos(x * x) + fg.arctan(x)", "tan(x) * cos(x * x) + atan(x)", 0.5),
    "inverse": ("fg.arcsin(x) + fg.arctanh(x) * fg.arcsinh(x)", "asin(x) + atanh(x) * asinh(x)", 0.3),
    "hyperbolic": ("fg.sinh(x) + fg.tanh(x) * fg.cosh(x)", "sinh(x) + tanh(x) * cosh(x)", -0.7),
    "logarithms": ("fg.log(x) * fg.log1p(x) + fg.sqrt(x) + fg.cbrt(x)", "log(x) * log1p(x) + sqrt(x) + cbrt(x)", 1.7),
    "special": ("fg.lgamma(x) + fg.erf(x) * fg.ndtr(x)", "log(gamma(x)) + erf(x) * ncdf(x)", 2.5),
    "activations": ("fg.gelu(x) + fg.softplus(x) + fg.sigmoid(x)", "x*ncdf(x) + log(1+exp(x)) + 1/(1+exp(-x))", 0.4),
    "lengths": ("fg.hypot(x, 2.0 * x + 1.0) + fg.arctan2(x, 2.0)", "sqrt(x*x + (2*x+1)**2) + atan2(x, 2)", 0.6),
    "reductions": (
        "fg.logsumexp([x, 2.0 * x, x * x]) + fg.mean([x, 1.0, fg.sin(x)]) + fg.dot([x, x], [x, 3.0])",
        "log(exp(x) + exp(2*x) + exp(x*x)) + (x + 1 + sin(x)) / 3 + x*x + 3*x",
        0.7,
    ),
    "a tie in logsumexp": ("fg.logsumexp([x, 2.0 * x])", "log(exp(x) + exp(2 * x))", 0.0),
    "smooth pieces": ("abs(x) * fg.relu(-x) + fg.maximum(x, x**3)", "-x * -x + x**3", -0.5),
    "the side that is not taken": ("fg.where(x > 0.0, fg.log(x), fg.exp(x))", "exp(x)", -1.0),
}


ORDER = 14


@functools.cache
def coefficients_of(text: str, x: float) -> np.ndarray[Any, Any]:
    names = {member: getattr(mpmath, member) for member in dir(mpmath)}
    with mpmath.workdps(40):
        return np.array([float(c) for c in mpmath.taylor(eval(f"lambda x: {text}", names), mpmath.mpf(x), ORDER)])


@pytest.mark.parametrize("name", EXPANSIONS)
def test_taylor_coefficients_equal_mpmaths(fg: ModuleType, name: str) -> None:
    ours, theirs, x = EXPANSIONS[name]
    found = fg.taylor(eval(f"lambda x: {ours}", {"fg": fg}), x, ORDER)
    exact = coefficients_of(theirs, x)
    np.testing.assert_allclose(found, exact, rtol=1e-11, atol=1e-13 * max(1.0, *np.abs(exact)))


def test_the_series_sums_to_the_function(fg: ModuleType) -> None:
    w = fg.Value(2.0)

    def f(x: Any) -> Any:
        return fg.exp(w * x) / (1.0 + x)

    coefficients = fg.taylor(f, fg.Value(0.0), 30)
    t = 0.2
    assert math.fsum(c * t**k for k, c in enumerate(coefficients)) == pytest.approx(f(t).data, rel=1e-14)
    factorials = [1.0, 1.0, 2.0, 6.0]
    for order in (1, 2, 3):
        assert coefficients[order] * factorials[order] == pytest.approx(fg.derivative(f, 0.0, order), rel=1e-13)


def test_long_and_constant_functions_have_series(fg: ModuleType) -> None:
    def chain(x: Any) -> Any:
        for _ in range(2000):
            x = 0.999 * x + 0.001
        return fg.sin(x)

    assert fg.taylor(chain, 0.5, 1)[1] == pytest.approx(fg.derivative(chain, 0.5), rel=1e-12)
    np.testing.assert_array_equal(fg.taylor(lambda x: 3.0, 1.0, 2), [3.0, 0.0, 0.0])
    assert fg.taylor(fg.compile(fg.exp), 0.0, 0).tolist() == [1.0]
