"""check_grad: right gradients pass to the last bits, wrong ones are found and the operation named."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

INNER = ["sin", "exp", "log1p", "tanh", "sqrt", "gelu", "erf", "arctan", "cbrt", "softplus", "log_ndtr", "lgamma"]
SLOW = ["log1p", "sqrt", "arctan", "cbrt", "lgamma"]  # their slopes never vanish beside their values


@settings(max_examples=60)
@given(
    names=st.lists(st.sampled_from(INNER), min_size=3, max_size=3),
    x=st.floats(0.1, 3.0),
    y=st.floats(0.1, 3.0),
    scale=st.sampled_from([1e-200, 1.0, 1e200]),
)
def test_right_gradients_pass(fg: ModuleType, names: list[str], x: float, y: float, scale: float) -> None:
    a, b, c = (getattr(fg, name) for name in names)
    report = fg.check_grad(lambda x, y: scale * (a(b(x) * y + 1.5) + c(x / y) * fg.hypot(x, y)), (x, y))
    assert report, str(report)
    assert report.operation is None
    report.raise_if_wrong()


@settings(max_examples=60)
@given(
    name=st.sampled_from(INNER),
    x=st.floats(0.5, 2.0),
    wrong=st.sampled_from([1e-6, -1e-6, 1e-3, -1.0, -2.0]),
    outer=st.sampled_from(SLOW),
)
def test_a_wrong_local_gradient_is_found_and_named(
    fg: ModuleType, name: str, x: float, wrong: float, outer: str
) -> None:
    def crooked(x: Any) -> Any:
        right = getattr(fg, name)(x)
        return fg.Value(right.data, (x,), tuple(slope * (1.0 + wrong) for slope in right._local_grads))

    def f(x: Any) -> Any:
        return getattr(fg, outer)(crooked(0.5 * x) ** 2 + 1.0) + x

    report = fg.check_grad(f, x)
    if abs(fg.derivative(lambda x: getattr(fg, name)(0.5 * x), x) * crooked(fg.Value(0.5 * x)).data * wrong) < 1e-9:
        return  # where the node has no share worth mentioning
    assert not report
    assert report.operation.node._children[0].data == 0.5 * x
    assert len(report.culprits) == 1
    assert report.operation.passed_on == pytest.approx(report.operation.expected * (1.0 + wrong), rel=1e-9)


def closure_node(fg: ModuleType, x: Any, slope: float) -> Any:
    t = math.tanh(x.data)
    out = fg.Value(t, (x,), "tanh")

    def _backward() -> None:
        x.grad += slope * out.grad

    out._backward = _backward
    return out


def test_a_wrong_closure_is_named_with_its_place(fg: ModuleType) -> None:
    report = fg.check_grad(lambda x, y: fg.exp(closure_node(fg, x * y, 1.0 - math.tanh(-1.0))), (0.5, -2.0))
    assert not report and not report.ok
    assert [component.excess > 0.0 for component in report.components] == [True, True]
    assert report.worst.name in ("x", "y")
    assert report.operation.node._op == "tanh" and len(report.culprits) == 1
    place = f"{__file__}:{closure_node.__code__.co_firstlineno + 4}"
    assert place in report.operation.operation
    assert "wrong in 2 of 2" in str(report) and place in str(report)
    with pytest.raises(AssertionError, match="tanh"):
        report.raise_if_wrong()


def test_a_right_closure_passes(fg: ModuleType) -> None:
    assert fg.check_grad(lambda x: closure_node(fg, x, 1.0 - math.tanh(0.5) ** 2), 0.5)


@pytest.mark.parametrize("lost", [lambda fg, x: fg.Value(2.0 * x.data), lambda fg, x: 2.0 * float(x)])
def test_a_derivative_lost_through_data_is_found(fg: ModuleType, lost: Callable[..., Any]) -> None:
    report = fg.check_grad(lambda x: lost(fg, x) * x, 2.0)
    assert not report and report.worst.exact == 4.0
    assert len(report.culprits) == 1 and ".data" in report.operation.reason
    assert report.operation.node.data == 4.0


def test_a_swapped_partial_is_found_in_the_component_that_it_spoils(fg: ModuleType) -> None:
    report = fg.check_grad(lambda x: fg.Value(x[0].data * x[1].data, tuple(x), (x[1].data, x[1].data)), [2.0, 3.0])
    assert [component.excess > 0.0 for component in report.components] == [False, True]
    assert report.worst.name == "x[1]" and report.worst.exact == 3.0
    assert report.worst.numerical == pytest.approx(2.0, rel=1e-12)


def test_the_share_in_the_component_decides_which_of_two_operations_comes_first(fg: ModuleType) -> None:
    def wrong(x: Any, factor: float) -> Any:
        return fg.Value(x.data, (x,), (factor,))

    report = fg.check_grad(lambda x: wrong(x, 1.5) + 10.0 * wrong(2.0 * x, 1.5), 3.0)
    assert [culprit.node.data for culprit in report.culprits] == [6.0, 3.0]


@pytest.mark.parametrize("name", ["relu", "abs", "maximum", "branch"])
def test_at_a_kink_any_slope_between_both_sides_is_right(fg: ModuleType, name: str) -> None:
    kinks: dict[str, tuple[Callable[..., Any], float]] = {
        "relu": (fg.relu, 0.0),
        "abs": (abs, 0.0),
        "maximum": (lambda x: fg.maximum(x, 1.0), 1.0),
        "branch": (lambda x: x if x > 0.0 else 2.0 * x, 0.0),
    }
    f, x = kinks[name]
    assert fg.check_grad(f, x)
    assert not fg.check_grad(f, x, grad=lambda x: 2.5)


def test_compiled_functions_are_checked_by_their_own_gradient(fg: ModuleType) -> None:
    assert fg.check_grad(fg.compile(lambda x, y: x**y), (2.0, 3.0))
    assert fg.check_grad(fg.compile(lambda x: fg.dot(x, x) * x[0], signature="(n)->()"), np.arange(1.0, 4.0))


def test_a_gradient_by_hand_is_checked(fg: ModuleType) -> None:
    assert fg.check_grad(lambda x, y: x * y, (2.0, 3.0), grad=lambda x, y: (y, x))
    report = fg.check_grad(lambda x, y: x * y, {"x": 2.0, "y": 3.0}, grad=lambda x, y: (y, y))
    assert not report and report.worst.name == "y" and "no single operation" in str(report)
    with pytest.raises(ValueError, match="one number for each of 2"):
        fg.check_grad(lambda x, y: x * y, (2.0, 3.0), grad=lambda x, y: y)


def test_gradients_of_parameters_are_left_alone(fg: ModuleType) -> None:
    w = fg.Value(3.0)
    w.grad = 7.0
    assert fg.check_grad(lambda x: w * x * x, 2.0)
    assert w.grad == 7.0


def test_a_network_passes(fg: ModuleType) -> None:
    random.seed(1)
    model = fg.nn.MLP(3, [4, 1], activation="tanh")
    assert fg.check_grad(model, [0.1, -0.2, 0.3])


def test_a_constant_has_the_gradient_zero(fg: ModuleType) -> None:
    assert fg.check_grad(lambda x: 5.0, 1.0).worst.exact == 0.0


BAD: list[tuple[Callable[..., Any], Any, type[Exception], str]] = [
    (lambda x: (x, x), 1.0, TypeError, "one number"),
    (lambda x: "a", 1.0, TypeError, "one number, got str"),
    (lambda: 1.0, 1.0, TypeError, "takes no arguments"),
    (lambda x, y: x, 1.0, TypeError, "takes 'x', 'y'"),
    (lambda x, y: x, {"x": 1.0, "z": 2.0}, ValueError, "'z' is none"),
    (lambda x: x * random.random(), 1.0, ValueError, "at the same point"),
    (lambda x: x * math.inf, 1.0, ValueError, "finite at x"),
    (lambda x: x, "a", TypeError, "real number"),
]


@pytest.mark.parametrize("f, x, error, said", BAD)
def test_bad_input_is_refused_clearly(
    fg: ModuleType, f: Callable[..., Any], x: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        fg.check_grad(f, x)
    with pytest.raises(TypeError, match="a Value is a result"):
        fg.check_grad(fg.Value(2.0), x)
