"""fastgrad.calculus: derivatives by differences, exact ones, partial, total, and the differential."""

from __future__ import annotations

import cmath
import math
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Function = Callable[..., Any]
few = settings(max_examples=20)


def parabola(x: Any) -> Any:
    return 3 * x**2 - 4 * x + 5


def volume(a: Any, b: Any, c: Any) -> Any:
    return 4.0 / 3.0 * math.pi * a * b * c


#: Functions in Python, their derivatives, and where they are smooth at the scale of 0.01.
SMOOTH: list[tuple[Function, Function]] = [
    (math.sin, math.cos),
    (math.exp, math.exp),
    (math.sqrt, lambda x: 0.5 / math.sqrt(x)),
    (math.log, lambda x: 1.0 / x),
    (lambda x: 1.0 / x, lambda x: -1.0 / x**2),
    (parabola, lambda x: 6 * x - 4),
    (lambda x: 1e8 * math.cos(x), lambda x: -1e8 * math.sin(x)),
    (lambda x: math.sin(50.0 * x), lambda x: 50.0 * math.cos(50.0 * x)),
]

# --------------------------------------------------------------------------------------------------- by differences


def test_rise_over_run_tends_to_the_derivative_and_then_rounding_wins(fg: ModuleType) -> None:
    assert parabola(3.0) == 20.0
    assert parabola(3.001) == 20.014003000000002
    steps = [10.0**-k for k in range(1, 15)]
    found = fg.numerical_derivative(parabola, 3.0, h=steps, method="forward")
    assert [d.h for d in found] == steps
    assert 14.0 < found[6] < 14.000001
    wrong = [abs(d - 14.0) for d in found]
    assert wrong[0] > wrong[2] > wrong[5] > wrong[7] and wrong[13] > 1e3 * wrong[7]
    best = min(found, key=lambda d: d.error)
    assert 1e-9 <= best.h <= 1e-6  # near the square root of the spacing of floats
    assert fg.derivative(parabola, 3.0) == 14.0


@pytest.mark.parametrize("method", ["forward", "central", "richardson"])
@pytest.mark.parametrize("case", range(len(SMOOTH)))
@few
@given(x=st.floats(0.05, 20.0))
def test_the_error_is_near_its_estimate(fg: ModuleType, method: str, case: int, x: float) -> None:
    f, exact = SMOOTH[case]
    found = fg.numerical_derivative(f, x, method=method)
    assert abs(found - exact(x)) <= 3.0 * found.error


@few
@given(x=st.floats(0.5, 5.0))
def test_extrapolation_gains_digits(fg: ModuleType, x: float) -> None:
    errors = [fg.numerical_derivative(math.exp, x, method=m).error for m in ("forward", "central", "richardson")]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-11 * math.exp(x)


@pytest.mark.parametrize("h", [1e-3, -1e-3])
def test_a_step_may_go_either_way(fg: ModuleType, h: float) -> None:
    assert fg.numerical_derivative(parabola, 3.0, h, "forward") == pytest.approx(14.0 + 3.0 * h, abs=1e-9)
    assert fg.numerical_derivative(parabola, 3.0, h, "central") == pytest.approx(14.0, abs=1e-9)


def test_the_chosen_step_stays_where_the_function_is_defined(fg: ModuleType) -> None:
    for method in ("forward", "central", "richardson"):
        assert fg.numerical_derivative(math.log, 1e-7, method=method).h < 1e-7 or method == "forward"
    assert fg.numerical_derivative(math.sqrt, 1e-6, method="richardson") == pytest.approx(500.0, rel=1e-11)


@pytest.mark.parametrize("f", [cmath.exp, np.exp, lambda x: x**3 / (1.0 + x)], ids=["cmath", "numpy", "arithmetic"])
def test_the_complex_step_is_exact(fg: ModuleType, f: Function) -> None:
    found = fg.numerical_derivative(f, 1.5, method="complex")
    with mpmath.workdps(30):
        exact = mpmath.exp(1.5) if f(0.0) else mpmath.diff(lambda x: x**3 / (1 + x), 1.5)
    assert abs(found - float(exact)) <= 4.0 * found.error < 1e-13


def test_the_complex_step_notices_an_absolute_value(fg: ModuleType) -> None:
    found = fg.numerical_derivative(lambda x: x * abs(x), 2.0, method="complex")
    assert abs(found - 4.0) <= 1.01 * found.error


def test_differences_are_taken_of_functions_on_values_and_of_compiled_ones(fg: ModuleType) -> None:
    w = fg.Value(2.0)
    for f in (fg.sin, fg.compile(fg.sin), lambda x: w * fg.sin(x) / 2.0):
        assert fg.numerical_derivative(f, 1.0, method="richardson") == pytest.approx(math.cos(1.0), rel=1e-12)
    assert fg.numerical_derivative(lambda x: x.sin(), fg.Value(1.0)) == pytest.approx(math.cos(1.0), rel=1e-9)


def test_a_numerical_derivative_is_a_float_that_pickles(fg: ModuleType) -> None:
    found = fg.numerical_derivative(parabola, 3.0, 1e-3)
    assert isinstance(found, float) and f"{found:.3f}" == "14.000" and "error=" in repr(found)
    again = pickle.loads(pickle.dumps(found))
    assert (again, again.error, again.h, again.method) == (found, found.error, 1e-3, "central")


WRONG_STEPS: list[tuple[Any, type[Exception], str]] = [
    (0.0, ValueError, "other than 0"),
    (1e-20, ValueError, r"x \+ h == x"),
    ([1e-3, 0], ValueError, "other than 0"),
    (math.nan, ValueError, "finite"),
    (math.inf, ValueError, "finite"),
    (1e308, ValueError, "infinite"),
    ("a", TypeError, "real number"),
]


@pytest.mark.parametrize("h, error, said", WRONG_STEPS)
def test_a_step_that_cannot_be_is_refused(fg: ModuleType, h: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        fg.numerical_derivative(parabola, 1.5e308 if h == 1e308 else 3.0, h)


@pytest.mark.parametrize("f", ["sin", "real", "comparison"])
def test_what_takes_no_complex_number_says_so(fg: ModuleType, f: str) -> None:
    functions: dict[str, Function] = {"sin": fg.sin, "real": lambda x: 5.0, "comparison": lambda x: x if x > 0 else -x}
    with pytest.raises((TypeError, ValueError), match="method='complex'"):
        fg.numerical_derivative(functions[f], 1.0, method="complex")


# ------------------------------------------------------------------------------------------------------------ exact


@few
@given(x=st.floats(-3.0, 3.0), order=st.integers(1, 4))
def test_derivatives_of_any_order_equal_mpmaths(fg: ModuleType, x: float, order: int) -> None:
    found = fg.derivative(lambda x: fg.sin(x) * fg.exp(-x * x / 4.0), x, order)
    with mpmath.workdps(40):
        exact = mpmath.diff(lambda t: mpmath.sin(t) * mpmath.exp(-t * t / 4), x, order)
    assert found == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


def test_derivatives_are_taken_at_arrays_and_values(fg: ModuleType) -> None:
    np.testing.assert_array_equal(fg.derivative(lambda x: x**3, [1.0, 2.0]), [3.0, 12.0])
    x = fg.Value(2.0)
    slope = fg.derivative(fg.compile(lambda x: x**3), x)
    slope.backward()
    assert (slope.data, x.grad) == (12.0, 12.0)


def test_derivatives_of_a_value_leave_grad_alone(fg: ModuleType) -> None:
    a, b, c, f = (fg.Value(x, label=name) for x, name in ((2.0, "a"), (-3.0, "b"), (10.0, "c"), (-2.0, "f")))
    a.grad = 7.0
    e = a * b
    d = e + c
    loss = d * f
    wanted = {loss: 1.0, f: 4.0, d: -2.0, e: -2.0, c: -2.0, a: 6.0, b: -4.0}
    assert {node: fg.derivative(loss, node) for node in wanted} == wanted
    assert [fg.derivative(loss, name) for name in "abcf"] == [6.0, -4.0, -2.0, 4.0]
    assert [node.grad for node in (a, b, c, e, loss)] == [7.0, 0.0, 0.0, 0.0, 0.0]


def test_derivatives_of_a_value_take_in_nodes_of_ones_own(fg: ModuleType) -> None:
    x = fg.Value(3.0)
    out = fg.Value(x.data**2, (x,), "square")

    def closure() -> None:
        x.grad += 2.0 * x.data * out.grad

    out._backward = closure
    assert fg.derivative(out * x, x) == 27.0
    assert fg.partial(out, x) == 6.0


# --------------------------------------------------------------------------------------------------------- partial


def test_partials_hold_the_other_arguments(fg: ModuleType) -> None:
    """One of the documents says b + 2 c for the first: differences settle it."""

    def d(a: Any, b: Any, c: Any) -> Any:
        return a * b + a * c**2

    at = (2.0, 3.0, 5.0)
    assert [fg.partial(d, wrt)(*at) for wrt in ("a", "b", "c")] == [28.0, 2.0, 20.0]
    assert fg.partial(d, 0)(*at) == fg.partial(fg.compile(d), "a")(c=5.0, b=3.0, a=2.0) == 3.0 + 5.0**2
    measured = fg.numerical_derivative(lambda a: d(a, 3.0, 5.0), 2.0)
    assert abs(measured - 28.0) <= measured.error < abs(measured - (3.0 + 2 * 5.0))
    assert fg.partial(fg.partial(d, "a"), "c")(*at) == 10.0
    np.testing.assert_array_equal(fg.partial(d, "a")([1.0, 2.0], 3.0, [0.0, 1.0]), [3.0, 4.0])


def test_a_partial_of_a_value_stays_at_the_node_and_a_total_goes_through_the_graph(fg: ModuleType) -> None:
    a = fg.Value(3.0)
    b = 2.0 * a
    product = a * b
    assert fg.partial(product, a) == 6.0
    assert fg.total(product, a) == 12.0
    with pytest.raises(ValueError, match="no operand"):
        fg.partial(product + 1.0, a)


# ----------------------------------------------------------------------------------------------------------- total


@few
@given(a=st.floats(0.1, 10.0), c=st.floats(0.1, 10.0))
def test_the_total_derivative_under_a_constraint(fg: ModuleType, a: float, c: float) -> None:
    total = fg.total(volume, "a", given={"b": lambda a: a})
    assert total(a, c) == pytest.approx(8.0 / 3.0 * math.pi * a * c, rel=1e-14)
    substituted_first = fg.partial(lambda a, c: volume(a, a, c), "a")(a, c)
    assert total(a, c) == substituted_first
    substituted_afterwards = fg.partial(volume, "a")(a, a, c)
    assert total(a, c) / substituted_afterwards == pytest.approx(2.0, rel=1e-14)


@few
@given(t=st.floats(0.2, 3.0), s=st.floats(0.2, 3.0))
def test_total_derivatives_follow_chains_of_dependencies(fg: ModuleType, t: float, s: float) -> None:
    chain = {"c": lambda b, s: b * s, "a": lambda t: fg.sin(t), "b": lambda a, t: a**2 + t}
    total = fg.total(volume, "t", given=chain)
    assert total.free == ("s", "t")

    def whole(s: Any, t: Any) -> Any:
        a = fg.sin(t)
        b = a**2 + t
        return volume(a, b, b * s)

    assert total(s, t) == pytest.approx(fg.partial(whole, "t")(s, t), rel=1e-12)
    assert sum(total.terms(s, t).values()) == pytest.approx(total(s, t), rel=1e-12)


def test_without_dependencies_the_total_is_the_partial(fg: ModuleType) -> None:
    assert fg.total(volume, "b")(2.0, 3.0, 4.0) == fg.partial(volume, "b")(2.0, 3.0, 4.0)
    np.testing.assert_array_equal(fg.total(volume, 1, {})([1.0, 2.0], 1.0, 3.0), [4.0 * math.pi, 8.0 * math.pi])


WRONG_DEPENDENCIES: list[tuple[Any, str, type[Exception], str]] = [
    ({"b": lambda c: c, "c": lambda b: b}, "a", ValueError, "circle: b depends on c depends on b"),
    ({"b": lambda b: b}, "a", ValueError, "circle: b depends on b"),
    ({"b": lambda a: a}, "b", ValueError, "not free"),
    ({"b": lambda a: a}, "z", ValueError, "none of the arguments of volume"),
    ({"z": lambda a: a}, "a", ValueError, "'z' is neither"),
    ({"b": 2.0}, "a", TypeError, "function of other variables"),
    ({"b": lambda *a: a}, "a", TypeError, "name its parameters"),
    (3, "a", TypeError, "mapping"),
]


@pytest.mark.parametrize("dependencies, wrt, error, said", WRONG_DEPENDENCIES)
def test_dependencies_that_cannot_be_are_refused(
    fg: ModuleType, dependencies: Any, wrt: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        fg.total(volume, wrt, given=dependencies)


def test_total_refuses_functions_of_vectors(fg: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"signature '\(n\)->\(\)'"):
        fg.total(fg.compile(lambda x: fg.dot(x, x), signature="(n)->()"), "x")


# ------------------------------------------------------------------------------------------------------ differential


@few
@given(st.lists(st.floats(0.5, 2.0), min_size=3, max_size=3), st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3))
def test_the_differential_is_what_is_left_for_small_changes(fg: ModuleType, x: list[float], dx: list[float]) -> None:
    whole = fg.differential(volume, tuple(x), tuple(dx))
    expected = math.fsum(fg.partial(volume, i)(*x) * dx[i] for i in range(3))
    assert whole == pytest.approx(expected, rel=1e-12, abs=1e-12)
    for scale in (1e-1, 1e-2, 1e-3):
        small = tuple(scale * d for d in dx)
        change = volume(*(a + b for a, b in zip(x, small, strict=True))) - volume(*x)
        assert abs(change - fg.differential(volume, tuple(x), small)) <= 60.0 * scale**2


def test_differentials_of_vectors_names_and_values(fg: ModuleType) -> None:
    point, step = {"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 0.1, "b": 0.2, "c": 0.3}
    assert fg.differential(volume, point, step) == fg.differential(volume, (1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    assert fg.differential(volume, [1.0, 2.0, 3.0], np.array([0.1, 0.2, 0.3])) == fg.differential(volume, point, step)
    assert fg.differential(lambda x: fg.dot(x, x), [3.0, 4.0], [1.0, 1.0]) == 14.0
    np.testing.assert_array_equal(fg.differential(lambda x: [x[0] * x[1], x[0]], [3.0, 4.0], [1.0, 1.0]), [7.0, 1.0])
    a, b = fg.Value(3.0, label="a"), fg.Value(4.0)
    assert fg.differential(a * b, ("a", b), (1.0, 2.0)) == 10.0
    assert fg.differential(a * b, a, 0.5) == 2.0


# -------------------------------------------------------------------------------------------------------- bad input

BAD: dict[str, tuple[Callable[[ModuleType], Any], type[Exception], str]] = {
    "no function": (lambda fg: fg.partial(3.0, "a"), TypeError, "expected a function"),
    "a value where a function is needed": (
        lambda fg: fg.numerical_derivative(fg.Value(1.0), 1.0),
        TypeError,
        "a Value is a result",
    ),
    "no arguments": (lambda fg: fg.numerical_derivative(lambda: 1.0, 1.0), TypeError, "takes no arguments"),
    "no arguments, partial": (lambda fg: fg.partial(lambda: 1.0, "a"), TypeError, "takes no arguments"),
    "no arguments, total": (lambda fg: fg.total(lambda: 1.0, "a"), TypeError, "takes no arguments"),
    "several arguments": (lambda fg: fg.derivative(volume, 1.0), TypeError, "'a', 'b', 'c'; partial"),
    "several, by differences": (lambda fg: fg.numerical_derivative(volume, 1.0), TypeError, "hold the others"),
    "not scalar": (lambda fg: fg.derivative(lambda x: (x, x), 1.0), TypeError, "one number"),
    "a list": (lambda fg: fg.numerical_derivative(lambda x: [x], 1.0), TypeError, "one number, got list"),
    "an infinite place": (lambda fg: fg.numerical_derivative(parabola, math.inf), ValueError, "finite"),
    "an array": (lambda fg: fg.numerical_derivative(parabola, [1.0]), TypeError, "real number"),
    "no such method": (
        lambda fg: fg.numerical_derivative(parabola, 1.0, method="x"),
        ValueError,
        "'forward', 'central'",
    ),
    "order 0": (lambda fg: fg.derivative(parabola, 1.0, 0), ValueError, "at least 1"),
    "order 1.5": (lambda fg: fg.derivative(parabola, 1.0, 1.5), ValueError, "whole number"),
    "no such name": (lambda fg: fg.partial(volume, "z"), ValueError, "'a', 'b', 'c'"),
    "no such number": (lambda fg: fg.partial(volume, 3), ValueError, "'a', 'b', 'c'"),
    "not in the graph": (lambda fg: fg.derivative(fg.Value(2.0) * 3.0, fg.Value(2.0)), ValueError, "not in the graph"),
    "total not in the graph": (lambda fg: fg.total(fg.Value(2.0) * 3.0, fg.Value(2.0)), ValueError, "not in the graph"),
    "no such label": (lambda fg: fg.derivative(fg.Value(2.0, label="a") * 3.0, "b"), ValueError, "'b'.*'a'"),
    "two of one label": (
        lambda fg: fg.derivative(fg.Value(2.0, label="a") * fg.Value(3.0, label="a"), "a"),
        ValueError,
        "2 Values",
    ),
    "a number for a node": (lambda fg: fg.partial(fg.Value(2.0) * 3.0, 2.0), TypeError, "expected a Value"),
    "too few numbers": (
        lambda fg: fg.differential(volume, (1.0, 2.0, 3.0), (1.0, 2.0)),
        TypeError,
        "a point of 2",
    ),
    "an unknown name": (lambda fg: fg.differential(volume, {"z": 1.0}, {"z": 1.0}), ValueError, "'z' is none"),
    "other shapes": (
        lambda fg: fg.differential(lambda x: fg.dot(x, x), [1.0, 2.0], [1.0]),
        ValueError,
        r"shape \(2,\)",
    ),
    "as many steps": (
        lambda fg: fg.differential(fg.Value(2.0) * 3.0, (), (1.0,)),
        ValueError,
        r"shape \(0,\)",
    ),
    "a word for a number": (lambda fg: fg.differential(parabola, "a", 1.0), TypeError, "real number"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_clearly(fg: ModuleType, what: str) -> None:
    call, error, said = BAD[what]
    with pytest.raises(error, match=said):
        call(fg)
