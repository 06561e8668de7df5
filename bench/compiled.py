"""Time of the compiled workloads: a process for each library, which prepares, compares and then waits for its turns.

``python bench/compiled.py PROBLEM COLUMN ROWS`` is such a process: it prepares the problem, compares its results with
those by hand in NumPy, says so in a line of JSON, and then runs a part whenever its name comes on a line of input.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from arrays import Drjit, Jax, Numpy, Torch
from by_hand import BY_HAND, Results
from columns import Casadi, CasadiGcc, Column, Fastgrad, FastgradFastmath, Heyoka
from measure import GRADIENT_TOLERANCE, SAMPLE_NS, VALUE_TOLERANCE, Figures, summary
from problems import PROBLEMS, Array, Problem

COLUMNS: dict[str, type[Column]] = {
    "fastgrad": Fastgrad,
    "fastmath": FastgradFastmath,
    "Dr.Jit": Drjit,
    "heyoka": Heyoka,
    "CasADi + gcc": CasadiGcc,
    "CasADi": Casadi,
    "JAX": Jax,
    "PyTorch": Torch,
    "NumPy": Numpy,
}
PEERS = tuple(COLUMNS)[2:]
QUICK_COLUMNS = ("fastgrad", "NumPy")
SLOW_NS = 5e9  # a column that has taken so long has had its turns
FEW = 4096  # rows with which preparing is timed
UNPREPARED = ("PyTorch", "NumPy")  # libraries that run what they are told at once
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def columns(name: str, full: bool = True) -> list[str]:
    """Return the columns that can run a problem here: a library that is not installed has none."""
    found = []
    for column, kind in COLUMNS.items() if full else ((c, COLUMNS[c]) for c in QUICK_COLUMNS):
        needs = ["scipy"] if kind is Numpy and name == "black_scholes" else []
        there = all(importlib.util.find_spec(package) for package in (kind.package, *needs))
        if there and name not in kind.cannot and (kind is not CasadiGcc or shutil.which("gcc")):
            found.append(column)
    return found


class Worker:
    """A process that runs a problem with one library."""

    def __init__(self, name: str, column: str, rows: int) -> None:
        command = [sys.executable, __file__, name, column, str(rows)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | ONE_THREAD)
        self.ready = self.answer()

    def answer(self) -> Any:
        """Return what the process says next."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.process.args[2:])} ended with status {self.process.wait()}")
        return json.loads(line)

    def sample(self, part: str, threads: int = 1) -> dict[str, float]:
        """Return CPU and wall nanoseconds of a run."""
        print(part, threads, file=self.process.stdin, flush=True)
        return self.answer()

    def stop(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def workload(name: str, rounds: int, full: bool) -> dict[str, Figures]:
    """Measure the columns of a problem: CPU nanoseconds to prepare, of a row in a batch, of a run; a gain."""
    rows = PROBLEMS[name].rows if full else min(PROBLEMS[name].rows, 2000)
    workers: dict[str, Worker] = {}
    for column in columns(name, full):
        try:
            workers[column] = Worker(name, column, rows)
        except RuntimeError as error:
            if column == "fastgrad":
                raise
            print(f"left out: {error}", file=sys.stderr)
    results: dict[str, Figures] = {}
    for part in dict.fromkeys(part for worker in workers.values() for part in worker.ready["parts"]):
        able = {column: worker for column, worker in workers.items() if part in worker.ready["parts"]}
        results[part] = take_turns(able, part, rounds, per=rows if part == "batch" else 1)
    prepare = {c: {"median": worker.ready["prepare"]} for c, worker in workers.items() if c not in UNPREPARED}
    results.setdefault("prepare", prepare)
    if name == "black_scholes":
        able = {column: worker for column, worker in workers.items() if worker.ready["threads"]}
        results["threads"] = {column: gain(worker, rounds) for column, worker in able.items()}
    for worker in workers.values():
        worker.stop()
    return results


def take_turns(workers: dict[str, Worker], part: str, rounds: int, per: int) -> Figures:
    """Sample every worker once a round, a slow one once; fastgrad's *ratio* is to the fastest other library."""
    samples: dict[str, list[float]] = {column: [] for column in workers}
    for _ in range(rounds):
        for column, worker in workers.items():
            if sum(samples[column]) < SLOW_NS:
                samples[column].append(worker.sample(part)["cpu"])
    figures = {column: spread([time / per for time in times]) for column, times in samples.items()}
    peers = [column for column in workers if column in PEERS]
    if peers and "fastgrad" in workers:
        best = min(peers, key=lambda column: figures[column]["median"])
        figures["fastgrad"]["ratio"] = paired(samples["fastgrad"], samples[best])
    return figures


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Return the median and, of two samples or more, the interquartile range."""
    return summary(list(samples)) if len(samples) > 1 else {"median": samples[0]}


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of samples that were taken one after the other."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))


def gain(worker: Worker, rounds: int) -> dict[str, float]:
    """Return how many times faster two threads are than one, by the clock on the wall."""
    pairs = [[worker.sample("batch", threads)["wall"] for threads in (1, 2)] for _ in range(rounds)]
    return spread([one / two for one, two in pairs])


# ------------------------------------------------------------------------------------------------ in the process


def cpu() -> float:
    """Return the CPU nanoseconds that this process has taken, and the compilers that it started."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time_ns() + 1e9 * (children.ru_utime + children.ru_stime)


def timed(run: Callable[[], Any], inner: int = 1) -> dict[str, float]:
    """Return CPU and wall nanoseconds of a run, the mean of `inner`."""
    wall, start = time.perf_counter_ns(), cpu()
    for _ in range(inner):
        run()
    return {"cpu": (cpu() - start) / inner, "wall": (time.perf_counter_ns() - wall) / inner}


def compare(column: Column, part: str, result: Any, start: Sequence[Array], expected: Results) -> None:
    """Raise unless a part's results are those by hand."""
    problem, (value, gradient) = column.problem, expected
    if part in ("step", "model"):
        trained = start[0] - problem.rate / column.rows * gradient[0]
        assert_close(column.trained(part), trained, VALUE_TOLERANCE)
        return
    if part == "row":
        value, gradient = value[:1], gradient[:1]
    found = column.read(result)
    assert_close(found[0], value, VALUE_TOLERANCE)
    assert_close(found[1], gradient, GRADIENT_TOLERANCE)


def assert_close(found: Array, expected: Array, tolerance: float) -> None:
    """Raise unless the arrays are equal to `tolerance` times the largest number expected."""
    if found.shape != expected.shape:
        raise AssertionError(f"shape {found.shape}, expected {expected.shape}")
    worst, allowed = np.abs(found - expected).max(), tolerance * np.abs(expected).max()
    if not worst <= allowed:
        raise AssertionError(f"differs from the results by hand by {worst:.3g}, more than {allowed:.3g}")


def prepared(kind: type[Column], problem: Problem, data: Sequence[Array]) -> tuple[Column, Any, float]:
    """Return a column, the result of its first run, and the CPU nanoseconds that both took."""
    start = cpu()
    column = kind(problem, data)
    result = next(iter(column.parts().values()))()
    return column, result, cpu() - start


def preparing(kind: type[Column], problem: Problem) -> float:
    """Return the CPU nanoseconds that it takes to prepare, on few rows, so that the first run takes hardly any."""
    column, _, first = prepared(kind, problem, problem.data(FEW))
    return max(0.0, first - timed(next(iter(column.parts().values())))["cpu"])


def serve(name: str, kind: type[Column], rows: int) -> None:
    """Prepare, compare, and run what standard input names."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    problem, data = PROBLEMS[name], PROBLEMS[name].data(rows)
    for module in (kind.package, *kind.modules):
        importlib.import_module(module)
    prepare = preparing(kind, problem) if rows > FEW else None
    column, result, first = prepared(kind, problem, data)
    parts, expected = column.parts(), BY_HAND[name](*data)
    costs = {}
    for part, run in parts.items():
        compare(column, part, run() if costs else result, data, expected)
        costs[part] = timed(run)["cpu"]
    if prepare is None:
        prepare = max(0.0, first - next(iter(costs.values())))
    if name == "prepare":
        parts, costs = {"prepare": lambda: prepared(kind, problem, data)}, {"prepare": first}
    inner = {part: max(1, int(SAMPLE_NS / cost)) for part, cost in costs.items()}
    said = {"parts": list(parts), "prepare": prepare, "threads": column.threads(1)}
    print(json.dumps(said), file=answers, flush=True)
    for line in sys.stdin:
        part, threads = line.split()
        column.threads(int(threads))
        print(json.dumps(timed(parts[part], inner[part])), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], COLUMNS[sys.argv[2]], int(sys.argv[3]))
