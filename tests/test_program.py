"""Programs in C, and of the pure-Python backend where both have the same duty: derivatives and verifying."""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from backends import Make, implementation, make, make_c, maker, operations, run, same_bits
from exact import BY_NAME, REDUCTIONS, ROWS, Row, differentiate, is_smooth, mp, points, rule
from hypothesis import given
from hypothesis import strategies as st
from programs import Maker, of_row, value_and_gradient
from test_random_graphs import ARITHMETIC, Program, Step, apply, programs
from test_table import PARTIALS, TAKEN_AS_CONSTANT

from fastgrad._recording import NODE
from fastgrad._rules import OPCODES

__all__ = ["make", "make_c"]  # fixtures

# ------------------------------------------------------------------------------------------- the eager sweep's equal


def recorded(fg: ModuleType, program: Program) -> tuple[Any, list[Any], Any]:
    """A program on Values, every third leaf a plain number: the program, its leaves, and its last result."""
    make, inputs = Maker(), 0
    results: list[Any] = []
    nodes: list[int] = []
    for i, x in enumerate(program.leaves):
        results.append(x if i % 3 == 1 else fg.Value(x))
        nodes.append(make.constant(x) if i % 3 == 1 else make.leaf(inputs))
        inputs += i % 3 != 1
    leaves = [v for v in results if isinstance(v, fg.Value)]
    for name, positions in program.steps:
        step = Step(name, tuple(i % len(results) for i in positions))
        try:
            result = apply(fg, name, [results[i] for i in step.operands])
        except (ArithmeticError, ValueError):
            continue
        if isinstance(result, fg.Value) and abs(result.data) < 1e6:
            results.append(result)
            nodes.append(make.row(name, *(nodes[i] for i in step.operands)))
    last = max(i for i, v in enumerate(results) if isinstance(v, fg.Value))
    return make.program(inputs, nodes[last]), leaves, results[last]


@given(programs(list(BY_NAME), 120))
def test_values_and_gradients_are_those_of_the_eager_sweep_to_the_last_bit(
    both: dict[str, ModuleType], program: Program
) -> None:
    made, leaves, last = recorded(both["c"], program)
    last.backward()
    derived = value_and_gradient(maker("c")(made))
    got = run(derived, *(leaf.data for leaf in leaves))[0]
    assert same_bits(got, [last.data, *(leaf.grad for leaf in leaves)])


@given(programs(ARITHMETIC, 120))
def test_programs_in_python_follow_the_eager_sweep_as_well(both: dict[str, ModuleType], program: Program) -> None:
    made, leaves, last = recorded(both["python"], program)
    last.backward()
    got = run(value_and_gradient(maker("python")(made)), *(leaf.data for leaf in leaves))[0]
    assert same_bits(got, [last.data, *(leaf.grad for leaf in leaves)])


# ------------------------------------------------------------------------------------------------------- derivatives


def close(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-11, atol=1e-13, equal_nan=True))


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in (*ROWS, *REDUCTIONS)])
def test_forward_gives_what_reverse_gives(row: Row, make: Make) -> None:
    program = make(of_row(row.name, 3 if row.kind == "REDUCE" else 1))
    wrt = range(program.inputs)
    x = np.array(list(points(row, 8))).T if row.kind != "REDUCE" else np.linspace(-1.0, 2.0, program.inputs)[:, None]
    gradient = run(program.reverse([0], wrt), *x)
    assert close(run(program.forward([0], wrt, np.eye(program.inputs)), *x), gradient)
    seeded = run(program.reverse([0], wrt, seeded=True), *x, 1.5)
    assert close(seeded, 1.5 * gradient)
    tangent = run(program.forward([0], wrt), *x, *np.arange(1.0, program.inputs + 1))
    assert close(tangent[:, 0], gradient @ np.arange(1.0, program.inputs + 1))


@pytest.mark.parametrize(("row", "i"), PARTIALS)
def test_second_derivatives_are_those_of_the_rules(row: Row, i: int, make_c: Make) -> None:
    first = make_c(of_row(row.name)).reverse([0], [i])
    f, drawn = rule(row, row.partial_texts[i]), list(points(row, 12))
    for j, operand in enumerate(row.operands):
        if (row.name, operand) in TAKEN_AS_CONSTANT:
            continue
        exact = rule(row, differentiate(row.partial_texts[i], operand, row))
        by_reverse = run(first.reverse([0], [j]), *np.array(drawn).T)[:, 0]
        by_forward = run(first.forward([0], [j], [[1.0]]), *np.array(drawn).T)[:, 0]
        for k, operands in enumerate(drawn):
            expected = exact(*map(mp.mpf, operands))
            if is_smooth(f, operands, j) and mp.isfinite(expected):
                tolerance = 1e-9 * max(1, abs(expected))
                assert abs(by_reverse[k] - expected) < tolerance, operands
                assert abs(by_forward[k] - expected) < tolerance, operands


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in REDUCTIONS])
@pytest.mark.parametrize("terms", [1, 2, 7, 40])
def test_hessians_of_reductions_are_those_of_differences(row: Row, terms: int, make_c: Make) -> None:
    program = make_c(of_row(row.name, terms))
    n, wrt = program.inputs, range(program.inputs)
    x, h = np.linspace(-1.0, 1.5, n), 1e-5
    gradient = program.reverse([0], wrt)
    hessian = run(gradient.reverse(wrt, wrt), *x).reshape(n, n)
    assert close(hessian, hessian.T)
    assert close(run(gradient.forward(wrt, wrt, np.eye(n)), *x).reshape(n, n), hessian)
    differences = [(run(gradient, *(x + h * e)) - run(gradient, *(x - h * e)))[0] / (2 * h) for e in np.eye(n)]
    assert np.abs(hessian - differences).max() <= 1e-9


@pytest.mark.parametrize(
    ("hidden", "at"),
    [("sqrt", -4.0), ("log", -1.0), ("arcsin", 2.0), ("exp", 2000.0), ("lgamma", -2.0), ("true_divide", -1.0)],
)
def test_nan_of_a_branch_not_taken_stays_there_at_every_order(hidden: str, at: float, make: Make) -> None:
    m = Maker()
    x, y, zero = m.leaf(0), m.leaf(1), m.constant(0.0)
    name = next(row.name for row in ROWS if row.method == hidden)
    inner = m.row(name, x) if len(BY_NAME[name].operands) == 1 else m.row(name, y, m.row("add", x, m.constant(-at)))
    chosen = m.row("where", m.row("equal", x, m.constant(at)), m.row("mul", x, y), m.row("mul", inner, y))
    program = make(m.program(2, chosen, zero))
    first = program.reverse([0], [0, 1])
    assert run(first, at, 3.0).tolist() == [[3.0, at]]
    assert run(program.forward([0], [0, 1], np.eye(2)), at, 3.0).tolist() == [[3.0, at]]
    for second in (
        first.reverse([0, 1], [0, 1]),
        first.forward([0, 1], [0, 1], np.eye(2)),
        program.forward([0], [0, 1], np.eye(2)).reverse([0, 1], [0, 1]),
    ):
        assert run(second, at, 3.0).tolist() == [[0.0, 1.0, 1.0, 0.0]]
        assert run(second.reverse([0], [0, 1]), at, 3.0).tolist() == [[0.0, 0.0]]


def test_forward_and_reverse_agree_where_a_zero_meets_an_infinite_derivative(make: Make) -> None:
    """u * u with u = sqrt(x) at x = 0: the sweep passes nothing on from an adjoint of 0, so neither does a tangent."""
    m = Maker()
    root = m.row("sqrt", m.leaf(0))
    program = make(m.program(1, m.row("mul", root, root)))
    assert run(program.reverse([0], [0]), 0.0).tolist() == [[0.0]]


def test_nothing_is_emitted_for_what_does_not_depend(make: Make) -> None:
    m = Maker()
    x, y = m.leaf(0), m.leaf(1)
    program = make(m.program(3, m.row("exp", x), m.row("less", x, y), m.row("stop_gradient", y), y))
    derived = program.reverse([0, 1, 2, 3], [1, 2])
    assert operations(derived) == operations(program)
    assert run(derived, 1.0, 2.0, 3.0).tolist() == [[0.0] * 6 + [1.0, 0.0]]
    directions = program.forward([0, 1, 2, 3], [0, 1, 2], [[0.0, 0.0, 5.0], [0.0, 2.0, 0.0]])
    assert operations(directions) == operations(program)
    assert run(directions, 1.0, 2.0, 3.0).tolist() == [[0.0] * 7 + [2.0]]


def test_sparse_directions_stay_sparse(make_c: Make) -> None:
    """A sum of functions of one input each, in the directions of the axes: as many nodes for all as for one dense."""
    m = Maker()
    terms = [m.row("tanh", m.row("mul", m.leaf(i), m.constant(2.0))) for i in range(200)]
    program = make_c(m.program(200, *terms))
    derived = program.forward(range(200), range(200), np.eye(200))
    assert operations(derived) - operations(program) <= 4 * 200
    assert len(derived.outputs) == 200 * 200


def test_result_holds_the_program_under_the_same_numbers(make: Make) -> None:
    program = make(of_row("logsumexp", 5))
    for derived in (program.reverse([0], [0, 3]), program.forward([0], [1]), program.reverse([0], [1], seeded=True)):
        assert derived.nodes[: program.size].tolist() == program.nodes.tolist()
        assert derived.pool[: len(program.pool)].tolist() == program.pool.tolist()


# ---------------------------------------------------------------------------------------------------------- verifying


def valid_program() -> Any:
    m = Maker()
    x, y = m.leaf(0), m.leaf(1)
    total = m.row("sum", x, y, m.constant(2.0))
    return m.program(2, m.row("take", x, total, m.row("dot", x, total, y, y)), m.row("where", x, y, total))


@given(st.data())
def test_altered_programs_are_refused_or_work(data: st.DataObject) -> None:
    p, module = valid_program(), implementation("c")
    nodes, pool = p.nodes.copy(), p.pool.copy()
    for _ in range(data.draw(st.integers(1, 4))):
        number = data.draw(st.integers(0, 12) | st.integers(0, 2**32 - 1))
        field = data.draw(st.sampled_from(["op", "flags", "a", "b", "c", "line", "pool"]))
        if field == "pool":
            pool[data.draw(st.integers(0, len(pool) - 1))] = number
        else:
            nodes[field][data.draw(st.integers(0, len(nodes) - 1))] = number % (
                65536 if field in ("op", "flags") else 2**32
            )
    try:
        program = module.Program(nodes, pool, p.constants, 2, p.outputs)
    except ValueError as error:
        assert "not a valid program" in str(error)
    else:
        derived = program.reverse([0, 1], [0, 1]).forward([0], [1])
        assert run(derived, 1.0, 2.0, 3.0).shape == (1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": np.zeros(3)}, "nodes: expected a vector"),
        ({"nodes": np.zeros((1, 1), NODE)}, "nodes: expected a vector"),
        ({"pool": [1, 2]}, "pool: expected a vector of uint32"),
        ({"constants": np.zeros(1, np.float32)}, "constants: expected a vector of float64"),
        ({"inputs": -1}, "inputs: expected a number from 0"),
        ({"inputs": 1}, "node 1 has an input beyond the number of inputs"),
        ({"outputs": [7]}, "not a valid program: an output that is no node"),
        ({"outputs": [-1]}, "outputs: -1 is not in the range"),
        ({"outputs": [0.5]}, "outputs: expected a sequence of whole numbers"),
        ({"outputs": 3}, "outputs: expected a sequence of whole numbers"),
        ({"constants": np.zeros(0)}, "a constant beyond the end of the constants"),
        ({"pool": np.zeros(2, np.uint32)}, "operands beyond the end of the pool"),
    ],
)
def test_constructor_says_what_is_wrong(change: dict[str, Any], message: str) -> None:
    p = valid_program()
    arguments = {"nodes": p.nodes, "pool": p.pool, "constants": p.constants, "inputs": 2, "outputs": p.outputs}
    with pytest.raises(ValueError, match=message):
        implementation("c").Program(**(arguments | change))


def test_selections_and_options_are_checked(make: Make) -> None:
    program = make(valid_program())
    calls: list[Callable[[], Any]] = [
        lambda: program.reverse([2], [0]),
        lambda: program.reverse([0], [2]),
        lambda: program.forward([-1], [0]),
        lambda: program.forward([0], [0, 1], [[1.0]]),
        lambda: program.with_outputs([program.size]),
        lambda: program.code([True]),
        lambda: program.code([True, True], passes=["unroll"]),
        lambda: program.code([True, True], expected=b"\0\0\0"),
    ]
    for call in calls:
        with pytest.raises(ValueError):
            call()


def test_programs_are_read_only_and_survive_pickling(make: Make) -> None:
    program = make(valid_program())
    for name in ("nodes", "pool", "constants", "outputs"):
        with pytest.raises(ValueError):
            getattr(program, name)[0] = 1
    again = pickle.loads(pickle.dumps(program))
    for name in ("nodes", "pool", "constants", "outputs"):
        assert getattr(again, name).tobytes() == getattr(program, name).tobytes()
    assert (again.inputs, again.size) == (program.inputs, program.size)


# ------------------------------------------------------------------------------------------------------- large programs


def chain(length: int) -> Any:
    """x, then length times sin(0.9 z), made with arrays."""
    nodes = np.zeros(2 + 2 * length, NODE)
    nodes[:2] = [(OPCODES["leaf"], 0, 0, 0, 0, 0), (OPCODES["const"], 0, 0, 0, 0, 0)]
    number = np.arange(len(nodes), dtype=np.uint32)
    nodes["op"][2::2], nodes["op"][3::2] = OPCODES["mul"], OPCODES["sin"]
    nodes["a"][2:], nodes["b"][2::2] = number[1:-1], 1
    nodes["a"][2] = 0
    arrays = nodes, np.zeros(0, np.uint32), np.array([0.9]), 1, [len(nodes) - 1]
    return implementation("c").Program(*arrays)


def test_a_million_nodes() -> None:
    program = value_and_gradient(chain(500_000))
    x, derivative = 0.5, 1.0
    for _ in range(500_000):
        derivative *= math.cos(0.9 * x) * 0.9
        x = math.sin(0.9 * x)
    value, gradient = run(program, 0.5)[0]
    assert value == pytest.approx(x, rel=1e-6, abs=1e-300)
    assert gradient == pytest.approx(derivative, rel=1e-6, abs=1e-300)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_out_of_memory_is_an_error_like_others(run_python: Callable[..., str]) -> None:
    """With less and less room, so that one allocation after the other fails."""
    implementation("c")
    program = """
import resource
import numpy as np
from fastgrad import _program
from fastgrad._rules import OPCODES

nodes = np.zeros(20_000, _program.NODE)
nodes["op"], nodes["a"] = OPCODES["exp"], np.maximum(np.arange(-1, len(nodes) - 1), 0)
nodes["op"][0] = OPCODES["leaf"]
program = _program.Program(nodes, np.zeros(0, np.uint32), np.zeros(0), 1, [len(nodes) - 1])
_, hard = resource.getrlimit(resource.RLIMIT_AS)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
outcomes = set()
for room in range(0, 8 << 20, 160 << 10):
    for task in (
        lambda: program.reverse([0], [0]),
        lambda: program.forward([0], [0]),
        lambda: program.rewrite(),
        lambda: program.code([True]),
        lambda: _program.Program(nodes, program.pool, program.constants, 1, program.outputs),
    ):
        resource.setrlimit(resource.RLIMIT_AS, (used + room, hard))
        try:
            task()
            outcomes.add("done")
        except MemoryError:
            outcomes.add("MemoryError")
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
print(*sorted(outcomes))
"""
    assert run_python(program, "c").split() == ["MemoryError", "done"]
