"""Paths: what one run of a function recorded, with its programs and their code."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._backend import Value, module, program
from ._derivatives import Nodes, Source, Variables
from ._recording import OPCODES, Recording
from ._signature import Floats
from ._threads import get_num_threads

Line = tuple[str, int, str]  # file, line, function
Key = tuple[Any, tuple[bool, ...], bool]  # the question, which matrices have a row for each row, whether to add up


class Subject:
    """The Python function behind, and what all its recordings have in common."""

    def __init__(self, function: Callable[..., Any] | None, name: str, fastmath: bool, max_paths: int) -> None:
        self.function = function
        self.absence = ""  # why there is no function, if there is none
        self.name = name
        self.fastmath = fastmath
        self.max_paths = max_paths
        self.parameters: list[Value] = []  # captured, in the order of first use
        self.lock = threading.Lock()
        self._known: set[Value] = set()

    def learn(self, parameters: Iterable[Value]) -> None:
        """Append the parameters that are new."""
        with self.lock:
            for parameter in parameters:
                if parameter not in self._known:
                    self._known.add(parameter)
                    self.parameters.append(parameter)


class Call(NamedTuple):
    """A call as rows: a matrix for each array, with a row for each row of the batch, or one for all."""

    rows: int
    arguments: list[Floats]
    extra: list[Floats]  # tangents, cotangents, or vectors
    batched: tuple[bool, ...]  # for all these matrices

    def pick(self, index: NDArray[np.intp] | slice) -> Call:
        """Return a call with some of the rows."""
        matrices = [
            matrix[index] if batched else matrix
            for matrix, batched in zip([*self.arguments, *self.extra], self.batched, strict=True)
        ]
        rows = len(range(self.rows)[index]) if isinstance(index, slice) else len(index)
        count = len(self.arguments)
        return Call(rows, matrices[:count], matrices[count:], self.batched)


class Path:
    """One recording, its programs, and the code of each."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.rows = 0  # that took this path
        self.codes: dict[Key, Any] = {}
        self.partials: dict[Hashable, Any] = {}  # code of questions, with partials to all inputs
        self.programs: dict[Hashable, Any] = {}
        self._expected = recording.expected.tobytes()
        self._zero = len(recording.nodes)  # one more node: the constant 0
        zero = np.zeros(1, recording.nodes.dtype)
        zero["op"], zero["a"] = OPCODES["const"], len(recording.constants)
        self.program = program.Program(
            np.concatenate([recording.nodes, zero]),
            recording.pool,
            np.append(recording.constants, 0.0),
            recording.inputs,
            np.concatenate([recording.outputs, recording.guards]),
        )

    @property
    def parameters(self) -> tuple[Value, ...]:
        return self.recording.parameters

    def source(self, variables: Variables) -> Source:
        return Source(self.program, len(self.recording.outputs), self._zero, variables)

    def with_guards(self, program: Any, nodes: Sequence[Nodes]) -> Any:
        """Return a program whose outputs are these nodes, and the guards."""
        return program.with_outputs(np.concatenate([*(part.ravel() for part in nodes), self.recording.guards]))

    def code(self, program: Any, batched: Sequence[bool], sum: bool = False, fastmath: bool = False) -> Any:
        """Make a program of this path's ready to run."""
        return program.code(batched, expected=self._expected, sum=sum, fastmath=fastmath)

    def run(self, code: Any, call: Call, extra: list[Floats], outputs: list[Floats]) -> NDArray[np.bool_] | None:
        """Run code on all rows; return which of them left the path, or None if it has no guards."""
        parameters = [_data(self.parameters)] if self.parameters else []
        left = np.empty(call.rows, np.uint8) if self._expected else None
        code.run([*call.arguments, *parameters, *extra], outputs, left, get_num_threads())
        return None if left is None else left.view(np.bool_)

    def guards(self) -> list[tuple[Line, bool]]:
        """Return where the branches are, and which way each was taken."""
        lines = [self.recording.lines[line] for line in self.recording.guard_lines.tolist()]
        return list(zip(lines, self.recording.expected.astype(bool).tolist(), strict=True))

    def is_same(self, other: Path) -> bool:
        """Whether both record the same operations, and the same branches."""
        ours, theirs = self.recording, other.recording
        return self.parameters == other.parameters and all(
            getattr(ours, field).tobytes() == getattr(theirs, field).tobytes()
            for field in ("nodes", "pool", "constants", "outputs", "guards", "expected")
        )


def _data(parameters: tuple[Value, ...]) -> Floats:
    row = np.empty((1, len(parameters)))
    module.gather_data(parameters, row[0])
    return row


def splitting_line(paths: Sequence[Path]) -> Line:
    """Return where the paths part: the guard that is most often the first one to differ from an earlier path."""
    guards = [path.guards() for path in paths]
    partings: Counter[Line] = Counter()
    for i, mine in enumerate(guards[1:], 1):
        shared = max(_common(mine, other) for other in guards[:i])
        partings[mine[min(shared, len(mine) - 1)][0]] += 1
    return partings.most_common(1)[0][0] if partings else guards[0][0][0]


def _common(a: Sequence[Any], b: Sequence[Any]) -> int:
    """How many items from the first on are equal."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
