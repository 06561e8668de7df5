"""The report's part on compiled functions: its rows, their targets, its tables."""

from __future__ import annotations

from typing import NamedTuple

from compiled import COLUMNS, workload
from measure import GRADIENT_TOLERANCE, VALUE_TOLERANCE, Figures
from problems import PROBLEMS, STEPS
from tables import cell, markdown
from tqdm import tqdm


class Row(NamedTuple):
    """A line of the table: a part of a problem, its unit in nanoseconds, and the target that fastgrad has to reach."""

    label: str
    problem: str
    part: str
    unit: str
    size: float
    target: float | None = None
    least: bool = False  # whether more is better


US, MS = 1e3, 1e6
ROWS = (
    Row("Black-Scholes, price and 5 greeks", "black_scholes", "batch", "ns/row", 1.0, 30.0),
    Row("Rosenbrock, n = 100, value and gradient", "rosenbrock", "batch", "ns/row", 1.0, 450.0),
    Row("MLP 2-16-16-1 with tanh, gradients of each row", "mlp", "batch", "ns/row", 1.0, 500.0),
    Row("MLP 2-16-16-1 with tanh, summed over the rows", "mlp_sum", "batch", "ns/row", 1.0, 320.0),
    Row(f"Asian option, {STEPS} steps, value and 5 greeks", "asian", "batch", "ns/path/step", STEPS, 4.5),
    Row("function of 10,000 operations: to prepare", "prepare", "prepare", "ms", MS, 20.0),
    Row("function of 10,000 operations: in a batch", "operations", "batch", "us/row", US, 10.0),
    Row("graph of 'Fastest autograd in the West': one row", "west", "row", "us", US, 200.0),
    Row("graph of 'Fastest autograd in the West': in a batch", "west", "batch", "us/row", US, 40.0),
    Row("one call from Python, Rosenbrock, n = 10", "call", "row", "us", US, 1.0),
    Row("moons step, weights in an array", "moons", "step", "us", US, 80.0),
    Row("moons step, weights in an `nn.MLP`", "moons", "model", "us", US),
    Row("gain from a second thread, Black-Scholes", "black_scholes", "threads", "times", 1.0, 1.9, least=True),
)
Results = dict[str, dict[str, Figures]]  # by problem and part


def collect(rounds: int, full: bool) -> Results:
    """Measure every problem."""
    return {name: workload(name, rounds, full) for name in tqdm(PROBLEMS, desc="compiled", unit="")}


def figures(results: Results, row: Row) -> Figures:
    """Return a row's figures in its unit."""
    found = results[row.problem].get(row.part, {})
    return {column: figure | {"median": figure["median"] / row.size} for column, figure in found.items()}


def verdict(row: Row, found: Figures) -> tuple[str, bool]:
    """Return the text of the target and whether it is reached."""
    if row.target is None or "fastgrad" not in found:
        return "", True
    median = found["fastgrad"]["median"]
    reached = median >= row.target if row.least else median <= row.target
    return f"{'≥' if row.least else '≤'} {row.target:g} {'✓' if reached else '✗'}", reached


def missed(results: Results) -> list[str]:
    """Return the rows whose targets are not reached."""
    verdicts = [(row.label, *verdict(row, figures(results, row))) for row in ROWS]
    return [f"{label}: {text}" for label, text, reached in verdicts if not reached]


def main_table(results: Results) -> list[str]:
    """Return the table of problems by columns."""
    peers = [column for column in present(results) if column != "fastgrad"]
    lines = []
    for row in ROWS:
        found = figures(results, row)
        times = found.get("fastgrad", {}).get("ratio")
        ours = [f"**{cell(found.get('fastgrad'))}**", verdict(row, found)[0], f"{times:.2f}x" if times else ""]
        lines.append([row.label, row.unit, *ours, *(cell(found.get(column)) for column in peers)])
    return markdown(["", "unit", "**fastgrad**", "target", "to the fastest other", *peers], lines)


def prepare_table(results: Results) -> list[str]:
    """Return the table of milliseconds to prepare."""
    names: dict[str, str] = {}
    for row in ROWS:
        if row.problem != "prepare":
            names.setdefault(row.problem, row.label.partition(":")[0])
    columns = [column for column in present(results) if column != "NumPy"]
    lines = []
    for problem, label in names.items():
        found = figures(results, Row(label, problem, "prepare", "ms", MS))
        lines.append([label, *(cell(found.get(column)) for column in columns)])
    return markdown(["to prepare, ms", *columns], lines)


def present(results: Results) -> list[str]:
    """Return the columns that have a figure."""
    return [c for c in COLUMNS if any(c in found for parts in results.values() for found in parts.values())]


METHOD = f"""\
Functions of scalars, compiled with `fg.compile`, on arrays of rows in float64, on one thread, and the same in other
libraries, written as their users would. The programs are in `bench/problems.py`, what each library makes of them in
`bench/columns.py` and `bench/arrays.py`, the gradients by hand in NumPy in `bench/by_hand.py`, to which the results of
all are compared before timing, values to {VALUE_TOLERANCE:g} and gradients to {GRADIENT_TOLERANCE:g}. Each library runs
in a process of its own, and they take turns: medians of process CPU time, interquartile range in brackets. *fastgrad*
is exact: what it computes equals its eager results to the last bit. *fastmath*, heyoka and CasADi's C code may fuse
and reassociate. *to the fastest other* is the median of ratios of neighbouring turns. The gain from a second thread is
wall time. To prepare is all from the Python function to the first result, compilers included. A library has no figure
where it is not installed, where it cannot do the thing, or where it would compile for minutes."""


def blocks(results: Results) -> list[str]:
    """Return the paragraphs and tables for the README."""
    return [METHOD, "\n".join(main_table(results)), "\n".join(prepare_table(results))]


def plotted(results: Results) -> dict[str, Figures]:
    """Return the rows that are times, for the plot."""
    return {row.label: figures(results, row) for row in ROWS if not row.least and row.part != "model"}
