"""The workloads as pytest-benchmark tests: ``pytest bench/``, one group a workload, one test a column."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from by_hand import BY_HAND
from columns import LARGE
from compiled import COLUMNS, columns, compare
from contests import CONTESTS, equal_ways
from measure import assert_equal_results
from problems import PROBLEMS
from ways import Way
from workloads import GRAPHS, SIZES, STEPS, WORKLOADS, Kit, Program, kits

pytestmark = pytest.mark.benchmark(timer=time.process_time, max_time=0.2, min_rounds=3)
KITS = kits()
LONG = [f"powers {size}" for size in SIZES if size > 10**4]


@cache
def programs(name: str) -> dict[str, Program]:
    """Return a workload's program for each column that can run it, with equal results."""
    built = {column: WORKLOADS[name](kit) for column, kit in KITS.items()}
    built = {column: program for column, program in built.items() if program.runs()}
    assert_equal_results(built, trained=name in STEPS)
    return built


def pairs(names: dict[str, Callable[[Kit], Program]], gradients: bool = False) -> list[tuple[str, str]]:
    """Return workload and column; the largest graphs are left to the report."""
    return [
        (name, column)
        for name in names
        for column, kit in KITS.items()
        if WORKLOADS[name](kit).runs() and name not in LONG and (kit.gradients or not gradients)
    ]


@contextmanager
def collector(program: Program) -> Iterator[None]:
    """Set the cyclic garbage collector as the column has it."""
    (gc.enable if program.kit.collector else gc.disable)()
    yield
    gc.enable()
    gc.collect()


@pytest.mark.parametrize("name, column", pairs(GRAPHS))
def test_forward(benchmark, name: str, column: str) -> None:
    program = programs(name)[column]
    benchmark.group = f"{name}, forward"
    with collector(program):
        benchmark(program.forward)


@pytest.mark.parametrize("name, column", pairs(GRAPHS, gradients=True))
def test_backward(benchmark, name: str, column: str) -> None:
    program = programs(name)[column]
    benchmark.group = f"{name}, backward"
    with collector(program):
        benchmark.pedantic(lambda graph: graph.backward(), setup=lambda: ((program.forward(),), {}), rounds=10)


@pytest.mark.parametrize("name, column", pairs(STEPS))
def test_step(benchmark, name: str, column: str) -> None:
    program = programs(name)[column]
    benchmark.group = name
    with collector(program):
        benchmark(program.step if program.kit.gradients else program.forward)


def compiled_pairs() -> list[tuple[str, str]]:
    """Return problem and column; what takes a compiler minutes is left to the report."""
    waits = [(name, column) for name in LARGE | {"prepare"} for column in ("heyoka", "CasADi + gcc")]
    return [(name, column) for name in PROBLEMS for column in columns(name) if (name, column) not in waits]


@pytest.mark.parametrize("name, column", compiled_pairs())
def test_compiled(benchmark, name: str, column: str) -> None:
    problem = PROBLEMS[name]
    data = problem.data(min(problem.rows, 2000))
    ready = COLUMNS[column](problem, data)
    ready.threads(1)
    benchmark.group = f"compiled {name}"
    for part, run in list(ready.parts().items())[:1]:
        compare(ready, part, run(), data, BY_HAND[name](*data))
        benchmark(run)


def contest_names() -> list[str]:
    """Return the contests without a cluster, which no timer of this process can time."""
    return [name for name, contest in CONTESTS.items() if not contest.wall]


@cache
def ways_of(name: str) -> list[Way]:
    """Return a contest's ways, with equal results."""
    return equal_ways(CONTESTS[name])


@pytest.mark.parametrize("name", contest_names())
def test_contest(benchmark, name: str) -> None:
    """Only fastgrad's way is timed here; the report has its rivals."""
    ways = ways_of(name)
    if not ways:
        pytest.skip("the library that it is held in is not installed")
    benchmark.group = f"contest {name}"
    benchmark.pedantic(ways[0].run, rounds=3)
