"""Derivatives as nodes: adjoints and tangents, emitted behind the nodes of a program from the table's partials.

Two things are kept of what an eager sweep does. Contributions to an adjoint are added in its order. And a node whose
adjoint is zero contributes nothing, even where a partial is infinite or nan: a product is the row ZMUL where that can
happen, which is where the partial is singular or the adjoint came through a choice, which may have hidden the node.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._numpy_code import read
from ._numpy_rules import (
    ADD,
    AND,
    COLUMNS,
    CONST,
    EQUAL,
    LEAF,
    MUL,
    NEG,
    OR,
    PARTIALS,
    SELECT,
    TAKE,
    ZMUL,
    Partial,
    is_singular,
    number,
)
from ._recording import NODE

if TYPE_CHECKING:
    from ._numpy_program import Program


class Builder:
    """The nodes of a program, and what is emitted behind them; equal nodes are emitted once."""

    def __init__(self, program: Program) -> None:
        self.base = program
        self.op, self.operands, self.lines, _ = read(program)
        self.line = 0  # of the nodes to come: where that was recorded which they derive from
        self._new: list[tuple[int, ...]] = []
        self._pool: list[int] = program.pool.tolist()
        self._constants: list[float] = program.constants.tolist()
        self._number: dict[int, float] = {i: self.operands[i][0] for i, op in enumerate(self.op) if op == CONST}
        self._known: dict[tuple[Any, ...], int] = {}
        self.hiding = 0  # how many choices between something and 0 were emitted

    def emit(self, op: int, *operands: int) -> int:
        folded = self._folded(op, operands) if any([k in self._number for k in operands]) else None
        if folded is not None:
            return folded
        self.hiding += op == SELECT and 0.0 in (self._number.get(operands[1]), self._number.get(operands[2]))
        key = (op, operands)
        node = self._known.get(key)
        return self._append(key, operands, operands) if node is None else node

    def _folded(self, op: int, operands: tuple[int, ...]) -> int | None:
        """What is left of an operation on constants, or of a condition or a choice with some: a node, or None."""
        numbers = [self._number.get(k) for k in operands]
        known = [x for x in numbers if x is not None]
        if len(known) == len(operands):
            return self.constant(number(op, known))
        if op == SELECT and numbers[0] is not None:
            return operands[1] if numbers[0] else operands[2]
        if op in (AND, OR):  # of comparisons: one is 0.0 or 1.0, and so is the other
            decides = bool(known[0]) == (op == OR)
            return operands[(numbers[0] is None) == decides]
        return None

    def emit_nary(self, op: int, operands: tuple[int, ...]) -> int:
        key = (op, operands)
        node = self._known.get(key)
        if node is None:
            node = self._append(key, operands, (len(self._pool), len(operands)))
            self._pool.extend(operands)
        return node

    def leaf(self, number: int) -> int:
        return self._append((LEAF, number), (number,), (number,))

    def constant(self, number: float) -> int:
        key = (CONST, number.hex())
        node = self._known.get(key)
        if node is None:
            node = self._append(key, (number,), (len(self._constants),))
            self._constants.append(number)
            self._number[node] = number
        return node

    def _append(self, key: tuple[Any, ...], operands: tuple[Any, ...], fields: tuple[int, ...]) -> int:
        node = self._known[key] = len(self.op)
        self.op.append(key[0])
        self.operands.append(operands)
        self.lines.append(self.line)
        a, b, c = (*fields, 0, 0)[:3]
        self._new.append((key[0], 0, a, b, c, self.line))
        return node

    def number(self, node: int) -> float | None:
        """The number that a constant node is."""
        return self._number.get(node)

    def depends_on(self, inputs: Sequence[int]) -> list[bool]:
        """For each node of the base whether it depends on one of the inputs."""
        chosen = set(inputs)
        found: list[bool] = []
        for op, operands in zip(self.op, self.operands, strict=True):
            if op == LEAF:
                found.append(operands[0] in chosen)
            else:
                found.append(op != CONST and any([found[k] for k in operands]))
        return found

    def program(self, more_inputs: int, outputs: Sequence[int]) -> Program:
        base = self.base
        nodes = np.concatenate([base.nodes, np.array(self._new, NODE)])
        return type(base)(nodes, self._pool, self._constants, base.inputs + more_inputs, outputs)


class _Adjoint(NamedTuple):
    node: int
    hidden: bool  # it came through a choice, and is zero where that went another way


class _Walk:
    """What sweeps over the nodes from either end have in common."""

    def __init__(self, builder: Builder, wrt: Sequence[int]) -> None:
        self.builder = builder
        self.wrt = wrt
        self.depends = builder.depends_on(wrt)
        self._partials: dict[tuple[int, int], tuple[int, bool, bool]] = {}

    def partial(self, node: int, k: int, rule: Partial) -> tuple[int, bool, bool]:
        """A partial, emitted once however many sweeps there are; whether it hides, and whether it is singular."""
        found = self._partials.get((node, k))
        if found is None:
            b = self.builder
            operands, n, column = b.operands[node], -1, k
            if b.op[node] in COLUMNS:
                terms = len(operands) // COLUMNS[b.op[node]]
                operands, n, column = operands[k % terms :: terms], b.constant(float(terms)), k // terms
            before = b.hiding
            partial = rule.emit(b.emit, b.constant, *operands, node, n)
            x = b.number(partial)
            hides = b.hiding > before or b.op[node] == ZMUL or x == 0.0  # 0.0: of a choice that is made already
            numbers = tuple([b.number(operand) for operand in operands])
            singular = is_singular(b.op[node], column, numbers) if x is None else not isfinite(x)
            found = self._partials[node, k] = partial, hides, singular
        return found

    def rules(self, node: int) -> Iterable[tuple[int, int, Partial]]:
        """Those operands of a node that matter, by place and node, with their partials."""
        operands, rules = self.builder.operands[node], PARTIALS[self.builder.op[node]]
        terms = max(1, len(operands) // len(rules))
        for k, operand in enumerate(operands):
            rule = rules[k // terms]
            if self.depends[operand] and rule.literal != 0.0:
                yield k, operand, rule

    def simple_product(self, g: int, partial: int) -> int | None:
        """g * partial where one of them is a constant that makes it simple; else None."""
        b = self.builder
        x, y = b.number(g), b.number(partial)
        if x == 1.0 or y == 1.0:
            return partial if x == 1.0 else g
        if y == -1.0:
            return b.emit(NEG, g)
        if x or (y is not None and isfinite(y)):
            return b.emit(MUL, g, partial)
        return None


class Sweep(_Walk):
    """Reverse sweeps, each from given roots."""

    def run(self, seeds: Iterable[tuple[int, int]]) -> list[int]:
        """Emit the adjoints of the inputs, for the adjoints (root, adjoint) of some roots."""
        b = self.builder
        self._adjoints: dict[int, _Adjoint] = {}
        self._due: list[int] = []  # a heap: the nodes that have an adjoint, from the last to the first
        b.line = 0
        for root, seed in seeds:
            self._contribute(root, seed, False)
        found: dict[int, int] = {}
        while self._due:
            node = -heapq.heappop(self._due)
            adjoint = self._adjoints.pop(node)
            b.line = b.lines[node]
            if b.op[node] == LEAF:
                found[b.operands[node][0]] = adjoint.node
            else:
                self._pass_on(node, adjoint)
        b.line = 0
        return [self._normalised(found[i]) if i in found else b.constant(0.0) for i in self.wrt]

    def _pass_on(self, node: int, g: _Adjoint) -> None:
        b = self.builder
        if b.op[node] == TAKE:
            self._pass_to_entries(node, g)
            return
        for k, operand, rule in self.rules(node):
            partial, hides, singular = self.partial(node, k, rule)
            product = self.simple_product(g.node, partial)
            if product is None:
                product = b.emit(ZMUL if singular or g.hidden else MUL, g.node, partial)
            self._contribute(operand, product, g.hidden or hides)

    def _pass_to_entries(self, node: int, g: _Adjoint) -> None:
        b = self.builder
        index, *entries = b.operands[node]
        for j, entry in enumerate(entries):
            if self.depends[entry]:
                here = b.emit(EQUAL, index, b.constant(float(j)))
                self._contribute(entry, b.emit(SELECT, here, g.node, b.constant(0.0)), True)

    def _contribute(self, node: int, product: int, hidden: bool) -> None:
        if not self.depends[node] or self.builder.number(product) == 0.0:
            return
        old = self._adjoints.get(node)
        if old is None:
            heapq.heappush(self._due, -node)
            self._adjoints[node] = _Adjoint(product, hidden)
        else:
            self._adjoints[node] = _Adjoint(self.builder.emit(ADD, old.node, product), hidden or old.hidden)

    def _normalised(self, adjoint: int) -> int:
        """0.0 + adjoint: an eager gradient, which starts at 0.0, is never -0.0."""
        b = self.builder
        x = b.number(adjoint)
        return b.emit(ADD, b.constant(0.0), adjoint) if x is None else b.constant(0.0 + x)


class Push(_Walk):
    """Forward sweeps: tangents of the roots for given tangents of the inputs."""

    def __init__(self, builder: Builder, roots: Sequence[int], wrt: Sequence[int]) -> None:
        super().__init__(builder, wrt)
        self.roots = roots
        needed = {root for root in roots if self.depends[root]}
        for node in range(max(needed, default=-1), -1, -1):
            if node in needed and builder.op[node] != LEAF:
                needed.update(k for k in builder.operands[node] if self.depends[k])
        self._order = sorted(needed)

    def run(self, tangents: Sequence[int | None]) -> list[int]:
        """Emit the tangents of the roots; None stands for a tangent that is zero."""
        b = self.builder
        given = dict(zip(self.wrt, tangents, strict=True))
        self._tangents: dict[int, int] = {}
        self._steep: set[int] = (
            set()
        )  # nodes whose tangents may be infinite, for having come through a singular partial
        for node in self._order:
            b.line = b.lines[node]
            tangent = given[b.operands[node][0]] if b.op[node] == LEAF else self._tangent(node)
            if tangent is not None:
                self._tangents[node] = tangent
        b.line = 0
        zero = b.constant(0.0)
        return [self._tangents.get(root, zero) for root in self.roots]

    def _tangent(self, node: int) -> int | None:
        b = self.builder
        if b.op[node] == TAKE:
            return self._tangent_of_entry(node)
        total: int | None = None
        for k, operand, rule in self.rules(node):
            tangent = self._tangents.get(operand)
            if tangent is None:
                continue
            partial, hides, singular = self.partial(node, k, rule)
            if b.number(partial) == 0.0:
                continue
            product = self._product(tangent, partial, hides or operand in self._steep, singular)
            if b.number(product) != 0.0:
                total = product if total is None else b.emit(ADD, total, product)
            if singular or operand in self._steep:
                self._steep.add(node)
        return total

    def _product(self, tangent: int, partial: int, hides: bool, singular: bool) -> int:
        """A zero on either side wins where the other one may be infinite, as it does in reverse."""
        b = self.builder
        product = self.simple_product(tangent, partial)
        if product is not None:
            return product
        if not hides:
            return b.emit(ZMUL if singular else MUL, tangent, partial)
        product = b.emit(ZMUL, partial, tangent)
        if not singular:
            return product
        zero = b.constant(0.0)
        return b.emit(SELECT, b.emit(EQUAL, tangent, zero), zero, product)

    def _tangent_of_entry(self, node: int) -> int | None:
        b = self.builder
        index, *entries = b.operands[node]
        tangents = [self._tangents.get(entry) for entry in entries]
        if all(tangent is None for tangent in tangents):
            return None
        if not self._steep.isdisjoint(entries):
            self._steep.add(node)
        zero = b.constant(0.0)
        return b.emit_nary(TAKE, (index, *(zero if tangent is None else tangent for tangent in tangents)))
