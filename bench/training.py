"""Contests in training: the same model trained by fastgrad, in its gears, and by other libraries."""

from __future__ import annotations

import importlib
import math
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from problems import Array
from ways import OURS, Way, one_thread, there

import fastgrad as fg
from fastgrad import nn, optim

BATCH, EPOCHS, HIDDEN, RATE = 32, 10, 96, 0.003


def digits() -> tuple[Array, Array]:
    """Return scikit-learn's digits, from 0 to 1, and their labels."""
    rows, labels = importlib.import_module("sklearn.datasets").load_digits(return_X_y=True)
    return rows / 16.0, labels


def estimators() -> Iterator[Way]:
    """Train scikit-learn's estimator and fastgrad's: the same network, batches and epochs, from the same weights."""
    if not there("sklearn"):
        return
    kinds = {
        OURS: importlib.import_module("fastgrad.sklearn").MLPClassifier,
        "scikit-learn": importlib.import_module("sklearn.neural_network").MLPClassifier,
    }
    warnings.simplefilter("ignore", importlib.import_module("sklearn.exceptions").ConvergenceWarning)
    X, y = digits()
    settings = {"batch_size": BATCH, "learning_rate_init": RATE, "max_iter": EPOCHS, "n_iter_no_change": EPOCHS}
    models = {
        name: kind((HIDDEN,), alpha=0.01, tol=0.0, shuffle=False, warm_start=True, random_state=0, **settings)
        for name, kind in kinds.items()
    }
    theirs = models["scikit-learn"].fit(X, y)
    ours = models[OURS].fit(X, y)
    pairs = zip(theirs.coefs_, theirs.intercepts_, strict=True)
    ours.parameters_ = np.concatenate([part for w, b in pairs for part in (w.T.ravel(), b)])

    def trained(model: Any) -> Array:
        model.fit(X, y)
        return np.concatenate([part.ravel() for part in (*model.coefs_, *model.intercepts_)])

    for name, model in models.items():
        yield Way(name, lambda model=model: model.fit(X, y), lambda model=model: trained(model), EPOCHS)


def fits() -> Iterator[Way]:
    """Train an `nn.Sequential` on the digits: by `fg.fit`, compiled by hand, in Values, and a model in PyTorch."""
    if not there("sklearn"):
        return
    X, y = digits()
    batches = [slice(first, first + BATCH) for first in range(0, len(X), BATCH)]

    def model() -> nn.Sequential:
        return nn.Sequential(nn.Linear(64, HIDDEN, rng=1), nn.ReLU(), nn.Linear(HIDDEN, 10, rng=2))

    def data(model: Any) -> list[float]:
        return [p.data for p in model.parameters()]

    def fitted(epochs: int) -> list[float]:
        made = model()
        adam = optim.Adam(made.parameters(), lr=RATE)
        fg.fit(
            made,
            nn.cross_entropy,
            (X, y),
            epochs=epochs,
            batch_size=BATCH,
            optimizer=adam,
            shuffle=False,
            progress=False,
        )
        return data(made)

    def by_hand() -> Callable[[], list[float]]:
        made = model()
        loss = fg.compile(lambda x, y: nn.cross_entropy(made(x), y), signature="(64),()->()")
        adam = optim.Adam(made.parameters(), lr=RATE)

        def epoch() -> list[float]:
            for batch in batches:
                adam.zero_grad()
                loss.backward(X[batch], y[batch])
                adam.step()
            return data(made)

        return epoch

    def eagerly() -> Callable[[], list[float]]:
        made, rows, labels = model(), X.tolist(), y.tolist()
        adam = optim.Adam(made.parameters(), lr=RATE)

        def epoch() -> list[float]:
            for batch in batches:
                pairs = zip(rows[batch], labels[batch], strict=True)
                adam.zero_grad()
                fg.mean([nn.cross_entropy(made(x), label) for x, label in pairs]).backward()
                adam.step()
            return data(made)

        return epoch

    yield Way(OURS, lambda: fitted(EPOCHS), lambda: fitted(1), EPOCHS)
    yield Way("ten lines by hand, compiled", *[by_hand()] * 2)
    yield Way("ten lines by hand, eager", *[eagerly()] * 2)
    if there("torch"):
        yield Way("PyTorch", *[torch_epoch(data(model()), X, y, batches)] * 2)


def torch_epoch(weights: list[float], X: Array, y: Array, batches: list[slice]) -> Callable[[], list[float]]:
    """Return an epoch of the digits in PyTorch, from these weights."""
    torch = one_thread("torch")
    made = torch.nn.Sequential(torch.nn.Linear(64, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10)).double()
    vector, state = torch.tensor(weights, dtype=torch.float64), made.parameters()
    torch.nn.utils.vector_to_parameters(vector, state)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    adam, loss = torch.optim.Adam(made.parameters(), lr=RATE), torch.nn.CrossEntropyLoss()

    def epoch() -> list[float]:
        for batch in batches:
            adam.zero_grad()
            loss(made(rows[batch]), labels[batch]).backward()
            adam.step()
        return torch.nn.utils.parameters_to_vector(made.parameters()).tolist()

    return epoch


SIZE = 4224  # microgpt's parameters


def adam_steps() -> Iterator[Way]:
    """Move as many parameters as microgpt has by Adam: all at once, one by one in Python, and in PyTorch."""
    draw = np.random.default_rng(0)
    start, slope = draw.standard_normal((2, SIZE))
    values = list(map(fg.Value, start.tolist()))
    adam = optim.Adam(values, lr=RATE)
    for value, g in zip(values, slope.tolist(), strict=True):
        value.grad = g

    def ours() -> list[float]:
        adam.step()
        return [value.data for value in values]

    numbers, gradient = start.tolist(), slope.tolist()
    means, squares, steps = [0.0] * SIZE, [0.0] * SIZE, 0

    def loop() -> list[float]:
        nonlocal steps
        steps += 1
        first, second = 1.0 - 0.9**steps, 1.0 - 0.999**steps
        for i, g in enumerate(gradient):
            means[i] = 0.9 * means[i] + 0.1 * g
            squares[i] = 0.999 * squares[i] + 0.001 * g * g
            numbers[i] -= RATE * (means[i] / first) / (math.sqrt(squares[i] / second) + 1e-8)
        return numbers

    yield Way(OURS, adam.step, ours)
    yield Way("loop over Python floats", loop, loop)
    if there("torch"):
        torch = one_thread("torch")
        tensor = torch.tensor(start, requires_grad=True)
        tensor.grad = torch.tensor(slope)
        theirs = torch.optim.Adam([tensor], lr=RATE)
        yield Way("PyTorch, one tensor", theirs.step, lambda: (theirs.step(), tensor.tolist())[1])


DOCUMENTS = 32


def microgpt() -> Iterator[Way]:
    """Train the example's GPT: on 32 documents of one length together, and on one after the other."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
    example, report = map(importlib.import_module, ("microgpt", "microgpt_report"))
    size, document = example.Size(), example.encode(report.DOCUMENT)
    weights, tokens = example.initial(size, random.Random(42)), document.astype(int).tolist()

    def compiled(documents: int) -> tuple[Callable[[], Any], Callable[[], Any], int]:
        trainer, rows = example.Compiled(weights, size), np.repeat(document[np.newaxis], documents, axis=0)
        gradient = report.compiled_gradient(trainer, document)
        return lambda: trainer.step(rows, RATE), lambda: gradient, documents

    eager = example.Eager(weights, size)
    yield Way(OURS, *compiled(DOCUMENTS))
    yield Way("compiled, one at a time", *compiled(1))
    gradient = report.eager_gradient(weights, tokens, size)
    yield Way("eager, one at a time", lambda: eager.step(document[np.newaxis], RATE), lambda: gradient)
    if there("torch"):
        theirs = importlib.import_module("microgpt_torch")
        trainer, theirs_gradient = theirs.Trainer(weights, size), theirs.gradient(weights, tokens, size)
        yield Way("PyTorch, one at a time", lambda: trainer.step(document[np.newaxis], RATE), lambda: theirs_gradient)
