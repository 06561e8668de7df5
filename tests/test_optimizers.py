"""Optimizers, schedules and clipping follow PyTorch's formulas, and go on from a saved state to the last bit."""

from __future__ import annotations

import json
import math
import pickle
import random

import numpy as np
import pytest
from numpy.testing import assert_allclose

START = [1.0, -2.0, 0.5]


def gradient(p):
    x, y, z = p
    return [2 * x * y + 0.1 * z, x * x + 2 * y, 0.1 * x - math.sin(z)]


def loss(fg, p):
    x, y, z = p
    return x * x * y + y * y + 0.1 * x * z + fg.cos(z)


def train(fg, name, steps, **settings):
    parameters = list(map(fg.Value, START))
    optimizer = getattr(fg.optim, name)(parameters, **settings)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(fg, parameters).backward()
        optimizer.step()
    return [p.data for p in parameters]


# PyTorch's documented algorithms, on one parameter: they return what to subtract. `s` is what is kept of it.


def sgd(p, g, s, t, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
    g = g + weight_decay * p
    s["b"] = momentum * s["b"] + g
    return lr * (g + momentum * s["b"] if nesterov else s["b"])


def adam(p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    s["m"] = betas[0] * s["m"] + (1 - betas[0]) * g
    s["v"] = betas[1] * s["v"] + (1 - betas[1]) * g**2
    return lr * (s["m"] / (1 - betas[0] ** t)) / (math.sqrt(s["v"] / (1 - betas[1] ** t)) + eps)


def adamw(p, g, s, t, lr=1e-3, weight_decay=1e-2, **settings):
    return lr * weight_decay * p + adam(p, g, s, t, lr, **settings)


def rmsprop(p, g, s, t, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    g = g + weight_decay * p
    s["v"] = alpha * s["v"] + (1 - alpha) * g**2
    s["m"] = alpha * s["m"] + (1 - alpha) * g
    s["b"] = momentum * s["b"] + g / (math.sqrt(s["v"] - centered * s["m"] ** 2) + eps)
    return lr * s["b"]


ALGORITHMS = {"SGD": sgd, "Adam": adam, "AdamW": adamw, "RMSprop": rmsprop}
SETTINGS = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.5}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "eps": 0.01, "weight_decay": 0.1, "momentum": 0.5}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "momentum": 0.5, "centered": True}),
]
settings = pytest.mark.parametrize(("name", "given"), SETTINGS, ids=[f"{n} {' '.join(g)}" for n, g in SETTINGS])


@settings
def test_steps_follow_the_published_algorithm(fg, name, given):
    p, kept = list(START), [dict.fromkeys("mvb", 0.0) for _ in START]
    for t in range(1, 9):
        moves = [ALGORITHMS[name](x, g, s, t, **given) for x, g, s in zip(p, gradient(p), kept, strict=True)]
        p = [x - move for x, move in zip(p, moves, strict=True)]
    assert_allclose(train(fg, name, 8, **given), p, rtol=1e-11)


@settings
def test_steps_are_those_of_torch(fg, name, given):
    torch = pytest.importorskip("torch")
    parameters = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([parameters], **given)
    for _ in range(8):
        parameters.grad = torch.tensor(gradient(parameters.tolist()), dtype=torch.float64)
        optimizer.step()
    assert_allclose(train(fg, name, 8, **given), parameters.tolist(), rtol=1e-11)


@settings
def test_a_resumed_run_is_the_whole_run(fg, name, given):
    def start(numbers):
        parameters = list(map(fg.Value, numbers))
        optimizer = getattr(fg.optim, name)(parameters, **given)
        return parameters, optimizer, fg.optim.ExponentialLR(optimizer, 0.9)

    def steps(run, count):
        parameters, optimizer, schedule = run
        for _ in range(count):
            optimizer.zero_grad()
            loss(fg, parameters).backward()
            optimizer.step()
            schedule.step()
        return [p.data for p in parameters]

    whole, first = start(START), start(START)
    half = steps(first, 3)
    states = json.loads(json.dumps([part.state_dict() for part in first[1:]]))
    resumed = start(half)
    for part, state in zip(resumed[1:], states, strict=True):
        part.load_state_dict(state)
    assert steps(resumed, 4) == steps(whole, 7)


def test_many_parameters_move_as_one(fg):
    draw = random.Random(0)
    parameters = [fg.Value(draw.random()) for _ in range(500)]
    for p in parameters:
        p.grad = draw.random()
    expected = [p.data - 0.5 * p.grad for p in parameters]
    optimizer = fg.optim.SGD(parameters, lr=0.5)
    optimizer.step()
    assert [p.data for p in parameters] == expected
    optimizer.zero_grad()
    assert [p.grad for p in parameters] == [0.0] * 500


def test_numbers_of_many_values_are_read_and_written_at_once(fg):
    backend, values, numbers = fg._backend.module, (fg.Value(1.0), fg.Value(2.0)), np.array([3.0, 4.0])
    for name, others in (("data", "grad"), ("grad", "data")):
        before = [getattr(v, others) for v in values]
        getattr(backend, f"scatter_{name.replace('grad', 'grads')}")(values, numbers)
        found = np.zeros(2)
        getattr(backend, f"gather_{name.replace('grad', 'grads')}")(values, found)
        assert found.tolist() == [getattr(v, name) for v in values] == [3.0, 4.0]
        assert [getattr(v, others) for v in values] == before
    for function in (backend.gather_data, backend.gather_grads, backend.scatter_data, backend.scatter_grads):
        with pytest.raises(ValueError):
            function(values, np.zeros(3))
    with pytest.raises((TypeError, AttributeError)):
        backend.gather_data((fg.Value(1.0), 2.0), np.zeros(2))


def test_both_backends_take_the_same_steps(both):
    for name, given in SETTINGS:
        c, python = (train(fg, name, 8, **given) for fg in both.values())
        assert_allclose(c, python, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("Adam", {"betas": (0.9, 1.0)}, r"Adam\(betas\)\[1\]: expected a number from 0 to 1, without 1, got 1.0"),
        ("Adam", {"betas": 0.9}, r"Adam\(betas\): expected a pair of numbers"),
        ("AdamW", {"lr": -1.0}, r"AdamW\(lr\): expected a number of at least 0, got -1.0"),
        ("AdamW", {"lr": "0.1"}, r"AdamW\(lr\): expected a number of at least 0, got '0.1'"),
        ("RMSprop", {"alpha": 1.5}, r"RMSprop\(alpha\): expected a number from 0 to 1"),
        ("RMSprop", {"centered": 1}, r"RMSprop\(centered\): expected True or False, got 1"),
        ("SGD", {"lr": 1.0, "nesterov": True}, r"SGD\(nesterov\): it needs a momentum"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fg, name, given, message):
    with pytest.raises(ValueError, match=message):
        getattr(fg.optim, name)([fg.Value(1.0)], **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"mean": [1.0]},
            r"Adam.load_state_dict: 'mean': expected a number for each of 2 parameters, got shape \(1,\)",
        ),
        ({"steps": -1}, "'steps': expected a whole number of 0 or more, got -1"),
        (
            {"velocity": [0.0, 0.0]},
            "expected the names lr, betas, eps, weight_decay, steps, mean, square; got .*velocity",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(fg, change, message):
    optimizer = fg.optim.Adam([fg.Value(1.0), fg.Value(2.0)])
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict({**before, "lr": 0.5, **change})
    assert optimizer.state_dict() == before


def test_parameters_do_not_move_while_a_function_is_recorded(fg):
    optimizer = fg.optim.SGD([fg.Value(1.0)], lr=1.0)

    def f(x):
        optimizer.step()
        return x

    with pytest.raises(fg.TracingError, match="not possible while this function is recorded"):
        fg.compile(f)(1.0)


# ------------------------------------------------------------------------------------------------------ schedules

SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 4}),
    ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.1}),
    ("LambdaLR", {"lr_lambda": lambda step: 1.0 / (1.0 + step)}),
]
schedules = pytest.mark.parametrize(("name", "given"), SCHEDULES, ids=[name for name, _ in SCHEDULES])
FORMULAS = {
    "StepLR": lambda t: 2.0 * 0.5 ** (t // 3),
    "MultiStepLR": lambda t: 2.0 * 0.5 ** ((t >= 2) + (t >= 5)),
    "ExponentialLR": lambda t: 2.0 * 0.9**t,
    "LinearLR": lambda t: 2.0 * (0.25 + 0.5 * min(t, 4) / 4),
    "CosineAnnealingLR": lambda t: 0.1 + 0.95 * (1 + math.cos(math.pi * t / 10)),
    "LambdaLR": lambda t: 2.0 / (1 + t),
}


def rates(optimizer, schedule, rate):
    found = []
    for _ in range(10):
        found.append(rate(optimizer))
        optimizer.step()
        schedule.step()
    return found


@schedules
def test_schedules_follow_their_formula(fg, name, given):
    optimizer = fg.optim.SGD([fg.Value(1.0)], lr=2.0)
    schedule = getattr(fg.optim, name)(optimizer, **given)
    assert_allclose(rates(optimizer, schedule, lambda o: o.lr), [FORMULAS[name](t) for t in range(10)], rtol=1e-13)


@schedules
def test_schedules_are_those_of_torch(fg, name, given):
    torch = pytest.importorskip("torch")
    ours = fg.optim.SGD([fg.Value(1.0)], lr=2.0)
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    found = rates(ours, getattr(fg.optim, name)(ours, **given), lambda o: o.lr)
    module = torch.optim.lr_scheduler
    expected = rates(theirs, getattr(module, name)(theirs, **given), lambda o: o.param_groups[0]["lr"])
    assert_allclose(found, expected, rtol=1e-12)


def test_schedules_follow_one_another(fg):
    optim = fg.optim
    optimizer = optim.SGD([fg.Value(1.0)], lr=1.0)
    parts = [optim.LinearLR(optimizer, 0.5, total_iters=2), optim.ExponentialLR(optimizer, 0.5)]
    schedule = optim.SequentialLR(optimizer, parts, [3])
    assert rates(optimizer, schedule, lambda o: o.lr)[:6] == [0.5, 0.75, 1.0, 1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o, a, b: o.SequentialLR(a.optimizer, [a, b], []), "rising numbers of steps, one fewer"),
        (lambda o, a, b: o.SequentialLR(a.optimizer, [a, b], [3]), "made for the same optimizer"),
        (lambda o, a, b: o.StepLR(a.optimizer, 0), r"StepLR\(step_size\): expected a whole number of 1 or more, got 0"),
        (lambda o, a, b: a.load_state_dict({"steps": 1}), "expected the names steps, base_lr; got steps"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(fg, make, message):
    a, b = (fg.optim.ExponentialLR(fg.optim.SGD([fg.Value(1.0)], lr=1.0), 0.5) for _ in range(2))
    with pytest.raises(ValueError, match=message):
        make(fg.optim, a, b)


# ------------------------------------------------------------------------------------------------------- clipping


def with_gradients(fg, gradients):
    parameters = [fg.Value(0.0) for _ in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g
    return parameters


@pytest.mark.parametrize("max_norm", [1.0, 13.0, 20.0])
def test_the_norm_is_clipped_as_in_torch(fg, max_norm):
    gradients = [3.0, -4.0, 12.0]
    parameters = with_gradients(fg, gradients)
    assert fg.optim.clip_grad_norm(parameters, max_norm) == 13.0
    factor = min(1.0, max_norm / (13.0 + 1e-6))
    assert_allclose([p.grad for p in parameters], np.array(gradients) * factor, rtol=1e-15)


def test_gradients_are_clipped_one_by_one(fg):
    parameters = with_gradients(fg, [3.0, -4.0, 0.25])
    fg.optim.clip_grad_value(iter(parameters), 0.5)
    assert [p.grad for p in parameters] == [0.5, -0.5, 0.25]


@pytest.mark.parametrize("name", ["clip_grad_norm", "clip_grad_value"])
def test_clipping_to_nothing_is_refused(fg, name):
    with pytest.raises(ValueError, match=r"expected a number greater than 0, got 0.0"):
        getattr(fg.optim, name)([fg.Value(1.0)], 0.0)


def test_a_resumed_sequence_has_the_rates_of_the_first_run(fg):
    def made(lr):
        optim, sgd = fg.optim, fg.optim.SGD([fg.Value(1.0)], lr=lr)
        parts = [optim.LinearLR(sgd, 0.5, total_iters=2), optim.CosineAnnealingLR(sgd, 4)]
        return optim.SequentialLR(sgd, parts, [2])

    first, resumed = made(1.0), made(0.1)
    for _ in range(2):
        first.step()
    resumed.load_state_dict(first.state_dict())
    first.step(), resumed.step()
    assert resumed.optimizer.lr == first.optimizer.lr


@pytest.mark.parametrize(
    "make",
    [
        lambda optim, sgd: optim.StepLR(sgd, 2),
        lambda optim, sgd: optim.MultiStepLR(sgd, [1, 3]),
        lambda optim, sgd: optim.ExponentialLR(sgd, 0.5),
        lambda optim, sgd: optim.LinearLR(sgd),
        lambda optim, sgd: optim.CosineAnnealingLR(sgd, 4),
        lambda optim, sgd: optim.SequentialLR(sgd, [optim.LinearLR(sgd), optim.StepLR(sgd, 2)], [2]),
    ],
)
def test_optimizers_and_schedules_go_through_pickle(fg, make):
    w = fg.Value(1.0)
    schedule = make(fg.optim, fg.optim.SGD([w], lr=1.0))
    schedule.step()
    w2, copy = pickle.loads(pickle.dumps((w, schedule)))
    assert copy.optimizer.parameters[0] is w2
    for _ in range(4):
        schedule.step(), copy.step()
        assert copy.optimizer.lr == schedule.optimizer.lr


def test_states_are_plain_numbers_whatever_was_assigned(fg):
    sgd = fg.optim.SGD([fg.Value(1.0)], lr=np.float32(0.5), nesterov=np.bool_(True), momentum=0.5)
    schedule = fg.optim.LambdaLR(sgd, lambda step: np.float32(0.5))
    assert type(sgd.lr) is float
    sgd.lr = np.float32(0.25)
    assert json.loads(json.dumps([sgd.state_dict(), schedule.state_dict()]))[0]["lr"] == 0.25
    assert repr(sgd) == "SGD(1 parameters, lr=np.float32(0.25), momentum=0.5, weight_decay=0.0, nesterov=True)"


def test_the_variance_of_centered_rmsprop_is_never_negative(fg):
    w = fg.Value(0.0)
    optimizer = fg.optim.RMSprop([w], lr=0.01, alpha=0.9, eps=0.1, centered=True)
    for grad in np.random.default_rng(0).uniform(0.1, 1.0, 20):
        for _ in range(400):  # until the mean of squares is the square of the mean, but for rounding
            w.grad = grad
            optimizer.step()
            assert math.isfinite(w.data)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda o, s, sgd: o.StepLR(sgd, "2"), ValueError, r"StepLR\(step_size\): .* whole number .*, got '2'"),
        (lambda o, s, sgd: o.StepLR(sgd, 1.5), ValueError, r"StepLR\(step_size\): .* whole number .*, got 1.5"),
        (lambda o, s, sgd: o.StepLR(sgd, 2, "g"), TypeError, r"StepLR\(gamma\): expected a real number"),
        (lambda o, s, sgd: o.MultiStepLR(sgd, 3), TypeError, r"MultiStepLR\(milestones\): expected a list"),
        (lambda o, s, sgd: o.MultiStepLR(sgd, ["a"]), ValueError, r"MultiStepLR\(milestones\): .* whole number"),
        (lambda o, s, sgd: o.LinearLR(sgd, "a"), TypeError, r"LinearLR\(start_factor\): expected a real number"),
        (lambda o, s, sgd: o.CosineAnnealingLR(sgd, "a"), ValueError, r"CosineAnnealingLR\(T_max\): .* whole number"),
        (lambda o, s, sgd: o.LambdaLR(sgd, 0.5), TypeError, r"LambdaLR\(lr_lambda\): expected a function"),
        (lambda o, s, sgd: o.LambdaLR(sgd, lambda step: "a"), TypeError, r"LambdaLR\(lr_lambda\): what it returned"),
        (lambda o, s, sgd: o.SequentialLR(sgd, [3], []), TypeError, r"\(schedules\): expected a list of schedules"),
        (lambda o, s, sgd: o.SequentialLR(sgd, [s], 5), TypeError, r"\(milestones\): expected a list of numbers"),
        (lambda o, s, sgd: s.load_state_dict(None), TypeError, "expected what state_dict.. returned, got NoneType"),
        (lambda o, s, sgd: s.load_state_dict({"steps": 1.5, "base_lr": 1.0}), ValueError, "'steps': .* whole number"),
        (lambda o, s, sgd: s.load_state_dict({"steps": 1, "base_lr": "a"}), TypeError, "'base_lr': .* real number"),
        (lambda o, s, sgd: sgd.load_state_dict(None), TypeError, "expected what state_dict.. returned, got NoneType"),
        (
            lambda o, s, sgd: sgd.load_state_dict({**sgd.state_dict(), "velocity": ["a"]}),
            ValueError,
            "SGD.load_state_dict: 'velocity': expected a number for each of 1 parameters: could not convert",
        ),
        (lambda o, s, sgd: o.clip_grad_norm(sgd, 1.0), TypeError, r"clip_grad_norm\(parameters\): expected Values"),
        (lambda o, s, sgd: o.clip_grad_norm([1.0], 1.0), TypeError, r"\(parameters\): .*, got 1.0 among them"),
        (lambda o, s, sgd: o.clip_grad_value(sgd.parameters[0], 1.0), TypeError, r"clip_grad_value\(parameters\)"),
        (lambda o, s, sgd: o.clip_grad_norm(sgd.parameters, "1"), ValueError, r"\(max_norm\): .* than 0, got '1'"),
    ],
)
def test_plausible_mistakes_are_named(fg, call, error, message):
    sgd = fg.optim.SGD([fg.Value(1.0)], lr=1.0)
    schedule = fg.optim.StepLR(sgd, 3)
    before = [sgd.state_dict(), schedule.state_dict()]
    with pytest.raises(error, match=message):
        call(fg.optim, schedule, sgd)
    assert [sgd.state_dict(), schedule.state_dict()] == before
