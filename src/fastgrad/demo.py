"""The demo: a network of scalars learns to read handwritten digits.

The digits are scikit-learn's ``load_digits``: 1797 scans of 8x8 pixels. A fifth of them, stratified by digit, is held
out: it is looked at after each epoch for the figure, and no decision is taken from it. The learning rate was chosen on
a part of the training digits; the sizes were chosen for the time they take, with an eye on several splits.

Then a larger network learns the same digits by a compiled function, next to scikit-learn's own.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from . import backend, nn
from ._passes import Rows, classifier, largest_difference, measure, measure_in_python, one_pass, predict, sgd

if TYPE_CHECKING:
    from ._contest import Contest

BATCH = 32
LEARNING_RATE = 0.2
TARGET, COMPILED_TARGET = 0.95, 0.97
TOLERANCE = 1e-12
PACKAGES = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"}


@dataclass
class Digits:
    """Rows of 64 brightnesses from 0 to 1 and their digits: to train on, and held out."""

    rows: Rows
    labels: list[int]
    held_out_rows: Rows
    held_out_labels: list[int]


@dataclass
class History:
    """Loss and training accuracy of each pass; held-out accuracy and seconds of each epoch."""

    losses: list[float] = field(default_factory=list)
    fits: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def latest(self, passes: int = 20) -> dict[str, str]:
        """Return loss and training accuracy of the latest passes, as the progress bar shows them."""
        return {
            "loss": f"{statistics.fmean(self.losses[-passes:]):.3f}",
            "accuracy": f"{statistics.fmean(self.fits[-passes:]):.1%}",
        }


def demo(*, quick: bool = False, out: str = "fastgrad-digits.png", seed: int = 0) -> int:
    """Train, draw and compare; return the exit code, which is 1 where the demo could not do what it promises."""
    if problem := _missing_packages() or _unwritable(out):
        print(problem, file=sys.stderr)
        return 1
    start = time.perf_counter()
    print(f"fastgrad backend: {backend()}")
    digits, epochs = load_digits(seed, quick)
    model = classifier(seed)
    print(f"{model_summary(model)}; seed {seed}, {epochs} epochs")

    history = train(model, digits, epochs, seed)
    predictions = predict(model, digits.held_out_rows)
    reached = accuracy(predictions, digits.held_out_labels)
    print(f"held-out accuracy: {reached:.1%} of {len(predictions)} digits never trained on")
    draw_figure(out, digits, history, predictions)
    print(f"figure: {out}")
    agrees = report_times(model, digits, history)
    compiled = compare_compiled(digits, seed, quick)
    print(f"whole demo: {time.perf_counter() - start:.1f} s")
    reduced = quick or backend().name == "python"
    return max(verdict(reached, quick, agrees), compiled_verdict(compiled.accuracy, reduced, compiled.agrees))


def load_digits(seed: int, quick: bool) -> tuple[Digits, int]:
    """Read and split the data; return it with the number of epochs to train."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

    images, labels = load_digits(return_X_y=True)
    rows, held_out_rows, y, held_out_y = train_test_split(
        images / 16.0, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    used, epochs = _plan(len(rows), quick)
    print(f"data: {len(labels)} handwritten digits of 8x8 pixels; {used} to train on, {len(held_out_y)} held out")
    return Digits(rows[:used].tolist(), y[:used].tolist(), held_out_rows.tolist(), held_out_y.tolist()), epochs


def _plan(available: int, quick: bool) -> tuple[int, int]:
    """Return how many rows to train on and for how many epochs, so that the demo stays within its time."""
    if backend().name != "python":
        return available, 6 if quick else 30
    print("pure Python is slow: this run is a reduced part of what the C core does")
    return (available // 4, 3) if quick else (available, 5)


def model_summary(model: nn.MLP) -> str:
    """Return the shape of the network in words."""
    sizes = [len(model.layers[0].neurons[0].w), *(len(layer.neurons) for layer in model.layers)]
    return f"model: MLP {'-'.join(map(str, sizes))}, ReLU, {len(model.parameters())} parameters, each a Value"


def train(model: nn.MLP, digits: Digits, epochs: int, seed: int) -> History:
    """Minimise the cross-entropy by SGD with momentum at a linearly falling rate, with a live progress bar."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    shuffle = random.Random(seed).shuffle
    optimizer = sgd(model, LEARNING_RATE)
    history = History()
    with tqdm(total=epochs * math.ceil(len(digits.rows) / BATCH), desc="training", unit="pass") as bar:
        for _ in range(epochs):
            begin = time.perf_counter()
            for rows, labels in batches(digits, shuffle):
                optimizer.lr = LEARNING_RATE * (1.0 - len(history.losses) / bar.total)
                loss, predictions = one_pass(model, optimizer, rows, labels)
                history.losses.append(loss.data)
                history.fits.append(accuracy(predictions, labels))
                bar.set_postfix(history.latest(), refresh=False)
                bar.update()
            history.seconds.append(time.perf_counter() - begin)
            history.accuracies.append(accuracy(predict(model, digits.held_out_rows), digits.held_out_labels))
            bar.set_description(f"training (held out: {history.accuracies[-1]:.1%})")
    return history


def batches(digits: Digits, shuffle: Callable[[list[int]], None]) -> Iterator[tuple[Rows, list[int]]]:
    """Yield rows and labels of each minibatch of one epoch, in a new order."""
    order = list(range(len(digits.rows)))
    shuffle(order)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        yield [digits.rows[i] for i in batch], [digits.labels[i] for i in batch]


def accuracy(predictions: list[int], labels: list[int]) -> float:
    """Return which part of the predictions is right."""
    return sum(p == label for p, label in zip(predictions, labels, strict=True)) / len(labels)


def report_times(model: nn.MLP, digits: Digits, history: History) -> bool:
    """Time one pass here and in pure Python, print both, and return whether their results agree."""
    rows, labels = digits.rows[:BATCH], digits.labels[:BATCH]
    per_epoch = math.ceil(len(digits.rows) / BATCH)
    state = model.state_dict()
    here = measure(state, rows, labels, repeats=20)
    print(f"one pass (forward, backward, update of {BATCH} rows): {here.seconds * 1e3:.2f} ms of CPU time")
    print(f"one epoch ({per_epoch} passes): {statistics.median(history.seconds):.2f} s by the clock")
    if backend().name == "python":
        return True
    there = measure_in_python(state, rows, labels, repeats=5)
    there_epoch = there.seconds * per_epoch
    print(f"pure Python: the same pass {there.seconds * 1e3:.1f} ms, which makes {there_epoch:.1f} s an epoch")
    print(f"the C core is {there.seconds / here.seconds:.0f} times as fast (CPU time, medians of 20 and of 5 passes)")
    difference = largest_difference(here, there)
    found = f"differ by {difference:.1e} (tolerance {TOLERANCE:.0e})" if difference else "are equal to the last bit"
    print(f"checked: loss and {len(here.gradients)} gradients of both {found}")
    return difference <= TOLERANCE


def compare_compiled(digits: Digits, seed: int, quick: bool) -> Contest:
    """Train by a compiled function and by scikit-learn, and print how well and how fast."""
    from ._contest import contest

    found = contest(digits.rows, digits.labels, digits.held_out_rows, digits.held_out_labels, seed, quick)
    print(found.report())
    return found


def draw_figure(out: str, digits: Digits, history: History, predictions: list[int]) -> None:
    """Write the PNG figure."""
    from ._figure import draw

    draw(out, digits.held_out_rows, digits.held_out_labels, predictions, history.losses, history.accuracies)


def verdict(reached: float, quick: bool, agrees: bool) -> int:
    """Return the exit code, and say on stderr what was missed."""
    missed = []
    if reached < TARGET and not quick:
        missed.append(f"held-out accuracy {reached:.1%} is below {TARGET:.0%}")
    if not agrees:
        missed.append("the C core and the pure-Python backend disagree")
    return _failure(missed)


def compiled_verdict(reached: float, reduced: bool, agrees: bool) -> int:
    """Return the exit code of the compiled part, and say on stderr what was missed."""
    missed = []
    if reached < COMPILED_TARGET and not reduced:
        missed.append(f"the compiled network's held-out accuracy {reached:.1%} is below {COMPILED_TARGET:.0%}")
    if not agrees:
        missed.append("compiled and eager gradients disagree")
    return _failure(missed)


def _failure(missed: list[str]) -> int:
    for problem in missed:
        print(f"demo failed: {problem}", file=sys.stderr)
    return 1 if missed else 0


def _missing_packages() -> str:
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    wanted = ", ".join(missing)
    return f'the demo needs {wanted}: install with\n    pip install "fastgrad[demo]"' if missing else ""


def _unwritable(out: str) -> str:
    folder = os.path.dirname(out) or "."
    if not out.endswith(".png"):
        return f"--out: expected a path that ends in .png, got {out!r}"
    return "" if os.path.isdir(folder) else f"--out: there is no folder {folder!r} to write {out!r} into"
