"""What can be asked of a compiled function, as programs: each is the function's own program with more outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._signature import Shape
from ._structure import LEAF, Structure, sequence

Nodes = NDArray[np.uint32]


class Space(NamedTuple):
    """Arrays side by side, as a structure: a function's results, or the arguments that derivatives are taken to."""

    structure: Structure
    shapes: tuple[Shape, ...]  # of the leaves, without batch dimensions

    def __str__(self) -> str:
        names = self.structure.names("result")
        return ", ".join(f"{name} of shape {shape}" for name, shape in zip(names, self.shapes, strict=True))

    @property
    def sizes(self) -> list[int]:
        return [math.prod(shape) for shape in self.shapes]

    def pieces(self) -> list[slice]:
        """Where each leaf lies, if all elements of all leaves are in one row."""
        ends = np.cumsum([0, *self.sizes]).tolist()
        return [slice(start, end) for start, end in pairwise(ends)]


class Variables(NamedTuple):
    """The inputs of one path's program that derivatives are taken to, in the order of the wrt space.

    A parameter that this path does not use has no input: ``present`` says which elements of the space have one.
    """

    inputs: list[int]
    present: NDArray[np.bool_]

    def spread(self, nodes: Nodes, zero: int) -> Nodes:
        """Put the nodes of the last axis, one for each input, in their places; elsewhere is the node that is zero."""
        if self.present.all():
            return nodes
        whole = np.full((*nodes.shape[:-1], len(self.present)), zero, np.uint32)
        whole[..., self.present] = nodes
        return whole


class Source(NamedTuple):
    """A path's own program, and what the emitters need to know of it."""

    program: Any  # the outputs of the function, then the guards
    outputs: int  # how many of its outputs are not guards
    zero: int  # a node that is the constant zero
    variables: Variables

    @property
    def positions(self) -> list[int]:
        return list(range(self.outputs))

    def values(self) -> Nodes:
        return np.asarray(self.program.outputs[: self.outputs], np.uint32)

    def gradients(self, outputs: Sequence[int]) -> tuple[Any, Nodes]:
        """A reverse sweep for each listed output: the program, and the adjoints of all variables, a row for each."""
        program = self.program.reverse(outputs, self.variables.inputs)
        return program, self._table(program, len(outputs))

    def tangents(self, program: Any, outputs: Sequence[int]) -> tuple[Any, Nodes]:
        """A forward sweep for each variable: the program, and the derivatives of its outputs, a row for each."""
        count = len(self.variables.inputs)
        program = program.forward(outputs, self.variables.inputs, np.eye(count))
        table = np.asarray(program.outputs, np.uint32).reshape(count, len(outputs))
        return program, self.variables.spread(table.T, self.zero)

    def _table(self, program: Any, rows: int) -> Nodes:
        nodes = np.asarray(program.outputs, np.uint32).reshape(rows, len(self.variables.inputs))
        return self.variables.spread(nodes, self.zero)


Emitted = tuple[Any, list[Nodes]]  # a program, and the nodes of each array of the answer
Emitter = Callable[[Source, Space, Space], Emitted]  # of the results and of the variables


def _value(source: Source, results: Space, wrt: Space) -> Emitted:
    values = source.values()
    return source.program, [values[piece] for piece in results.pieces()]


def _grad(source: Source, results: Space, wrt: Space) -> Emitted:
    program, gradients = source.gradients([0])
    return program, [gradients[0, piece] for piece in wrt.pieces()]


def _value_and_grad(source: Source, results: Space, wrt: Space) -> Emitted:
    program, gradients = _grad(source, results, wrt)
    return program, [source.values(), *gradients]


#: With so many times more outputs than inputs a Jacobian is made by forward sweeps, one for each input, rather than by
#: reverse sweeps, one for each output.
_FORWARD = 4


def _jacobian(source: Source, results: Space, wrt: Space) -> Emitted:
    if source.outputs > _FORWARD * len(source.variables.inputs):
        program, table = source.tangents(source.program, source.positions)
    else:
        program, table = source.gradients(source.positions)
    return program, [table[rows, columns] for rows in results.pieces() for columns in wrt.pieces()]


def _hessian(source: Source, results: Space, wrt: Space) -> Emitted:
    program, _ = source.gradients([0])
    count = len(source.variables.inputs)
    program, _ = source.tangents(program, range(count))
    table = np.asarray(program.outputs, np.uint32).reshape(count, count)
    table = np.where(np.tri(count, dtype=bool), table, table.T)  # one triangle is computed, and serves as both
    whole = source.variables.spread(source.variables.spread(table, source.zero).T, source.zero)
    return program, [whole[rows, columns] for rows in wrt.pieces() for columns in wrt.pieces()]


def _hvp(source: Source, results: Space, wrt: Space) -> Emitted:
    program, _ = source.gradients([0])
    inputs = source.variables.inputs
    program = program.forward(range(len(inputs)), inputs)
    products = source.variables.spread(np.asarray(program.outputs, np.uint32), source.zero)
    return program, [products[piece] for piece in wrt.pieces()]


def _jvp(source: Source, results: Space, wrt: Space) -> Emitted:
    program = source.program.forward(source.positions, source.variables.inputs)
    tangents = np.asarray(program.outputs, np.uint32)
    return program, [tangents[piece] for piece in results.pieces()]


def _vjp(source: Source, results: Space, wrt: Space) -> Emitted:
    program = source.program.reverse(source.positions, source.variables.inputs, seeded=True)
    cotangents = source.variables.spread(np.asarray(program.outputs, np.uint32), source.zero)
    return program, [cotangents[piece] for piece in wrt.pieces()]


class _Kind(NamedTuple):
    """A kind of question: what emits its program, and what its answer and its further argument look like."""

    emit: Emitter
    result: Callable[[Space, Space], Space]
    extra: str = ""  # the name of the further argument
    of_results: bool = False  # whether that looks like the results, rather than like the variables
    scalar: bool = False  # whether the function must have one result, a number


def _product(outer: Space, inner: Space) -> Space:
    return Space(outer.structure.compose(inner.structure), tuple(a + b for a in outer.shapes for b in inner.shapes))


def _beside(results: Space, wrt: Space) -> Space:
    return Space(sequence([results.structure, wrt.structure]), results.shapes + wrt.shapes)


KINDS = {
    "value": _Kind(_value, lambda results, wrt: results),
    "grad": _Kind(_grad, lambda results, wrt: wrt, scalar=True),
    "value_and_grad": _Kind(_value_and_grad, _beside, scalar=True),
    "jacobian": _Kind(_jacobian, _product),
    "hessian": _Kind(_hessian, lambda results, wrt: _product(wrt, wrt), scalar=True),
    "hvp": _Kind(_hvp, lambda results, wrt: wrt, "vectors", scalar=True),
    "jvp": _Kind(_jvp, lambda results, wrt: results, "tangents"),
    "vjp": _Kind(_vjp, lambda results, wrt: wrt, "cotangents", of_results=True),
}


def is_scalar(results: Space) -> bool:
    return results == Space(LEAF, ((),))
