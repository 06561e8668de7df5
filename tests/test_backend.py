"""Which backend runs, why, and that the two are the same to the user."""

from __future__ import annotations

import copy
import inspect
import math
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SHOW = "import fastgrad as fg; b = fg.backend(); print(b.name); print(b.why)"


@pytest.mark.parametrize("backend", ["c", "python"])
def test_environment_chooses_the_backend_and_why_says_so(backend: str, run_python: Callable[..., str]) -> None:
    name, why = run_python(SHOW, backend).splitlines()
    assert name == backend
    assert "FASTGRAD_BACKEND" in why


@pytest.mark.usefixtures("both")
def test_compiled_backend_is_the_default_where_it_exists(run_python: Callable[..., str]) -> None:
    name, why = run_python(SHOW).splitlines()
    assert name == "c"
    assert why


def test_unknown_backend_is_refused_by_name(run_python: Callable[..., str]) -> None:
    program = """if True:
        try:
            import fastgrad
        except (ImportError, ValueError) as error:
            print(error)
    """
    said = run_python(program, FASTGRAD_BACKEND="fortran")
    assert "fortran" in said and "python" in said


@pytest.fixture
def without_extension(tmp_path: Path, both: dict[str, ModuleType]) -> Callable[..., str]:
    """Run a program on a copy of the package as an install without a compiler leaves it."""
    package = Path(str(both["c"].__file__)).parent
    shutil.copytree(package, tmp_path / "fastgrad", ignore=shutil.ignore_patterns("_core*", "__pycache__"))

    def run(program: str, **environment: str) -> str:
        inherited = {name: value for name, value in os.environ.items() if name != "FASTGRAD_BACKEND"}
        environment["PYTHONPATH"] = str(tmp_path)
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run


def test_install_without_the_extension_works_in_pure_python(without_extension: Callable[..., str]) -> None:
    program = SHOW + "; x = fg.Value(3.0); (x * x).backward(); print(x.grad)"
    name, why, gradient = without_extension(program).splitlines()
    assert (name, gradient) == ("python", "6.0")
    assert "extension" in why


def test_compiled_backend_asked_for_and_absent_is_an_error_that_helps(without_extension: Callable[..., str]) -> None:
    said = without_extension("import fastgrad", FASTGRAD_BACKEND="c")
    assert "ImportError" in said
    assert "FASTGRAD_BACKEND" in said and "compiler" in said


def test_import_brings_in_no_optional_dependency(run_python: Callable[..., str]) -> None:
    heavy = ["matplotlib", "sklearn", "scipy", "tqdm", "graphviz", "mpmath", "hypothesis", "torch", "micrograd"]
    assert run_python(f"import sys, fastgrad; print([name for name in {heavy} if name in sys.modules])").strip() == "[]"


def test_version_is_that_of_the_distribution(fg: ModuleType) -> None:
    parts = fg.__version__.split(".")
    assert len(parts) >= 2 and parts[0].isdigit() and parts[1].isdigit()


def test_package_exports_what_it_lists(fg: ModuleType) -> None:
    assert len(set(fg.__all__)) == len(fg.__all__)
    assert all(hasattr(fg, name) for name in fg.__all__)
    assert {"Value", "no_grad", "backend", "where", "dot", "mean", "softmax", "exp", "tanh"} <= set(fg.__all__)


# ----------------------------------------------------------------------------------------------------- the same surface


def test_backends_export_the_same_names(both: dict[str, ModuleType]) -> None:
    c, python = both["c"], both["python"]
    assert set(c.__all__) == set(python.__all__)
    public = [{name for name in dir(Value) if not name.startswith("_")} for Value in (c.Value, python.Value)]
    assert public[0] == public[1]


def test_backends_have_the_same_signatures_and_documentation(both: dict[str, ModuleType]) -> None:
    c, python = both["c"].Value, both["python"].Value
    for name in sorted(n for n in dir(c) if not n.startswith("_") and callable(getattr(c, n))):
        a, b = getattr(c, name), getattr(python, name)
        parameters = [[(p.kind, p.default) for p in inspect.signature(f).parameters.values()] for f in (a, b)]
        assert parameters[0] == parameters[1], name
        assert inspect.getdoc(a) == inspect.getdoc(b), name
    for name in both["c"].__all__:
        a, b = getattr(both["c"], name), getattr(both["python"], name)
        assert inspect.getdoc(a) == inspect.getdoc(b), name


WRONG = """
V('x') ; V(None) ; V([1]) ; V((1, 2)) ; V(V(1)) ; V(1j) ; V(np.ones(2)) ; V({}) ; V() ; V(1, 2, 3, 4, 5)
V(1, (2.0,), '+') ; V(1, 3, '+') ; V(1, (V(1),), (1, 2)) ; V(1, (V(1),), ('a',)) ; V(1, (V(1),), 5)
V(1, colour='red') ; V(1, local_grads=(1.0,)) ; V(10 ** 400) ; V(1).nothing
setattr(V(1), 'data', 'x') ; setattr(V(1), 'grad', [1]) ; setattr(V(1), 'grad', None) ; setattr(V(1), '_backward', 3)
V(1) + 'a' ; 'a' + V(1) ; V(1) * None ; V(1) - [1] ; V(1) < 'a' ; V(1) >= None ; pow(V(1), 2, 3) ; V(1) @ V(2)
V(1) / 0 ; 1 / V(0) ; V(1) // 0 ; V(-1) % 0.0 ; V(0) ** -1 ; V(-1) ** 0.5 ; (-1) ** V(0.5) ; V(1e200) ** 2
V(0).log() ; V(-1).sqrt() ; V(2).arccos() ; V(0.5).arccosh() ; V(1e4).exp() ; V(1e4).sinh() ; V(-1).log2()
V(1).fmod(0) ; V(0).digamma() ; V(-3).lgamma() ; V(0.5).polygamma(1.0) ; V(float('inf')).cos()
V(1).exp(2) ; V(1).arctan2() ; V(1).arctan2('a') ; V(1).hypot(None) ; V(1).elu('a')
fg.exp('a') ; fg.exp(None) ; fg.exp(1j) ; fg.exp(['a']) ; fg.hypot(1, {}) ; fg.where(1, 2) ; fg.log(0) ; fg.log([0.0])
fg.add(np.ones(2), np.ones(3)) ; fg.sum(3) ; fg.sum(['a']) ; fg.sum([[1]]) ; fg.sum(np.ones((2, 2))) ; fg.sum(None)
fg.mean([]) ; fg.logsumexp([]) ; fg.mean(['a']) ; fg.dot([1], [1, 2]) ; fg.dot([1], 3) ; fg.dot([1])
fg.dot([None], [1]) ; fg.dot(iter([1]), iter([1, 2])) ; fg.softmax([]) ; fg.softmax(3) ; fg.sum([V(1), [V(2)]])
copy.copy(V(1) * 2) ; copy.deepcopy(V(1) * 2) ; pickle.dumps(V(1) * 2) ; len(V(1)) ; V(1)[0] ; list(V(1))
int(V(float('nan'))) ; int(V(float('inf'))) ; round(V(float('nan'))) ; f'{V(1):q}'
delattr(V(1), 'data') ; math.sqrt(V(-1)) ; V(1).backward(1, 2, 3) ; V(1).zero_grad(1)
"""


@pytest.mark.parametrize("expression", [e.strip() for line in WRONG.strip().splitlines() for e in line.split(" ; ")])
def test_backends_fail_alike_and_with_the_same_words(expression: str, both: dict[str, ModuleType]) -> None:
    c, python = (failure(expression, package) for package in both.values())
    assert type(c) is type(python)
    if not (is_pythons_own(str(c)) or is_pythons_own(str(python))):
        assert str(c).replace("fastgrad.Value", "Value") == str(python)


def failure(expression: str, package: ModuleType) -> Exception:
    names = {"V": package.Value, "fg": package, "np": np, "copy": copy, "pickle": pickle, "math": math}
    with pytest.raises(Exception) as caught:
        eval(expression, names)
    return caught.value


def is_pythons_own(text: str) -> bool:
    """Whether the interpreter itself speaks, in one way of C types and in another of Python classes."""
    words = ("positional argument", "takes", "deleter", "can't delete", "unsupported operand")
    return any(word in text for word in words)
