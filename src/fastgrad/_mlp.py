"""Multi-layer perceptrons as compiled functions of one vector of parameters, and what trains them: for estimators."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._compiled import Compiled
from ._rules import ROWS
from .functions import FUNCTIONS, softmax, take

Floats = NDArray[np.float64]

_ROWS = [row for row in ROWS if row.kind == "MATH" and (len(row.operands) == 1 or row.default is not None)]
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda x: x,  # these two by scikit-learn's names, all others by fastgrad's
    "logistic": FUNCTIONS["sigmoid"],
    **{name: FUNCTIONS[name] for row in _ROWS for name in (row.name, row.method)},
}


class Network(NamedTuple):
    """The compiled functions of one architecture; the first argument of each is the vector of parameters."""

    loss: Compiled  # (parameters, row, target): one number
    weighted_loss: Compiled  # (parameters, row, target, weight): the weight times as much
    outputs: Compiled  # (parameters, row): probabilities, or the numbers predicted


def layers(parameters: Any, sizes: tuple[int, ...]) -> Iterator[tuple[Any, Any]]:
    """Yield views of the weights (outputs x inputs) and the biases of each layer."""
    start = 0
    for inputs, outputs in itertools.pairwise(sizes):
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        yield parameters[start:middle].reshape(outputs, inputs), parameters[middle:end]
        start = end


def initial(sizes: tuple[int, ...], activation: str, random: np.random.RandomState) -> Floats:
    """Draw parameters, uniform with the variance of [1]_ as in scikit-learn.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks.
       AISTATS 2010.
    """
    gain = 2.0 if activation == "logistic" else 6.0
    drawn = np.empty(sum((i + 1) * o for i, o in itertools.pairwise(sizes)))
    for weights, biases in layers(drawn, sizes):
        bound = math.sqrt(gain / sum(weights.shape))
        weights[:] = random.uniform(-bound, bound, weights.shape)
        biases[:] = random.uniform(-bound, bound, biases.shape)
    return drawn


def _scores(parameters: Any, row: Any, sizes: tuple[int, ...], activation: str) -> list[Any]:
    """What the last layer gives."""
    dot, activated = FUNCTIONS["dot"], ACTIVATIONS[activation]
    signal = list(row)
    for depth, (weights, biases) in enumerate(layers(parameters, sizes), start=2):
        sums = [dot(w, signal) + b for w, b in zip(weights, biases, strict=True)]
        signal = sums if depth == len(sizes) else [activated(x) for x in sums]
    return signal


@lru_cache(maxsize=64)
def network(sizes: tuple[int, ...], activation: str, task: str) -> Network:
    """Return the functions of an architecture; they are recorded at their first use, and once for all estimators.

    Parameters
    ----------
    sizes : tuple of int
        Numbers of inputs, of the neurons of each hidden layer, and of outputs.
    activation : str
        A key of ``ACTIVATIONS``.
    task : {"two classes", "classes", "numbers"}
        What the outputs are: the logit of the second class, a score for each class, or the numbers themselves.
    """

    def scores(parameters: Any, row: Any) -> list[Any]:
        return _scores(parameters, row, sizes, activation)

    losses: dict[str, Callable[[list[Any], Any], Any]] = {
        "two classes": lambda scores, label: FUNCTIONS["softplus"](scores[0]) - label * scores[0],
        "classes": lambda scores, label: FUNCTIONS["logsumexp"](scores) - take(scores, label),
        "numbers": lambda scores, target: 0.5 * FUNCTIONS["mean"]((s - t) ** 2 for s, t in zip(scores, target)),  # noqa: B905
    }
    outputs: dict[str, Callable[[list[Any]], Any]] = {
        "two classes": lambda scores: [FUNCTIONS["sigmoid"](-scores[0]), FUNCTIONS["sigmoid"](scores[0])],
        "classes": softmax,
        "numbers": lambda scores: scores,
    }
    target = "(k)" if task == "numbers" else "()"
    loss = losses[task]
    return Network(
        Compiled(lambda p, row, target: loss(scores(p, row), target), f"(p),(n),{target}->()"),
        Compiled(lambda p, row, target, weight: weight * loss(scores(p, row), target), f"(p),(n),{target},()->()"),
        Compiled(lambda p, row: outputs[task](scores(p, row)), "(p),(n)->(m)"),
    )


class Adam:
    """Adam [1]_ on a vector, in place, with epsilon where scikit-learn has it: in the order at the end of section 2.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba: Adam: a method for stochastic optimization. ICLR 2015.
    """

    def __init__(self, size: int, lr: float, betas: tuple[float, float], epsilon: float) -> None:
        self.lr, self.betas, self.epsilon = lr, betas, epsilon
        self._first, self._second, self._steps = np.zeros(size), np.zeros(size), 0

    def step(self, parameters: Floats, gradient: Floats) -> None:
        """Move the parameters once."""
        (a, b), first, second = self.betas, self._first, self._second
        self._steps += 1
        first += (1.0 - a) * (gradient - first)
        second += (1.0 - b) * (gradient * gradient - second)
        rate = self.lr * math.sqrt(1.0 - b**self._steps) / (1.0 - a**self._steps)
        parameters -= rate * first / (np.sqrt(second) + self.epsilon)
