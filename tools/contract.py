"""Run every operation where it is delicate, and write docs/contract.md.

    python tools/contract.py

The points are zeros, ties, infinities and nan; each cell is what the eager operation and the compiled function give
there. A test does the same on both backends and compares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import fastgrad
from fastgrad._rules import REDUCTIONS, ROWS

OUTPUT = Path(__file__).resolve().parent.parent / "docs/contract.md"
INF, NAN = math.inf, math.nan

Point = tuple[float, ...]

ONE: list[Point] = [(0.0,), (-0.0,), (1.0,), (-1.0,), (INF,), (-INF,), (NAN,)]
ZEROS_AND_TIES: list[Point] = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 0.0), (1.0, 1.0), (-1.0, -1.0)]
INFINITIES: list[Point] = [(0.0, INF), (INF, 0.0), (1.0, INF), (INF, 1.0), (INF, INF), (INF, -INF)]
UNKNOWN: list[Point] = [(0.0, NAN), (NAN, 0.0), (1.0, NAN), (NAN, 1.0)]
CHOICES: list[Point] = [(1.0, 2.0, NAN), (0.0, NAN, 3.0), (-0.0, 2.0, 3.0), (INF, 2.0, 3.0), (NAN, 2.0, 3.0)]
TERMS: list[Point] = [(), (0.0, 0.0), (1.0, 1.0), (INF, 1.0), (INF, INF), (INF, -INF), (-INF, -INF), (NAN, 1.0)]

TEXT = """\
<!-- written by tools/contract.py, which runs every operation; do not edit -->
# The contract at the edges

What each operation gives at zeros, ties, infinities and nan: above its value, below its derivatives. All of it is run,
not written: eager and compiled, on both backends, a test compares it with this page. Numbers are shown to six digits.

- **ValueError**, **ZeroDivisionError**, **OverflowError**: what the eager operation raises, as Python's own does.
  Compiled functions raise nothing over arrays: value and derivatives in such a cell are theirs.
- At a kink the derivative is the smallest subgradient, which is 0 for `relu` and `abs`; at a tie each of two operands
  gets a half.
- A derivative is what `backward()` adds to `.grad`. It is infinite where the tangent is vertical, and nan where
  there is none or the formula for it meets `inf - inf` or `0 * inf`.

{sections}"""


Function = Callable[..., Any]


def shown(value: float, grads: Iterable[float]) -> str:
    """The value with the sign of a zero; of derivatives zeros have none, since they are sums that begin at 0."""
    texts = ", ".join(f"{g + 0.0:.6g}" for g in grads)
    return f"`{value:.6g}`" + (f"<br>`{texts}`" if texts else "")


def eager(fg: Any, function: Function, point: Point) -> str:
    """What the operation gives on Values, or the name of the exception that it raises."""
    try:
        leaves = [fg.Value(x) for x in point]
        z = function(*leaves)
    except (ArithmeticError, ValueError) as error:
        return f"**{type(error).__name__}**"
    if leaves:
        z.backward()
    return shown(float(z), [leaf.grad for leaf in leaves])


def compiled(fg: Any, function: Function, points: Sequence[Point]) -> list[str]:
    """What the compiled function gives for points of one size, as the rows of an array."""
    if not points[0]:
        return [""] * len(points)
    f = fg.compile(lambda operands: function(*operands), signature="(n)->()")
    values, grads = f.value_and_grad(points)
    return [shown(value, row) for value, row in zip(values.tolist(), grads.tolist(), strict=True)]


def cells(fg: Any, name: str, function: Function, points: Sequence[Point]) -> list[str]:
    """What an operation gives at each point; where it raises nothing, eager and compiled have to agree."""
    found = []
    for _, group in groupby(points, key=len):
        group = list(group)
        for point, ours in zip(group, compiled(fg, function, group), strict=True):
            theirs = eager(fg, function, point)
            if ours not in ("", theirs) and not theirs.startswith("**"):
                raise AssertionError(f"{name} at {point}: eager gives {theirs}, compiled {ours}")
            found.append(theirs if ours in ("", theirs) else f"{theirs}<br>{ours}")
    return found


def spelled(point: Point) -> str:
    return ", ".join(f"{x:g}" for x in point) or "none"


def table(fg: Any, functions: dict[str, Function], points: Sequence[Point], title: str) -> str:
    """A row for each function, a column for each point."""
    head = f"| {title} | " + " | ".join(map(spelled, points)) + " |\n|" + " :--- |" * (len(points) + 1) + "\n"
    rows = (f"| `{name}` | {' | '.join(cells(fg, name, f, points))} |\n" for name, f in functions.items())
    return head + "".join(rows) + "\n"


def of_operands(fg: Any, count: int) -> dict[str, Function]:
    """The operations with so many operands, by the names that they have in NumPy."""
    return {row.method: getattr(fg, row.method) for row in ROWS if len(row.operands) == count}


def of_terms(fg: Any, count: int) -> dict[str, Function]:
    """The reductions: of the terms that a point is, or of the one pair."""
    names = [row.method for row in REDUCTIONS if len(row.operands) == count]
    if count == 1:
        return {name: lambda *terms, name=name: getattr(fg, name)(terms) for name in names}
    return {f"{name}([x], [y])": lambda x, y, name=name: getattr(fg, name)([x], [y]) for name in names}


def page(fg: Any) -> str:
    """The text of the page, from what a copy of the package does."""
    two = of_operands(fg, 2) | of_terms(fg, 2)
    sections = {
        "Of one number": [table(fg, of_operands(fg, 1), ONE, "x =")],
        "Of two numbers": [table(fg, two, points, "x, y =") for points in (ZEROS_AND_TIES, INFINITIES, UNKNOWN)],
        "Of three numbers": [table(fg, of_operands(fg, 3), CHOICES, "x, y, w =")],
        "Of any number of terms": [table(fg, of_terms(fg, 1), TERMS, "terms")],
    }
    text = "".join(f"## {title}\n\n{''.join(tables)}" for title, tables in sections.items())
    return TEXT.format(sections=text.rstrip("\n") + "\n")


if __name__ == "__main__":
    OUTPUT.write_text(page(fastgrad), encoding="utf-8", newline="\n")
