"""Run every workload, write the table in README.md and the plots in docs/plots.

python bench/report.py            minutes; writes README.md and docs/plots
python bench/report.py --quick    seconds; prints the table and writes nothing
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import compiled_table
import contests
from measure import GRADIENT_TOLERANCE, VALUE_TOLERANCE, Figures, isolated
from plots import draw_compiled, draw_contests, draw_relative, draw_scaling
from tables import cell, markdown
from tqdm import tqdm
from workloads import COLUMNS, SIZES

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
UNITS = {"ns": 1.0, "ms": 1e6, "bytes": 1.0, "MB": 1e6}


class Row(NamedTuple):
    """A line of the table: a part of a workload, its unit, and the target that fastgrad has to reach."""

    label: str
    workload: str
    part: str
    unit: str
    target: float | None = None
    over_floats: bool = False  # whether the target is a multiple of the floats column


ROWS = (
    Row("forward, chain of 1,400", "chain 1400", "forward", "ns", 1.3, True),
    Row("forward, chain of 140,000", "chain 140000", "forward", "ns", 1.8, True),
    Row("forward, moons graph", "moons", "forward", "ns"),
    Row("backward, chain of 1,400", "chain 1400", "backward", "ns", 8.0),
    Row("backward, chain of 140,000", "chain 140000", "backward", "ns", 8.0),
    Row("backward, moons graph", "moons", "backward", "ns", 5.0),
    Row("moons step, micrograd's own code", "moons step", "step", "ms", 1.5, True),
    Row("moons step, `nn` as shipped", "moons step, nn", "step", "ms", 1.0, True),
    Row("microgpt step", "microgpt step", "step", "ms", 10.0),
    Row("microgpt step, compiled", "microgpt step, compiled", "step", "ms", 0.4),
    Row("memory of a node", "node_bytes", "memory", "bytes", 48.0),
    Row("memory of a `Value` kept, with its node", "value_bytes", "memory", "bytes"),
    Row("peak memory, chain of 10,000,000", "peak", "memory", "MB", 600.0),
    Row("import, beyond NumPy", "import_time", "import", "ms", 50.0),
)
SCALING = tuple(Row(f"{size:,}", f"powers {size}", part, "ns") for part in ("forward", "backward") for size in SIZES)


class Effort(NamedTuple):
    """How much is measured."""

    budget: float  # seconds a column
    minimum: int  # samples a column
    largest: int  # operations
    full: bool  # whether with peers and columns without the garbage collector
    rounds: int  # samples a column of the compiled workloads


FULL = Effort(budget=1.0, minimum=4, largest=10**7, full=True, rounds=9)
QUICK = Effort(budget=0.05, minimum=2, largest=10**5, full=False, rounds=2)


def collect(effort: Effort) -> dict[Row, Figures]:
    """Measure every row, each workload in a process of its own."""
    rows = [*ROWS, *(row for row in SCALING if int(row.label.replace(",", "")) <= effort.largest)]
    columns = set(isolated("columns", effort.full))
    results: dict[Row, Figures] = {}
    for name in tqdm(dict.fromkeys(row.workload for row in rows), desc="workloads", unit=""):
        measured = dict(measure(name, effort, columns))
        results |= {row: scaled(measured[row.part], UNITS[row.unit]) for row in rows if row.workload == name}
    return results


def measure(name: str, effort: Effort, columns: set[str]) -> Iterator[tuple[str, Figures]]:
    """Yield the parts of a workload with the figures of every column."""
    if name == "import_time":
        backends = {"fastgrad": "c", "fallback": "python"}
        yield "import", {c: isolated(name, backends[c], 15 if effort.full else 3) for c in columns & set(backends)}
    elif name == "peak":
        yield "memory", {c: isolated(name, c, 10**7) for c in columns & {"fastgrad"}}
    elif name == "node_bytes":
        size = min(10**6, effort.largest)
        yield "memory", {c: isolated(name, c, size) for c in columns & {"fastgrad", "fallback"}}
    elif name == "value_bytes":
        yield "memory", {c: isolated(name, c, 10**5) for c in columns & {"fastgrad", "fallback", "micrograd"}}
    else:
        yield from isolated("workload", name, effort.budget, effort.minimum, effort.full).items()


def scaled(figures: Figures, unit: float) -> Figures:
    """Return the figures in another unit."""
    return {column: figure | {"median": figure["median"] / unit} for column, figure in figures.items()}


def ratio(figures: Figures) -> float | None:
    """Return fastgrad's time as a multiple of Python floats'."""
    return figures.get("fastgrad", {}).get("ratio")


def verdict(row: Row, figures: Figures) -> tuple[str, bool]:
    """Return the text of the target and whether it is reached."""
    if row.target is None or "fastgrad" not in figures:
        return "", True
    reached = ratio(figures) if row.over_floats else figures["fastgrad"]["median"]
    text = f"≤ {row.target:g}x" if row.over_floats else f"≤ {row.target:g}"
    return f"{text} {'✓' if reached <= row.target else '✗'}", reached <= row.target


def main_table(results: dict[Row, Figures]) -> list[str]:
    """Return the table of workloads by columns."""
    columns = [column for column in COLUMNS if any(column in figures for figures in results.values())]
    peers = [column for column in columns if column not in ("floats", "fastgrad")]
    header = ["", "unit", "Python floats, forward only", "**fastgrad**", "ratio", "target", *peers]
    lines = []
    for row in ROWS:
        figures = results[row]
        times = ratio(figures)
        ours = [cell(figures.get("floats")), f"**{cell(figures.get('fastgrad'))}**", f"{times:.2f}x" if times else ""]
        rest = [verdict(row, figures)[0], *(cell(figures.get(column)) for column in peers)]
        lines.append([row.label, "ns/op" if row.unit == "ns" else row.unit, *ours, *rest])
    return markdown(header, lines)


def scaling_table(results: dict[Row, Figures]) -> list[str]:
    """Return the table of sizes, nanoseconds an operation forward / backward."""
    columns = [column for column in COLUMNS if any(column in results[row] for row in SCALING if row in results)]
    lines = []
    for size in dict.fromkeys(row.label for row in SCALING if row in results):
        parts = [results[row] for row in SCALING if row.label == size]
        cells = (" / ".join(cell(figures[c] | {"iqr": None}) for figures in parts if c in figures) for c in columns)
        lines.append([size, *cells])
    return markdown(["operations", *columns], lines)


PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "dask", "fastgrad", "micrograd"),
    *("torch", "jax", "casadi", "heyoka", "drjit"),
)


def machine() -> str:
    """Return the processor, the interpreter and the versions that the figures belong to."""
    parts = [f"{processor()}, {os.cpu_count()} logical cores, {platform.system()}; CPython {platform.python_version()}"]
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            parts.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(parts)


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


METHOD = f"""\
Written by `python bench/report.py`; the programs are in `bench/workloads.py` and `examples/microgpt.py`, each once for
all columns (torch's microgpt is on tensors). Medians of process CPU time, the columns taking turns; interquartile
range in brackets. Before timing, the columns' values are
compared to {VALUE_TOLERANCE:g}, their gradients to {GRADIENT_TOLERANCE:g}. *fallback* is fastgrad in pure Python;
it and micrograd are given with Python's cyclic garbage collector as users have it, and with `gc.disable()`. *ratio* is
fastgrad to Python floats, the median of pairs of neighbouring turns; floats compute no gradient, so that in the step
rows it pays for forward, backward and update."""


def section(results: dict[Row, Figures], compiled: compiled_table.Results, held: contests.Results) -> str:
    """Return the generated part of the README."""
    blocks = [
        "### Eager",
        METHOD,
        "\n".join(main_table(results)),
        "A running product and its sum, as deep as it is long: nanoseconds an operation, forward / backward.",
        "\n".join(scaling_table(results)),
        "![Time relative to Python floats](docs/plots/relative.svg)",
        "![Time an operation by size](docs/plots/scaling.svg)",
        "### Compiled",
        *compiled_table.blocks(compiled),
        "![Time relative to fastgrad](docs/plots/compiled.svg)",
        "### Training, and in other libraries",
        *contests.blocks(held),
        "![Time relative to fastgrad](docs/plots/contests.svg)",
        f"Machine: {machine()}.",
    ]
    return "\n\n".join(blocks)


def around(readme: Path) -> tuple[str, str]:
    """Return what stands in the README before and after the generated part."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme}: expected the lines {BEGIN} and {END}, between which the table goes; add them")
    return before + begin, end + after


def draw(results: dict[Row, Figures], compiled: compiled_table.Results, held: contests.Results, folder: Path) -> None:
    """Draw the plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_relative({row.label: results[row] for row in ROWS if "floats" in results[row]}, folder)
    parts = {"forward": SCALING[: len(SIZES)], "backward": SCALING[len(SIZES) :]}
    draw_scaling({part: {r.label: results[r] for r in rows if r in results} for part, rows in parts.items()}, folder)
    draw_compiled(compiled_table.plotted(compiled), compiled_table.present(compiled), folder)
    draw_contests(contests.plotted(held), folder)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs without peers; writes nothing")
    quick = parser.parse_args().quick
    readme = ROOT / "README.md"
    if not quick:
        around(readme)  # a missing marker is known before the minutes of measuring
    effort = QUICK if quick else FULL
    results, compiled = collect(effort), compiled_table.collect(effort.rounds, effort.full)
    held = contests.collect(effort.rounds, effort.full)
    text = section(results, compiled, held)
    print(text)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            draw(results, compiled, held, Path(folder))
    else:
        draw(results, compiled, held, ROOT / "docs" / "plots")
        before, after = around(readme)
        readme.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")
    restless = max(figures["floats"]["iqr"] for figures in results.values() if "floats" in figures)
    if restless > 0.2:
        print(f"the machine was busy: Python floats varied by {restless:.0%}; trust ratios alone", file=sys.stderr)
    for row in ROWS:
        target, reached = verdict(row, results[row])
        if not reached:
            print(f"missed: {row.label}: {target}", file=sys.stderr)
    for line in (*compiled_table.missed(compiled), *contests.missed(held)):
        print(f"missed: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
