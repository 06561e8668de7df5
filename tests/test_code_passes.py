"""What the compiler does with a program must not show in any bit: passes, lanes, what is uniform, what is fused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from backends import SPECIAL, Make, graphs, make_c, run, same_bits
from exact import BY_NAME
from hypothesis import HealthCheck, given, settings
from programs import Maker

__all__ = ["make_c"]  # fixture

PASSES = ("hoist", "schedule", "fuse")
SOME = [chosen for n in range(len(PASSES) + 1) for chosen in itertools.combinations(PASSES, n)]
REDUCTIONS = [name for name, row in BY_NAME.items() if row.kind == "REDUCE"]
#: Mostly what is fused, and a row of each other kind.
NAMES = ["add", "sub", "mul", "zmul", "neg"] * 4 + ["div", "tanh", "exp", "where", "maximum", "less", *REDUCTIONS]
ROWS = np.random.default_rng(7).choice([*SPECIAL, *np.linspace(-2.0, 2.0, 27)], (45, 4))

quickly = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def derived(program: Any) -> Any:
    """Values, and the gradient of the first one."""
    gradient = program.reverse([0], range(4))
    return gradient.with_outputs([*program.outputs, *gradient.outputs])


@quickly
@given(graphs(NAMES))
def test_neither_passes_nor_lanes_change_a_bit(make_c: Make, graph: Any) -> None:
    program = derived(make_c(graph))
    plain = run(program, *ROWS.T, passes=(), lanes=8)
    for passes, lanes in itertools.product(SOME, (8, 24, 256)):
        assert same_bits(run(program, *ROWS.T, passes=passes, lanes=lanes), plain)
    assert same_bits(run(program, *ROWS.T), plain)


@quickly
@given(graphs(NAMES))
def test_it_does_not_matter_which_inputs_are_uniform(make_c: Make, graph: Any) -> None:
    program = derived(make_c(graph))
    for batched in itertools.product((True, False), repeat=4):
        rows = np.where(batched, ROWS, ROWS[:1])
        expected = run(program, *rows.T)
        arguments = [column[:, None] if b else column[:1, None] for column, b in zip(rows.T, batched, strict=True)]
        for passes in SOME:
            out = np.full(expected.shape, np.nan)
            program.code(batched, passes=passes).run(arguments, [out])
            assert same_bits(out, expected)


@quickly
@given(graphs(NAMES))
def test_sums_over_rows_do_not_depend_on_passes(make_c: Make, graph: Any) -> None:
    program = derived(make_c(graph))
    rows = np.tile(ROWS, (50, 1))
    rows = rows[np.isfinite(rows).all(axis=1)]
    arguments = [column[:, None] for column in rows.T]
    results = []
    for passes, lanes in itertools.product(SOME, (0, 8, 64)):
        out = np.full((1, len(program.outputs)), np.nan)
        program.code([True] * 4, sum=True, passes=passes, lanes=lanes).run(arguments, [out])
        results.append(out)
    assert all(same_bits(out, results[0]) for out in results)


def rosenbrock(n: int) -> Any:
    make = Maker()
    x = [make.leaf(i) for i in range(n)]
    hundred, one = make.constant(100.0), make.constant(1.0)
    terms = []
    for a, b in itertools.pairwise(x):
        u, w = make.row("sub", b, make.row("mul", a, a)), make.row("sub", one, a)
        terms.append(make.row("add", make.row("mul", hundred, make.row("mul", u, u)), make.row("mul", w, w)))
    return make.program(n, make.row("sum", *terms))


def with_gradient(program: Any) -> Any:
    gradient = program.reverse([0], range(program.inputs))
    return gradient.with_outputs([*program.outputs, *gradient.outputs])


def test_the_derivative_of_a_part_comes_right_behind_it(make_c: Make) -> None:
    program = with_gradient(make_c(rosenbrock(100)))
    as_recorded = program.code([True] * 100, passes=("fold", "identities", "cse", "dead")).stats()
    code = program.code([True] * 100).stats()
    assert code["slots"] <= 32 < 200 < as_recorded["slots"]
    assert code["working_set"] < as_recorded["working_set"]
    assert code["instructions"] < 0.6 * as_recorded["instructions"]


def test_uniform_calls_have_no_lanes(make_c: Make) -> None:
    stats = with_gradient(make_c(rosenbrock(10))).code([False] * 10).stats()
    assert stats["slots"] == 0 and stats["instructions"] == 0 and stats["uniform_instructions"] > 0


@pytest.mark.parametrize("name", ["sum", "mean", "dot"])
@pytest.mark.parametrize("terms", [1, 2, 3, 4, 8, 9, 16, 17, 40, 1000])
def test_long_sums_are_those_of_one_node(name: str, terms: int, make_c: Make) -> None:
    """Terms that nobody else needs are added as they come; those that are needed are added at once: the same order."""
    rng = np.random.default_rng(terms)
    data = rng.normal(size=(30, 1)) * 10.0 ** rng.integers(-8, 8, (30, 1))
    numbers = rng.normal(size=2 * terms)
    count = terms * len(BY_NAME[name].operands)
    make = Maker()
    x = make.leaf(0)
    operands = [make.row("mul", x, make.constant(float(number))) for number in numbers[:count]]
    alone = make_c(make.program(1, make.row(name, *operands)))
    needed = make_c(make.program(1, make.row(name, *operands), *operands))
    assert same_bits(run(alone, data[:, 0])[:, 0], run(needed, data[:, 0])[:, 0])
    if terms == 1000:
        assert alone.code([True]).stats()["slots"] <= 32
    zero = np.array([-0.0, 0.0])
    assert same_bits(run(alone, zero)[:, 0], run(needed, zero)[:, 0])
