"""Measure how far fastgrad's own functions are from the exact values, and write docs/accuracy.md.

    python tools/ulps.py [--points 1000000] [name ...]

The exact values are mpmath's, to 110 bits (gmpy2, where it is installed, makes that several times faster). An ulp is
the distance of the doubles around the exact value.
"""

from __future__ import annotations

import argparse
import math
import random
import struct
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath

import fastgrad as fg

mp = mpmath.mp.clone()
mp.prec = 110

Number = Any  # an mpf
Point = tuple[float, ...]
Draw = Callable[[random.Random], Point]

OUTPUT = Path(__file__).resolve().parent.parent / "docs/accuracy.md"
LEAST, GREATEST = 5e-324, sys.float_info.max
LOG_GREATEST = math.log(GREATEST)
PARTS = 8  # of the points of a function, for the processes to share

TEXT = """\
# Accuracy

Written by `python tools/ulps.py`: the greatest error of each of fastgrad's own functions against mpmath, in ulp, over
{points:,} points of each range. *bits* are ranges in which all doubles are equally likely, whatever their exponent,
*even* those in which all numbers are. Where nothing else is said, points of both signs are drawn.

Eager and compiled functions compute these with the same C code on every machine, so the figures hold for both. The
other functions are those of the C library. The pure-Python backend calls Python's `math` for all of them: it agrees to
a few ulp.

| function | range | greatest error | at |
| --- | --- | --: | --- |
{rows}"""


@dataclass(frozen=True)
class Range:
    """Where points are drawn, and the words for it."""

    text: str
    draw: Draw


@dataclass(frozen=True)
class Function:
    name: str
    exact: Callable[..., Number]
    ranges: tuple[Range, ...]


# --------------------------------------------------------------------------------------------------------------- ranges


def bits_of(x: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", x))[0])


def from_bits(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])


def even(low: float, high: float) -> Range:
    return Range(f"even, {low:g} to {high:g}", lambda draw: (draw.uniform(low, high),))


def any_bits(low: float, high: float, signs: tuple[int, ...] = (-1, 1)) -> Range:
    """Doubles from low to high, both positive, and their negatives."""
    first, last = bits_of(low), bits_of(high)
    text = f"bits, {low:g} to {high:g}" + (", positive" if signs == (1,) else "")
    return Range(text, lambda draw: (draw.choice(signs) * from_bits(draw.randint(first, last)),))


def power_of(draw_base: Callable[[random.Random], float], text: str) -> Range:
    """Powers of some bases, with exponents for which they are doubles."""

    def point(draw: random.Random) -> Point:
        x = draw_base(draw)
        log = abs(math.log(x)) or 1.0
        y = draw.uniform(-745.0, LOG_GREATEST) / log if x > 1.0 else draw.uniform(-LOG_GREATEST, 745.0) / log
        return x, max(-GREATEST, min(GREATEST, y))

    return Range(text, point)


BASES = (
    power_of(lambda draw: from_bits(draw.randint(bits_of(LEAST), bits_of(GREATEST))), "x bits, x**y a double"),
    power_of(lambda draw: draw.uniform(0.6, 1.5), "x even, 0.6 to 1.5, x**y a double"),
    power_of(lambda draw: 1.0 + draw.choice((-1, 1)) * 2.0 ** draw.uniform(-52, -2), "x near 1, x**y a double"),
    Range("x even, -10 to 10, y whole, -30 to 30", lambda draw: (draw.uniform(-10, 10), float(draw.randint(-30, 30)))),
)

FUNCTIONS = (
    Function("exp", mp.exp, (even(-745.2, 709.78), even(-2, 2), any_bits(LEAST, 1.0))),
    Function("expm1", mp.expm1, (even(-40, 709.78), even(-1, 1), any_bits(LEAST, 1.0))),
    Function("log", mp.log, (any_bits(LEAST, GREATEST, (1,)), even(0.4, 2.8))),
    Function("log1p", mp.log1p, (any_bits(LEAST, GREATEST, (1,)), any_bits(LEAST, 1.0 - 2.0**-53), even(-0.9, 3))),
    Function("pow", mp.power, BASES),
    Function("tanh", mp.tanh, (even(-20, 20), even(-1, 1), any_bits(LEAST, 20.0))),
    Function("sin", mp.sin, (even(-10, 10), even(-1e5, 1e5), any_bits(LEAST, GREATEST))),
    Function("cos", mp.cos, (even(-10, 10), even(-1e5, 1e5), any_bits(LEAST, GREATEST))),
    Function("erf", mp.erf, (even(-6, 6), even(-1, 1), any_bits(LEAST, 6.0))),
    Function("erfc", mp.erfc, (even(-6, 27.3), even(-1, 1), any_bits(LEAST, 27.3))),
    Function("ndtr", mp.ncdf, (even(-38.6, 9), even(-2, 2), any_bits(LEAST, 38.6))),
)
BY_NAME = {function.name: function for function in FUNCTIONS}


# ----------------------------------------------------------------------------------------------------------- measuring


def computed(name: str, point: Point) -> float:
    """What fastgrad gives; infinity where that is too large and an error."""
    try:
        return float(getattr(fg, name)(*point))
    except OverflowError:
        return math.inf


def ulps(got: float, exact: Number) -> float:
    """The distance from the exact value, in ulp."""
    if math.isinf(got):
        return 0.0 if abs(exact) > GREATEST * (1 + mp.mpf(2) ** -54) else math.inf
    _, exponent = mp.frexp(exact)
    return float(abs(mp.mpf(got) - exact) / mp.ldexp(1, max(exponent - 53, -1074)))


def points(range_: Range, count: int, seed: int) -> Iterator[Point]:
    draw = random.Random(f"{range_.text} {seed}")
    return (range_.draw(draw) for _ in range(count))


def worst(function: Function, range_: Range, count: int, seed: int = 0) -> tuple[float, Point]:
    """The greatest error over some points, and where."""
    return max(
        (ulps(computed(function.name, point), function.exact(*map(mp.mpf, point))), point)
        for point in points(range_, count, seed)
    )


# ------------------------------------------------------------------------------------------------------------ the table


def part(name: str, i: int, count: int, seed: int) -> tuple[float, Point]:
    return worst(BY_NAME[name], BY_NAME[name].ranges[i], count, seed)


def measured(names: list[str], count: int) -> Iterator[tuple[str, int, float, Point]]:
    """The rows of the table, as they come; all processors work on one after the other."""
    with ProcessPoolExecutor() as pool:
        for name in names:
            for i in range(len(BY_NAME[name].ranges)):
                jobs = [pool.submit(part, name, i, math.ceil(count / PARTS), seed) for seed in range(PARTS)]
                yield (name, i, *max(job.result() for job in jobs))


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the errors of fastgrad's own functions.")
    parser.add_argument("--points", type=int, default=1_000_000, help="in each range")
    parser.add_argument("names", nargs="*", metavar="name", help="functions; then nothing is written")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BY_NAME]:
        parser.error(f"{', '.join(unknown)}: not among {', '.join(BY_NAME)}")
    if fg.backend().name != "c":
        parser.error("the C extension is not there")
    rows = []
    for name, i, error, point in measured(options.names or list(BY_NAME), options.points):
        at = ", ".join(f"{x!r}" for x in point)
        rows.append(f"| {name} | {BY_NAME[name].ranges[i].text} | {error:.3f} | {at} |\n")
        print(rows[-1], end="", flush=True)
    if not options.names:
        OUTPUT.write_text(TEXT.format(points=options.points, rows="".join(rows)), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
