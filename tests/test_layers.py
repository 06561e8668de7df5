"""The order of the layers, and that an operation is written in one place."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from exact import BY_NAME, ROWS

ROOT = Path(__file__).resolve().parent.parent
CSRC, PACKAGE = ROOT / "csrc", ROOT / "src" / "fastgrad"

#: A file may use those of the rows above its own, and of its own row those to the left.
CORE_LAYERS = [
    ["ops.def"],
    ["lane_tables.h", "lane_base.h", "lane_exp.h", "lane_log.h", "lane_erf.h", "lane_pow.h", "lane_trig.h"],
    ["lane_math.h"],
    ["own.h", "own_fused.c", "own_plain.c"],
    ["special.h", "special.c", "reduce.h", "ops.h"],
    ["kernels.h"],
    ["tape.h", "tape_private.h", "tape.c", "reclaim.c", "sweep.c"],
    ["program.h", "program_private.h", "program.c", "apply.c"],
    ["partials.h", "identities.h", "build.h", "build.c", "partial.h", "partial.c", "rewrite.c", "differentiate.c"],
    ["code.h", "graph.h", "lower.c", "hoist.c", "plan.h", "trees.c", "schedule.c", "fuse.c"],
    ["places.c", "allocate.c"],
    ["verify.c", "compile.c"],
    ["linked.h", "link.c", "pool.h", "pool.c", "block.h", "isa.c", "vector.h", "transpose.h", "chain.h"],
    ["lane_sums.h", "lanes.h"],
    ["lanes_baseline.c", "lanes_avx2.c", "lanes_avx512.c", "scalar.c", "run.c"],
    ["record.h", "record.c"],
]
BINDING_LAYERS = [  # the files that know Python
    ["slots.h", "handle.h", "handle.c", "trace.c"],
    ["docs.h", "reduction.c", "value.c", "slots.c"],
]
C_LAYERS = CORE_LAYERS + BINDING_LAYERS
PYTHON_LAYERS = [
    ["_version", "_chunks", "_ieee", "_special", "_frames"],
    ["_rules", "_docs"],
    ["_errors"],
    ["_value", "_recording", "_code_listing"],
    ["_graph", "_trace", "_fallback", "_core"],
    ["_program", "_numpy_rules", "_numpy_code", "_numpy_derivatives", "_numpy_program", "_c_parts", "_c_source"],
    ["_compile_errors", "_leases", "_threads", "_structure", "_signature", "_derivatives", "_row_sums"],
    ["_backend"],
    ["functions", "_walk", "_anomaly"],
    ["_paths", "_tracing", "_questions", "_case", "_arguments", "_single", "_repeat", "_values"],
    ["_engine", "_derived", "_listing", "_export", "_store", "_file", "_why_nan"],
    ["_compiled", "_compile", "_functional"],
    ["calculus/_errors", "calculus/_functions", "calculus/_nodes", "calculus/_recorded"],
    ["calculus/numerical", "calculus/partials", "calculus/check", "calculus/series", "calculus/sparse"],
    ["calculus"],
    ["distributed/_errors", "distributed/_shipping", "distributed/_arguments", "distributed/_sums"],
    ["distributed/_apply", "distributed/_gradient", "distributed/_workers"],
    ["distributed"],
    ["viz/errors", "viz/_style", "viz/layout", "viz/items", "viz/symbols", "viz/paths"],
    ["viz/steps", "viz/explain", "viz/collapse", "viz/dot", "viz/draw", "viz/page", "viz/plots"],
    ["viz"],
    ["_methods"],
    ["__init__"],
    ["nn/init", "nn/module", "nn/randomness", "nn/perceptron", "nn/activations", "nn/layers", "nn/losses", "nn"],
    ["optim/base", "optim/optimizers", "optim/clipping", "optim/schedules", "optim"],
    ["_history", "_fit_checks", "_fit"],
    ["_mlp", "_mlp_checks", "_minimize", "_bridge", "_torch", "_jax"],
    ["sklearn", "bridges"],
    ["_micrograd", "_passes", "_figure", "_contest", "demo"],
    ["__main__"],
]


def rank(layers: list[list[str]], name: str) -> tuple[int, int]:
    for i, layer in enumerate(layers):
        if name in layer:
            return i, layer.index(name)
    raise AssertionError(f"{name} is in no layer: say in {Path(__file__).name} where it belongs")


def c_files() -> list[Path]:
    return sorted(path for path in CSRC.iterdir() if path.suffix in (".c", ".h", ".def") and "test" not in path.name)


def python_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyx"))


def name_of(path: Path) -> str:
    """What a module is called in the layers: a subpackage as its folder, a module in it as folder/module."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "/".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def ids(paths: list[Path]) -> list[str]:
    return [(path.relative_to(PACKAGE) if PACKAGE in path.parents else Path(path.name)).as_posix() for path in paths]


# ------------------------------------------------------------------------------------------------------- what uses what


@pytest.mark.parametrize("path", c_files(), ids=ids(c_files()))
def test_c_includes_point_downwards(path: Path) -> None:
    for included in re.findall(r'^#\s*include "(.+)"', path.read_text(), re.MULTILINE):
        assert rank(C_LAYERS, included) < rank(C_LAYERS, path.name), f"{path.name} includes {included}"


@pytest.mark.parametrize("path", c_files(), ids=ids(c_files()))
def test_only_the_binding_knows_python(path: Path) -> None:
    knows = re.search(r"Python\.h|structmember\.h|\bPyObject\b|\bPy[A-Z]?\w*_\w+", path.read_text())
    assert knows is None or rank(BINDING_LAYERS, path.name)


def imports_of(path: Path) -> set[str]:
    """The modules of the package that a module imports, also inside functions, but not for annotations alone."""
    if path.suffix == ".pyx":
        named = re.findall(r"^from fastgrad import (.+)$", path.read_text(), re.MULTILINE)
        return {name.strip() for line in named for name in line.split(",")}
    modules: set[str] = set()
    for node in at_run_time(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=module, level=level) if level:
                folder = path.parents[level - 1]
                names = module.split(".") if module else []
                modules |= {module_at(folder.joinpath(*names), a.name) for a in node.names}
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "fastgrad":
                modules |= {module.split(".")[1]} if "." in module else {"__init__"}
            case ast.Import(names=names):
                modules |= {(a.name + ".__init__").split(".")[1] for a in names if a.name.split(".")[0] == "fastgrad"}
    return modules


def module_at(place: Path, name: str) -> str:
    """The module that ``from place import name`` imports: the one of that name there, or the place itself."""
    if place.is_dir() and ((place / f"{name}.py").exists() or (place / name).is_dir()):
        return name_of(place / f"{name}.py")
    return name_of(place / "__init__.py" if place.is_dir() else place.with_suffix(".py"))


def at_run_time(tree: ast.AST) -> list[ast.AST]:
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return []
    return [tree, *(node for child in ast.iter_child_nodes(tree) for node in at_run_time(child))]


@pytest.mark.parametrize("path", python_files(), ids=ids(python_files()))
def test_python_imports_point_downwards(path: Path) -> None:
    for module in imports_of(path):
        assert rank(PYTHON_LAYERS, module) < rank(PYTHON_LAYERS, name_of(path)), f"{path.name} imports {module}"


def test_import_graph_is_read_from_the_files() -> None:
    """Guards the tests above against seeing nothing."""
    assert "_rules" in imports_of(PACKAGE / "_errors.py")
    assert "_errors" in imports_of(PACKAGE / "_core.pyx")
    assert "_backend" in imports_of(PACKAGE / "__init__.py")
    assert imports_of(PACKAGE / "calculus" / "_nodes.py") == {"_backend", "calculus/_errors"}


# ------------------------------------------------------------------------------------------------------------ one table

#: Names of operations that are words of their own as well: of Python, C or English.
WORDS = {"abs", "sum", "where", "log", "sign", "add", "floor", "ceil", "mean", "dot"}
#: Where Python's own protocol, or the meaning of a function, asks for some of them by name.
ALLOWED = {
    "_fallback.py": {name for row in ROWS if row.kind != "MATH" for name in (row.name, row.method)},
    "functions.py": {"exp", "maximum", "stop_gradient", "logical_and", "equal"},  # softmax and take
    "_trace.py": {"stop_gradient"},  # what no_grad means in a recorded function
    "_c_parts.py": {"sub"},  # re.sub
    "_c_source.py": {"sub"},
    "identities.h": {row.name for row in ROWS},  # the algebra of rewriting
}
BEHIND_KERNELS = C_LAYERS[C_LAYERS.index(["kernels.h"]) + 1 :]
SCANNED = [CSRC / name for layer in BEHIND_KERNELS for name in layer if name != "docs.h"] + [
    PACKAGE / name
    for name in (
        "_core.pyx",
        "_core_lifetimes.pxi",
        "_core_recording.pxi",
        "_graph.py",
        "_trace.py",
        "_fallback.py",
        "_value.py",
        "_backend.py",
        "_errors.py",
        "functions.py",
        "_numpy_rules.py",
        "_numpy_code.py",
        "_numpy_derivatives.py",
        "_numpy_program.py",
        "_c_parts.py",
        "_c_source.py",
    )
]


def words_of(path: Path) -> set[str]:
    """The identifiers and the strings of a file that are one word, without comments and documentation."""
    text = path.read_text()
    if path.suffix in (".c", ".h"):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    elif path.suffix in (".pyx", ".pxi"):
        text = re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.DOTALL)
    else:
        return {word for node in ast.walk(ast.parse(text)) for word in words_of_node(node)}
    text = re.sub(r'"([^"\n]*)"', lambda string: f" {string[1]} " if string[1].isidentifier() else "", text)
    return set(re.findall(r"\w+", text))


def words_of_node(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) | ast.Constant(value=str(word)):
            return [word]
        case ast.FunctionDef(name=word):
            return [word]
        case ast.alias(name=word):
            return [word]
    return []


@pytest.mark.parametrize("path", SCANNED, ids=ids(SCANNED))
def test_no_operation_is_named_outside_the_table(path: Path) -> None:
    names = {name for row in BY_NAME.values() for name in (row.name, row.method)}
    assert words_of(path) & names <= WORDS | ALLOWED.get(path.name, set())


def test_generated_files_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_operation_is_documented_in_the_table_of_the_docs() -> None:
    table = ROOT.joinpath("docs", "operations.md").read_text()
    assert [name for name, row in BY_NAME.items() if row.doc not in table] == []


# ----------------------------------------------------------------------------------------------------------------- size


def hand_written() -> list[Path]:
    folders = [CSRC, PACKAGE, ROOT / "tests", ROOT / "tools", ROOT / "bench"]
    suffixes = {".py", ".pyx", ".pxi", ".c", ".h", ".def", ".js", ".css", ".html"}
    files = (path for folder in folders for path in folder.rglob("*") if path.suffix in suffixes)
    return sorted(path for path in files if not is_generated(path))


def is_generated(path: Path) -> bool:
    return (
        path.suffix == ".c" and path.with_suffix(".pyx").exists()
    ) or "generated by tools/generate.py" in path.read_text()[:300]


@pytest.mark.parametrize("path", hand_written(), ids=ids(hand_written()))
def test_hand_written_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 600
