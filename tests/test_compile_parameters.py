"""Values that a compiled function uses but does not get: parameters, read at each call, and their gradients."""

from __future__ import annotations

import copy
import random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from compiled import agree, differences


def line(fg: ModuleType) -> tuple[Any, Any, Any]:
    slope, offset = fg.Value(2.0), fg.Value(-1.0)
    return fg.compile(lambda x: slope * x + offset), slope, offset


def test_parameters_are_read_at_each_call(fg: ModuleType) -> None:
    f, slope, offset = line(fg)
    assert f([1.0, 2.0]).tolist() == [1.0, 3.0] and f(3.0) == 5.0
    slope.data, offset.data = 10.0, 1.0
    assert f([1.0, 2.0]).tolist() == [11.0, 21.0] and f(3.0) == 31.0
    assert f.parameters == (slope, offset) and len(f.paths) == 1


def test_parameters_guard_paths_as_well(fg: ModuleType) -> None:
    w = fg.Value(1.0)
    f = fg.compile(lambda x: x * w if w > 0.0 else x - w)
    assert f(3.0) == 3.0
    w.data = -2.0
    assert f(3.0) == 5.0 and len(f.paths) == 2


def test_a_captured_result_is_computed_anew_from_its_leaves(fg: ModuleType) -> None:
    w = fg.Value(3.0)
    square = w * w
    f = fg.compile(lambda x: square * x)
    assert f(2.0) == 18.0 and f.parameters == (w,)
    w.data = 4.0
    assert f(2.0) == 32.0
    assert f.backward(2.0) == 32.0 and (w.grad, square.grad) == (16.0, 0.0)


def test_gradients_with_respect_to_parameters(fg: ModuleType) -> None:
    f, _, _ = line(fg)
    x = np.array([[1.0], [2.0], [5.0]])
    assert f.grad(x, argnums="parameters").tolist() == [[[1.0, 1.0]], [[2.0, 1.0]], [[5.0, 1.0]]]
    to_x, to_parameters = f.grad(3.0, argnums=("x", "parameters"))
    assert to_x == 2.0 and to_parameters.tolist() == [3.0, 1.0]
    assert f.hessian(3.0, argnums=("parameters", 0))[0][1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_backward_is_that_of_the_eager_batch(fg: ModuleType, reduction: str) -> None:
    random.seed(5)
    model = fg.nn.MLP(2, [5, 1], activation="tanh")
    rng = np.random.default_rng(9)
    xs, ys = rng.normal(size=(40, 2)), rng.normal(size=40)
    loss = fg.compile(lambda x, y: (model(x) - y) ** 2, "(2),()->()")
    got = loss.backward(xs, ys, reduction=reduction)
    gradients = [p.grad for p in model.parameters()]
    eager = getattr(fg, reduction)([(model(list(x)) - y) ** 2 for x, y in zip(xs, ys, strict=True)])
    model.zero_grad()
    eager.backward()
    assert type(got) is float and got == pytest.approx(eager.data, rel=1e-12)
    assert gradients == pytest.approx([p.grad for p in model.parameters()], rel=1e-11, abs=1e-14)
    loss.backward(xs, ys, reduction=reduction)
    assert [p.grad for p in model.parameters()] == pytest.approx([2.0 * g for g in gradients])


def test_training_a_compiled_model(fg: ModuleType) -> None:
    random.seed(6)
    model = fg.nn.MLP(2, [8, 1], activation="tanh")
    optimizer = fg.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x = np.random.default_rng(10).uniform(-1, 1, size=(100, 2))
    y = x.sum(axis=1)
    loss = fg.compile(lambda x, y: (model(x) - y) ** 2, "(2),()->()")
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        losses.append(loss.backward(x, y))
        optimizer.step()
    assert losses[-1] < 0.01 * losses[0]
    predict = fg.compile(model, "(2)->()")
    assert np.mean((predict(x) - y) ** 2) == pytest.approx(loss(x, y).mean(), rel=1e-12)


def test_parameters_of_a_model_as_an_argument(fg: ModuleType) -> None:
    """A model as plain data: nested structures of arrays."""

    @fg.compile(signature="(h,2),(h),(h),(2)->()")
    def net(w: Any, b: Any, v: Any, x: Any) -> Any:
        return fg.dot(v, [fg.tanh(fg.dot(row, x) + offset) for row, offset in zip(w, b, strict=True)])

    rng = np.random.default_rng(11)
    w, b, v, x = rng.normal(size=(4, 2)), rng.normal(size=4), rng.normal(size=4), rng.normal(size=(30, 2))
    assert np.allclose(net(w, b, v, x), np.tanh(x @ w.T + b) @ v)
    total, gradients = net.sum_grad(w, b, v, x, argnums=("w", "b", "v"))
    assert [g.shape for g in gradients] == [(4, 2), (4,), (4,)]
    flat = differences(lambda *p: net(np.reshape(p, (4, 2)), b, v, x).sum(), *w.ravel())
    assert gradients[0].ravel() == pytest.approx(flat, rel=1e-6) and total == pytest.approx(net(w, b, v, x).sum())


def test_backward_with_one_row_and_none(fg: ModuleType) -> None:
    f, slope, offset = line(fg)
    assert f.backward(4.0) == 7.0 and (slope.grad, offset.grad) == (4.0, 1.0)
    assert f.backward(np.empty((0, 3)), reduction="sum") == 0.0 and slope.grad == 4.0
    with pytest.raises(ValueError, match="no rows"):
        f.backward([])


def test_backward_needs_parameters_and_one_number(fg: ModuleType) -> None:
    w = fg.Value(1.0)
    with pytest.raises(TypeError, match=r"uses no Value.*sum_grad"):
        fg.compile(lambda x: x * x).backward([1.0])
    with pytest.raises(TypeError, match=r"one number.*jacobian"):
        fg.compile(lambda x: (w, x)).backward([1.0])
    with pytest.raises(ValueError, match=r"'mean' or 'sum', got 'max'"):
        fg.compile(lambda x: w * x).backward([1.0], reduction="max")
    assert w.grad == 0.0


def test_gradients_stay_as_they_were_when_something_fails(fg: ModuleType) -> None:
    w = fg.Value(1.0)

    @fg.compile
    def f(x: Any) -> Any:
        if x < 0.0:
            raise ArithmeticError("negative")
        return w * x

    with pytest.raises(ArithmeticError, match="negative"):
        f.backward([1.0, -1.0])
    assert w.grad == 0.0 and f.backward([1.0, 3.0]) == 2.0 and w.grad == 2.0


def test_a_parameter_keeps_living(fg: ModuleType) -> None:
    w = fg.Value(3.0)
    f = fg.compile(lambda x, w=w: w * x)
    assert f(2.0).data == 6.0  # a Value that is an argument, if by default
    g = fg.compile((lambda w: lambda x: w * x)(w))
    g(1.0)
    del w
    assert g(2.0) == 6.0


def test_models_that_hold_compiled_methods_are_copied(fg: ModuleType) -> None:
    class Scale(fg.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.w = fg.Value(2.0)

        def parameters(self) -> list[Any]:
            return [self.w]

        @fg.compile
        def forward(self, x: Any) -> Any:
            return self.w * x

    model = Scale()
    assert model.forward([1.0, 2.0]).tolist() == [2.0, 4.0]
    other = copy.deepcopy(model)
    other.w.data = 5.0
    assert other.forward([1.0, 2.0]).tolist() == [5.0, 10.0] and model.forward(1.0) == 2.0
    assert other.forward.parameters == (other.w,)
    assert list(model.state_dict().values()) == [2.0]


def test_inside_of_a_recording_parameters_stay_variable(fg: ModuleType) -> None:
    w = fg.Value(2.0)
    inner = fg.compile(lambda x: w * x * x)
    outer = fg.compile(lambda x: x + inner(3.0) + inner.grad(5.0))
    assert outer(1.0) == 1.0 + 18.0 + 20.0
    w.data = 3.0
    assert outer(1.0) == 1.0 + 27.0 + 30.0
    assert outer.parameters == (w,) and outer.grad(1.0, argnums="parameters").tolist() == [19.0]


def test_parameters_agree_with_eager_to_the_last_bit(fg: ModuleType) -> None:
    random.seed(7)
    model = fg.nn.MLP(3, [4, 2], activation="sigmoid")
    f = fg.compile(lambda x: fg.logsumexp(model(x)), "(3)->()")
    for x in np.random.default_rng(12).normal(size=(5, 3)):
        model.zero_grad()
        eager = fg.logsumexp(model([fg.Value(v) for v in x]))
        eager.backward()
        value, gradient = f.value_and_grad(x, argnums="parameters")
        places = {p: i for i, p in enumerate(f.parameters)}
        expected = np.zeros(len(places))
        for p in model.parameters():
            expected[places[p]] = p.grad
        assert agree(fg, value, eager.data) and agree(fg, gradient, expected)
