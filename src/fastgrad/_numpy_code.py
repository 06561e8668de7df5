"""Code of the pure-Python backend: a program made ready to run, one NumPy call an instruction over blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ._chunks import CHUNK, PARTS, pairwise
from ._numpy_rules import ARITY, COMMUTATIVE, CONST, KERNELS, LEAF, NAMES, Array, Kernel

#: Passes in the order in which they run; those that make no difference to NumPy do nothing here.
PASSES = ("fold", "identities", "cse", "dead", "hoist", "schedule", "fuse")

_GIVEN = (LEAF, CONST)  # no operations

_BLOCK_BYTES = 1 << 25  # what the numbers that live at once may take, for one block of rows
_MOST_ROWS = 4 * CHUNK


class Arrays(Protocol):
    """What a program is made of, on either backend."""

    @property
    def nodes(self) -> NDArray[Any]: ...
    @property
    def pool(self) -> NDArray[np.uint32]: ...
    @property
    def constants(self) -> NDArray[np.float64]: ...
    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> NDArray[np.uint32]: ...


class Ir(NamedTuple):
    """A program as lists, for the passes to rewrite; operands of a leaf: its input; of a constant: its number."""

    op: list[int]
    operands: list[tuple[Any, ...]]
    line: list[int]
    outputs: list[int]


class _Instruction(NamedTuple):
    kernel: Kernel
    operands: tuple[int, ...]
    target: int
    last_uses: tuple[int, ...]  # the nodes whose numbers nobody needs any more


class Code:
    """Runs over arrays of rows. A row whose guards do not give what was expected leaves the path that was recorded."""

    def __init__(
        self,
        program: Arrays,
        batched: Sequence[bool],
        expected: bytes,
        sum: bool,
        fastmath: bool,
        passes: Collection[str],
        lanes: int,
    ) -> None:
        unknown = sorted(set(passes) - set(PASSES))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: there are only the passes {', '.join(PASSES)}")
        if len(batched) != program.inputs:
            raise ValueError(f"{len(batched)} of {program.inputs} inputs are said to be batched or not")
        if len(expected) > len(program.outputs):
            raise ValueError(f"there are {len(program.outputs)} outputs and {len(expected)} guards")
        self._batched = [bool(b) for b in batched]
        self._expected = expected
        self._sum = bool(sum) and any(self._batched)  # with a single row there is nothing to add
        self._inputs = program.inputs
        self._operations = _operations(program.nodes["op"].tolist())
        self._removed: dict[str, int] = {}
        self._ir = rewrite(read(program), passes, self._removed)
        self._hoist = "hoist" in passes
        self._plan()
        self._rows = _rows_of_a_block(self._live, lanes)
        self._lanes = lanes

    def _plan(self) -> None:
        """Tell what is computed once a call from what is computed for each block of rows."""
        ir = self._ir
        varies: list[bool] = []
        self._loads: dict[int, int] = {}  # input: node
        self._constants: list[tuple[int, Array]] = []
        uniform: list[int] = []
        lane: list[int] = []
        for i, (op, operands) in enumerate(zip(ir.op, ir.operands, strict=True)):
            if op == LEAF:
                self._loads[i] = operands[0]
                varies.append(self._batched[operands[0]])
            elif op == CONST:
                self._constants.append((i, np.full(1, operands[0])))
                varies.append(False)
            else:
                varies.append(any([varies[k] for k in operands]))
                (lane if varies[i] or not self._hoist else uniform).append(i)
        self._varies = varies
        self._uniform = [_Instruction(KERNELS[ir.op[i]], ir.operands[i], i, ()) for i in uniform]
        self._lane, self._live = _with_last_uses(ir, lane, varies)

    # ------------------------------------------------------------------------------------------------------- run

    def run(
        self,
        arguments: Sequence[NDArray[np.float64]],
        outputs: Sequence[NDArray[np.float64]],
        left: NDArray[np.uint8] | None = None,
        threads: int = 1,
    ) -> None:
        """Run over all rows; one thread does it, whatever ``threads`` is."""
        inputs = self._columns("arguments", arguments, self._inputs)
        results = self._columns("outputs", outputs, len(self._ir.outputs) - len(self._expected))
        rows = self._count_rows(inputs, results, left)
        with np.errstate(all="ignore"):
            values = self._uniform_values(inputs)
            sums = _Sums(len(results)) if self._sum else None
            for start in range(0, rows, self._rows):
                block = slice(start, min(start + self._rows, rows))
                self._run_block(dict(values), inputs, results, left, block, sums)
            if sums is not None:
                for (column, j), total in zip(results, sums.totals(), strict=True):
                    column[0, j] = total

    def _columns(self, what: str, arrays: Sequence[Array], wanted: int) -> list[tuple[Array, int]]:
        if any(a.ndim != 2 or a.dtype != np.float64 for a in arrays):
            raise ValueError(f"{what} are two-dimensional arrays of float64")
        columns = [(a, j) for a in arrays for j in range(a.shape[1])]
        if len(columns) != wanted:
            raise ValueError(f"{what} have {len(columns)} columns in all, where the program has {wanted}")
        return columns

    def _count_rows(
        self, inputs: list[tuple[Array, int]], results: list[tuple[Array, int]], left: NDArray[np.uint8] | None
    ) -> int:
        if self._expected and left is None:
            raise ValueError("a program with guards needs an array that says which rows left")
        counts = {len(a) for (a, _), batched in zip(inputs, self._batched, strict=True) if batched}
        counts |= {len(a) for a, _ in results if not self._sum} | ({len(left)} if left is not None else set())
        if len(counts) > 1:
            raise ValueError(f"arrays have different numbers of rows: {sorted(counts)}")
        singles = [a for (a, _), batched in zip(inputs, self._batched, strict=True) if not batched]
        singles += [a for a, _ in results if self._sum]
        if any(len(a) != 1 for a in singles):
            raise ValueError("an argument that is not batched, and a sum, have one row")
        return counts.pop() if counts else 1

    def _uniform_values(self, inputs: list[tuple[Array, int]]) -> dict[int, Array]:
        values = dict(self._constants)
        for node, number in self._loads.items():
            if not self._batched[number]:
                array, j = inputs[number]
                values[node] = array[:, j].copy()
        for kernel, operands, target, _ in self._uniform:
            values[target] = kernel(*[values[k] for k in operands])
        return values

    def _run_block(
        self,
        values: dict[int, Array],
        inputs: list[tuple[Array, int]],
        results: list[tuple[Array, int]],
        left: NDArray[np.uint8] | None,
        block: slice,
        sums: _Sums | None,
    ) -> None:
        for node, number in self._loads.items():
            if self._batched[number]:
                array, j = inputs[number]
                values[node] = array[block, j].copy()
        for kernel, operands, target, last_uses in self._lane:
            values[target] = kernel(*[values[k] for k in operands])
            for k in last_uses:
                del values[k]
        found = [values[node] for node in self._ir.outputs]
        stays = self._check_guards(found[len(results) :], left, block)
        if sums is not None:
            sums.add(found[: len(results)], stays, block.stop - block.start)
        else:
            for (array, j), z in zip(results, found, strict=False):
                array[block, j] = z

    def _check_guards(
        self, guards: list[Array], left: NDArray[np.uint8] | None, block: slice
    ) -> NDArray[np.bool_] | None:
        if left is None:
            return None
        stays = np.ones(block.stop - block.start, np.bool_)
        for guard, expected in zip(guards, self._expected, strict=True):
            stays &= (guard != 0.0) == bool(expected)
        left[block] = ~stays
        return stays

    # -------------------------------------------------------------------------------------------------- inspection

    def stats(self) -> dict[str, Any]:
        """Operations before and after each pass, and what the code takes to run."""
        left = list(accumulate((-self._removed[name] for name in PASSES), initial=self._operations))
        return {
            "nodes": self._operations,
            "passes": {name: (left[i], left[i + 1]) for i, name in enumerate(PASSES)},
            "instructions": len(self._lane),
            "uniform_instructions": len(self._uniform),
            "slots": self._live,
            "lanes": self._rows,
            "working_set": self._live * self._rows * 8,
            "instruction_set": "numpy",
        }

    def listing(self, lines: Sequence[tuple[str, int, str]] = ()) -> str:
        """One line a node: what is computed once a call first, each with the source line that it was recorded at."""
        once = {i.target for i in self._uniform} | {i for i, _ in self._constants}
        numbered = [*sorted(once), *(i for i in range(len(self._ir.op)) if i not in once)]
        texts = [self._described(i, lines) for i in numbered]
        guards = len(self._ir.outputs) - len(self._expected)
        for k, node in enumerate(self._ir.outputs):
            outcome = f" is {bool(self._expected[k - guards])}" if k >= guards else ""
            texts.append(f"{'output' if k < guards else 'guard'} %{node}{outcome}")
        return "\n".join(texts)

    def _described(self, i: int, lines: Sequence[tuple[str, int, str]]) -> str:
        op, operands, line = self._ir.op[i], self._ir.operands[i], self._ir.line[i]
        shown = repr(operands[0]) if op in _GIVEN else ", ".join(f"%{k}" for k in operands)
        text = f"{'' if self._varies[i] else 'once '}%{i} = {NAMES[op]} {shown}"
        if not 0 < line < len(lines):
            return text
        file, number, function = lines[line]
        return f"{text:<48} # {file}:{number} in {function}"


# ------------------------------------------------------------------------------------------------- passes


def read(program: Arrays) -> Ir:
    """The program as lists."""
    op: list[int] = program.nodes["op"].tolist()
    pool: list[int] = program.pool.tolist()
    constants: list[float] = program.constants.tolist()
    operands: list[tuple[Any, ...]] = []
    for code, a, b, c in zip(op, *(program.nodes[field].tolist() for field in "abc"), strict=True):
        if code in ARITY:
            operands.append((a, b, c)[: ARITY[code]])
        elif code in _GIVEN:
            operands.append((a if code == LEAF else constants[a],))
        else:
            operands.append(tuple(pool[a : a + b]))
    return Ir(op, operands, program.nodes["line"].tolist(), program.outputs.tolist())


def rewrite(ir: Ir, passes: Collection[str], removed: dict[str, int]) -> Ir:
    """Run passes; ``removed`` is told how many operations each took away."""
    done: dict[str, Callable[[Ir], Ir]] = {"fold": _fold, "cse": _cse, "dead": _dead}
    for name in PASSES:
        before = _operations(ir.op)
        if name in passes and name in done:
            ir = done[name](ir)
        removed[name] = before - _operations(ir.op)
    return ir


def _operations(op: list[int]) -> int:
    return len(op) - sum(map(op.count, _GIVEN))


def _fold(ir: Ir) -> Ir:
    """Operations on constants alone become constants."""
    op, operands = list(ir.op), list(ir.operands)
    with np.errstate(all="ignore"):
        for i, code in enumerate(op):
            if code not in _GIVEN and all([op[k] == CONST for k in operands[i]]):
                number = KERNELS[code](*[np.full(1, operands[k][0]) for k in operands[i]])
                op[i], operands[i] = CONST, (float(number[0]),)
    return Ir(op, operands, ir.line, ir.outputs)


def _cse(ir: Ir) -> Ir:
    """Equal operations on equal operands become one."""
    known: dict[tuple[int, Any], int] = {}
    kept = Ir([], [], [], [])
    new: list[int] = []
    for i, (op, operands) in enumerate(zip(ir.op, ir.operands, strict=True)):
        key: Any = operands
        if op == CONST:
            key = operands[0].hex()
        elif op != LEAF:
            operands = tuple([new[k] for k in operands])
            key = tuple(sorted(operands)) if op in COMMUTATIVE else operands
        node = known.setdefault((op, key), len(kept.op))
        new.append(node)
        if node == len(kept.op):
            kept.op.append(op)
            kept.operands.append(operands)
            kept.line.append(ir.line[i])
    kept.outputs.extend(new[k] for k in ir.outputs)
    return kept


def _dead(ir: Ir) -> Ir:
    """What no output needs goes."""
    needed = [False] * len(ir.op)
    for k in ir.outputs:
        needed[k] = True
    for i in range(len(ir.op) - 1, -1, -1):
        if needed[i] and ir.op[i] not in _GIVEN:
            for k in ir.operands[i]:
                needed[k] = True
    alive = [i for i, need in enumerate(needed) if need]
    new = dict(zip(alive, range(len(alive)), strict=True))
    operands = [ir.operands[i] if ir.op[i] in _GIVEN else tuple([new[k] for k in ir.operands[i]]) for i in alive]
    return Ir([ir.op[i] for i in alive], operands, [ir.line[i] for i in alive], [new[k] for k in ir.outputs])


# ------------------------------------------------------------------------------------------------- blocks


def _with_last_uses(ir: Ir, lane: Sequence[int], varies: Sequence[bool]) -> tuple[list[_Instruction], int]:
    """The instructions of the lane stream, and how many numbers of a row live at once."""
    outputs = set(ir.outputs)
    last_use: dict[int, int] = {}
    for i in lane:
        for k in ir.operands[i]:
            last_use[k] = i
    made, live, most = [], sum(1 for i, op in enumerate(ir.op) if op == LEAF and varies[i]), 0
    targets = set(lane)
    for i in lane:
        operands = dict.fromkeys(ir.operands[i])
        over = [k for k in operands if last_use[k] == i and k not in outputs and (varies[k] or k in targets)]
        if i not in last_use and i not in outputs:
            over.append(i)
        live += 1
        most = max(most, live)
        live -= len(over)
        made.append(_Instruction(KERNELS[ir.op[i]], ir.operands[i], i, tuple(over)))
    return made, max(most, live)


def _rows_of_a_block(live: int, lanes: int) -> int:
    """As many rows as keep the working set bounded: a power of two, so that blocks and chunks fit each other."""
    rows = _MOST_ROWS if lanes == 0 else 1 << max(0, lanes.bit_length() - 1)
    while rows > PARTS and live * rows * 8 > _BLOCK_BYTES:
        rows //= 2
    return min(rows, _MOST_ROWS)


class _Sums:
    """Sums over rows in the order that run.c defines: eight interleaved parts a chunk, then a tree over the chunks."""

    def __init__(self, count: int) -> None:
        self._chunk = np.zeros((count, CHUNK))
        self._filled = 0
        self._totals: list[NDArray[np.float64]] = []

    def add(self, columns: Sequence[Array], stays: NDArray[np.bool_] | None, rows: int) -> None:
        """Add rows; one that left counts as zero in its place."""
        done = 0
        while done < rows:
            part = slice(done, done + min(rows - done, CHUNK - self._filled))
            place = slice(self._filled, self._filled + part.stop - part.start)
            for row, column in zip(self._chunk, columns, strict=True):
                row[place] = column if column.size == 1 else column[part]
                if stays is not None:
                    row[place][~stays[part]] = 0.0
            done, self._filled = part.stop, place.stop
            if self._filled == CHUNK:
                self._close()

    def _close(self) -> None:
        self._totals.append(_total(self._chunk))
        self._chunk[:] = 0.0
        self._filled = 0

    def totals(self) -> NDArray[np.float64]:
        if self._filled:
            self._close()
        if not self._totals:
            return np.zeros(len(self._chunk))
        return pairwise(np.stack(self._totals))


def _total(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row sums of a chunk, in the order of reduce.h; zeros behind the end change nothing, as parts begin with 0.0."""
    count, n = terms.shape
    padded = np.zeros((count, -(-n // PARTS) + 1, PARTS))
    padded[:, 1:].reshape(count, -1)[:, :n] = terms
    p = np.add.accumulate(padded, axis=1)[:, -1].T
    total: NDArray[np.float64] = ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))
    return total
