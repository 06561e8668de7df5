"""The C file that programs are exported to: compiled with all warnings, and compared with eager to the last bit."""

from __future__ import annotations

import ctypes
import fnmatch
import random
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from exact import BY_NAME, REDUCTIONS, ROWS, points
from programs import (
    Graph,
    Maker,
    branch,
    eager,
    graph_program,
    hidden_root,
    of_row,
    run,
    same,
    taken,
    tame,
    value_and_gradient,
)
from test_quality import COMPILER, ROOT, needs_compiler
from test_random_graphs import ARITHMETIC, Step

from fastgrad import _c_parts, _c_source
from fastgrad._c_source import Function, c_source
from fastgrad._c_source import Path as C_Path
from fastgrad._numpy_program import Program

STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wmissing-prototypes", "-Werror"]
FLAGS = [*STRICT, "-O1", "-ffp-contract=off", "-fPIC", "-shared"]

Compiled = Callable[..., tuple[int, list[float]]]


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., dict[str, Compiled]]:
    """Compile a C file and give its functions, which take inputs and how many outputs there are."""

    def build(functions: Sequence[Function]) -> dict[str, Compiled]:
        source, library = tmp_path / "exported.c", tmp_path / f"exported{len(list(tmp_path.iterdir()))}.so"
        source.write_text(c_source(functions))
        command = [COMPILER, *FLAGS, str(source), "-o", str(library), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        loaded = ctypes.CDLL(str(library))
        return {function.name: called(loaded[function.name]) for function in functions}

    return build


def called(function: Any) -> Compiled:
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

    def call(inputs: Sequence[float], outputs: int) -> tuple[int, list[float]]:
        x, y = np.array(inputs, np.float64), np.full(outputs, np.nan)
        return function(x.ctypes.data, y.ctypes.data), y.tolist()

    return call


def one(name: str, program: Any, expected: bytes = b"") -> Function:
    return Function(name, [C_Path(program, expected)])


# ------------------------------------------------------------------------------------------------------- the same bits


def random_graph(seed: int, names: Sequence[str]) -> Graph:
    draw = random.Random(seed)
    inputs = [draw.choice([0.0, 1.0, -1.5, round(draw.uniform(-3, 3), 3)]) for _ in range(draw.randint(1, 5))]
    steps = []
    for _ in range(draw.randint(1, 40)):
        row = BY_NAME[draw.choice(names)]
        count = len(row.operands) * (draw.randint(1, 20) if row.kind == "REDUCE" else 1)
        steps.append(Step(row.name, tuple(draw.randrange(10**6) for _ in range(count))))
    return Graph(tuple(inputs), (2.0, -0.5), tuple(steps))


def derivative(fg: ModuleType, program: Program) -> Any:
    """Value and gradient, as the backend differentiates, with constants computed by its own functions."""
    if fg.backend().name == "python":
        return value_and_gradient(program)
    core = pytest.importorskip("fastgrad._program")
    arrays = (program.nodes, program.pool, program.constants, program.inputs, program.outputs)
    gradient = core.Program(*arrays).reverse([0], range(program.inputs))
    both = gradient.with_outputs([*program.outputs, *gradient.outputs])
    return both.rewrite(["fold"], False)[0]


@needs_compiler
def test_exported_value_and_gradient_are_eager_s_to_the_last_bit(fg: ModuleType, compiled: Any) -> None:
    """On the fallback, whose functions are Python's, for arithmetic; on the compiled backend for all rows."""
    names = ARITHMETIC if fg.backend().name == "python" else list(BY_NAME)
    graphs = {f"f{seed}": tame(fg, random_graph(seed, names)) for seed in range(60)}
    functions = compiled([one(name, derivative(fg, graph_program(fg, graph))) for name, graph in graphs.items()])
    for name, graph in graphs.items():
        expected = eager(fg, graph)
        left, got = functions[name](graph.inputs, len(expected))
        assert left == 0
        assert same(got, expected), graph


@needs_compiler
def test_each_row_is_exported(fg: ModuleType, compiled: Any) -> None:
    programs = {row.name: value_and_gradient(of_row(row.name)) for row in ROWS}
    programs |= {row.name: value_and_gradient(of_row(row.name, 11)) for row in REDUCTIONS}
    functions = compiled([one(f"row_{name}", program) for name, program in programs.items()])
    for name, program in programs.items():
        drawn = points(BY_NAME[name], 10) if program.inputs < 4 else [tuple(np.linspace(-1, 1, program.inputs))]
        for operands in drawn:
            _, got = functions[f"row_{name}"](operands, len(program.outputs))
            assert got == pytest.approx(run(program, *operands)[0].tolist(), rel=1e-11, abs=1e-13, nan_ok=True)


@needs_compiler
def test_sums_of_nothing_and_numbers_that_are_not_finite_are_exported(compiled: Any) -> None:
    make = Maker()
    nodes = [make.constant(x) for x in (float("inf"), float("-inf"), float("nan"), -0.0, -2.5, 1e-310)]
    make.leaf(0)
    nodes += [make.row("neg", nodes[4]), make.row("sum"), make.row("logsumexp"), make.row("sub", nodes[3], nodes[4])]
    program = make.program(1, *nodes)
    _, got = compiled([one("constants", program)])["constants"]([0.0], len(nodes))
    assert same(got, run(program, 0.0)[0])


@needs_compiler
@pytest.mark.parametrize("index", [0.0, 2.0, 3.0, -1.0, float("nan"), 1e300])
def test_tables_are_exported(compiled: Any, index: float) -> None:
    program = value_and_gradient(taken(3))
    _, got = compiled([one("table", program)])["table"]([0.5, 1.0, 2.0, 3.0, index], len(program.outputs))
    assert got == pytest.approx(run(program, 0.5, 1.0, 2.0, 3.0, index)[0].tolist(), rel=1e-14, nan_ok=True)


# -------------------------------------------------------------------------------------------------- guards and big ones


@needs_compiler
def test_the_first_path_that_fits_is_taken(compiled: Any) -> None:
    """x * y for x > 0 and not y > 1; where y > 1 the other program; for other x there is none."""
    first = branch()
    other = first.with_outputs([0, *first.outputs[1:].tolist()])  # gives x back
    paths = [C_Path(first, b"\1\0"), C_Path(other, b"\1\1")]
    f = compiled([Function("f", paths, "two paths */ and a comment")])["f"]
    assert f([2.0, 0.5], 1) == (0, [1.0])
    assert f([2.0, 3.0], 1) == (0, [2.0])
    assert f([-2.0, 3.0], 1)[0] == 1


def long_program(operations: int) -> Program:
    """A tangle in which every operation uses the one before it, and some much earlier one."""
    make, draw = Maker(), random.Random(1)
    nodes = [make.leaf(i) for i in range(4)]
    for _ in range(operations):
        name = draw.choice(["mul", "add", "sub", "tanh"])
        nodes.append(make.row(name, *[nodes[-1], draw.choice(nodes)][: len(BY_NAME[name].operands)]))
    return value_and_gradient(make.program(4, nodes[-1]))


@needs_compiler
@pytest.mark.parametrize("on_the_stack", [8192, 1])
def test_long_programs_are_cut_into_functions(on_the_stack: int, compiled: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(_c_source, "_ON_THE_STACK", on_the_stack)
    program = long_program(1000)
    text = c_source([one("long_one", program)])
    bodies = re.findall(r"^static int \w+\([^)]*\)\n\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    assert len(bodies) > 8
    assert all(body.count("const double v") <= 250 for body in bodies)
    assert ("malloc" in text) == (on_the_stack == 1)
    inputs = [0.3, -0.7, 1.1, 0.2]
    left, got = compiled([one("long_one", program)])["long_one"](inputs, 5)
    assert left == 0
    assert got == pytest.approx(run(program, *inputs)[0].tolist(), rel=1e-9)


def test_places_in_the_workspace_are_used_again() -> None:
    make = Maker()
    node = make.leaf(0)
    for _ in range(10_000):
        node = make.row("sin", node)
    text = c_source([one("chain", make.program(1, node))])
    places = re.search(r"double w\[(\d+)\];", text)
    assert places is not None
    assert int(places[1]) == 2  # what a part was given, and what it hands on


# ------------------------------------------------------------------------------------------------------------- the text


def test_the_file_has_only_what_it_needs() -> None:
    make = Maker()
    x, y = make.leaf(0), make.leaf(1)
    text = c_source([one("product", make.program(2, make.row("mul", x, make.row("neg", y))))])
    assert "fg_" not in text
    assert "const double v2 = -x[1];\n    const double v3 = x[0] * v2;\n    y[0] = v3;\n" in text
    digamma = c_source([one("psi", of_row("digamma"))])
    assert "static double fg_digamma(double x)\n{" in digamma
    assert "fg_erfcx" not in digamma


def test_every_definition_of_the_kernels_is_found() -> None:
    """Taken apart and put together again, the kernels have every function that they have."""
    whole = "\n".join(path.read_text() for path in _c_parts.folder().glob("*.[ch]") if "test" not in path.name)
    parts = _c_parts.Parts.read()
    defined = {name for item in parts._items for name in item.defines}
    code = re.sub(r"/\*.*?\*/", "", " ".join(item.text for item in parts._items), flags=re.DOTALL)
    used = set(re.findall(r"\bfg_\w+", code))
    assert used <= defined | set(re.findall(r"struct (fg_\w+)", whole)) | {"fg_"}


def test_what_goes_into_the_file_is_installed_with_the_package() -> None:
    tomllib = pytest.importorskip("tomllib")
    packaging = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["tool"]["setuptools"]
    assert packaging["package-dir"]["fastgrad._csrc"] == "csrc"
    assert "fastgrad._csrc" in packaging["packages"]
    patterns = packaging["package-data"]["fastgrad._csrc"]
    read = _c_parts.sources(_c_parts.folder())
    assert {"kernels.h", "reduce.h", "special.c"} <= read.keys()
    assert [name for name in read if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []


@pytest.mark.parametrize("name", ["", "1st", "a b", "größe", "a;b", "double", "exp", "twice"])
def test_names_that_are_none_in_c_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name of a C function"):
        c_source([one(name, hidden_root()), one("twice", hidden_root())])


def test_without_the_c_sources_the_error_says_where_they_were_looked_for(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(_c_parts, "__file__", str(tmp_path / "src" / "fastgrad" / "_c_parts.py"))
    with pytest.raises(FileNotFoundError, match=r"_csrc.* nor in .*csrc: install fastgrad anew"):
        _c_parts.folder()
