"""Code of the pure-Python backend: its passes, and running over arrays of rows."""

from __future__ import annotations

import itertools
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import (
    Graph,
    Maker,
    branch,
    graph_program,
    graphs,
    hidden_root,
    parts_total,
    program_of,
    recorded,
    run,
    same,
    sum_over_rows,
    tame,
    value_and_gradient,
)
from test_random_graphs import ARITHMETIC

from fastgrad._numpy_program import PASSES, Program

# -------------------------------------------------------------------------------------------------------------- running


def test_guards_tell_which_rows_left() -> None:
    x, y = np.array([[2.0], [-2.0], [3.0], [math.nan]]), np.array([[0.5], [0.5], [1.5], [0.0]])
    out, left = np.empty((4, 1)), np.full(4, 7, np.uint8)
    code = branch().code([True, True], expected=b"\1\0")
    code.run([x, y], [out], left)
    assert left.tolist() == [0, 1, 1, 1]
    assert out[0, 0] == 1.0
    code.run([x[:1], y[:1]], [out[:1]], left[:1])
    with pytest.raises(ValueError, match="guards"):
        code.run([x, y], [out])


def test_a_recorded_branch_is_guarded(fg: ModuleType) -> None:
    def f(leaves: list[Any]) -> Any:
        x, y = leaves
        return x * y if x > y else fg.exp(x)

    recording = recorded(fg, f, [2.0, 1.0])
    program = program_of(recording)
    out, left = np.empty((3, 1)), np.empty(3, np.uint8)
    code = program.code([True, True], expected=recording.expected.tobytes())
    code.run([np.array([[2.0, 1.0], [1.0, 2.0], [3.0, -1.0]])], [out], left)
    assert (out[[0, 2], 0].tolist(), left.tolist()) == ([2.0, -3.0], [0, 1, 0])
    assert "test_numpy_code.py:" in code.listing(recording.lines)


def test_captured_values_are_inputs_behind_the_others(fg: ModuleType) -> None:
    weight = fg.Value(3.0)
    recording = recorded(fg, lambda leaves: fg.tanh(leaves[0] * weight), [0.5])
    assert recording.parameters[0] is weight
    gradient = value_and_gradient(program_of(recording))
    out = np.empty((2, 3))
    gradient.code([True, False]).run([np.array([[0.5], [0.25]]), np.array([[3.0]])], [out])
    slope = 1.0 - np.tanh([1.5, 0.75]) ** 2
    expected = [np.tanh([1.5, 0.75]), 3.0 * slope, [0.5, 0.25] * slope]
    assert pytest.approx(np.array(expected), rel=1e-15) == out.T


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 1023, 1024, 1025, 4096, 5000, 9 * 1024 + 3])
@pytest.mark.parametrize("lanes", [0, 8, 64])
def test_sums_over_rows_have_their_fixed_order(rows: int, lanes: int) -> None:
    make = Maker()
    x, y = make.leaf(0), make.leaf(1)
    program = make.program(2, make.row("mul", x, y), x, y)
    data = np.random.default_rng(rows).normal(size=rows)
    out = np.full((1, 3), np.nan)
    program.code([True, False], sum=True, lanes=lanes).run([data[:, np.newaxis], np.array([[0.1]])], [out])
    columns = [(data * 0.1).tolist(), data.tolist(), [0.1] * rows]
    assert same(out[0], [sum_over_rows(column) for column in columns])


def test_rows_that_left_are_not_in_the_sum() -> None:
    x, y = np.array([[2.0], [-2.0], [3.0]]), np.array([[0.5], [math.nan], [0.25]])
    out, left = np.empty((1, 1)), np.empty(3, np.uint8)
    branch().code([True, True], expected=b"\1\0", sum=True).run([x, y], [out], left)
    assert (out[0, 0], left.tolist()) == (1.75, [0, 1, 0])


def test_without_batched_inputs_there_is_one_row_and_nothing_to_sum() -> None:
    program = branch()
    out, left = np.empty((1, 1)), np.empty(1, np.uint8)
    program.code([False, False], sum=True, expected=b"\1\1").run([np.array([[3.0, 2.0]])], [out], left)
    assert (out.tolist(), left.tolist()) == ([[6.0]], [0])


def test_rows_do_not_depend_on_their_neighbours_nor_on_strides() -> None:
    program = value_and_gradient(hidden_root())
    data = np.random.default_rng(0).normal(size=(2, 10_001))
    expected = run(program, *data)
    code = program.code([True, True])
    for rows in (1, 2, 9, 4097):
        assert same(run(program, *data[:, :rows]), expected[:rows])
    out = np.full((10_001, 6), np.nan)[::-1, ::2]
    code.run([data.T], [out])
    assert same(out, expected)
    columns = [np.asfortranarray(data.T[::-1, :1])[::-1], data.T[:, 1:]]
    outputs = [np.empty((10_001, 1)), np.empty((10_001, 2), order="F")]
    code.run(columns, outputs)
    assert same(np.hstack(outputs), expected)


def test_uniform_inputs_are_those_of_a_batch_that_repeats_them() -> None:
    program = value_and_gradient(hidden_root())
    x = np.random.default_rng(1).normal(size=5000)
    out = np.empty((5000, 3))
    for passes in (PASSES, [name for name in PASSES if name != "hoist"]):
        program.code([True, False], passes=passes).run([x[:, np.newaxis], np.array([[1.7]])], [out])
        assert same(out, run(program, x, np.full(5000, 1.7)))


def test_memory_stays_bounded_where_a_program_is_long() -> None:
    """A thousand numbers live at once: blocks of rows become shorter, results stay."""
    make = Maker()
    x = make.leaf(0)
    powers = list(itertools.accumulate(range(3000), lambda node, _: make.row("sin", node), initial=x))
    long = make.program(1, make.row("sum", *powers))
    assert long.code([True]).stats()["working_set"] <= 1 << 25
    data = np.linspace(-1, 1, 1500)
    chain = list(itertools.accumulate(range(3000), lambda v, _: np.sin(v), initial=data))
    expected = [parts_total(column) for column in np.array(chain).T.tolist()]
    assert run(long, data)[:, 0] == pytest.approx(expected, rel=1e-13)


# ------------------------------------------------------------------------------------------------ passes and inspection


@given(graphs([*ARITHMETIC, "tanh", "exp", "sin", "mul", "mul"], 30), st.sampled_from(PASSES))
def test_no_pass_changes_a_bit(fg: ModuleType, graph: Graph, off: str) -> None:
    graph = tame(fg, graph)
    program = graph_program(fg, graph)
    derived = value_and_gradient(program)
    all_on = run(derived, *graph.inputs)
    assert same(run(derived, *graph.inputs, passes=[name for name in PASSES if name != off]), all_on)
    assert same(run(derived, *graph.inputs, passes=()), all_on)


def test_stats_count_what_each_pass_took_away() -> None:
    make = Maker()
    x, y, two = make.leaf(0), make.leaf(1), make.constant(2.0)
    half = make.row("div", make.constant(1.0), two)  # is folded
    twice = make.row("mul", make.row("mul", x, y), make.row("mul", y, x))  # is the square of one product
    make.row("sin", x)  # nobody needs
    program = make.program(2, make.row("add", make.row("mul", twice, half), make.row("exp", y)))
    stats = program.code([True, False]).stats()
    taken = {name: before - after for name, (before, after) in stats["passes"].items()}
    assert taken == dict.fromkeys(PASSES, 0) | {"fold": 1, "cse": 1, "dead": 1}
    assert (stats["instructions"], stats["uniform_instructions"]) == (4, 1)
    after = list(stats["passes"].values())
    assert list(stats["passes"]) == list(PASSES)
    assert all(left == right for (_, left), (right, _) in itertools.pairwise(after))
    assert stats["nodes"] == after[0][0] > after[-1][1] == stats["instructions"] + stats["uniform_instructions"]
    assert stats["working_set"] == stats["slots"] * stats["lanes"] * 8


def test_listing_shows_each_node_once_and_where_it_was_recorded() -> None:
    program = branch()
    nodes = program.nodes.copy()
    nodes["line"][-1] = 1
    program = Program(nodes, program.pool, program.constants, 2, program.outputs)
    text = program.code([True, False], expected=b"\1\0").listing([("", 0, ""), ("model.py", 12, "price")])
    assert "mul %0, %1" in text
    assert "# model.py:12 in price" in text
    assert len(text.splitlines()) == program.size + 3
    assert "is True" in text
    assert "once %" in text


def test_wrong_arrays_are_refused() -> None:
    program = branch()
    code = program.with_outputs(program.outputs[:1].tolist()).code([True, False])
    x, y, out = np.zeros((3, 1)), np.zeros((1, 1)), np.zeros((3, 1))
    with pytest.raises(ValueError, match="float64"):
        code.run([x.astype(np.float32), y], [out])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="two-dimensional"):
        code.run([x[:, 0], y], [out])
    with pytest.raises(ValueError, match="3 columns in all"):
        code.run([x, x, y], [out])
    with pytest.raises(ValueError, match="different numbers of rows"):
        code.run([x, y], [out[:2]])
    with pytest.raises(ValueError, match="one row"):
        code.run([x, x], [out])
