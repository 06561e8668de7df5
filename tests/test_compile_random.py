"""Random programs with branches: compiled equals eager, row by row."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from compiled import agree
from exact import BY_NAME
from hypothesis import given, settings
from hypothesis import strategies as st

#: How far the pure-Python backend may be from itself in a program of 25 operations, some of them steep.
CLOSE = 1e-9
#: Discontinuous, or so steep that the last bit of an operand decides on what follows.
STEEP = {"floor", "ceil", "sign", "mod", "fmod", "floordiv", "polygamma", "tan", "lgamma", "digamma", "erfcx", "pow"}
STEEP |= {name for name, row in BY_NAME.items() if row.section == "Comparisons"}
BRANCHES = ("if", "while", "max", "sorted", "abs")


class Step(NamedTuple):
    """An operation of the table, or a branch, applied to earlier results given by their positions."""

    name: str
    operands: tuple[int, ...]


@st.composite
def programs(draw: Any, names: list[str], most: int) -> list[Step]:
    steps = []
    for _ in range(draw(st.integers(1, most))):
        name = draw(st.sampled_from([*names, *BRANCHES]))
        row = BY_NAME.get(name)
        terms = draw(st.integers(1, 12)) if row is not None and row.kind == "REDUCE" else 1
        count = terms * len(row.operands) if row is not None and name not in BRANCHES else 3
        steps.append(Step(name, tuple(draw(st.lists(st.integers(0, 40), min_size=count, max_size=count)))))
    return steps


def run(fg: ModuleType, steps: list[Step], results: list[Any]) -> Any:
    """Run a program on Values (or numbers) with the functions that a user would use."""
    for name, positions in steps:
        operands = [results[i % len(results)] for i in positions]
        results.append(apply(fg, name, operands))
    return fg.sum(results[-3:])


def apply(fg: ModuleType, name: str, operands: list[Any]) -> Any:
    x, y, z = (operands * 3)[:3]
    if name == "if":
        return x * y if x > z else y - z
    if name == "while":
        for _ in range(3):
            if abs(x) <= 1.0:
                break
            x = x * 0.25
        return x
    if name == "max":
        return max(x, y, z) - min(x, y)
    if name == "sorted":
        return sorted([x, y, z])[1]
    if name == "abs":
        return abs(x)
    row = BY_NAME[name]
    if row.kind != "REDUCE":
        return getattr(fg, name)(*operands)
    n = len(operands) // len(row.operands)
    return getattr(fg, name)(*(operands[k * n : (k + 1) * n] for k in range(len(row.operands))))


def eagerly(fg: ModuleType, steps: list[Step], row: list[float]) -> tuple[float, list[float]] | None:
    """The value and gradient of one row; None where eager fails, as for division by zero."""
    leaves = [fg.Value(x) for x in row]
    try:
        result = run(fg, steps, list(leaves))
    except (ArithmeticError, ValueError):
        return None
    result.backward()
    return result.data, [leaf.grad for leaf in leaves]


ROWS = st.lists(
    st.tuples(*[st.one_of(st.floats(-4, 4).map(lambda x: round(x, 2)), st.sampled_from([0.0, 1.0, -1.0]))] * 3),
    min_size=1,
    max_size=8,
)


def compare(fg: ModuleType, steps: list[Step], rows: list[tuple[float, ...]], close: float | None) -> None:
    f = fg.compile(lambda x, y, z: run(fg, steps, [x, y, z]), max_paths=1000)
    values, gradients = f.value_and_grad(*np.array(rows).T)
    gradients = np.stack(gradients, axis=1)
    for row, value, gradient in zip(rows, values, gradients, strict=True):
        expected = eagerly(fg, steps, list(row))
        if expected is None or close is None or (fg.backend().name == "python" and not sane(expected)):
            continue
        single, slopes = f.value_and_grad(*row)
        assert agree(fg, [single, *slopes], [value, *gradient], close)
        assert agree(fg, value, expected[0], close * (1.0 + abs(expected[0]))), (row, steps)
        assert agree(fg, gradient, expected[1], close * (1.0 + max(map(abs, expected[1])))), (row, steps)
    assert sum(path.rows for path in f.paths) >= len(rows)


def sane(expected: tuple[float, list[float]]) -> bool:
    """Whether the last bits of operands do not matter."""
    return all(abs(x) < 1e6 for x in (expected[0], *expected[1]))


ALL = [name for name in BY_NAME if name not in ("zmul", "where")]


@settings(max_examples=60)
@given(programs(["add", "sub", "mul", "neg", "abs", "sum", "dot", "maximum", "minimum", "relu", "where"], 25), ROWS)
def test_arithmetic(fg: ModuleType, steps: list[Step], rows: list[tuple[float, ...]]) -> None:
    compare(fg, steps, rows, CLOSE)


@settings(max_examples=80)
@given(programs([name for name in ALL if name not in STEEP], 25), ROWS)
def test_smooth_operations(fg: ModuleType, steps: list[Step], rows: list[tuple[float, ...]]) -> None:
    compare(fg, steps, rows, CLOSE)


@settings(max_examples=80)
@given(programs([*BY_NAME], 25), ROWS)
def test_all_operations(fg: ModuleType, steps: list[Step], rows: list[tuple[float, ...]]) -> None:
    """In Python the last bit may decide on a step: there it is only asked that nothing fails."""
    compare(fg, steps, rows, CLOSE if fg.backend().name == "c" else None)
