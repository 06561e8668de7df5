"""Time and memory of the workloads: process CPU time, columns taking turns, results compared before anything is timed.

``python bench/measure.py FUNCTION ARGUMENTS`` calls one function of this file with a JSON list of arguments and prints
its result as JSON. `isolated` does so in a fresh process, where no earlier workload has grown a heap or a tape.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from workloads import STEPS, WORKLOADS, Chain, Kit, Powers, Program, kits

SAMPLE_NS = 20_000_000  # long enough to hold some reclaims of the tape and some collections
VALUE_TOLERANCE, GRADIENT_TOLERANCE = 1e-12, 1e-9
Figures = dict[str, dict[str, float]]  # by column: its median and, where there are samples, their spread


class Case:
    """One column of a workload and its samples: CPU nanoseconds of one run, by part."""

    def __init__(self, program: Program, step: bool) -> None:
        self.program = program
        self.parts = ("step",) if step else ("forward", "backward")[: 1 + program.kit.gradients]
        self.once = self.step if step and program.kit.gradients else self.sweep
        self.inner = 1
        self.spent = 0.0
        self.samples: list[list[float]] = []

    def sweep(self) -> tuple[int, int]:
        """Time a forward run, with the dropping of its graph, and a backward run."""
        clock = time.process_time_ns
        start = clock()
        result = self.program.forward()
        built = clock()
        if self.program.kit.gradients:
            result.backward()
        swept = clock()
        del result
        return built - start + clock() - swept, swept - built

    def step(self) -> tuple[int]:
        """Time a training step."""
        start = time.process_time_ns()
        self.program.step()
        return (time.process_time_ns() - start,)

    def sample(self) -> None:
        """Add a sample, under the column's own setting of the cyclic garbage collector."""
        (gc.enable if self.program.kit.collector else gc.disable)()
        totals = [sum(times) for times in zip(*(self.once() for _ in range(self.inner)), strict=True)]
        gc.enable()
        gc.collect()  # its garbage is no other column's cost
        self.spent += sum(totals)
        self.samples.append([total / self.inner for total in totals])

    def warm_up(self) -> None:
        """Choose how many runs make a sample."""
        self.sample()
        self.inner = max(1, int(SAMPLE_NS / max(self.spent, 1.0)))
        self.samples.clear()
        self.spent = 0.0

    def figures(self, unit: float) -> dict[str, dict[str, float]]:
        """Return the summary of each part, in units of so many nanoseconds."""
        columns = zip(*self.samples, strict=True)  # the backward time of a column without gradients is left out
        return {part: summary([t / unit for t in times]) for part, times in zip(self.parts, columns, strict=False)}


def summary(samples: list[float]) -> dict[str, float]:
    """Return the median of the samples and their interquartile range in parts of the median."""
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return {"median": median, "iqr": (high - low) / median}


def columns(full: bool) -> list[str]:
    """Return the names of the columns that can run here."""
    return list(kits(full))


def workload(name: str, budget: float, minimum: int, full: bool) -> dict[str, Figures]:
    """Measure the columns of a workload by part: nanoseconds an operation, or a step."""
    programs = {column: WORKLOADS[name](kit) for column, kit in kits(full).items()}
    programs = {column: program for column, program in programs.items() if program.runs()}
    once_each = {column: program for column, program in programs.items() if program.kit.collector}
    operations = assert_equal_results(once_each, trained=name in STEPS)
    cases = {column: Case(program, name in STEPS) for column, program in programs.items()}
    take_turns(cases, budget, minimum)
    results: dict[str, Figures] = {}
    for column, case in cases.items():
        for part, figure in case.figures(1 if name in STEPS else operations).items():
            results.setdefault(part, {})[column] = figure
    if "fastgrad" in cases:
        results[cases["floats"].parts[0]]["fastgrad"]["ratio"] = paired_ratio(cases["fastgrad"], cases["floats"])
    return results


def take_turns(cases: dict[str, Case], budget: float, minimum: int) -> None:
    """Sample each column for `budget` seconds and at least `minimum` times.

    Floats and fastgrad go in pairs, so that noise hits both; between pairs goes the other that has had the least time.
    """
    pair = [case for column, case in cases.items() if column in ("floats", "fastgrad")]
    others = [case for case in cases.values() if case not in pair]
    for case in cases.values():
        case.warm_up()

    def waiting(group: list[Case]) -> list[Case]:
        return [case for case in group if case.spent < budget * 1e9 or len(case.samples) < minimum]

    while waiting([*pair, *others]):
        first = waiting(pair)
        for case in pair if first else ():
            case.sample()
        late = min(waiting(others), key=lambda case: case.spent, default=None)
        if late and (late.spent <= pair[0].spent or not first):
            late.sample()


def paired_ratio(case: Case, other: Case) -> float:
    """Return the median of the ratios of two columns' samples that were taken one after the other."""
    return statistics.median(ours[0] / theirs[0] for ours, theirs in zip(case.samples, other.samples, strict=True))


def assert_equal_results(programs: dict[str, Program], trained: bool) -> int:
    """Compare the columns' values and gradients, and values after a training step; return the graph's operations."""
    values, gradients, later, operations = {}, {}, {}, 0
    for column, program in programs.items():
        result = program.forward()
        values[column] = [program.kit.read(result)]
        if not program.kit.gradients:
            gradients |= program.expected()
            continue
        operations = operations or program.operations or count_operations(result)
        result.backward()
        gradients[column] = program.gradient()
        if trained:
            later[column] = [trained_value(program)]
    assert_close(values, VALUE_TOLERANCE)
    assert_close(gradients, GRADIENT_TOLERANCE)
    assert_close(later, VALUE_TOLERANCE)
    return operations


def trained_value(program: Program) -> float:
    """Return the program's value after a training step."""
    for leaf in program.leaves:
        leaf.grad = program.kit.zero
    program.step()
    return program.kit.read(program.forward())


def count_operations(result: Any) -> int:
    """Return how many nodes of the graph are results of an operation."""
    seen, waiting = {result}, [result]
    while waiting:
        fresh = waiting.pop()._prev - seen
        seen |= fresh
        waiting.extend(fresh)
    return sum(bool(node._prev) for node in seen)


def assert_close(columns: dict[str, list[float]], tolerance: float) -> None:
    """Raise unless all columns hold the same numbers, to `tolerance` times the largest of the first column's."""
    for column, numbers in columns.items():
        first, expected = next(iter(columns.items()))
        worst = max(abs(a - b) for a, b in zip(expected, numbers, strict=True))
        allowed = tolerance * max(map(abs, expected))
        if not worst <= allowed:
            raise AssertionError(f"{column} differs from {first} by {worst:.3g}, more than {allowed:.3g}")


def kit_of(column: str) -> Kit:
    """Return the kit of a column, without importing the libraries of others, which would be in the memory as well."""
    return kits(full=False).get(column) or kits()[column]


def node_bytes(column: str, operations: int) -> dict[str, float]:
    """Return resident bytes per node of a chain whose temporaries are dropped, after its backward run."""
    kit = kit_of(column)
    Chain(kit, 1000).forward().backward()
    before = status("VmRSS")
    result = Chain(kit, operations).forward()
    result.backward()
    return {"median": (status("VmRSS") - before) / operations}


def value_bytes(column: str, operations: int) -> dict[str, float]:
    """Return resident bytes per `Value` that is kept, its node included."""
    x = kit_of(column).number(1.0)
    kept = [x + x] * operations
    before = status("VmRSS")
    for i in range(operations):
        kept[i] = x + x
    return {"median": (status("VmRSS") - before) / operations}


def peak(column: str, operations: int) -> dict[str, float]:
    """Return the peak resident bytes of this process after a forward and a backward run on a deep chain."""
    Powers(kit_of(column), operations).forward().backward()
    return {"median": status("VmHWM")}


def status(field: str) -> int:
    """Return a size of this process in bytes, as the Linux kernel counts it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


IMPORT = "import numpy, time; start = time.process_time_ns(); import fastgrad; print(time.process_time_ns() - start)"


def import_time(backend: str, runs: int) -> dict[str, float]:
    """Return the CPU nanoseconds that importing fastgrad takes after NumPy, each in a fresh process."""
    environment = os.environ | {"FASTGRAD_BACKEND": backend, "PYTHONDONTWRITEBYTECODE": ""}
    run = partial(subprocess.run, [sys.executable, "-c", IMPORT], env=environment, check=True, stdout=subprocess.PIPE)
    run()  # writes the byte code, as a user's first import does
    return summary([int(run().stdout) for _ in range(runs)])


def isolated(function: str, *arguments: Any) -> Any:
    """Call a function of this file in a fresh process."""
    command = [sys.executable, __file__, function, json.dumps(arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))))
