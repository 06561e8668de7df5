"""Programs of the pure-Python backend: the same surface as the compiled ones, on arrays of nodes.

A program is what ``csrc/program.h`` says: nodes in topological order, and derivatives as more nodes behind them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._numpy_code import PASSES, Code
from ._numpy_derivatives import Builder, Push, Sweep
from ._numpy_rules import ARITY, COLUMNS, CONST, LEAF, TAKE
from ._recording import NODE

__all__ = ["PASSES", "Code", "Program"]

Indices = NDArray[np.uint32]


class Program:
    """A recorded function as data. It is not changed once it is made: each method makes a new one."""

    inputs: int
    outputs: Indices
    nodes: NDArray[np.void]
    pool: Indices
    constants: NDArray[np.float64]

    def __init__(
        self, nodes: ArrayLike, pool: ArrayLike, constants: ArrayLike, inputs: int, outputs: ArrayLike
    ) -> None:
        self.nodes = _read_only(nodes, NODE)
        self.pool = _read_only(pool, np.uint32)
        self.constants = _read_only(constants, np.float64)
        self.inputs = int(inputs)
        self.outputs = _read_only(outputs, np.uint32)
        _verify(self)

    @property
    def size(self) -> int:
        return len(self.nodes)

    def with_outputs(self, nodes: Sequence[int]) -> Program:
        return Program(self.nodes, self.pool, self.constants, self.inputs, np.array(nodes, np.uint32))

    def reverse(self, outputs: Sequence[int], wrt: Sequence[int], seeded: bool = False) -> Program:
        """The adjoints of inputs: for each output in turn; or ``seeded``, with the outputs' adjoints as more inputs."""
        chosen = self._chosen(outputs, wrt)
        builder = Builder(self)
        sweep = Sweep(builder, wrt)
        if seeded:
            seeds = [builder.leaf(self.inputs + i) for i in range(len(chosen))]
            return builder.program(len(seeds), sweep.run(list(zip(chosen, seeds, strict=True))))
        one = builder.constant(1.0)
        return builder.program(0, [adjoint for root in chosen for adjoint in sweep.run([(root, one)])])

    def forward(self, outputs: Sequence[int], wrt: Sequence[int], directions: ArrayLike | None = None) -> Program:
        """The tangents of outputs: for tangents of inputs that are inputs themselves, or for each of the directions."""
        chosen = self._chosen(outputs, wrt)
        builder = Builder(self)
        push = Push(builder, chosen, wrt)
        if directions is None:
            tangents = [builder.leaf(self.inputs + i) for i in range(len(wrt))]
            return builder.program(len(wrt), push.run(tangents))
        rows = np.asarray(directions, np.float64).reshape(-1, len(wrt)).tolist()
        constants = [[builder.constant(x) if x else None for x in row] for row in rows]
        return builder.program(0, [tangent for row in constants for tangent in push.run(row)])

    def code(
        self,
        batched: Sequence[bool],
        *,
        expected: bytes = b"",
        sum: bool = False,
        fastmath: bool = False,
        passes: Collection[str] = PASSES,
        lanes: int = 0,
    ) -> Code:
        """Make the program ready to run."""
        return Code(self, batched, expected, sum, fastmath, passes, lanes)

    def _chosen(self, outputs: Sequence[int], wrt: Sequence[int]) -> list[int]:
        if not all(0 <= i < len(self.outputs) for i in outputs):
            raise ValueError(f"a program with {len(self.outputs)} outputs has not all of {list(outputs)}")
        if not all(0 <= i < self.inputs for i in wrt):
            raise ValueError(f"a program with {self.inputs} inputs has not all of {list(wrt)}")
        return [int(self.outputs[i]) for i in outputs]


def _read_only(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    array = np.array(values, dtype, ndmin=1)
    array.flags.writeable = False
    return array


# -------------------------------------------------------------------------------------------------------- verify


def _verify(p: Program) -> None:
    """Raise ValueError unless opcodes, counts and places are in range and operands lie before their users."""
    op, a, b = (p.nodes[name].astype(np.int64) for name in ("op", "a", "b"))
    _all(np.isin(op, [LEAF, CONST, TAKE, *ARITY, *COLUMNS]), "node {} has an unknown opcode")
    _all((op != LEAF) | (a < p.inputs), f"node {{}} is none of the {p.inputs} inputs")
    _all((op != LEAF) | _is_first(np.where(op == LEAF, a, -1)), "node {} is an input that has a node already")
    _all((op != CONST) | (a < len(p.constants)), f"node {{}} is none of the {len(p.constants)} constants")
    for name, place in (("a", 1), ("b", 2), ("c", 3)):
        has = np.isin(op, [opcode for opcode, arity in ARITY.items() if arity >= place])
        _all(~has | (p.nodes[name] < np.arange(p.size)), f"operand {name} of node {{}} does not lie before it")
    nary = np.isin(op, [TAKE, *COLUMNS])
    _all(~nary | (a + b <= len(p.pool)), "the operands of node {} end beyond the pool")
    _all((op != TAKE) | (b >= 2), "node {} takes from an empty table")
    for opcode, columns in COLUMNS.items():
        _all((op != opcode) | (b % columns == 0), "node {} has columns of unequal lengths")
    if b[nary].sum() > len(p.pool):
        raise ValueError("nodes share operands in the pool")
    _verify_pool(p, np.flatnonzero(nary), a, b)
    _all(p.outputs < p.size, f"output {{}} is none of the {p.size} nodes")


def _verify_pool(p: Program, nary: NDArray[np.intp], a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
    for node in nary.tolist():
        operands = p.pool[a[node] : a[node] + b[node]]
        if operands.size and operands.max() >= node:
            raise ValueError(f"an operand of node {node} does not lie before it")


def _is_first(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    first = np.zeros(len(numbers), np.bool_)
    first[np.unique(numbers, return_index=True)[1]] = True
    return first


def _all(fine: NDArray[np.bool_], otherwise: str) -> None:
    if not fine.all():
        raise ValueError(otherwise.format(int(np.argmin(fine))))
