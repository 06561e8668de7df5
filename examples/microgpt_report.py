"""What a training step of microgpt.py costs: in floats, in Values, compiled, in torch. `microgpt.py --report` runs it.

All ways compute the same model on the same document; losses and gradients are compared before anything is timed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import microgpt
import numpy as np

import fastgrad as fg

DOCUMENT = "process"  # makes a step of about 60,000 operations on scalars, and has the usual length
BATCH = 32
RATE = 0.01
Times = tuple[float, float]  # milliseconds: the least and the median


def measured(step: Callable[[], object], seconds: float = 1.0) -> Times:
    """Return what a step takes, in process CPU time."""
    step()
    times: list[float] = []
    while sum(times) < 1e3 * seconds or len(times) < 5:
        start = time.process_time_ns()
        step()
        times.append((time.process_time_ns() - start) / 1e6)
    return min(times), statistics.median(times)


def report(size: microgpt.Size, weights: Sequence[float]) -> None:
    """Compare the ways, then time them, and print a table."""
    document = microgpt.encode(DOCUMENT)
    tokens = document.astype(int).tolist()
    preparation, compiled = prepared(size, weights, document[np.newaxis])
    expected = eager_gradient(weights, tokens, size)
    check("compiled", expected, compiled_gradient(compiled, document), 0.0 if fg.backend().name == "c" else 1e-12)
    print(f"a step on {DOCUMENT!r}, {len(tokens) - 1} positions; CPU time in ms, the least and the median")
    floats = list(weights)
    row("floats, forward only", measured(lambda: microgpt.loss(floats, tokens, size)))
    if fg.backend().name == "c":
        row("eager, pure-Python backend", in_pure_python(weights))
    row("eager", eager_times(size, weights))
    row("compiled, weights as Values, gradients only", captured_times(size, weights, document))
    row("compiled", measured(lambda: compiled.step(document[np.newaxis], RATE)))
    together = np.repeat(document[np.newaxis], BATCH, axis=0)
    row(f"compiled, {BATCH} documents together, for each", measured(lambda: compiled.step(together, RATE)), BATCH)
    if find_spec("torch") is None:
        print("torch is not installed: no row for it")
    else:
        import microgpt_torch

        check("torch", expected, microgpt_torch.gradient(weights, tokens, size), 1e-9)
        torch = microgpt_torch.Trainer(weights, size)
        row("torch, one thread", measured(lambda: torch.step(document[np.newaxis], RATE)))
    print(f"the compiled forms are prepared once for each length; for this one in {preparation:.0f} ms")


def row(name: str, times: Times, documents: int = 1) -> None:
    """Print a row of the table."""
    print(f"    {name:44} {times[0] / documents:9.3f} {times[1] / documents:9.3f}", flush=True)


def prepared(
    size: microgpt.Size, weights: Sequence[float], documents: microgpt.Floats
) -> tuple[float, microgpt.Compiled]:
    """Return what the first call takes in ms, which records and differentiates, and a trainer that has done it."""
    trainer = microgpt.Compiled(weights, size)
    start = time.process_time()
    trainer.loss.sum_grad(trainer.array, documents, argnums=0)
    return 1e3 * (time.process_time() - start), trainer


def eager_gradient(weights: Sequence[float], tokens: list[int], size: microgpt.Size) -> list[float]:
    """Return the loss, and behind it the gradient, computed in Values."""
    parameters = [fg.Value(weight) for weight in weights]
    loss = microgpt.loss(parameters, tokens, size)
    loss.backward()
    return [loss.data, *(p.grad for p in parameters)]


def compiled_gradient(trainer: microgpt.Compiled, document: microgpt.Floats) -> list[float]:
    """Return the same from a compiled function."""
    loss, gradient = trainer.loss.value_and_grad(trainer.array, document, argnums=0)
    return [loss, *gradient.tolist()]


def check(name: str, expected: list[float], found: list[float], tolerance: float) -> None:
    """Print how much a way's loss and gradient differ from the eager ones; raise if that is more than rounding."""
    difference = float(np.abs(np.subtract(expected, found)).max() / np.abs(expected).max())
    said = f"differ by {difference:.1e}" if difference else "are equal to the last bit"
    print(f"checked: loss and {len(expected) - 1} derivatives, eager and {name}, {said}")
    if not difference <= tolerance:
        raise AssertionError(f"{name} differs from eager by {difference:.1e}, more than {tolerance:.0e}")


def eager_times(size: microgpt.Size, weights: Sequence[float]) -> Times:
    """Time a step in Values, Adam in Python included."""
    trainer, documents = microgpt.Eager(weights, size), microgpt.encode(DOCUMENT)[np.newaxis]
    return measured(lambda: trainer.step(documents, RATE))


def captured_times(size: microgpt.Size, weights: Sequence[float], document: microgpt.Floats) -> Times:
    """Time the other compiled form: the function captures Values, and `backward` adds to their gradients."""
    parameters = [fg.Value(weight) for weight in weights]
    loss = fg.compile(lambda document: microgpt.loss(parameters, document, size), signature="(t)->()")
    return measured(lambda: loss.backward(document))


def in_pure_python(weights: Sequence[float]) -> Times:
    """Time the step in Values on the pure-Python backend, which needs a process of its own."""
    program = (
        "import json, sys, microgpt, microgpt_report as r;"
        "print(json.dumps(r.eager_times(microgpt.Size(), json.load(sys.stdin))))"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = os.environ | {"FASTGRAD_BACKEND": "python", "PYTHONPATH": path}
    given = json.dumps(list(weights))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, input=given, text=True, stdout=subprocess.PIPE, check=True)
    least, median = json.loads(done.stdout)
    return least, median
