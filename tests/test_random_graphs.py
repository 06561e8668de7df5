"""Random graphs over all rows: the compiled core equals the fallback equals central differences."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

from exact import BY_NAME, ROWS, forward, mp
from hypothesis import assume, given, settings
from hypothesis import strategies as st


class Step(NamedTuple):
    """One operation of a program: a row applied to earlier results, given by their positions."""

    name: str
    operands: tuple[int, ...]


class Program(NamedTuple):
    leaves: tuple[float, ...]
    steps: tuple[Step, ...]


ARITHMETIC = ["add", "sub", "mul", "neg", "abs", "minimum", "maximum", "where", "relu", "sum", "mean", "dot"]
#: Steep or rough enough that a few of them in a row leave no digits for a comparison with differences.
ROUGH = {"floor", "ceil", "sign", "mod", "fmod", "floordiv", "polygamma", "tan", "lgamma", "digamma", "erfcx", "pow"}
#: Their derivative is 0 by definition, whatever the function does: steps, and what is taken as constant.
CONSTANT = {row.name for row in ROWS if set(row.partial_texts) == {"0.0"}}
SMOOTH = [name for name in BY_NAME if name not in ROUGH | CONSTANT]


@st.composite
def programs(draw: Any, names: list[str], most: int) -> Program:
    numbers = st.floats(-4, 4, allow_nan=False).map(lambda x: round(x, 3))
    leaves = draw(st.lists(numbers, min_size=1, max_size=6))
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, most))):
        name = draw(st.sampled_from(names))
        row = BY_NAME[name]
        earlier = st.integers(0, len(leaves) + len(steps) - 1)
        terms = draw(st.integers(1, 20)) if row.kind == "REDUCE" else 1
        count = terms * len(row.operands)
        steps.append(Step(name, tuple(draw(st.lists(earlier, min_size=count, max_size=count)))))
    return Program(tuple(leaves), tuple(steps))


def run(fg: ModuleType, program: Program) -> tuple[list[Any], list[Step]]:
    """All results of a program on Values, leaves first, and the steps that made the others.

    An operation that fails or runs away is left out, and positions are taken modulo the results there are.
    """
    results, steps = [fg.Value(x) for x in program.leaves], []
    for name, positions in program.steps:
        step = Step(name, tuple(i % len(results) for i in positions))
        try:
            result = apply(fg, name, [results[i] for i in step.operands])
        except (ArithmeticError, ValueError):
            continue
        if abs(result.data) < 1e6:
            results.append(result)
            steps.append(step)
    return results, steps


def apply(fg: ModuleType, name: str, operands: list[Any]) -> Any:
    if BY_NAME[name].kind != "REDUCE":
        return getattr(fg, name)(*operands)
    columns = len(BY_NAME[name].operands)
    n = len(operands) // columns
    return getattr(fg, name)(*(operands[k * n : (k + 1) * n] for k in range(columns)))


def outcome(fg: ModuleType, program: Program) -> tuple[list[float], list[float]]:
    """The data and gradients of every node, after one sweep from the last."""
    results, _ = run(fg, program)
    results[-1].backward()
    return [v.data for v in results], [v.grad for v in results]


@given(programs(ARITHMETIC, 200))
def test_backends_agree_to_the_last_bit_on_arithmetic(both: dict[str, ModuleType], program: Program) -> None:
    c, python = outcome(both["c"], program), outcome(both["python"], program)
    assert repr(c) == repr(python)


@given(programs(list(BY_NAME), 200))
def test_backends_agree_on_all_operations(both: dict[str, ModuleType], program: Program) -> None:
    """Step by step, on the same operands: they differ by a few ulp, which a long graph can make many."""
    results, steps = run(both["c"], program)
    for result, (name, positions) in zip(results[len(program.leaves) :], steps, strict=True):
        twin = apply(both["python"], name, [both["python"].Value(results[i].data) for i in positions])
        assert close(twin.data, result.data), name
        twin.data = result.data
        assert all(map(close, twin._local_grads, result._local_grads)), name


def close(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-11, abs_tol=1e-12)


@settings(max_examples=60)
@given(programs(SMOOTH, 40), st.data())
def test_gradients_are_central_differences(fg: ModuleType, program: Program, data: st.DataObject) -> None:
    """The program is run again in mpmath at 50 digits, so that differences have digits to spare."""
    results, steps = run(fg, program)
    results[-1].backward()
    assume(all(abs(v.grad) < 1e6 for v in results))  # nor nan: what cancels leaves no digits
    gradients = [leaf.grad for leaf in results[: len(program.leaves)]]
    i = data.draw(st.integers(0, len(gradients) - 1))

    def last(x: Any) -> Any:
        values = list(map(mp.mpf, program.leaves))
        values[i] = x
        for name, operands in steps:
            values.append(exact(name, [values[k] for k in operands]))
        return values[-1]

    x, h = mp.mpf(program.leaves[i]), mp.mpf("1e-15")
    right, left = (last(x + h) - last(x)) / h, (last(x) - last(x - h)) / h
    assume(mp.isfinite(right) and abs(right - left) < 1e-9 * (1 + abs(right)))  # no kink, nor anything as sharp
    assert abs((right + left) / 2 - gradients[i]) <= 1e-6 * (1.0 + abs(gradients[i])), steps


def exact(name: str, operands: list[Any]) -> Any:
    """One operation in mpmath, the reductions by their definition."""
    match name:
        case "sum":
            return mp.fsum(operands)
        case "mean":
            return mp.fsum(operands) / len(operands)
        case "logsumexp":
            return mp.log(mp.fsum(map(mp.exp, operands)))
        case "dot":
            half = len(operands) // 2
            return mp.fdot(operands[:half], operands[half:])
    return forward(BY_NAME[name])(*operands)
