"""What functions and contexts mean in a recorded function: no_grad, stop_gradient, take, softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from recordings import bits, check_form, names, operations, outputs, record, run

# --------------------------------------------------------------------------------------------- gradients that stop


def test_no_grad_inside_stops_gradients(fg: ModuleType) -> None:
    def f(x: Any) -> Any:
        with fg.no_grad():
            scale = (x * x).exp()
            constant = fg.Value(2.0)
        return scale * x * constant

    recording = record(fg, f, 0.5)
    x, eager = fg.Value(0.5), fg.Value(0.5)
    [again] = outputs(fg, recording, [x])
    again.backward()
    f(eager).backward()
    assert bits([again.data, x.grad]) == bits([f(fg.Value(0.5)).data, eager.grad])


def test_no_grad_around_has_no_effect(fg: ModuleType) -> None:
    with fg.no_grad():
        recording = record(fg, lambda x: x.exp(), 0.5)
        assert fg.Value(1.0).exp()._children == ()
    assert operations(recording) == ["exp"]
    assert len(fg.Value(1.0).exp()._children) == 1


def test_stop_gradient(fg: ModuleType) -> None:
    x = fg.Value(3.0)
    (fg.stop_gradient(x * x) * x).backward()
    assert x.grad == 9.0
    assert fg.stop_gradient(2.5) == 2.5
    assert operations(record(fg, lambda x: fg.stop_gradient(x * x) * x, 3.0)) == ["mul", "stop_gradient", "mul"]


@pytest.mark.parametrize(
    "f",
    [
        lambda fg, x: fg.sqrt(fg.floor(x)),  # its derivative at 0 is infinite
        lambda fg, x: fg.sqrt(x // 2.0),
        lambda fg, x: fg.sqrt(fg.where(x, 0.0, 1.0)),
        lambda fg, x: fg.sqrt(fg.less(x, 0.0)),
        lambda fg, x: fg.sqrt(fg.stop_gradient(x) - 0.5),
        lambda fg, x: fg.sqrt(fg.polygamma(x * 0.0, 1.4616321449683622) * 0.0),
    ],
)
def test_a_partial_that_is_literally_zero_passes_nothing_on(f: Callable[..., Any], fg: ModuleType) -> None:
    x = fg.Value(0.5)
    f(fg, x).backward()
    assert x.grad == 0.0


# -------------------------------------------------------------------------------------------------------------- take


def test_take_on_numbers_is_picking(fg: ModuleType) -> None:
    table = [fg.Value(1.0), fg.Value(2.0), 3.0]
    assert fg.take(table, 0) is table[0]
    assert fg.take(table, -1) == 3.0
    assert fg.take(table, 1.0) is table[1]
    assert fg.take(table, fg.Value(1.0)) is table[1]
    assert fg.take(np.array([1.0, 2.0]), np.int64(1)) == 2.0
    assert fg.take(np.eye(2), 0) == [1.0, 0.0]
    for wrong, error in [(3, IndexError), (-4, IndexError), (0.5, TypeError), (fg.Value(-1.0), IndexError)]:
        with pytest.raises(error, match="take"):
            fg.take(table, wrong)


def test_take_by_a_traced_index(fg: ModuleType) -> None:
    w = [fg.Value(float(k)) for k in range(3)]

    def f(i: Any, x: Any) -> list[Any]:
        rows = [[w[0], x], [w[1], 7.0], (w[2], x * x)]
        return [fg.take([*w, x], i) * x, *fg.take(rows, i), *fg.take(np.eye(3), i), fg.take((1.0, 2.0, 3.0), i)]

    for i in (0.0, 1.0, 2.0):
        recording = record(fg, f, i, 0.5)
        check_form(recording)
        assert recording.expected.tolist() == [1, 1, 1, 1]
        assert {names(recording)[k] for k in recording.guards} == {"logical_and"}
        values = [i, 0.5, *[p.data for p in recording.parameters]]
        assert outputs(fg, recording, values) == [float(z) for z in f(i, 0.5)]
        results = run(fg, recording, values)
        assert all(results[k] == 1.0 for k in recording.guards)


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (3.0, IndexError, "3 is out of range for a table of 3"),
        (-1.0, IndexError, "-1 is out of range for a table of 3"),
        (0.5, TypeError, "expected a whole number, got 0.5"),
        (math.nan, TypeError, "expected a whole number, got nan"),
    ],
)
def test_take_sees_a_wrong_index_while_it_records(index: float, error: type, text: str, fg: ModuleType) -> None:
    with pytest.raises(error, match=text):
        record(fg, lambda i: fg.take([1.0, 2.0, 3.0], i), index)
    assert not fg._backend.module.is_recording()


def test_take_refuses_a_table_that_is_none(fg: ModuleType) -> None:
    for table in ([1.0, "a"], [[1.0, 2.0], [3.0]], [[1.0], 2.0]):
        with pytest.raises((TypeError, ValueError)):
            record(fg, lambda i, table=table: fg.take(table, i), 0.0)
    with pytest.raises(IndexError, match="table of 0"):
        record(fg, lambda i: fg.take([], i), 0.0)


def test_softmax_is_recorded_without_a_decision(fg: ModuleType) -> None:
    values = [0.5, 3.0, -1.0]
    recording = record(fg, lambda *xs: fg.softmax(xs), *values)
    assert len(recording.guards) == 0
    eager = [fg.Value(value) for value in values]
    probabilities = fg.softmax(eager)
    assert bits(outputs(fg, recording, values)) == bits([p.data for p in probabilities])
    again = [fg.Value(value) for value in values]
    for results, leaves in ((probabilities, eager), (outputs(fg, recording, again), again)):
        fg.dot(results, [1.0, 2.0, 4.0]).backward()
        assert all(leaf.grad != 0.0 for leaf in leaves)
    assert bits([x.grad for x in again]) == bits([x.grad for x in eager])
