"""A recording: what a function did to its inputs, as arrays. Both backends make it; programs are made from it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from types import CodeType
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from ._frames import UNKNOWN, Line
from ._rules import OPCODES

__all__ = ["NODE", "OPCODES", "Lines", "Recording", "array"]

#: A node, as in csrc/program.h: the operands of a row are a, b, c; those of a reduction b entries of the pool from a
#: on. The opcode "leaf" is an input, number a; "const" a number, constants[a].
NODE = np.dtype([("op", "u2"), ("flags", "u2"), ("a", "u4"), ("b", "u4"), ("c", "u4"), ("line", "u4")])


class Recording(NamedTuple):
    """What outputs and guards need of what was recorded, in an order in which operands come before their users."""

    nodes: NDArray[Any]  # of NODE
    pool: NDArray[np.uint32]
    constants: NDArray[np.float64]
    inputs: int  # the function's own, then the parameters
    outputs: NDArray[np.uint32]  # nodes
    guards: NDArray[np.uint32]  # nodes whose truth the function asked for, in that order
    expected: NDArray[np.uint8]  # what the answer was: 0 or 1
    guard_lines: NDArray[np.uint32]
    parameters: tuple[Any, ...]  # the Values made before that it uses
    lines: Sequence[Line]  # what `line` and `guard_lines` count in; the first stands for unknown


def array(data: bytes, dtype: Any) -> NDArray[Any]:
    """Return the array that the bytes are; it cannot be written to."""
    return np.frombuffer(data, dtype) if data else np.empty(0, dtype)


class Lines(Sequence[Line]):
    """The lines that sites are on, found out when somebody asks: it takes longer than to record the nodes.

    Parameters
    ----------
    sites : list
        Code objects, each with the place of an instruction in it in bytes; None stands for unknown.
    """

    def __init__(self, sites: list[tuple[CodeType, int] | None]) -> None:
        self._sites = sites
        self._lines: tuple[Line, ...] = ()

    def _resolved(self) -> tuple[Line, ...]:
        if not self._lines:
            tables: dict[int, _Table] = {}  # by id: to hash a code object is to hash all that is in it
            self._lines = tuple([UNKNOWN if site is None else _line_of(*site, tables) for site in self._sites])
        return self._lines

    def __len__(self) -> int:
        return len(self._sites)

    @overload
    def __getitem__(self, number: int) -> Line: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Line, ...]: ...
    def __getitem__(self, number: int | slice) -> Line | tuple[Line, ...]:
        return self._resolved()[number]

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._resolved(),)


class _Table(NamedTuple):
    """Where the instructions of each line of a code object begin."""

    starts: list[int]
    lines: list[int]


def _line_of(code: CodeType, instruction: int, tables: dict[int, _Table]) -> Line:
    table = tables.get(id(code))
    if table is None:
        entries = list(code.co_lines())
        table = tables[id(code)] = _Table([start for start, _, _ in entries], [line or 0 for _, _, line in entries])
    return Line(code.co_filename, table.lines[bisect_right(table.starts, instruction) - 1], code.co_name)
