"""Rewriting of programs in C: it keeps every bit, and knows its algebra."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from backends import SPECIAL, Make, graphs, make_c, maker, operations, run, same_bits
from exact import REDUCTIONS, ROWS, Row
from hypothesis import given
from hypothesis import strategies as st
from programs import Maker

from fastgrad._rules import OPCODES

__all__ = ["make_c"]  # a fixture

REWRITING = ("fold", "identities", "cse", "dead")
NAMES = [row.name for row in (*ROWS, *REDUCTIONS)]
INPUTS = st.lists(st.tuples(*[st.sampled_from(SPECIAL) | st.floats(-5, 5)] * 4), min_size=1, max_size=12)


@given(graphs(NAMES), INPUTS, st.sets(st.sampled_from(["hoist", "schedule", "fuse", *REWRITING])))
def test_passes_keep_every_bit(program: Any, rows: list[tuple[float, ...]], passes: set[str]) -> None:
    made = maker("c")(program)
    inputs = np.array(rows).T
    plain = run(made, *inputs, passes=())
    assert same_bits(run(made, *inputs), plain)
    assert same_bits(run(made, *inputs, passes=passes), plain)
    assert same_bits(run(made, *inputs[:, :1], batched=False, passes=passes), plain[:1])


@given(graphs(NAMES), INPUTS)
def test_passes_keep_every_bit_of_derivatives(program: Any, rows: list[tuple[float, ...]]) -> None:
    derived = maker("c")(program).reverse([0, 1], range(4))
    assert same_bits(run(derived, *np.array(rows).T), run(derived, *np.array(rows).T, passes=()))


@given(graphs(NAMES))
def test_what_passes_took_away_adds_up(program: Any) -> None:
    made = maker("c")(program)
    for count in range(5):
        for passes in itertools.combinations(REWRITING, count):
            rewritten, removed = made.rewrite(passes)
            assert operations(rewritten) == operations(made) - sum(removed.values())
            assert all(removed[name] == 0 for name in REWRITING if name not in passes)
            assert (rewritten.inputs, len(rewritten.outputs)) == (made.inputs, len(made.outputs))


def simplest(make_c: Make, text: Callable[[Maker], int], fastmath: bool = False) -> list[str]:
    """The operations that are left of a program."""
    m = Maker()
    rewritten, _ = make_c(m.program(3, text(m))).rewrite(fastmath=fastmath)
    names = {number: name for name, number in OPCODES.items()}
    return [names[op] for op in rewritten.nodes["op"].tolist() if names[op] not in ("leaf", "const")]


@pytest.mark.parametrize(
    ("name", "second", "left"),
    [
        ("mul", 1.0, []),
        ("mul", -1.0, ["neg"]),
        ("mul", 0.0, ["mul"]),  # infinities, nan, signs
        ("add", 0.0, ["add"]),  # -0.0 + 0.0 is 0.0: what makes a gradient 0.0 stays
        ("add", -0.0, []),
        ("sub", 0.0, []),
        ("sub", -0.0, ["sub"]),
        ("div", 1.0, []),
        ("div", 8.0, ["mul"]),
        ("div", 3.0, ["div"]),
        ("div", 5e-324, ["div"]),  # its reciprocal is none
        ("pow", 2.0, ["mul"]),
        ("pow", 1.0, []),
        ("pow", 3.0, ["pow"]),
        ("zmul", 1.0, ["zmul"]),
    ],
)
def test_identity_with_a_constant(name: str, second: float, left: list[str], make_c: Make) -> None:
    assert simplest(make_c, lambda m: m.row(name, m.leaf(0), m.constant(second))) == left


def test_other_identities(make_c: Make) -> None:
    def of(text: Callable[[Maker, int, int], int]) -> list[str]:
        return simplest(make_c, lambda m: text(m, m.leaf(0), m.leaf(1)))

    assert of(lambda m, x, y: m.row("neg", m.row("neg", x))) == []
    assert of(lambda m, x, y: m.row("add", m.row("neg", x), y)) == ["sub"]
    assert of(lambda m, x, y: m.row("where", m.row("less", x, y), y, y)) == []
    assert of(lambda m, x, y: m.row("where", m.constant(math.nan), x, y)) == []
    assert of(lambda m, x, y: m.row("where", m.row("logical_not", x), x, y)) == ["where"]
    assert of(lambda m, x, y: m.row("where", m.row("less", x, y), m.constant(1.0), m.constant(0.0))) == ["less"]
    assert of(lambda m, x, y: m.row("take", m.constant(1.0), x, m.row("exp", y))) == ["exp"]
    assert of(lambda m, x, y: m.row("sub", m.row("mul", x, y), m.row("mul", y, x))) == ["mul", "sub"]
    assert of(lambda m, x, y: m.row("sub", m.row("sum", x, y), m.row("sum", x, y))) == ["sum", "sub"]
    assert of(lambda m, x, y: m.row("add", m.row("exp", m.constant(0.0)), m.constant(1.0))) == []


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in (*ROWS, *REDUCTIONS)])
def test_constants_fold_to_the_number_that_code_gives(row: Row, make_c: Make) -> None:
    count = len(row.operands) * (5 if row.kind == "REDUCE" else 1)
    choices = [SPECIAL[k:] + SPECIAL[:k] for k in (0, 3, 5, 8)]
    for operands in zip(*(choices[k % 4] for k in range(count)), strict=True):
        m = Maker()
        program = make_c(m.program(0, m.row(row.name, *map(m.constant, operands))))
        rewritten, removed = program.rewrite(["fold"])
        assert (operations(rewritten), removed["fold"]) == (0, 1)
        assert same_bits(rewritten.constants[rewritten.nodes["a"][rewritten.outputs]], run(program, passes=())[0])


def test_fastmath_rewrites_more_and_stays_close(make_c: Make) -> None:
    def text(m: Maker) -> int:
        x = m.leaf(0)
        return m.row("mul", m.row("div", m.row("add", x, m.constant(0.0)), m.constant(3.0)), m.constant(7.0))

    assert simplest(make_c, text) == ["add", "div", "mul"]
    assert simplest(make_c, text, fastmath=True) == ["mul"]
    m = Maker()
    program = make_c(m.program(1, text(m)))
    x = np.linspace(-4.0, 4.0, 100)
    assert np.allclose(run(program, x), run(program, x, fastmath=True), rtol=1e-15)
