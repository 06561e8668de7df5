"""Losses are what their formulas say, on floats, Values and compiled; at the ends of their range as well."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

mp = mpmath.mp.clone()
mp.dps = 60


def pairs(x, y):
    return zip(x, y, strict=True)


def softplus(z):
    return mp.log1p(mp.exp(z))


def logsumexp(row):
    return mp.log(mp.fsum(mp.exp(z) for z in row))


def average(terms):
    terms = list(terms)
    return mp.fsum(terms) / len(terms)


def huber(e, delta):
    return e * e / 2 if abs(e) <= delta else delta * (abs(e) - delta / 2)


def surprise(p, t):
    return -(t * mp.log(p) + (1 - t) * mp.log1p(-p))


#: loss, the same with mpmath, what the model says, what it should say
NUMBERS = [0.7, -1.3, 2.4]
ROWS = [
    ("mse", lambda x, y: average((a - b) ** 2 for a, b in pairs(x, y)), NUMBERS, [0.5, 1.0, -2.0]),
    ("mae", lambda x, y: average(abs(a - b) for a, b in pairs(x, y)), NUMBERS, [0.5, 1.0, -2.0]),
    ("huber", lambda x, y: average(huber(a - b, 1) for a, b in pairs(x, y)), NUMBERS, [0.5, 1.0, -2.0]),
    ("hinge", lambda x, y: average(max(0, 1 - a * b) for a, b in pairs(x, y)), NUMBERS, [1.0, 1.0, -1.0]),
    (
        "binary_cross_entropy",
        lambda x, y: average(surprise(p, t) for p, t in pairs(x, y)),
        [0.25, 0.75, 1e-9, 1.0 - 2.0**-30],
        [1.0, 0.5, 0.0, 1.0],
    ),
    (
        "binary_cross_entropy_with_logits",
        lambda x, y: average(softplus(z) - t * z for z, t in pairs(x, y)),
        [0.7, -1.3, 45.0, -45.0],
        [0.0, 0.25, 1.0, 0.0],
    ),
    ("cross_entropy", lambda x, y: logsumexp(x) - x[int(y)], NUMBERS, 1.0),
    ("cross_entropy", lambda x, y: mp.fsum(y) * logsumexp(x) - mp.fdot(y, x), NUMBERS, [0.25, 0.5, 0.25]),
    (
        "max_margin",
        lambda x, y: mp.fsum(max(0, 1 - x[int(y)] + s) for i, s in enumerate(x) if i != y) / len(x),
        NUMBERS,
        0.0,
    ),
]
IDS = [f"{name} of {'a class' if isinstance(y, float) else 'a row'}" for name, _, _, y in ROWS]
rows = pytest.mark.parametrize(("name", "exact", "x", "y"), ROWS, ids=IDS)


def compiled(fg, loss, x, y):
    sizes = [f"({len(part)})" if isinstance(part, list) else "()" for part in (x, y)]
    return fg.compile(loss, signature=f"{','.join(sizes)}->()")


@rows
def test_losses_are_exact(fg, name, exact, x, y):
    expected = float(exact(list(map(mp.mpf, x)), y))
    assert getattr(fg.nn, name)(x, y) == pytest.approx(expected, rel=1e-14)


@rows
def test_gradients_are_the_slopes_of_the_exact_loss(fg, name, exact, x, y):
    values = list(map(fg.Value, x))
    getattr(fg.nn, name)(values, y).backward()
    h = mp.mpf(10) ** -25
    for i, value in enumerate(values):
        up, down = ([mp.mpf(v) + sign * h * (k == i) for k, v in enumerate(x)] for sign in (1, -1))
        assert value.grad == pytest.approx(float((exact(up, y) - exact(down, y)) / (2 * h)), rel=1e-12, abs=1e-15)


@rows
def test_compiled_losses_are_the_eager_ones(fg, backend, name, exact, x, y):
    loss = getattr(fg.nn, name)
    batch = np.array([x, x[::-1]])
    value, slopes = compiled(fg, loss, x, y).value_and_grad(batch, y, argnums=0)
    for row, got, slope in zip(batch.tolist(), value, slopes, strict=True):
        values = list(map(fg.Value, row))
        eager = loss(values, y)
        eager.backward()
        tolerance = 0.0 if backend == "c" else 1e-14
        assert_allclose(got, eager.data, rtol=tolerance)
        assert_allclose(slope, [v.grad for v in values], rtol=tolerance, atol=tolerance)


def test_classes_differ_from_row_to_row_without_new_paths(fg):
    for name in ("cross_entropy", "max_margin"):
        loss = compiled(fg, getattr(fg.nn, name), NUMBERS, 0.0)
        losses = loss([NUMBERS] * 3, [0, 1, 2])
        assert_array_equal(losses, [getattr(fg.nn, name)(NUMBERS, i) for i in range(3)])
        assert len(loss.paths) == 1


@pytest.mark.parametrize(
    ("name", "x", "y", "expected"),
    [
        ("binary_cross_entropy_with_logits", 1e4, 0.0, 1e4),
        ("binary_cross_entropy_with_logits", -1e4, 0.0, 0.0),
        ("binary_cross_entropy", 0.0, 1.0, 100.0),
        ("binary_cross_entropy", 1.0, 0.0, 100.0),
        ("binary_cross_entropy", 0.0, 0.0, 0.0),
        ("binary_cross_entropy", 1.0, 1.0, 0.0),
        ("cross_entropy", [1e4, 0.0], 1, 1e4),
        ("cross_entropy", [-1e4, 1e4], 1, 0.0),
        ("huber", 1e300, 0.0, 1e300),
    ],
)
def test_the_ends_of_the_range_stay_finite(fg, name, x, y, expected):
    loss = getattr(fg.nn, name)
    row = x if isinstance(x, list) else [x]
    values = list(map(fg.Value, row))
    result = loss(values, y)
    result.backward()
    assert result.data == pytest.approx(expected, rel=1e-15)
    assert all(math.isfinite(v.grad) for v in values)
    f = fg.compile(lambda *x: loss(list(x), y))
    assert f(*row) == pytest.approx(expected, rel=1e-15)


def test_regularizers_add_up_parameters(fg):
    layer = fg.nn.Linear(2, 1, rng=0)
    numbers = [p.data for p in layer.parameters()]
    assert fg.nn.l2(layer).data == pytest.approx(sum(x * x for x in numbers))
    fg.nn.l1(layer.parameters()).backward()
    assert [p.grad for p in layer.parameters()] == [np.sign(x) for x in numbers]


@pytest.mark.parametrize(
    ("name", "x", "y", "message"),
    [
        ("mse", [1.0, 2.0], [1.0], "mse: expected as many targets as predictions, got 1 for 2"),
        ("mae", [], [], "mae: expected at least one prediction"),
        ("hinge", 1.0, 0.0, r"hinge\(label\): expected -1 or 1, got 0.0"),
        ("cross_entropy", [1.0, 2.0], 2, r"cross_entropy\(target\): expected a class from 0 to 1, got 2.0"),
        ("cross_entropy", [1.0, 2.0], -1, r"expected a class from 0 to 1, got -1.0"),
        ("cross_entropy", [1.0, 2.0], 0.5, r"expected a class from 0 to 1, got 0.5"),
        ("cross_entropy", [1.0, 2.0], math.nan, r"expected a class from 0 to 1, got nan"),
        ("cross_entropy", [1.0, 2.0], [1.0], r"expected as many targets as predictions, got 1 for 2"),
        ("max_margin", [1.0, 2.0], 7, r"max_margin\(target\): expected a class from 0 to 1, got 7.0"),
        ("binary_cross_entropy", 1.5, 1.0, r"\(probability\): expected a number from 0 to 1, got 1.5"),
        ("binary_cross_entropy", 0.5, 2.0, r"\(target\): expected a number from 0 to 1, got 2.0"),
        ("binary_cross_entropy_with_logits", 0.5, -1.0, r"\(target\): expected a number from 0 to 1, got -1.0"),
    ],
)
def test_what_a_loss_cannot_take_is_named(fg, name, x, y, message):
    loss = getattr(fg.nn, name)
    with pytest.raises(ValueError, match=message):
        loss(x, y)
    if x and not (isinstance(y, list) and len(y) != len(x)):
        with pytest.raises(ValueError, match=message):
            compiled(fg, loss, x, y)(np.array([x]), np.array([y]))


def test_a_wrong_class_in_a_later_row_is_found(fg):
    loss = compiled(fg, fg.nn.cross_entropy, NUMBERS, 0.0)
    with pytest.raises(ValueError, match=r"expected a class from 0 to 2, got 3.0"):
        loss([NUMBERS] * 3, [0, 1, 3])


def test_delta_is_positive(fg):
    with pytest.raises(ValueError, match=r"huber\(delta\): expected a number greater than 0, got 0"):
        fg.nn.huber(1.0, 0.0, delta=0)


TORCH = {
    "mse": "mse_loss",
    "mae": "l1_loss",
    "huber": "huber_loss",
    "binary_cross_entropy": "binary_cross_entropy",
    "binary_cross_entropy_with_logits": "binary_cross_entropy_with_logits",
    "cross_entropy": "cross_entropy",
    "max_margin": "multi_margin_loss",
}


@rows
def test_losses_are_those_of_torch(fg, name, exact, x, y):
    torch = pytest.importorskip("torch")
    if name not in TORCH:
        pytest.skip("PyTorch has no such function")
    prediction = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    target = torch.tensor(y, dtype=torch.float64 if isinstance(y, list) else torch.int64)
    result = getattr(torch.nn.functional, TORCH[name])(prediction, target)
    result.backward()
    values = list(map(fg.Value, x))
    loss = getattr(fg.nn, name)(values, y)
    loss.backward()
    assert_allclose(loss.data, result.item(), rtol=1e-13)
    assert_allclose([v.grad for v in values], prediction.grad.numpy(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "x", "y", "error", "message"),
    [
        ("mse", [0.5, 0.2], None, TypeError, "mse: expected a number, or numbers in a row, got NoneType None"),
        ("mae", "ab", [0.5, 0.2], TypeError, "mae: expected a number, or numbers in a row, got str 'ab'"),
        ("huber", [0.5, 0.2], ["a", "b"], TypeError, "huber: expected Values and real numbers, got str 'a'"),
        ("hinge", [0.5, 0.2], [1, None], TypeError, "hinge: expected Values and real numbers, got NoneType None"),
        ("mse", [[0.5, 0.2]], [[0.5, 0.2]], ValueError, "mse: expected one row of inputs, got list as item 0"),
        ("binary_cross_entropy", [0.5, "a"], [0, 1], TypeError, "expected Values and real numbers, got str 'a'"),
        ("cross_entropy", [0.5, 0.2], None, TypeError, "cross_entropy: expected a number, or numbers in a row"),
        ("cross_entropy", [], 0, ValueError, "cross_entropy: expected a score for each class, got none"),
        ("max_margin", [0.5, 0.2], None, TypeError, r"max_margin\(target\): expected the number of a class, got None"),
        ("max_margin", [0.5, 0.2], [1], TypeError, r"max_margin\(target\): expected the number of a class, got list"),
        ("max_margin", [[0.5], [0.2]], 1, ValueError, "max_margin: expected one row of inputs, got list as item 0"),
    ],
)
def test_what_is_no_row_of_numbers_is_named(fg, name, x, y, error, message):
    with pytest.raises(error, match=message):
        getattr(fg.nn, name)(x, y)


def test_a_number_in_an_array_without_dimensions_is_a_number(fg):
    assert fg.nn.mse(np.array(1.0), np.array(3.0)) == 4.0
    assert fg.nn.cross_entropy([1000.0, 0.0], np.array(1)) == 1000.0
