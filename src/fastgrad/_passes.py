"""One training pass of the demo, and its measurement: on this backend, and on the pure-Python one in a subprocess."""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

from . import Value, logsumexp, mean, nn, no_grad, optim

SIZES = (64, (32, 10))
MOMENTUM, WEIGHT_DECAY = 0.9, 1e-3

Rows = list[list[float]]


class Measured(NamedTuple):
    """Loss and gradients of one pass, and the CPU seconds that it takes."""

    loss: float
    gradients: list[float]
    seconds: float


def classifier(seed: int) -> nn.MLP:
    """Return the untrained network: 8x8 pixels to a score per digit."""
    random.seed(seed)
    model = nn.MLP(*SIZES)
    for layer in model.layers:
        for neuron in layer.neurons:
            for w in neuron.w:
                w.data *= math.sqrt(3.0 / len(neuron.w))  # unit variance in, unit variance out
    return model


def sgd(model: nn.MLP, lr: float) -> optim.SGD:
    """Return the optimizer that trains ``model``."""
    return optim.SGD(model.parameters(), lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)


def one_pass(model: nn.MLP, optimizer: optim.SGD, rows: Rows, labels: list[int]) -> tuple[Value, list[int]]:
    """Forward, backward, update; return the mean cross-entropy and the predictions."""
    scores = [model(row) for row in rows]
    loss = mean([logsumexp(score) - score[label] for score, label in zip(scores, labels, strict=True)])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss, [_best(score) for score in scores]


def predict(model: nn.MLP, rows: Rows) -> list[int]:
    """Return the digit that scores highest, for each row."""
    with no_grad():
        return [_best(model(row)) for row in rows]


def _best(scores: list[Value]) -> int:
    return max(range(len(scores)), key=lambda digit: scores[digit].data)


def measure(state: dict[str, Any], rows: Rows, labels: list[int], repeats: int) -> Measured:
    """Run the pass ``repeats`` times from this state; the results are those of the first, the time is the median."""
    model = nn.MLP(*SIZES)
    model.load_state_dict(state)
    optimizer = sgd(model, lr=0.01)
    seconds, results = [], []
    for _ in range(repeats):
        start = time.process_time()
        loss, _ = one_pass(model, optimizer, rows, labels)
        seconds.append(time.process_time() - start)
        results.append((loss.data, [p.grad for p in model.parameters()]))
    return Measured(*results[0], statistics.median(seconds))


def measure_in_python(state: dict[str, Any], rows: Rows, labels: list[int], repeats: int) -> Measured:
    """Do the same on the pure-Python backend, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps([state, rows, labels, repeats]),
        env={**os.environ, "FASTGRAD_BACKEND": "python"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Measured(*json.loads(done.stdout))


def largest_difference(a: Measured, b: Measured) -> float:
    """Return the largest difference of loss and gradients, relative to the largest gradient (or the loss)."""
    scale = max(map(abs, a.gradients), default=0.0) or 1.0
    gradients = max(abs(p - q) for p, q in zip(a.gradients, b.gradients, strict=True))
    return max(abs(a.loss - b.loss) / abs(a.loss), gradients / scale)


if __name__ == "__main__":
    json.dump(measure(*json.load(sys.stdin)), sys.stdout)
