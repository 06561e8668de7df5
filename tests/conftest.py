"""Every behavioural test runs on both backends, in one process: the fixture `fg` is fastgrad on one of them."""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
EXTENSION = importlib.machinery.EXTENSION_SUFFIXES

settings.register_profile(
    "fastgrad",
    deadline=None,
    derandomize="FASTGRAD_EXPLORE" not in os.environ,  # the same examples each time, unless asked for new ones
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("fastgrad")


def _take_modules() -> dict[str, ModuleType]:
    """Remove fastgrad and its submodules from sys.modules, and return them."""
    names = [name for name in sys.modules if name == "fastgrad" or name.startswith("fastgrad.")]
    return {name: sys.modules.pop(name) for name in names}


@functools.cache
def _copy_of(backend: str) -> dict[str, ModuleType]:
    """Import fastgrad anew on one backend, and return the modules of that copy."""
    at_rest = _take_modules()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTGRAD_BACKEND", backend)
        importlib.import_module("fastgrad")
    copy = _take_modules()
    sys.modules.update(at_rest)
    return copy


def _extension_exists() -> bool:
    package = importlib.util.find_spec("fastgrad")
    assert package is not None, "fastgrad is not importable: install it, or put src/ on PYTHONPATH"
    folders = [Path(folder) for folder in package.submodule_search_locations or ()]
    return any(folder.joinpath("_core" + suffix).exists() for folder in folders for suffix in EXTENSION)


def _require(backend: str) -> None:
    if backend == "c" and not _extension_exists() and "FASTGRAD_REQUIRE_C" not in os.environ:
        pytest.skip("the C extension is not built (set FASTGRAD_REQUIRE_C to make this a failure)")


# What `import fastgrad` means outside the fixture: an extension module can be initialised once, so one copy must stay.
sys.modules.update(_copy_of("c" if _extension_exists() else "python"))


@pytest.fixture(params=["c", "python"])
def fg(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The package fastgrad on one backend; while the test runs, `import fastgrad` means this copy."""
    _require(request.param)
    copy = _copy_of(request.param)
    at_rest = _take_modules()
    if at_rest["fastgrad"] is copy["fastgrad"]:
        copy.update(at_rest)  # with what was imported since, lest a module of this copy exist twice
        at_rest = copy
    sys.modules.update(copy)
    yield copy["fastgrad"]
    copy.update(_take_modules())
    sys.modules.update(at_rest)


@pytest.fixture
def backend(fg: ModuleType) -> str:
    """The name of the backend under test: "c" or "python"."""
    return str(fg.backend().name)


@pytest.fixture
def both() -> dict[str, ModuleType]:
    """The two copies of the package by backend, for tests that compare them."""
    _require("c")
    return {backend: _copy_of(backend)["fastgrad"] for backend in ("c", "python")}


@pytest.fixture
def reclaim() -> Callable[[ModuleType], None]:
    """Fill the tape until it makes room, so that all goes that nobody needs any more; in Python, collect."""

    def run(fg: ModuleType) -> None:
        stats = fg._backend.tape_stats
        before = stats()["reclaims"]
        while stats()["reclaims"] == before and fg.backend().name == "c":
            for _ in range(1000):
                fg.Value(1.0)
        if fg.backend().name == "python":
            gc.collect()

    return run


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Run a program in a fresh interpreter on a given backend; return what it printed, or fail with its errors."""

    def run(program: str, backend: str | None = None, **environment: str) -> str:
        if backend is not None:
            _require(backend)
            environment["FASTGRAD_BACKEND"] = backend
        inherited = {name: value for name, value in os.environ.items() if name != "FASTGRAD_BACKEND"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=inherited | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
