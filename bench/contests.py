"""The report's part on training and on other libraries: its contests, how they are held, and its table.

``python bench/contests.py NAME ROUNDS full`` holds one of them and prints its figures as JSON: nanoseconds that a way
takes for a unit of work, and fastgrad's time as a multiple of each rival's, in turns that follow each other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import elsewhere
import numpy as np
import training
from compiled import ONE_THREAD, assert_close, paired, spread
from measure import GRADIENT_TOLERANCE, SAMPLE_NS, Figures
from tables import cell, markdown
from tqdm import tqdm
from ways import OURS, Way

import fastgrad as fg


class Contest(NamedTuple):
    """A line of the table, or several: what is done, and what fastgrad has to reach."""

    label: str
    ways: Callable[[], Iterator[Way]]
    unit: str
    size: float  # of the unit, in nanoseconds
    target: float | None = None
    rival: str | None = None  # whose multiple the target is; without it the target is a time
    wall: bool = False  # whether other processes work too, so that it is the clock on the wall that counts
    tolerance: float = GRADIENT_TOLERANCE


US, MS = 1e3, 1e6
CONTESTS = {
    "estimators": Contest(
        "digits, an epoch: `sklearn.MLPClassifier`", training.estimators, "ms", MS, 2.0, "scikit-learn", tolerance=1e-6
    ),
    "fits": Contest("digits, an epoch: `fg.fit`, recording included", training.fits, "ms", MS),
    "microgpt": Contest("microgpt, 32 documents together: each", training.microgpt, "ms", MS, 0.15),
    "adam": Contest(f"`optim.Adam`, {training.SIZE:,} parameters", training.adam_steps, "us", US),
    "bfgs": Contest(
        "`fg.minimize`, L-BFGS-B, Rosenbrock, n = 100", elsewhere.minimizers("L-BFGS-B"), "ms", MS, tolerance=1e-3
    ),
    "newton": Contest(
        "`fg.minimize`, Newton-CG, the same", elsewhere.minimizers("Newton-CG"), "ms", MS, tolerance=1e-3
    ),
    "torch": Contest("`to_torch`, Black-Scholes, 5 greeks", elsewhere.in_torch, "ns/row", 1.0),
    "jax": Contest("`to_jax`, the same", elsewhere.in_jax, "ns/row", 1.0),
    "dask": Contest("`distributed.apply`, the same", elsewhere.on_dask, "ns/row", 1.0),
    "cluster": Contest("`distributed.backward`, two processes", elsewhere.cluster, "ns/row", 1.0, wall=True),
}
Results = dict[str, Figures]  # by contest; *ratio* is fastgrad's time as a multiple of this way's


def equal_ways(contest: Contest, full: bool = True) -> list[Way]:
    """Return the ways, with equal results, or fastgrad's alone; none where what they need is not installed."""
    fg.set_num_threads(1)
    ways = list(islice(contest.ways(), None if full else 1))
    results = [np.ravel(way.result()) for way in ways]
    for result in results[1:]:
        assert_close(result, results[0], contest.tolerance)
    return ways


def hold(contest: Contest, rounds: int, full: bool) -> Figures:
    """Time the ways in turns."""
    ways = equal_ways(contest, full)
    clock = time.perf_counter_ns if contest.wall else time.process_time_ns

    def timed(way: Way, times: int) -> float:
        start = clock()
        for _ in range(times):
            way.run()
        return (clock() - start) / times / way.per

    runs = {way.name: max(1, int(SAMPLE_NS / (timed(way, 1) * way.per))) for way in ways}
    samples: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            samples[way.name].append(timed(way, runs[way.name]))
    return {name: spread(taken) | {"ratio": paired(samples[OURS], taken)} for name, taken in samples.items()}


def collect(rounds: int, full: bool) -> Results:
    """Hold every contest that can be held here, each in a process of its own."""
    results = {}
    for name in tqdm(CONTESTS, desc="contests", unit=""):
        command = [sys.executable, __file__, name, str(rounds), *(["full"] if full else [])]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD)
        results[name] = json.loads(done.stdout)
    return {name: figures for name, figures in results.items() if figures}


def reached(contest: Contest, figures: Figures) -> tuple[str, bool]:
    """Return the text of the target and whether it is reached."""
    if contest.target is None or (contest.rival or OURS) not in figures:
        return "", True
    if contest.rival:
        text, good = f"≤ {contest.target:g}x {contest.rival}", figures[contest.rival]["ratio"] <= contest.target
    else:
        text, good = f"≤ {contest.target:g}", figures[OURS]["median"] / contest.size <= contest.target
    return f"{text} {'✓' if good else '✗'}", good


def missed(results: Results) -> list[str]:
    """Return the contests whose targets are not reached."""
    verdicts = [(CONTESTS[name].label, *reached(CONTESTS[name], figures)) for name, figures in results.items()]
    return [f"{label}: {text}" for label, text, good in verdicts if not good]


METHOD = f"""\
Training, and fastgrad's functions in other libraries: the programs are in `bench/training.py` and `bench/elsewhere.py`.
There is a line for each rival. What they compute is compared first, to {GRADIENT_TOLERANCE:g}; weights after ten epochs
to 1e-06, and where minimisers end to 0.001. One thread; medians of process CPU time, the ways taking turns; with two
processes, of the time by the clock on the wall. *ratio* is fastgrad's time to the rival's, the median over neighbouring
turns."""


def blocks(results: Results) -> list[str]:
    """Return the paragraphs and the table for the README."""
    lines = []
    for name, found in results.items():
        contest = CONTESTS[name]
        figures = {way: figure | {"median": figure["median"] / contest.size} for way, figure in found.items()}
        ours = [contest.label, contest.unit, f"**{cell(figures.pop(OURS))}**", reached(contest, found)[0]]
        rivals = [[way, cell(figure), f"{figure['ratio']:.2f}x"] for way, figure in figures.items()]
        for rival in rivals or [[""] * 3]:
            lines.append([*ours, *rival])
            ours = [""] * len(ours)
    return [METHOD, "\n".join(markdown(["", "unit", "**fastgrad**", "target", "against", "", "ratio"], lines))]


def plotted(results: Results) -> dict[str, float]:
    """Return each rival's time as a multiple of fastgrad's, by what is done and by whom."""
    return {
        f"{CONTESTS[name].label}: {way}": 1.0 / figure["ratio"]
        for name, figures in results.items()
        for way, figure in figures.items()
        if way != OURS
    }


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    _, name, rounds, *full = sys.argv
    print(json.dumps(hold(CONTESTS[name], int(rounds), bool(full))), file=answers, flush=True)


if __name__ == "__main__":
    main()
