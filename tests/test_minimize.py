"""fg.minimize: every method of SciPy finds the minimum, with the derivatives it wants, and what is refused."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra 'scipy' is not installed")

FREE = ["Nelder-Mead", "Powell", "COBYLA"]
GRADIENT = [None, "CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP"]
SECOND = ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr", "dogleg", "trust-exact"]


def valley(x: Any) -> Any:
    return (x[0] - 1.0) ** 2 + 2.0 * (x[1] - x[0]) ** 2 + x[0] ** 4 / 8.0 + 0.1 * x[1] ** 2


def line(w: Any, x: Any, y: Any) -> Any:
    return (w[0] * x + w[1] - y) ** 2


X = np.linspace(-1.0, 1.0, 40)
Y = 2.0 * X - 0.5 + 0.1 * np.sin(9.0 * X)


@pytest.mark.parametrize("method", [*FREE, *GRADIENT, *SECOND])
def test_every_method_finds_the_minimum(fg: ModuleType, method: str | None) -> None:
    found = fg.minimize(valley, [0.5, 0.5], method=method, tol=1e-8)
    gradient = fg.compile(valley, signature="(n)->()").grad(found.x)
    assert np.abs(gradient).max() < (1e-3 if method in FREE else 1e-4)


@pytest.mark.parametrize("method", ["BFGS", "trust-ncg", "trust-exact", "Nelder-Mead"])
def test_a_batch_is_summed(fg: ModuleType, method: str) -> None:
    f = fg.compile(line, signature="(2),(),()->()")
    found = fg.minimize(f, [0.0, 0.0], (X, Y), method=method, tol=1e-9)
    np.testing.assert_allclose(found.x, np.polyfit(X, Y, 1), atol=1e-6)
    assert found.fun == pytest.approx(float(np.sum(line(found.x, X, Y))), rel=1e-12)


def test_derivatives_that_are_supplied_are_those_of_the_sum(fg: ModuleType) -> None:
    minimize = sys.modules["fastgrad"].minimize
    objective = vars(sys.modules[minimize.__module__])["_Objective"]
    f = fg.compile(lambda w, x: fg.exp(w[0] * x) + w[0] * w[1] ** 2, signature="(2),()->()")
    at = np.array([0.3, -0.7])
    summed = objective(f, at, (X,))
    hessian = np.zeros((2, 2))
    for x in X:
        hessian += f.hessian(at, x, argnums=0)
    np.testing.assert_allclose(summed.hess(at), hessian, rtol=1e-12)
    np.testing.assert_allclose(summed.hessp(at, np.array([1.0, 2.0])), hessian @ [1.0, 2.0], rtol=1e-12)


@pytest.mark.parametrize("x0", [2.0, [2.0], [[2.0, 1.0], [0.0, -1.0]]])
def test_the_result_has_the_shape_of_the_start(fg: ModuleType, x0: Any) -> None:
    def f(x: Any) -> Any:
        return fg.sum([(v - 3.0) ** 2 for v in np.ravel(x)])

    found = fg.minimize(f, x0)
    assert found.x.shape == np.shape(x0)
    np.testing.assert_allclose(found.x, 3.0, atol=1e-6)


def test_arguments_of_a_plain_function_may_be_anything(fg: ModuleType) -> None:
    def f(x: Any, powers: Any, kind: str) -> Any:
        return fg.sum([x[0] ** p for p in powers]) + (x[0] if kind == "tilted" else 0.0)

    assert fg.minimize(f, [1.0], ((2, 4), "tilted")).x[0] == pytest.approx(-0.3855, abs=1e-3)


def test_bounds_constraints_and_options_are_passed_on(fg: ModuleType) -> None:
    assert fg.minimize(valley, [0.0, 0.0], bounds=[(-1.0, 0.25), (None, None)]).x[0] == pytest.approx(0.25)
    on_line = {"type": "eq", "fun": lambda x: x[0] + x[1] - 1.0}
    assert fg.minimize(valley, [0.0, 0.0], constraints=on_line).x.sum() == pytest.approx(1.0)
    assert fg.minimize(valley, [0.0, 0.0], method="BFGS", options={"maxiter": 2}).nit == 2
    seen: list[Any] = []
    fg.minimize(valley, [0.0, 0.0], callback=lambda x: seen.append(x))
    assert seen


def test_a_method_of_the_users_own_gets_gradient_and_products(fg: ModuleType) -> None:
    from scipy.optimize import OptimizeResult

    def newton(fun: Any, x0: Any, args: Any, jac: Any, hessp: Any, **_: Any) -> Any:
        x = x0
        for _ in range(20):
            x = x - np.linalg.solve([hessp(x, v) for v in np.eye(2)], jac(x))
        return OptimizeResult(x=x, fun=fun(x))

    found = fg.minimize(valley, [0.5, 0.5], method=newton)
    np.testing.assert_allclose(fg.compile(valley, signature="(n)->()").grad(found.x), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "x0", "options", "error", "message"),
    [
        (3.0, [1.0], {}, TypeError, r"minimize\(f\): expected a function, got float 3.0"),
        (valley, [], {}, ValueError, r"x0\): expected at least one number, got an array of shape \(0,\)"),
        (valley, ["a", "b"], {}, TypeError, r"x0\): expected a number or an array of numbers"),
        (valley, [1.0, np.nan], {}, ValueError, r"x0\): expected finite numbers, got nan at \[1\]"),
        (valley, [1.0, 1.0], {"method": "newton"}, ValueError, r"method\): expected one of .*bfgs.*, got 'newton'"),
        (valley, [1.0, 1.0], {"jac": True}, TypeError, r"minimize\(jac\): derivatives are fastgrad's own"),
        (lambda x: [x[0], x[1]], [1.0, 1.0], {}, TypeError, "returns one number, got list"),
        (lambda x: (x[0] - 1.0) / (x[0] - 1.0), [1.0], {}, ValueError, r"x0\): the value of .* at x0 is nan"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value))[:24],  # the same in each process: no address
)
def test_what_cannot_be_minimised_is_refused(
    fg: ModuleType, f: Any, x0: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fg.minimize(f, x0, **options)


def test_results_and_batches_that_are_no_number_are_refused(fg: ModuleType) -> None:
    with pytest.raises(TypeError, match="expected a function that returns one number, got tuple"):
        fg.minimize(fg.compile(lambda x: (x, x)), 1.0)
    with pytest.raises(ValueError, match="the batch is empty: there are no rows to sum over"):
        fg.minimize(fg.compile(line, signature="(2),(),()->()"), [0.0, 0.0], (np.zeros(0), np.zeros(0)))
    with pytest.raises(ValueError, match=r"the gradient of <lambda> at x0 is \[inf\]; begin elsewhere"):
        fg.minimize(fg.compile(lambda x, s: fg.sqrt(x) * s), 0.0, (np.array([0.0, 1.0]),))


def test_without_scipy_the_extra_is_named(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgrad\[scipy\]'"):
        fg.minimize(valley, [0.0, 0.0])


def test_one_argument_needs_no_tuple_as_in_scipy(fg: ModuleType) -> None:
    assert abs(fg.minimize(lambda x, a: (x - a) ** 2, 0.0, 2.0).x - 2.0) < 1e-6
    spread = fg.minimize(lambda x, a: fg.sum([(p - q) ** 2 for p, q in zip(x, a, strict=True)]), [0.0, 0.0], [1.0, 2.0])
    np.testing.assert_allclose(spread.x, [1.0, 2.0], atol=1e-6)


def test_the_row_whose_value_is_nan_is_named(fg: ModuleType) -> None:
    line = fg.compile(lambda w, x, y: (w[0] * x + w[1] - y) ** 2, signature="(2),(),()->()")
    with pytest.raises(ValueError, match=r"at x0 is nan in row 1 of args; begin elsewhere, or mend args"):
        fg.minimize(line, [0.0, 0.0], ([0.0, 1.0, 2.0], [1.0, np.nan, 5.0]))
    with pytest.raises(ValueError, match=r"\(x0\): expected at least one number"):
        fg.minimize(line, None, ([0.0], [1.0]))
