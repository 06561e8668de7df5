"""The worked examples of the project's two source documents, as far as reverse mode goes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


def gradients(output: Any, *inputs: Any) -> tuple[float, ...]:
    """The derivatives of one output to some inputs, apart from what other calls have accumulated."""
    output.zero_grad()
    output.backward()
    return tuple(v.grad for v in inputs)


# -------------------------------------------------------------------------------------------- 1. slope by rise over run


def parabola(x: Any) -> Any:
    return 3 * x**2 - 4 * x + 5


def test_slope_of_the_parabola(fg: ModuleType) -> None:
    x = fg.Value(3.0)
    y = parabola(x)
    assert y.data == 20.0
    assert parabola(fg.Value(3.001)).data == parabola(3.001) == 20.014003000000002
    assert gradients(y, x) == (14.0,)


def test_difference_quotients_tend_to_the_slope_until_rounding_wins(fg: ModuleType) -> None:
    def error(h: float) -> float:
        return abs((parabola(fg.Value(3.0 + h)).data - parabola(fg.Value(3.0)).data) / h - 14.0)

    assert error(1e-2) > error(1e-4) > error(1e-7)
    assert error(1e-13) > error(1e-7)
    assert error(1e-7) < 1e-6


# --------------------------------------------------------------------------------------------------- 2. with respect to


def test_derivative_is_with_respect_to_one_input(fg: ModuleType) -> None:
    a, b, c = fg.Value(2.0), fg.Value(-3.0), fg.Value(10.0)
    assert gradients(b * a + c, a, b, c) == (-3.0, 2.0, 1.0)
    assert gradients(b * a + c**2, a, b, c) == (-3.0, 2.0, 20.0)


def test_derivative_of_ab_plus_ac2_to_a_is_b_plus_c2(fg: ModuleType) -> None:
    """One of the documents says b + 2c."""
    a, b, c = fg.Value(2.0), fg.Value(-3.0), fg.Value(10.0)
    (da,) = gradients(a * b + a * c**2, a)
    assert da == b.data + c.data**2
    assert da != b.data + 2 * c.data


# ---------------------------------------------------------------------------- 3., 4. the small graph and its chain rule


def test_small_graph(fg: ModuleType) -> None:
    a, b, c, f = fg.Value(2.0), fg.Value(-3.0), fg.Value(10.0), fg.Value(-2.0)
    e = a * b
    d = e + c
    loss = d * f
    assert (e.data, d.data, loss.data) == (-6.0, 4.0, -8.0)
    assert gradients(loss, loss, f, d, e, c, a, b) == (1.0, 4.0, -2.0, -2.0, -2.0, 6.0, -4.0)


def test_chain_rule_along_a_path_is_the_product_of_local_gradients(fg: ModuleType) -> None:
    a, b, c, f = fg.Value(2.0), fg.Value(-3.0), fg.Value(10.0), fg.Value(-2.0)
    e = a * b
    d = e + c
    loss = d * f

    def local(of: Any, to: Any) -> float:
        return float(of._local_grads[of._children.index(to)])

    assert (local(d, e), local(d, c)) == (1.0, 1.0)
    assert (local(e, a), local(e, b)) == (b.data, a.data)
    dc, da = gradients(loss, c, a)
    assert local(loss, d) * local(d, c) == -2.0 * 1.0 == dc
    assert local(loss, d) * local(d, e) * local(e, a) == da


# ---------------------------------------------------------------------------------------------------------- 5. a neuron


@pytest.mark.parametrize(
    "activation",
    [
        lambda n: n.tanh(),
        lambda n: ((2 * n).exp() - 1) / ((2 * n).exp() + 1),
        lambda n: (n.exp() - (-n).exp()) / (n.exp() + (-n).exp()),
        lambda n: 2 * (2 * n).sigmoid() - 1,
        lambda n: n.sinh() / n.cosh(),
    ],
    ids=["tanh", "exp(2n)", "exp(n), exp(-n)", "sigmoid", "sinh/cosh"],
)
def test_neuron_in_one_node_or_in_parts(activation: Callable[[Any], Any], fg: ModuleType) -> None:
    x1, x2, w1, w2 = fg.Value(2.0), fg.Value(0.0), fg.Value(-3.0), fg.Value(1.0)
    o = activation(w1 * x1 + w2 * x2 + 6.8813735870195432)
    assert o.data == pytest.approx(math.sqrt(0.5), rel=1e-15)
    assert gradients(o, x1, w1, x2, w2) == pytest.approx((-1.5, 1.0, 0.5, 0.0), rel=1e-14)


# ------------------------------------------------------------------------------------------------- 6. partial and total


def ellipsoid(a: Any, b: Any, c: Any) -> Any:
    return 4.0 / 3.0 * math.pi * a * b * c


def test_partial_and_total_derivative_of_the_ellipsoid(fg: ModuleType) -> None:
    a, c = fg.Value(2.0), fg.Value(5.0)
    partial = 4.0 / 3.0 * math.pi * a.data * c.data

    held = fg.Value(a.data)
    assert gradients(ellipsoid(a, held, c), a) == pytest.approx((partial,))

    constrained = a * 1.0  # b = a
    assert gradients(ellipsoid(a, constrained, c), a) == pytest.approx((2 * partial,))


# -------------------------------------------------------------------------------------------------- 7. the differential


def test_differential_is_the_change_to_first_order(fg: ModuleType) -> None:
    point, direction = (2.0, 3.0, 5.0), (0.5, -1.0, 0.25)
    inputs = [fg.Value(x) for x in point]
    volume = ellipsoid(*inputs)
    slope = sum(g * d for g, d in zip(gradients(volume, *inputs), direction, strict=True))

    def error(h: float) -> float:
        moved = ellipsoid(*(x + h * d for x, d in zip(point, direction, strict=True)))
        return abs((moved - volume.data) / h - slope)

    assert [error(10.0**-k) / error(10.0 ** -(k + 1)) for k in (1, 2, 3)] == pytest.approx([10.0] * 3, rel=0.1)


# ---------------------------------------------------------------------------------------- 8. backpropagation for an MLP


Layers = list[list[list[Any]]]  # weights by layer and neuron, the last of each neuron its bias


def sums_and_activations(weights: Layers, x: list[float], alpha: float) -> tuple[list[list[float]], list[list[float]]]:
    sums, activations = [], [x]
    for layer in weights:
        inputs = [*activations[-1], 1.0]
        sums.append([sum(w * a for w, a in zip(neuron, inputs, strict=True)) for neuron in layer])
        activations.append([1 / (1 + math.exp(-alpha * s)) for s in sums[-1]])
    return sums, activations


def gradients_by_hand(weights: Layers, x: list[float], y: float, alpha: float) -> tuple[Layers, float]:
    """dE/dw and dE/dalpha of E = (o - y)^2, layer by layer from the last, with s' = alpha s (1 - s)."""
    sums, activations = sums_and_activations(weights, x, alpha)
    errors = [2 * (o - y) for o in activations[-1]]  # dE/do of each neuron of the layer
    dw: Layers = []
    dalpha = 0.0
    for k in reversed(range(len(weights))):
        slopes = [o * (1 - o) * e for o, e in zip(activations[k + 1], errors, strict=True)]
        dalpha += sum(s * slope for s, slope in zip(sums[k], slopes, strict=True))
        deltas = [alpha * slope for slope in slopes]
        dw.insert(0, [[delta * a for a in [*activations[k], 1.0]] for delta in deltas])
        columns = list(zip(*weights[k], strict=True))[:-1]
        errors = [sum(delta * w for delta, w in zip(deltas, column, strict=True)) for column in columns]
    return dw, dalpha


def test_backpropagation_formulas_of_an_mlp_agree_with_the_tape(fg: ModuleType) -> None:
    """Two hidden layers, sigmoids of a trainable slope, stochastic gradient descent for each data point."""
    draw = random.Random(3)
    shapes = [(2, 4), (4, 3), (3, 1)]
    weights: Layers = [[[draw.uniform(-1, 1) for _ in range(nin + 1)] for _ in range(nout)] for nin, nout in shapes]
    values = [[list(map(fg.Value, neuron)) for neuron in layer] for layer in weights]
    alpha, eta = fg.Value(1.5), 0.4
    for x, y in [([0.0, 0.0], 0.0), ([0.0, 1.0], 1.0), ([1.0, 0.0], 1.0), ([1.0, 1.0], 0.0)] * 5:
        signal: list[Any] = list(x)
        for layer in values:
            signal = [1 / (1 + (-alpha * fg.dot(neuron, [*signal, 1.0])).exp()) for neuron in layer]
        error = (signal[0] - y) ** 2
        error.zero_grad()
        error.backward()

        dw, dalpha = gradients_by_hand([[[w.data for w in n] for n in layer] for layer in values], x, y, alpha.data)
        assert alpha.grad == pytest.approx(dalpha, rel=1e-10)
        for layer, slopes in zip(values, dw, strict=True):
            for neuron, expected in zip(layer, slopes, strict=True):
                assert [w.grad for w in neuron] == pytest.approx(expected, rel=1e-10, abs=1e-15)
        for p in [alpha, *(w for layer in values for neuron in layer for w in neuron)]:
            p.data -= eta * p.grad
