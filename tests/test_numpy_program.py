"""Programs of the pure-Python backend: their derivatives, of any order, and what is no program."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from exact import BY_NAME, REDUCTIONS, ROWS, Row, differentiate, is_smooth, mp, points, rule
from hypothesis import assume, given
from programs import (
    Graph,
    Maker,
    branch,
    eager,
    graph_program,
    graphs,
    hidden_root,
    of_row,
    run,
    same,
    taken,
    tame,
    value_and_gradient,
)
from test_random_graphs import ARITHMETIC
from test_table import PARTIALS, TAKEN_AS_CONSTANT

from fastgrad._numpy_program import Program
from fastgrad._recording import NODE
from fastgrad._rules import OPCODES

# ---------------------------------------------------------------------------------------------- against eager gradients


@given(graphs(ARITHMETIC, 60))
def test_value_and_gradient_equal_eager_to_the_bit_on_arithmetic(fg: ModuleType, graph: Graph) -> None:
    graph = tame(fg, graph)
    assert same(run(value_and_gradient(graph_program(fg, graph)), *graph.inputs)[0], eager(fg, graph))


@given(graphs(list(BY_NAME), 40))
def test_value_and_gradient_equal_eager_on_all_rows(fg: ModuleType, graph: Graph) -> None:
    graph = tame(fg, graph)
    expected = eager(fg, graph)
    got = run(value_and_gradient(graph_program(fg, graph)), *graph.inputs)[0]
    largest = max((abs(x) for x in expected if math.isfinite(x)), default=0.0)
    assume(largest < 1e12)
    for a, b in zip(got.tolist(), expected, strict=True):
        assert a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-7 * (1.0 + largest)


@given(graphs([name for name in BY_NAME if name not in ("floor", "ceil", "sign", "mod", "floordiv", "fmod")], 25))
def test_tangents_are_the_columns_of_the_adjoints(fg: ModuleType, graph: Graph) -> None:
    graph = tame(fg, graph)
    program = graph_program(fg, graph)
    wrt = range(program.inputs)
    reverse = run(program.reverse([0], wrt), *graph.inputs)[0]
    assume(bool(np.all(np.isfinite(reverse))))
    scale = 1e-7 * (1.0 + float(np.abs(reverse).max()))
    assume(scale < 1e3)
    assert np.all(np.abs(run(program.forward([0], wrt, np.eye(len(wrt))), *graph.inputs)[0] - reverse) <= scale)
    direction = np.linspace(0.5, 2.0, len(wrt))
    [[tangent]] = run(program.forward([0], wrt), *graph.inputs, *direction)
    assert abs(tangent - direction @ reverse) <= scale * 10


# ----------------------------------------------------------------------------------------- each row against mpmath


def near(got: float, exact: Any, relative: float) -> bool:
    if mp.isnan(exact):
        return math.isnan(got)
    return bool(abs(mp.mpf(got) - exact) <= relative * (1 + abs(exact)))


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_rows_and_their_partials_over_arrays_are_those_of_the_fallback(row: Row) -> None:
    derived = value_and_gradient(of_row(row.name))
    drawn = list(points(row, 40))
    got = run(derived, *np.array(drawn).T)
    for operands, (z, *gradient) in zip(drawn, got.tolist(), strict=True):
        expected = row.forward(*operands)
        assert math.isclose(z, expected, rel_tol=1e-14, abs_tol=1e-300), operands
        for a, b in zip(gradient, row.partials(*operands, expected), strict=True):
            assert near(a, mp.mpf(b), 1e-12), operands


@pytest.mark.parametrize(("row", "i"), PARTIALS)
def test_second_derivatives_against_mpmath(row: Row, i: int) -> None:
    """Reverse over reverse, and forward over reverse, of each partial."""
    first = of_row(row.name).reverse([0], [i])
    f = rule(row, row.partial_texts[i])
    drawn = list(points(row, 16))
    for j, operand in enumerate(row.operands):
        if (row.name, operand) in TAKEN_AS_CONSTANT:
            continue
        exact = rule(row, differentiate(row.partial_texts[i], operand, row))
        by_reverse = run(first.reverse([0], [j]), *np.array(drawn).T)
        by_forward = run(first.forward([0], [j], [[1.0]]), *np.array(drawn).T)
        for k, operands in enumerate(drawn):
            expected = exact(*map(mp.mpf, operands))
            if is_smooth(f, operands, j) and mp.isfinite(expected):
                assert near(by_reverse[k, 0], expected, 1e-9), operands
                assert near(by_forward[k, 0], expected, 1e-9), operands


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in REDUCTIONS])
@pytest.mark.parametrize("terms", [1, 2, 7, 8, 9, 40])
def test_hessians_of_reductions_are_symmetric_and_those_of_differences(row: Row, terms: int) -> None:
    program = of_row(row.name, terms)
    wrt = range(program.inputs)
    x = np.linspace(-1.0, 1.5, program.inputs)
    gradient = program.reverse([0], wrt)
    hessian = run(gradient.reverse(wrt, wrt), *x).reshape(program.inputs, -1)
    assert np.abs(hessian - hessian.T).max() <= 1e-14
    forward = run(gradient.forward(wrt, wrt, np.eye(program.inputs)), *x).reshape(program.inputs, -1)
    assert np.abs(hessian - forward).max() <= 1e-14
    h = 1e-5
    shifted = [(run(gradient, *(x + h * e)) - run(gradient, *(x - h * e)))[0] / (2 * h) for e in np.eye(program.inputs)]
    assert np.abs(hessian - shifted).max() <= 1e-9


# ------------------------------------------------------------------------------------------ zeros, and hidden branches


def test_no_nan_comes_out_of_a_branch_not_taken_at_any_order() -> None:
    program = hidden_root()
    first = program.reverse([0], [0, 1])
    assert run(first, [-4.0, 4.0], [3.0, 3.0]).tolist() == [[3.0, -4.0], [0.75, 2.0]]
    seconds = [[0.0, 1.0, 1.0, 0.0], [-0.09375, 0.25, 0.25, 0.0]]
    assert run(first.reverse([0, 1], [0, 1]), [-4.0, 4.0], [3.0, 3.0]).tolist() == seconds
    assert run(first.forward([0, 1], [0, 1], np.eye(2)), [-4.0, 4.0], [3.0, 3.0]).tolist() == seconds
    tangents = program.forward([0], [0, 1], np.eye(2))
    assert run(tangents.reverse([0, 1], [0, 1]), [-4.0, 4.0], [3.0, 3.0]).tolist() == seconds
    third = first.reverse([0], [0]).reverse([0], [0, 1])
    assert run(third, [-4.0, 4.0], [3.0, 3.0]).tolist() == [[0.0, 0.0], [0.03515625, -0.03125]]


def test_derivatives_to_a_factor_that_is_zero_are_not_lost() -> None:
    """x * sqrt(y) at x = 0: its mixed derivatives are those of sqrt."""
    make = Maker()
    x, y = make.leaf(0), make.leaf(1)
    program = make.program(2, make.row("mul", x, make.row("sqrt", y)))
    by_y = program.reverse([0], [1])
    assert run(by_y, 0.0, 4.0).tolist() == [[0.0]]
    assert run(by_y.reverse([0], [0]), 0.0, 4.0).tolist() == [[0.25]]
    by_y_twice = by_y.reverse([0], [1])
    assert run(by_y_twice.reverse([0], [0]), 0.0, 4.0).tolist() == [[-0.03125]]


def test_an_adjoint_that_is_zero_passes_no_infinity_on() -> None:
    make = Maker()
    x = make.leaf(0)
    program = make.program(1, make.row("mul", make.row("sqrt", x), make.row("floor", x)))
    assert run(program.reverse([0], [0]), 0.0).tolist() == [[0.0]]


def test_tangents_know_the_same_zeros_as_adjoints() -> None:
    """u * u with u = sqrt(x) at 0, where u's own derivative is infinite."""
    make = Maker()
    u = make.row("sqrt", make.leaf(0))
    program = make.program(1, make.row("mul", u, u))
    assert run(program.reverse([0], [0]), 0.0).tolist() == [[0.0]]
    assert run(program.forward([0], [0]), 0.0, 1.0).tolist() == [[0.0]]
    assert run(program.forward([0], [0], [[1.0]]), 0.0).tolist() == [[0.0]]


def test_gradients_are_never_minus_zero() -> None:
    make = Maker()
    x, y = make.leaf(0), make.leaf(1)
    program = make.program(2, make.row("neg", make.row("mul", x, y)))
    assert same(run(program.reverse([0], [0, 1]), 1.0, 0.0), [[0.0, -1.0]])


def test_products_know_zeros_only_where_they_have_to() -> None:
    """What cannot be infinite and comes through no choice is a plain product."""

    def zero_products(*names: str) -> int:
        make = Maker()
        node = make.leaf(0)
        for name in names:
            node = make.row(name, node)
        gradient = make.program(1, node).reverse([0], [0])
        return int((gradient.nodes["op"] == OPCODES["zmul"]).sum())

    assert zero_products("tanh", "sin", "cos", "erf", "sigmoid") == 0
    assert zero_products("sqrt", "tanh") == 1
    assert zero_products("tanh", "sin", "relu", "neg") == 2  # all that lies under the choice


def test_a_power_with_a_constant_exponent_needs_no_choice() -> None:
    make = Maker()
    cube = make.program(1, make.row("pow", make.leaf(0), make.constant(3.0))).reverse([0], [0])
    assert OPCODES["where"] not in cube.nodes["op"]
    assert run(cube, [0.0, 2.0, -1.0]).T.tolist() == [[0.0, 12.0, 3.0]]


# --------------------------------------------------------------------------------------------------- sweeps and tables


def test_a_joint_sweep_is_the_sum_of_the_sweeps() -> None:
    make = Maker()
    x, y = make.leaf(0), make.leaf(1)
    product = make.row("mul", x, y)
    program = make.program(2, product, make.row("sin", product), x, product)
    jacobian = run(program.reverse(range(4), [0, 1]), 0.7, 1.3)[0].reshape(4, 2)
    seeds = [0.5, -2.0, 3.0, 1.0]
    vjp = program.reverse(range(4), [0, 1], seeded=True)
    assert vjp.inputs == 6
    assert run(vjp, 0.7, 1.3, *seeds)[0] == pytest.approx(np.array(seeds) @ jacobian, rel=1e-15)


def test_what_does_not_depend_has_the_derivative_zero() -> None:
    make = Maker()
    x = make.leaf(0)
    make.leaf(1)
    program = make.program(3, make.row("exp", x), make.row("floor", x), make.constant(2.0))
    assert run(program.reverse([0, 1, 2], [1, 2, 0]), 0.0, 5.0, 5.0).tolist() == [[0.0, 0.0, 1.0] + [0.0] * 6]
    assert run(program.forward([0, 1, 2], [1, 0], np.eye(2)), 0.0, 5.0, 5.0).tolist() == [[0.0] * 3 + [1.0, 0.0, 0.0]]


def test_a_table_passes_adjoints_and_tangents_to_the_entry_that_was_taken() -> None:
    program = taken(3)
    inputs = (0.5, 1.0, 2.0, 3.0)
    index = np.array([0.0, 2.0, 1.0, 2.0])
    entry = np.array(inputs)[1:][index.astype(int)]
    assert run(program, *inputs, index)[:, 0] == pytest.approx(np.sin(0.5 * entry), rel=1e-15)
    expected = np.zeros((4, 5))
    expected[:, 0] = np.cos(0.5 * entry) * entry
    expected[np.arange(4), 1 + index.astype(int)] = np.cos(0.5 * entry) * 0.5
    assert run(program.reverse([0], range(5)), *inputs, index) == pytest.approx(expected, rel=1e-15)
    assert run(program.forward([0], range(5), np.eye(5)), *inputs, index) == pytest.approx(expected, rel=1e-15)
    second = run(program.reverse([0], range(5)).reverse([0], [0]), *inputs, index)[:, 0]
    assert second == pytest.approx(-np.sin(0.5 * entry) * entry**2, rel=1e-14)


@pytest.mark.parametrize("index", [-1.0, 3.0, math.nan, math.inf, -math.inf, 1e300])
def test_an_index_that_is_none_does_no_harm(index: float) -> None:
    assert run(taken(3), 0.5, 1.0, 2.0, 3.0, [0.0, index]).shape == (2, 1)


# -------------------------------------------------------------------------------------------------------- bad programs


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        ((999, 0, 0, 0), "opcode"),
        ((OPCODES["custom"], 0, 0, 0), "opcode"),
        ((OPCODES["leaf"], 2, 0, 0), "none of the 2 inputs"),
        ((OPCODES["leaf"], 0, 0, 0), "an input that has a node already"),
        ((OPCODES["const"], 1, 0, 0), "none of the 1 constants"),
        ((OPCODES["neg"], 2, 0, 0), "operand a of node 2"),
        ((OPCODES["add"], 0, 2**32 - 1, 0), "operand b of node 2"),
        ((OPCODES["where"], 0, 1, 2), "operand c of node 2"),
        ((OPCODES["sum"], 1, 2, 0), "beyond the pool"),
        ((OPCODES["sum"], 2**32 - 1, 2**32 - 1, 0), "beyond the pool"),
        ((OPCODES["sum"], 0, 2, 0), "an operand of node 2"),
        ((OPCODES["dot"], 0, 1, 0), "unequal"),
        ((OPCODES["take"], 0, 1, 0), "empty table"),
    ],
)
def test_what_is_no_program_is_refused(node: tuple[int, int, int, int], problem: str) -> None:
    op, a, b, c = node
    nodes = np.array([(OPCODES["leaf"], 0, 0, 0, 0, 0), (OPCODES["const"], 0, 0, 0, 0, 0), (op, 0, a, b, c, 0)], NODE)
    with pytest.raises(ValueError, match=problem):
        Program(nodes, [0, 2], [1.0], 2, [0])


def test_operands_of_one_node_are_not_another_s() -> None:
    make = Maker()
    make.row("sum", make.leaf(0))
    make.nodes.append(make.nodes[-1])
    with pytest.raises(ValueError, match="pool"):
        make.program(1, 2)


def test_wrong_outputs_inputs_and_options_are_refused() -> None:
    program = branch()
    with pytest.raises(ValueError, match="output"):
        program.with_outputs([program.size])
    with pytest.raises(ValueError, match="3 outputs"):
        program.reverse([3], [0])
    with pytest.raises(ValueError, match="2 inputs"):
        program.forward([0], [2])
    with pytest.raises(ValueError, match="unroll"):
        program.code([True, True], passes=["fold", "unroll"])
    with pytest.raises(ValueError, match="1 of 2 inputs"):
        program.code([True])
    with pytest.raises(ValueError, match="guards"):
        program.code([True, True], expected=b"\0" * 4)


def test_programs_are_not_changed() -> None:
    program = branch()
    for array in (program.nodes, program.pool, program.constants, program.outputs):
        assert not array.flags.writeable
    before = program.nodes.tobytes()
    program.reverse([0], [0, 1]).forward([0, 1], [0])
    assert program.nodes.tobytes() == before
