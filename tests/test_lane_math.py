"""Our own transcendental functions: at most 1 ulp from mpmath, and SIMD code in loops.

FASTGRAD_POINTS says at how many points of each range they are measured; tools/ulps.py does it at a million.
"""

from __future__ import annotations

import importlib.util
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mpmath
import pytest

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "csrc" / "lane_math.h"
POINTS = int(os.environ.get("FASTGRAD_POINTS", "1000"))

SPEC = importlib.util.spec_from_file_location("ulps", ROOT / "tools" / "ulps.py")
assert SPEC is not None and SPEC.loader is not None
ulps = importlib.util.module_from_spec(SPEC)
sys.modules["ulps"] = ulps
SPEC.loader.exec_module(ulps)

needs_c = pytest.mark.skipif(ulps.fg.backend().name != "c", reason="the C extension is not built")
HALF_PI = mpmath.mp.clone().pi / 2
HALF_LN2 = math.log(2.0) / 2
GREATEST = sys.float_info.max
SMALL = (5e-324, 1e-310, 2.2250738585072014e-308, 1e-300, 1e-17, 1e-8, 1e-3, 0.1)


def around(*values: float) -> list[float]:
    """The values and the doubles beside them."""
    return [y for x in values for y in (math.nextafter(x, -math.inf), x, math.nextafter(x, math.inf))]


#: Ends of ranges, where the ways of computing change, and where results are subnormal or exact.
ENDS = {
    "exp": [*around(709.782712893383, -708.396418532264, -744.44, HALF_LN2, -HALF_LN2), -745.0, 1.0],
    "expm1": [*around(709.782712893383, HALF_LN2, -HALF_LN2, -36.7, -37.43, 37.43), -40.0, -50.0],
    "log": [*around(1.0, 0.6875, 1.375, 2.0, 2.2250738585072014e-308), *SMALL, GREATEST, 10.0],
    "log1p": [*around(1.0, -0.3125, 0.375, 1.75), math.nextafter(-1.0, 0.0), 2.0**53, 2.0**60, 1e300, GREATEST],
    "tanh": [*around(HALF_LN2 / 2, 10.0, 18.7, 19.06, 22.0), 0.55],
    "erf": [*around(0.75, 5.9, 6.0), 0.5, 1.0, 2.0, 3.0],
    "erfc": [*around(-5.9, 26.5, 27.2, 27.22), 0.0, 1.0, 10.0, 26.0],
    "ndtr": [*around(-37.5, -38.4, -38.46, 8.2, 8.3), 0.0, 1.0, -1.0, -10.0, -30.0],
    "sin": around(*(float(n * HALF_PI) for n in (1, 2, 3, 4, 29, 58, 1000, 63661)), 1e5, 1e22),
    "cos": around(*(float(n * HALF_PI) for n in (1, 2, 3, 4, 29, 58, 1000, 63661)), 1e5, 1e22),
}
NEAR_X = {"expm1", "log1p", "tanh", "sin"}
RANGES = [(function.name, i) for function in ulps.FUNCTIONS for i in range(len(function.ranges))]


@needs_c
@pytest.mark.parametrize(("name", "i"), RANGES, ids=[f"{name}-{i}" for name, i in RANGES])
def test_errors_are_an_ulp_at_most(name: str, i: int) -> None:
    function = ulps.BY_NAME[name]
    error, point = ulps.worst(function, function.ranges[i], POINTS)
    assert error <= 1.0, point


@needs_c
@pytest.mark.parametrize("name", ENDS)
def test_errors_are_an_ulp_at_most_at_the_ends_of_ranges(name: str) -> None:
    exact = ulps.BY_NAME[name].exact
    for x in [*ENDS[name], *SMALL, *(-s for s in SMALL if name != "log")]:
        got = ulps.computed(name, (x,))
        assert ulps.ulps(got, exact(ulps.mp.mpf(x))) <= 1.0, x
        if name in NEAR_X and abs(x) < 1e-17:
            assert got == x  # also where it is subnormal


@needs_c
def test_powers_that_the_optimiser_rewrites_are_exact() -> None:
    fg = ulps.fg
    for (x,) in ulps.points(ulps.any_bits(1e-150, 1e150), 2000, seed=0):
        assert fg.pow(x, 0.0) == 1.0
        assert fg.pow(x, 1.0) == x
        assert fg.pow(x, 2.0) == x * x
        assert fg.pow(x, -1.0) == 1.0 / x


def test_documented_errors_are_an_ulp_at_most() -> None:
    table = ROOT.joinpath("docs", "accuracy.md").read_text(encoding="utf-8")
    errors = re.findall(r"^\| (\w+) \| .*? \| ([\d.]+) \|", table, re.MULTILINE)
    assert {name for name, _ in errors} == ulps.BY_NAME.keys()
    assert all(float(error) <= 1.0 for _, error in errors)


@pytest.mark.slow
def test_polynomials_are_what_their_tool_derives() -> None:
    command = [sys.executable, "tools/minimax.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ----------------------------------------------------------------------------------------------------------------- SIMD

INSTRUCTION_SETS = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
}


def loops() -> tuple[str, dict[int, str]]:
    """A loop over each function, or the part of it that has no branch; and by its line what it is over."""
    (listed,) = re.findall(r"^#define FG_RARE_FUNCTIONS\(X\) (.*)$", HEADER.read_text(), re.MULTILINE)
    rare = set(re.findall(r"X\((\w+), \d\)", listed))
    lines, names = ['#include "lane_math.h"'], {}
    for name in ulps.BY_NAME:
        quick = f"fg_{name}_quick" if name in rare else f"fg_{name}"
        operands = "x[i], y[i]" if name == "pow" else "x[i]"
        head = f"void loop_{name}(double *restrict z, const double *x, const double *y, long n)"
        lines.append(f"{head} {{ (void)y; for (long i = 0; i < n; i++) z[i] = {quick}({operands}); }}")
        names[len(lines)] = name
    return "\n".join(lines) + "\n", names


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the instruction sets are those of x86")
@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_loops_become_simd_code(instruction_set: str, tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None or "clang" in subprocess.run([compiler, "-v"], capture_output=True, text=True).stderr:
        pytest.skip("gcc, which reports what it vectorises, is not installed")
    text, names = loops()
    source = tmp_path / "loops.c"
    source.write_text(text)
    flags: list[Any] = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    flags += [*INSTRUCTION_SETS[instruction_set], "-fopt-info-vec-optimized", "-I", ROOT / "csrc"]
    command = [compiler, *flags, "-c", source, "-o", tmp_path / "loops.o"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    vectorised = {names.get(int(line)) for line in re.findall(r"loops\.c:(\d+):.*loop vectorized", done.stderr)}
    assert vectorised == set(names.values())
