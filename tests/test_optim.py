"""SGD moves parameters as PyTorch's does, and says clearly what it cannot train."""

from __future__ import annotations

import json
import random

import pytest


def train(fg, steps, **settings):
    x, y = fg.Value(1.0), fg.Value(-2.0)
    optimizer = fg.optim.SGD([x, y], **settings)
    for _ in range(steps):
        optimizer.zero_grad()
        (x * x * y + y * y).backward()
        optimizer.step()
    return x.data, y.data


def by_hand(steps, lr, momentum=0.0, weight_decay=0.0):
    """torch.optim.SGD's documented algorithm (dampening 0, no nesterov) on the same function."""
    p, velocity = [1.0, -2.0], [0.0, 0.0]
    for _ in range(steps):
        x, y = p
        for i, g in enumerate([2 * x * y, x * x + 2 * y]):
            velocity[i] = momentum * velocity[i] + (g + weight_decay * p[i])
            p[i] -= lr * velocity[i]
    return tuple(p)


@pytest.mark.parametrize(
    "settings",
    [{"lr": 0.1}, {"lr": 0.05, "momentum": 0.9}, {"lr": 0.05, "momentum": 0.5, "weight_decay": 0.1}],
)
def test_steps_follow_the_formula_of_pytorch(fg, settings):
    assert train(fg, 7, **settings) == pytest.approx(by_hand(7, **settings), rel=1e-12)


def test_a_rate_of_zero_moves_nothing(fg):
    assert train(fg, 3, lr=0) == (1.0, -2.0)


def test_zero_grad_clears_only_what_is_trained(fg):
    x, y = fg.Value(1.0), fg.Value(2.0)
    (x * y).backward()
    fg.optim.SGD([x], lr=0.1).zero_grad()
    assert (x.grad, y.grad) == (0.0, 1.0)


def test_the_rate_may_change_between_steps(fg):
    x = fg.Value(1.0)
    x.grad = 1.0
    optimizer = fg.optim.SGD([x], lr=0.5)
    optimizer.step()
    optimizer.lr = 0.25
    optimizer.step()
    assert x.data == 0.25


def test_it_trains_a_model(fg):
    random.seed(2)
    model = fg.nn.MLP(2, [8, 1], activation="tanh")
    optimizer = fg.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    rows = [([0, 0], -1), ([0, 1], 1), ([1, 0], 1), ([1, 1], -1)]
    for _ in range(200):
        optimizer.zero_grad()
        loss = fg.mean([(model(x) - y) ** 2 for x, y in rows])
        loss.backward()
        optimizer.step()
    assert loss.data < 1e-3


def test_a_parameter_given_twice_moves_once(fg):
    x = fg.Value(1.0)
    x.grad = 1.0
    fg.optim.SGD(iter([x, x]), lr=0.25).step()
    assert x.data == 0.75


def test_training_goes_on_from_a_saved_state(fg):
    def optimizer_at(data):
        x = fg.Value(data)
        return x, fg.optim.SGD([x], lr=0.1, momentum=0.9, weight_decay=0.01)

    def step(x, optimizer):
        optimizer.zero_grad()
        ((x - 2.0) ** 2).backward()
        optimizer.step()

    x, optimizer = optimizer_at(5.0)
    step(x, optimizer)
    resumed, other = optimizer_at(x.data)
    other.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    for _ in range(3):
        step(x, optimizer)
        step(resumed, other)
    assert resumed.data == x.data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"velocity": [1.0, 2.0]}, r"'velocity': expected a number for each of 1 parameters, got shape \(2,\)"),
        ({"dampening": 0.0}, "expected the names lr, momentum, weight_decay, nesterov, velocity; got .*dampening"),
        ({"lr": -1.0}, "lr.*at least 0, got -1.0"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(fg, change, message):
    optimizer = fg.optim.SGD([fg.Value(1.0)], lr=0.5, momentum=0.9)
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict({**before, "lr": 0.125, **change})
    assert optimizer.state_dict() == before


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
@pytest.mark.parametrize("number", [-0.1, float("nan")])
def test_settings_below_zero_are_refused(fg, name, number):
    with pytest.raises(ValueError, match=rf"SGD\({name}\): expected a number of at least 0, got {number}"):
        fg.optim.SGD([fg.Value(1.0)], **{"lr": 0.1, name: number})


def test_nothing_to_train_is_refused(fg):
    with pytest.raises(ValueError, match="the list is empty"):
        fg.optim.SGD([], lr=0.1)


def test_what_is_no_list_of_values_is_refused(fg):
    with pytest.raises(TypeError, match=r"expected Values, got float 1.5 at position 1"):
        fg.optim.SGD([fg.Value(1.0), 1.5], lr=0.1)
    with pytest.raises(TypeError, match=r"expected an iterable of Values such as model.parameters\(\), got ReLU"):
        fg.optim.SGD(fg.nn.Neuron(2), lr=0.1)


def test_a_result_is_no_parameter(fg):
    x = fg.Value(1.0)
    with pytest.raises(ValueError, match=r"position 1 is the result of '\*'"):
        fg.optim.SGD([x, x * 2], lr=0.1)
