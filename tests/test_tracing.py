"""What cannot be while a function is recorded, and that recordings end well: errors, nesting, threads."""

from __future__ import annotations

import copy
import io
import math
import operator
import pickle
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from recordings import bits, check_form, here, names, operations, outputs, record

# ----------------------------------------------------------------------------------------------------- forbidden reads


def set_data(fg: ModuleType, x: Any) -> None:
    x.data = 1.0


def add_to_data(fg: ModuleType, x: Any) -> None:
    x.data += 1.0


def set_grad(fg: ModuleType, x: Any) -> None:
    x.grad = 1.0


def set_rule(fg: ModuleType, x: Any) -> None:
    x._backward = lambda: None


FORBIDDEN: dict[str, tuple[Callable[[ModuleType, Any], Any], str]] = {
    "data": (lambda fg, x: x.data, "compute with the Value itself"),
    "data of a result": (lambda fg, x: (x * 2).data, "compute with the Value itself"),
    "data of a constant": (lambda fg, x: fg.Value(2.0).data, "compute with the Value itself"),
    "float": (lambda fg, x: float(x), "fg.exp"),
    "math.exp": (lambda fg, x: math.exp(x), "fg.exp"),
    "math.isnan": (lambda fg, x: math.isnan(x), "fg.exp"),
    "complex": (lambda fg, x: complex(x), "fg.exp"),
    "float array": (lambda fg, x: np.array([x, x], float), "fg.exp"),
    "float entry": (lambda fg, x: operator.setitem(np.zeros(2), 0, x), "fg.exp"),
    "int": (lambda fg, x: int(x), "fg.floor"),
    "int array": (lambda fg, x: np.array([x], int), "fg."),
    "index": (lambda fg, x: [1, 2, 3][x], "fg.take"),
    "slice": (lambda fg, x: [1, 2, 3][:x], "fg.take"),
    "range": (lambda fg, x: range(x), "fg.take"),
    "operator.index": (lambda fg, x: operator.index(x), "fg.take"),
    "repetition": (lambda fg, x: [0] * x, "fg.take"),
    "round": (lambda fg, x: round(x), "fg.floor"),
    "round to digits": (lambda fg, x: round(x, 2), "fg.floor"),
    "repr": (lambda fg, x: repr(x), "one more output"),
    "str": (lambda fg, x: str(x), "one more output"),
    "print": (lambda fg, x: print(x, file=io.StringIO()), "one more output"),
    "format": (lambda fg, x: f"{x:.3f}", "one more output"),
    "format without a spec": (lambda fg, x: f"{x}", "one more output"),
    "percent": (lambda fg, x: "%s" % [x], "one more output"),
    "copy": (lambda fg, x: copy.copy(x), "use the Value itself"),
    "deepcopy": (lambda fg, x: copy.deepcopy([x]), "use the Value itself"),
    "pickle": (lambda fg, x: pickle.dumps(x), "use the Value itself"),
    "grad": (lambda fg, x: x.grad, "f.grad"),
    "backward": (lambda fg, x: (x * x).backward(), "f.grad"),
    "zero_grad": (lambda fg, x: x.zero_grad(), "outside of the function"),
    "own node": (lambda fg, x: fg.Value(1.0, (x,), "f"), "operations and functions of fastgrad"),
    "own node with gradients": (lambda fg, x: fg.Value(1.0, (x,), (2.0,)), "operations and functions of fastgrad"),
    "local gradients": (lambda fg, x: (x * x)._local_grads, "operations and functions of fastgrad"),
    "initialise again": (lambda fg, x: x.__init__(2.0), "compute a new Value"),
    "initialise again with a label": (lambda fg, x: x.__init__(2.0, label="x"), "compute a new Value"),
    "set data": (set_data, "compute a new Value"),
    "add to data": (add_to_data, "compute with the Value itself"),
    "set grad": (set_grad, "f.grad"),
    "set rule": (set_rule, "operations and functions of fastgrad"),
    "state_dict": (lambda fg, x: fg.nn.Neuron(1).state_dict(), "compute with the Value itself"),
    "optimizer": (lambda fg, x: fg.optim.SGD([fg.Value(1.0)], lr=0.1).step(), "f.grad"),
}


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("captured", [False, True], ids=["traced", "captured"])
def test_forbidden(name: str, captured: bool, fg: ModuleType) -> None:
    forbidden, hint = FORBIDDEN[name]
    code = forbidden.__code__
    lines = range(code.co_firstlineno, code.co_firstlineno + 2)
    w = fg.Value(1.0)
    with pytest.raises(fg.TracingError) as caught:
        record(fg, lambda x: forbidden(fg, w if captured else x), 1.0)
    text = str(caught.value)
    assert any(text.startswith(f"{code.co_filename}:{line}, in {code.co_name}: ") for line in lines), text
    assert hint in text.partition("; ")[2]
    assert not fg._backend.module.is_recording()


def test_all_of_it_is_allowed_outside(fg: ModuleType) -> None:
    record(fg, lambda x: x, 1.0)
    x = fg.Value(2.0)
    assert (x.data, float(x), int(x), round(x), x.grad) == (2.0, 2.0, 2, 2, 0.0)
    assert repr(copy.copy(x)) == repr(x)
    with pytest.raises(TypeError, match="no index"):
        [1, 2, 3][x]


def test_tracing_error_is_a_type_error(fg: ModuleType) -> None:
    assert issubclass(fg.TracingError, TypeError)
    assert "TracingError" in fg.__all__


def test_graphs_may_be_looked_at(fg: ModuleType) -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        assert y._op == "*"
        assert {child is x for child in y._children} == {True, False}
        assert x in y._prev
        return y

    assert operations(record(fg, f, 1.0)) == ["mul"]


# ------------------------------------------------------------------------------------- what a recording cannot reach


def test_captured_nodes_made_by_hand_are_refused_where_they_are_used(fg: ModuleType) -> None:
    x = fg.Value(2.0)
    given = fg.Value(4.0, (x,), (4.0,))
    custom = fg.Value(4.0, (x,), "square")
    closure = x * 2.0
    closure._backward = lambda: None
    for node in (given, custom, closure, fg.sum([given * 2.0, 1.0]), closure.exp()):
        file, line = here(below=3)

        def f(v: Any, node: Any = node) -> Any:
            return (v * node).exp()

        with pytest.raises(fg.TracingError, match="made by hand") as caught:
            record(fg, f, 1.0)
        assert str(caught.value).startswith(f"{file}:{line}, in f: ")
        assert operations(record(fg, lambda v, node=node: [v * 2.0, v * node][0], 1.0)) == ["mul"]
    with pytest.raises(fg.TracingError, match="made by hand"):
        record(fg, lambda v: given, 1.0)


def test_values_kept_from_an_earlier_recording_are_refused(fg: ModuleType) -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept[:] = [x, x * 3.0, fg.Value(1.0)]
        return x

    record(fg, f, 2.0)
    assert [v.data for v in kept] == [2.0, 6.0, 1.0]
    for v in kept:
        file, line = here(below=2)
        with pytest.raises(fg.TracingError, match="recorded before, and kept") as caught:
            record(fg, lambda x, v=v: x + v.tanh(), 1.0)
        assert str(caught.value).startswith(f"{file}:{line}, in <lambda>: ")
    (kept[1] * 2.0).backward()
    assert (kept[1].grad, kept[0].grad) == (2.0, 0.0)


# ------------------------------------------------------------------------------------------------- how recordings end


def test_an_exception_leaves_everything_as_it_was(fg: ModuleType, reclaim: Callable[[ModuleType], None]) -> None:
    backend = fg._backend.module
    w = fg.Value(3.0)
    before = w * w

    def f(x: Any) -> Any:
        with fg.no_grad():
            y = x * w
            if y > 0.0:
                raise KeyError("mine")
        return y

    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            record(fg, f, 1.0)
        assert not backend.is_recording()
        after = w * before
        after.backward()
        assert w.grad == 27.0
        after.zero_grad()
    reclaim(fg)
    assert (before.data, (w * w)._children) == (9.0, (w, w))


def test_nothing_is_kept_of_a_recording(fg: ModuleType, reclaim: Callable[[ModuleType], None]) -> None:
    def f(x: Any) -> Any:
        for _ in range(100_000):
            x = x * 0.5 + 1.0
        return x

    record(fg, f, 1.0)
    reclaim(fg)
    reclaim(fg)
    assert fg._backend.tape_stats()["nodes"] < 50_000


def test_recordings_one_after_another_do_not_fill_the_tape(fg: ModuleType) -> None:
    kept = [fg.Value(float(k)) for k in range(1000)]
    capacities = []
    for _ in range(50):
        record(fg, branching, 1.0, 3.0)
        with pytest.raises(fg.TracingError):
            record(fg, lambda x: branching(x, 2.0).data, 1.0)
        record(fg, lambda x: fg.sum([x * k for k in range(5000)]), 1.0)
        capacities.append(fg._backend.tape_stats()["capacity"])
    assert max(capacities[5:], default=0) <= 4 * max(capacities[0], 8192)
    assert [v.data for v in kept] == [float(k) for k in range(1000)]


def test_recordings_nest(fg: ModuleType) -> None:
    backend = fg._backend.module
    inner: list[Any] = []

    def g(y: Any, x: Any) -> Any:
        if y > 1.0:
            y = y * x
        inner.append(record(fg, lambda z: z * y.exp(), 5.0))
        return y - x

    def f(x: Any) -> Any:
        z = x * 2.0
        inner.append(record(fg, g, 3.0, 4.0))
        inner.append(record(fg, lambda y: y * z, 6.0))
        with pytest.raises(ZeroDivisionError):
            record(fg, lambda y: y / (1 / 0), 1.0)
        assert backend.is_recording()
        return z + (x if x > 0.0 else -x)

    outer = record(fg, f, 7.0)
    innermost, middle, captures = inner
    for recording in (outer, *inner):
        check_form(recording)
    assert (operations(outer), len(outer.guards), outer.parameters) == (["mul", "greater", "add"], 1, ())
    assert (operations(middle), len(middle.guards), middle.parameters) == (["greater", "mul", "sub"], 1, ())
    assert (operations(innermost), len(innermost.guards), len(innermost.parameters)) == (["mul", "exp", "mul"], 0, 2)
    assert (operations(captures), len(captures.parameters)) == (["mul", "mul"], 1)
    assert outputs(fg, outer, [7.0]) == [21.0]
    assert outputs(fg, captures, [6.0, 7.0]) == [84.0]


def test_data_for_those_who_run_recordings(fg: ModuleType) -> None:
    backend = fg._backend.module
    values = tuple(fg.Value(float(k)) for k in range(4))

    def f(x: Any) -> Any:
        into = np.empty(4)
        backend.gather_data(values, into)
        assert into.tolist() == [0.0, 1.0, 2.0, 3.0]
        backend.add_grads(values, into)
        assert backend.peek(x * 2.0) == 3.0
        return x

    record(fg, f, 1.5)
    backend.add_grads(values, np.array([1.0, 0.0, 0.5, -3.0]))
    assert [v.grad for v in values] == [1.0, 1.0, 2.5, 0.0]
    with pytest.raises((ValueError, IndexError)):
        backend.add_grads(values, np.ones(3))


# ----------------------------------------------------------------------------------------------------------- threads


@pytest.fixture
def switch_often() -> Any:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(works: list[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = [None] * len(works)
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(i: int) -> None:
        try:
            barrier.wait(60)
            results[i] = works[i]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "the threads wait for each other"
    if errors:
        raise errors[0]
    return results


def fingerprint(recording: Any) -> tuple[Any, ...]:
    return names(recording), recording.pool.tolist(), recording.constants.tolist(), recording.expected.tolist()


def branching(x: Any, y: Any) -> Any:
    for k in range(200):
        x = x * 0.5 + y if x > y else x + float(k)
    return x.exp() * y


@pytest.mark.usefixtures("switch_often")
def test_threads_record_and_compute_at_the_same_time(fg: ModuleType) -> None:
    alone = fingerprint(record(fg, branching, 1.0, 3.0))

    def records() -> bool:
        return all(fingerprint(record(fg, branching, 1.0, 3.0)) == alone for _ in range(10))

    def computes() -> bool:
        for _ in range(20):
            x, y = fg.Value(1.0), fg.Value(3.0)
            z = branching(x, y)
            z.backward()
            assert isinstance(x < y, bool)
            assert math.isfinite(z.data + x.grad)
            with fg.no_grad():
                assert (x * y)._children == ()
        return True

    assert all(in_threads([records, records, computes, computes]))


def test_a_thread_started_by_a_recorded_function_is_on_its_own(fg: ModuleType) -> None:
    def work() -> tuple[Any, ...]:
        x = fg.Value(2.0)
        (x * x).backward()
        return x.data, x.grad, fingerprint(record(fg, branching, 1.0, 3.0))

    def f(x: Any) -> Any:
        y = x * 2.0
        [result] = in_threads([work])
        assert result == (2.0, 4.0, alone)
        return y + 1.0

    alone = fingerprint(record(fg, branching, 1.0, 3.0))
    recording = record(fg, f, 1.0)
    assert (operations(recording), recording.parameters) == (["mul", "add"], ())


def test_values_of_other_threads_that_come_during_a_recording_are_parameters(fg: ModuleType) -> None:
    made: list[Any] = []

    def f(x: Any) -> Any:
        in_threads([lambda: made.append(fg.Value(5.0))])
        in_threads([lambda: made.append(made[0].exp())])
        return x * made[0] + made[1]

    recording = record(fg, f, 2.0)
    check_form(recording)
    assert [id(p) for p in recording.parameters] == [id(made[0])]
    assert bits(outputs(fg, recording, [2.0, 5.0])) == bits([10.0 + made[1].data])
