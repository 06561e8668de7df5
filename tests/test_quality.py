"""The tools' opinion: linter, type checkers, the C compiler with all its warnings, and the sanitizers."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
C_TESTS = sorted(CSRC.glob("test_*.c"))
SOURCES = [path for path in sorted(CSRC.glob("*.c")) if path not in C_TESTS]
BINDING = [path for path in SOURCES if "PyObject" in path.read_text()]
CORE = [path for path in SOURCES if path not in BINDING]
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror"]

COMPILERS: dict[str, str] = {}  # each under the first of its names
for path in filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "cc", "gcc", "clang"))):
    COMPILERS.setdefault(os.path.realpath(path), path)
COMPILER = next(iter(COMPILERS.values()), "")
needs_compiler = pytest.mark.skipif(not COMPILER or sys.platform == "win32", reason="no Unix C compiler")
with_each_compiler = pytest.mark.parametrize("compiler", [*COMPILERS.values()] or [""], ids=os.path.basename)

needs_ruff = pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
# The last NumPy for Python 3.10 has stubs of ndarray's operators that mypy cannot read.
needs_mypy = pytest.mark.skipif(
    sys.version_info < (3, 11) or importlib.util.find_spec("mypy") is None, reason="no mypy that reads NumPy's stubs"
)


def succeeds(*command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}"


# --------------------------------------------------------------------------------------------------------------- Python


@needs_ruff
def test_ruff_has_no_complaint() -> None:
    succeeds(sys.executable, "-m", "ruff", "check", "--no-cache", ".")


@needs_mypy
def test_mypy_has_no_complaint(tmp_path: Path) -> None:
    succeeds(sys.executable, "-m", "mypy", "--cache-dir", tmp_path)


@needs_mypy
@pytest.mark.parametrize("backend", ["c", "python"])
def test_stubs_describe_what_is_there(backend: str, tmp_path: Path) -> None:
    if backend == "c" and importlib.util.find_spec("fastgrad._core") is None:
        assert "FASTGRAD_REQUIRE_C" not in os.environ
        pytest.skip("the C extension is not built")
    allowed = tmp_path / "allowed"  # functions of private modules that are cached: their types stand beside them
    allowed.write_text(r"fastgrad\._\w+\..*")
    command = [sys.executable, "-m", "mypy.stubtest", "fastgrad", "--ignore-missing-stub", "--ignore-disjoint-bases"]
    command += ["--allowlist", str(allowed), "--ignore-unused-allowlist"]
    succeeds(*command, cwd=tmp_path, FASTGRAD_BACKEND=backend, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))


@needs_mypy
def test_programs_of_users_type_check(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from typing import assert_type\n"
        "import fastgrad as fg\n"
        "x = fg.Value(2.0, label='x')\n"
        "y = (x * 3 + 1.5) ** 2 / x - abs(-x) + fg.sum([x, 1.0])\n"
        "assert_type(y, fg.Value)\n"
        "assert_type(y.data, float)\n"
        "assert_type(x.tanh(), fg.Value)\n"
        "y.backward()\n"
        "if x < y:\n"
        "    x.data -= 0.1 * x.grad\n"
        "with fg.no_grad():\n"
        "    z = 2.0 - x\n"
        "assert_type(fg.backend().name, str)\n"
    )
    succeeds(sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "--config-file=", program)


# -------------------------------------------------------------------------------------------------------------------- C


@needs_compiler
@with_each_compiler
@pytest.mark.parametrize("source", CORE, ids=[path.name for path in CORE])
def test_core_compiles_alone_without_a_warning(source: Path, compiler: str, tmp_path: Path) -> None:
    succeeds(compiler, *STRICT, "-pedantic", "-O2", "-ffp-contract=off", "-c", source, "-o", tmp_path / "core.o")


@needs_compiler
@with_each_compiler
@pytest.mark.parametrize("source", BINDING, ids=[path.name for path in BINDING])
def test_binding_compiles_without_a_warning(source: Path, compiler: str, tmp_path: Path) -> None:
    headers = sysconfig.get_path("include")
    if not Path(headers, "Python.h").exists():
        pytest.skip("the headers of Python are not installed")
    flags = [*STRICT, "-O2", "-ffp-contract=off", "-isystem", headers]
    succeeds(compiler, *flags, "-c", source, "-o", tmp_path / "binding.o")


SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1", "-ffp-contract=off"]


@needs_compiler
def test_core_passes_its_own_tests_under_the_sanitizers(tmp_path: Path) -> None:
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    program = tmp_path / "program"
    if subprocess.run([COMPILER, *SANITIZERS, probe, "-o", program], capture_output=True, check=False).returncode:
        assert "CI" not in os.environ
        pytest.skip("the compiler has no sanitizers")
    objects = [tmp_path / f"{source.stem}.o" for source in CORE]
    for source, built in zip(CORE, objects, strict=True):
        succeeds(COMPILER, *STRICT, *SANITIZERS, "-c", source, "-o", built)
    for test in C_TESTS:
        succeeds(COMPILER, *STRICT, *SANITIZERS, *objects, test, "-o", program, "-lm", "-lpthread")
        succeeds(program)


def test_core_has_tests_of_its_own() -> None:
    assert C_TESTS
