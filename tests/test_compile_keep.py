"""Compiled functions kept: pickled, also across processes, copied, and saved to files that are checked."""

from __future__ import annotations

import copy
import enum
import hashlib
import importlib
import inspect
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

TESTS = str(Path(__file__).parent)


class Pair(NamedTuple):
    a: Any
    b: Any


class Mode(enum.Enum):
    ONE = 1


@pytest.fixture
def kept(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of functions for other processes, on the backend under test."""
    monkeypatch.syspath_prepend(TESTS)
    sys.modules.pop("kept", None)
    yield importlib.import_module("kept")
    sys.modules.pop("kept", None)


def answers(f: Any, *arguments: Any) -> str:
    return repr([f(*arguments), f.grad(*arguments), f.paths])


def pricing(fg: ModuleType) -> Any:
    w = fg.Value(3.0)

    def f(x: Any, p: Any, kind: str, n: int) -> Any:
        total = w * x
        for _ in range(n):
            total = total * p["a"] + p["b"][0] if x > 0.0 else total - p["b"][1]
        return total if kind == "plain" else fg.exp(total)

    f = fg.compile(f, static="n")
    f([1.0, -1.0], {"a": 0.5, "b": (1.0, 2.0)}, "plain", 2)
    f(0.5, {"a": 0.5, "b": (1.0, 2.0)}, "exp", 1)
    return f


ARGUMENTS = [
    (np.array([1.0, -1.0, 2.0]), {"a": [0.5, 1.0, 2.0], "b": (1.0, 2.0)}, "plain", 2),
    (0.25, {"a": 0.5, "b": (1.0, 2.0)}, "exp", 1),
]


# ------------------------------------------------------------------------------------------------------ pickle


def test_recordings_are_pickled(fg: ModuleType) -> None:
    f = pricing(fg)
    g = pickle.loads(pickle.dumps(f))
    assert repr(g) == repr(f) and g.paths == f.paths and g.__name__ == "f"
    for arguments in ARGUMENTS:
        assert answers(g, *arguments) == answers(f, *arguments)
    assert g.parameters[0] is not f.parameters[0] and g.parameters[0].data == 3.0
    assert g.backward(1.0, {"a": 0.5, "b": (1.0, 2.0)}, "plain", 2) == 2.25 and g.parameters[0].grad == 0.25
    assert f.parameters[0].grad == 0.0


def test_what_has_no_recording_is_an_error_after_pickling(fg: ModuleType) -> None:
    f = fg.compile(lambda x, mode: x * 2.0 if x > 0.0 else x)
    f(1.0, "a")
    g = pickle.loads(pickle.dumps(f))
    assert g([2.0, 3.0], "a").tolist() == [4.0, 6.0]
    for arguments in [(1.0, "b"), (-1.0, "a"), ([1.0, -1.0], "a")]:
        with pytest.raises(
            RuntimeError, match=r"<lambda> meets arguments that it has no recording for.*<lambda> cannot"
        ):
            g(*arguments)
    assert g([2.0, 3.0], "a").tolist() == [4.0, 6.0]
    again = pickle.loads(pickle.dumps(g))  # still without its function
    assert again(2.0, "a") == 4.0
    with pytest.raises(RuntimeError, match="no recording"):
        again(-2.0, "a")


def test_what_can_be_imported_is_pickled_by_reference(fg: ModuleType, kept: Any) -> None:
    kept.decorated([1.0, 2.0])
    kept.compiled(1.0)
    before = list(kept.runs)
    f, g = pickle.loads(pickle.dumps((kept.decorated, kept.compiled)))
    assert f([2.0, 2.0]) == 8.0 and g(4.0) == 8.0
    assert kept.runs == before  # the recordings came along
    assert f([-1.0, 2.0]) == 1.0 and g(4.0, "thrice") == 12.0
    assert kept.runs == [*before, "decorated", "plain"]
    assert f.__doc__ == "By reference to what the decorator made." and f.__wrapped__ is kept.decorated.__wrapped__


def test_a_function_with_parameters_takes_them_along(fg: ModuleType, kept: Any) -> None:
    kept.weighted(2.0)
    f = pickle.loads(pickle.dumps(kept.weighted))
    kept.WEIGHT.data = 7.0
    assert f(2.0) == 10.0 and kept.weighted(2.0) == 14.0
    with pytest.raises(RuntimeError, match="together with the Values that it uses"):
        f(-2.0)


def test_pickles_go_to_other_processes(
    fg: ModuleType, backend: str, kept: Any, tmp_path: Path, run_python: Callable[..., str]
) -> None:
    kept.decorated([1.0, 2.0])
    lambdas = fg.compile(lambda x: x * fg.exp(x))
    lambdas(1.0)
    path = tmp_path / "pickle"
    path.write_bytes(pickle.dumps((kept.decorated, lambdas, pricing(fg), fg.grad(kept.decorated))))
    program = f"""
import sys, pickle
sys.path.insert(0, {TESTS!r})
import numpy as np
f, g, h, d = pickle.load(open({str(path)!r}, "rb"))
print(f(np.array([1.0, 3.0])), f.grad(np.array([-1.0, 3.0])), repr(g.grad(0.5)), d(np.array([2.0, 3.0])))
print(h([1.0, -1.0], {{"a": 0.5, "b": (1.0, 2.0)}}, "plain", 2))
"""
    said = run_python(program, backend)
    assert said == f"10.0 [1. 1.] {lambdas.grad(0.5)!r} [4. 6.]\n{pricing(fg)(*ARGUMENTS[0])[:2]}\n".replace(
        str(pricing(fg)(*ARGUMENTS[0])[:2]), str(pricing(fg)([1.0, -1.0], {"a": 0.5, "b": (1.0, 2.0)}, "plain", 2))
    )


def test_copies(fg: ModuleType) -> None:
    f = pricing(fg)
    shallow, deep = copy.copy(f), copy.deepcopy(f)
    for g in (shallow, deep):
        assert answers(g, *ARGUMENTS[0]) == answers(f, *ARGUMENTS[0]) or g.paths
    assert shallow.parameters == f.parameters and deep.parameters != f.parameters


def test_named_tuples_and_enums_are_pickled(fg: ModuleType) -> None:
    f = fg.compile(lambda p, mode: Pair(p.a * p.b, p.a))
    f(Pair(1.0, 2.0), Mode.ONE)
    g = pickle.loads(pickle.dumps(f))
    assert g(Pair(3.0, 4.0), Mode.ONE) == Pair(12.0, 3.0)


# ------------------------------------------------------------------------------------------------------- files


def test_recordings_are_saved(fg: ModuleType, tmp_path: Path) -> None:
    f = pricing(fg)
    f.save(tmp_path / "f")
    f.save(str(tmp_path / "f"))
    g = fg.load(tmp_path / "f")
    assert repr(g) == repr(f) and g.paths == f.paths
    for arguments in ARGUMENTS:
        assert answers(g, *arguments) == answers(f, *arguments)
    assert g.parameters[0].data == 3.0
    with pytest.raises(RuntimeError, match=r"no recording.*fg\.load\(path, f\)"):
        g(1.0, {"a": 0.5, "b": (1.0, 2.0)}, "other", 2)
    with pytest.raises(RuntimeError, match="no recording"):
        g(1.0, {"a": 0.5, "b": 3.0}, "plain", 2)


def test_a_loaded_function_can_be_given_its_function(fg: ModuleType, tmp_path: Path) -> None:
    def f(x: Any, scale: float = 2.0, *, mode: str = "up") -> Any:
        return x * scale if mode == "up" else x / scale

    compiled = fg.compile(f, fastmath=True, max_paths=7)
    compiled(1.0)
    compiled.save(tmp_path / "f")
    alone, complete = fg.load(tmp_path / "f"), fg.load(tmp_path / "f", f)
    assert alone(3.0) == complete(3.0) == 6.0
    assert complete(3.0, mode="down") == 1.5 and complete(3.0, 5.0) == 15.0
    assert (alone.subject.fastmath, alone.subject.max_paths) == (True, 7)
    with pytest.raises(RuntimeError, match="no recording"):
        alone(3.0, mode="down")


def test_a_loaded_function_runs_on_values(fg: ModuleType, tmp_path: Path) -> None:
    f = fg.compile(lambda x: fg.dot(x, x), "(n)->()")
    f([1.0, 2.0])
    f.save(tmp_path / "f")
    g = fg.load(tmp_path / "f")
    x = [fg.Value(3.0), fg.Value(4.0)]
    y = g(x)
    y.backward()
    assert y.data == 25.0 and [v.grad for v in x] == [6.0, 8.0]
    assert fg.compile(lambda x: g(x) * x[0], "(2)->()").grad([1.0, 2.0]).tolist() == [7.0, 4.0]


def test_files_go_from_one_backend_to_the_other(both: dict[str, ModuleType], tmp_path: Path) -> None:
    for name, fg in both.items():
        pricing(fg).save(tmp_path / name)
    c, python = (both[name].load(tmp_path / other) for name, other in [("c", "python"), ("python", "c")])
    assert np.allclose(c(*ARGUMENTS[0]), python(*ARGUMENTS[0]), rtol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_every_change_of_a_file_is_found(fg: ModuleType, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "f"
    pricing(fg).save(path)
    data = path.read_bytes()
    rng = np.random.default_rng(seed)
    places = {*range(120), len(data) - 1, *rng.integers(0, len(data), 100).tolist()}
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"damaged|no file that|another version"):
            fg.load(path)
    for length in {*range(120), len(data) - 1, *rng.integers(0, len(data), 60).tolist()}:
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"damaged|no file that"):
            fg.load(path)
    path.write_bytes(data + b" ")
    with pytest.raises(ValueError, match="damaged"):
        fg.load(path)


@pytest.mark.parametrize("seed", range(20))
def test_forged_files_are_an_error_or_a_function(fg: ModuleType, tmp_path: Path, seed: int) -> None:
    """With a checksum that fits: what is loaded all the same must run without harm."""
    path = tmp_path / "f"
    pricing(fg).save(path)
    head, _, body = path.read_bytes().partition(b"\n")
    body = body.partition(b"\n")[2]
    rng = np.random.default_rng(seed)
    for _ in range(30):
        forged = bytearray(body)
        for place in rng.integers(0, len(body), int(rng.integers(1, 4))).tolist():
            forged[place] = int(rng.choice(list(b'0123456789AQgw[]{}",:')))
        path.write_bytes(head + b"\n" + hashlib.sha256(forged).hexdigest().encode() + b"\n" + forged)
        try:
            f = fg.load(path)
        except ValueError:
            continue
        for arguments in ARGUMENTS:
            try:
                f.value_and_grad(*arguments)
            except (ValueError, TypeError, RuntimeError, IndexError):
                continue


def test_what_a_file_cannot_hold(fg: ModuleType, tmp_path: Path) -> None:
    f = fg.compile(lambda p, mode: p.a)
    f(Pair(1.0, 2.0), "x")
    with pytest.raises(TypeError, match=r"save\(\).*Pair.*pickle"):
        f.save(tmp_path / "f")
    g = fg.compile(lambda x, mode: x)
    g(1.0, Mode.ONE)
    with pytest.raises(TypeError, match=r"save\(\).*Mode"):
        g.save(tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_files_that_are_none(fg: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fg.load(tmp_path / "missing")
    (tmp_path / "f").write_text("fastgrad compiled function, version 99\n")
    with pytest.raises(ValueError, match="another version"):
        fg.load(tmp_path / "f")


def test_a_loaded_function_looks_like_the_function(fg: ModuleType, tmp_path: Path) -> None:
    def scaled(x: float, factor: float = 2.0) -> Any:
        return x * factor

    f = fg.compile(scaled)
    f(1.0)
    f.save(tmp_path / "f")
    g = fg.load(tmp_path / "f")
    assert g.__name__ == "scaled" and str(inspect.signature(g)) == "(x, factor=2.0)"
    assert not hasattr(g, "__wrapped__") and f.__wrapped__ is scaled
    assert str(inspect.signature(f)) == str(inspect.signature(scaled))
    with pytest.raises(TypeError, match=r"scaled\(\): missing.*'x'"):
        g()
