"""Programs for tests: made by hand, from random graphs, and from recordings; and running them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from exact import BY_NAME
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_random_graphs import Step, apply

from fastgrad._numpy_program import Program
from fastgrad._recording import NODE
from fastgrad._rules import OPCODES

Array = NDArray[np.float64]


# ---------------------------------------------------------------------------------------------------- building programs


class Maker:
    """Nodes by hand: each method appends one and gives its number."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, ...]] = []
        self.pool: list[int] = []
        self.constants: list[float] = []

    def leaf(self, number: int) -> int:
        return self._node("leaf", number)

    def constant(self, number: float) -> int:
        self.constants.append(number)
        return self._node("const", len(self.constants) - 1)

    def row(self, name: str, *operands: int) -> int:
        if name in BY_NAME and BY_NAME[name].kind != "REDUCE":
            return self._node(name, *operands)
        self.pool.extend(operands)
        return self._node(name, len(self.pool) - len(operands), len(operands))

    def _node(self, name: str, *fields: int) -> int:
        a, b, c = (*fields, 0, 0)[:3]
        self.nodes.append((OPCODES[name], 0, a, b, c, 0))
        return len(self.nodes) - 1

    def program(self, inputs: int, *outputs: int) -> Program:
        return Program(np.array(self.nodes, NODE), self.pool, self.constants, inputs, outputs)


def of_row(name: str, terms: int = 1) -> Program:
    """One row on inputs of its own."""
    make = Maker()
    count = len(BY_NAME[name].operands) * terms
    return make.program(count, make.row(name, *map(make.leaf, range(count))))


def run(program: Program, *inputs: Any, guards: int = 0, **options: Any) -> Array:
    """The outputs, one row for each row of the inputs, all of which are batched."""
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in inputs), np.zeros(1))[:-1]
    rows = len(columns[0]) if columns else 1
    out = np.full((rows, len(program.outputs) - guards), np.nan)
    program.code([True] * program.inputs, **options).run([c[:, np.newaxis] for c in columns], [out])
    return out


def value_and_gradient(program: Program) -> Program:
    wrt = range(program.inputs)
    gradient = program.reverse([0], wrt)
    return gradient.with_outputs([int(program.outputs[0]), *gradient.outputs.tolist()])


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, zeros with their signs; any nan equals any."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return bool(np.all((np.isnan(a) & np.isnan(b)) | ((a == b) & (np.signbit(a) == np.signbit(b)))))


def hidden_root() -> Program:
    """where(x > 0, sqrt(x) * y, x * y): the first branch is nan at negative x."""
    make = Maker()
    x, y = make.leaf(0), make.leaf(1)
    zero = make.constant(0.0)
    product = make.row("mul", make.row("sqrt", x), y)
    return make.program(2, make.row("where", make.row("greater", x, zero), product, make.row("mul", x, y)))


def taken(entries: int) -> Program:
    """sin(take(x0 * x1, ..., x0 * xn)[index]), the index being the last input."""
    make = Maker()
    leaves = [make.leaf(i) for i in range(entries + 2)]
    table = [make.row("mul", leaves[0], leaf) for leaf in leaves[1:-1]]
    return make.program(entries + 2, make.row("sin", make.row("take", leaves[-1], *table)))


def branch() -> Program:
    """x * y, guarded by x > 0 and not y > 1."""
    make = Maker()
    x, y = make.leaf(0), make.leaf(1)
    guards = make.row("greater", x, make.constant(0.0)), make.row("greater", y, make.constant(1.0))
    return make.program(2, make.row("mul", x, y), *guards)


# ------------------------------------------------------------------------------------------- random graphs, from eager


class Graph(NamedTuple):
    inputs: tuple[float, ...]
    constants: tuple[float, ...]
    steps: tuple[Step, ...]


@st.composite
def graphs(draw: Any, names: list[str], most: int) -> Graph:
    numbers = st.floats(-4, 4, allow_nan=False).map(lambda x: round(x, 3)) | st.sampled_from([0.0, -0.0, 1.0, -1.0])
    inputs = draw(st.lists(numbers, min_size=1, max_size=5))
    constants = draw(st.lists(numbers, max_size=3))
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, most))):
        row = BY_NAME[draw(st.sampled_from(names))]
        terms = draw(st.integers(1, 20)) if row.kind == "REDUCE" else 1
        earlier = st.integers(0, 10**6)
        count = terms * len(row.operands)
        steps.append(Step(row.name, tuple(draw(st.lists(earlier, min_size=count, max_size=count)))))
    return Graph(tuple(inputs), tuple(constants), tuple(steps))


def evaluate(fg: ModuleType, graph: Graph, leaves: Sequence[Any]) -> Any:
    """The last result that is a Value. Positions are taken modulo the results there are."""
    results: list[Any] = [*leaves, *graph.constants]
    for name, positions in graph.steps:
        results.append(apply(fg, name, [results[i % len(results)] for i in positions]))
    return next(x for x in reversed(results) if isinstance(x, fg.Value))


def tame(fg: ModuleType, graph: Graph) -> Graph:
    """The graph without the operations that fail or run away."""
    kept: list[Step] = []
    results: list[Any] = [fg.Value(x) for x in graph.inputs]
    results += graph.constants
    for name, positions in graph.steps:
        operands = tuple(i % len(results) for i in positions)
        try:
            result = apply(fg, name, [results[i] for i in operands])
        except (ArithmeticError, ValueError):
            continue
        if abs(float(result)) < 1e6:
            results.append(result)
            kept.append(Step(name, operands))
    return graph._replace(steps=tuple(kept))


def eager(fg: ModuleType, graph: Graph) -> list[float]:
    """The value, and the gradients of the inputs."""
    leaves = [fg.Value(x) for x in graph.inputs]
    last = evaluate(fg, graph, leaves)
    last.backward()
    return [last.data, *(leaf.grad for leaf in leaves)]


def recorded(fg: ModuleType, f: Callable[[list[Any]], Any], inputs: Sequence[float]) -> Any:
    module = fg._backend.module
    leaves = module.start_recording(inputs)
    try:
        return module.finish_recording([f(leaves)])
    except BaseException:
        module.abandon_recording()
        raise


def program_of(recording: Any) -> Program:
    """Its outputs are those of the function, and then the guards."""
    outputs = [*recording.outputs, *recording.guards]
    return Program(recording.nodes, recording.pool, recording.constants, recording.inputs, outputs)


def graph_program(fg: ModuleType, graph: Graph) -> Program:
    return program_of(recorded(fg, lambda leaves: evaluate(fg, graph, leaves), graph.inputs))


def parts_total(terms: Sequence[float]) -> float:
    """The sum in the order of csrc/reduce.h: eight interleaved parts."""
    p = [0.0] * 8
    for i, term in enumerate(terms):
        p[i % 8] += term
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))


def sum_over_rows(column: Sequence[float]) -> float:
    """The sum in the order of csrc/run.c: chunks of 1,024 rows, split at the largest power of two of them."""
    if len(column) <= 1024:
        return parts_total(column)
    half = 1024
    while 2 * half < len(column):
        half *= 2
    return sum_over_rows(column[:half]) + sum_over_rows(column[half:])
