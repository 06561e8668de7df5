"""The demo's second part: the digits by a compiled function, against the eager gear and scikit-learn's own network."""

from __future__ import annotations

import math
import statistics
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import Value, backend, mean
from ._mlp import Adam, Network, initial, network

Floats = NDArray[np.float64]

BATCH = 32
SETTINGS: dict[str, Any] = {"batch_size": BATCH, "learning_rate_init": 0.003, "alpha": 0.01, "tol": 0.0}
TOLERANCE = 1e-12


class Contest(NamedTuple):
    """Held-out accuracies, CPU seconds of an epoch, and how far compiled gradients are from eager ones."""

    hidden: int
    epochs: int
    accuracy: float
    theirs: float
    eager_seconds: float
    seconds: float
    their_seconds: float
    difference: float

    def report(self) -> str:
        """Return what the demo prints."""
        rival = "scikit-learn's MLPClassifier"
        equal = f"differ by {self.difference:.1e} (tolerance {TOLERANCE:.0e})" if self.difference else "are equal"
        return (
            f"compiled: MLP 64-{self.hidden}-10, ReLU, Adam, {self.epochs} epochs in batches of {BATCH}\n"
            f"accuracy of the compiled network on the held-out digits: {self.accuracy:.1%}; {self.theirs:.1%} for "
            f"{rival} with the same architecture, batches and epochs\n"
            f"one epoch, CPU time: eager {self.eager_seconds * 1e3:,.0f} ms, compiled {self.seconds * 1e3:,.1f} ms, "
            f"{rival} {self.their_seconds * 1e3:,.1f} ms\n"
            f"compiled is {self.eager_seconds / self.seconds:.0f} times as fast as eager, and takes "
            f"{self.seconds / self.their_seconds:.2f} times as long as scikit-learn\n"
            f"checked: loss and gradients of a batch, compiled and eager, {equal}"
        )

    @property
    def agrees(self) -> bool:
        return self.difference <= TOLERANCE


def contest(rows: Any, labels: Any, held_out_rows: Any, held_out_labels: Any, seed: int, quick: bool) -> Contest:
    """Train the same network by a compiled function and by scikit-learn, time both and the eager gear."""
    from sklearn.neural_network import MLPClassifier as Theirs  # type: ignore[import-untyped]

    from .sklearn import MLPClassifier

    X, y, held_out = np.array(rows), np.array(labels), (np.array(held_out_rows), np.array(held_out_labels))
    hidden, epochs = _plan(quick)
    trained = []
    for kind in (MLPClassifier, Theirs):
        model = kind((hidden,), max_iter=epochs, n_iter_no_change=epochs, random_state=seed, **SETTINGS)
        seconds = _fitted(model, X, y) / epochs
        trained += [float(model.score(*held_out)), seconds]
    eager, difference = _eager(
        hidden, X[:BATCH], y[:BATCH], seed, repeats=2 if quick or backend().name == "python" else 5
    )
    passes = math.ceil(len(X) / BATCH)
    return Contest(hidden, epochs, trained[0], trained[2], eager * passes, trained[1], trained[3], difference)


def _plan(quick: bool) -> tuple[int, int]:
    """Return the size of the hidden layer and the number of epochs: 97 % or more for each of a dozen seeds, if full."""
    if backend().name == "python":
        return (12, 6) if quick else (32, 10)
    return 96, 8 if quick else 30


def _fitted(model: Any, X: Floats, y: NDArray[Any]) -> float:
    """Fit, and return the CPU seconds."""
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is what we want
        start = time.process_time()
        model.fit(X, y)
        return time.process_time() - start


def _eager(hidden: int, X: Floats, y: NDArray[Any], seed: int, repeats: int) -> tuple[float, float]:
    """Return the CPU seconds of an eager pass over a batch, and how far its results are from the compiled ones."""
    sizes = (X.shape[1], hidden, 10)
    net = network(sizes, "relu", "classes")
    numbers = initial(sizes, "relu", np.random.RandomState(seed))
    total, compiled = net.loss.sum_grad(numbers, X, y.astype(float), argnums=0)
    loss, gradient = _eager_gradient(net, numbers, X, y)
    difference = max(
        abs(total / len(X) - loss) / loss, np.abs(compiled / len(X) - gradient).max() / np.abs(gradient).max()
    )
    adam = Adam(len(numbers), SETTINGS["learning_rate_init"], (0.9, 0.999), 1e-8)
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        adam.step(numbers, _eager_gradient(net, numbers, X, y)[1])
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), float(difference)


def _eager_gradient(net: Network, numbers: Floats, X: Floats, y: NDArray[Any]) -> tuple[float, Floats]:
    """The mean loss of a batch and its gradient, by Values."""
    parameters = np.array([Value(p) for p in numbers.tolist()], object)
    losses = [net.loss.__wrapped__(parameters, row, label) for row, label in zip(X.tolist(), y.tolist(), strict=True)]
    loss = mean(losses)
    loss.backward()
    return loss.data, np.array([p.grad for p in parameters])
