"""Recordings on the pure-Python backend: which nodes a function makes, and the program that they are."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import _errors, _graph
from ._frames import is_users
from ._graph import CONSTANT, LEAF, STALE, Rule, Value
from ._rules import BY_NAME, OPCODES, REDUCTIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._recording import Recording

_BY_HAND = {OPCODES["custom"], OPCODES["given"]}
_POOLED = {OPCODES["take"], *(OPCODES[row.name] for row in REDUCTIONS)}
_STOP = BY_NAME["stop_gradient"]
_STOPPING = Rule(_STOP.label, _STOP.partials, OPCODES[_STOP.name], passes=(False,))

# ------------------------------------------------------------------------------------------------- under way


class Tracer:
    """A recording under way, of one thread."""

    def __init__(self) -> None:
        self.inputs: dict[int, int] = {}  # the number of each input, by serial
        self.site_of: dict[int, int] = {}  # for each node that is the recording's own where it was made, by serial
        self.guards: list[tuple[Value, bool, int]] = []  # nodes whose truth was asked for; the answer; the site
        self.sites: list[tuple[Any, int] | None] = [None]
        self._site_numbers: dict[tuple[int, int], int] = {}
        self._made: list[weakref.ref[Value]] = []
        self._before = _graph.begin_tracing(self)

    def own(self, node: Value) -> None:
        """Note that the recording made this node."""
        self.site_of[node._serial] = self._site()
        self._made.append(weakref.ref(node))

    def own_input(self, node: Value) -> None:
        self.inputs[node._serial] = len(self.inputs)

    def guard(self, node: Value, outcome: bool) -> None:
        """Note that the function asked whether this node is true."""
        self.guards.append((node, outcome, self._site()))

    def without_gradient(self, node: Value) -> Value:
        """Return what is computed under no_grad inside the function: it passes no gradient on."""
        stopped = _graph.new_node(node._data, (node,), _STOPPING)
        self.own(stopped)
        return stopped

    def _site(self) -> int:
        frame: Any = sys._getframe(2)
        while frame is not None and not is_users(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is None:
            return 0
        key = (id(frame.f_code), frame.f_lasti)
        number = self._site_numbers.setdefault(key, len(self.sites))
        if number == len(self.sites):
            self.sites.append((frame.f_code, frame.f_lasti))
        return number

    def end(self) -> None:
        """Make leaves of what is still alive of the recording: it stands for one row of many."""
        _graph.set_state(self._before)
        for reference in self._made:
            node = reference()
            if node is not None:
                node._rule, node._operands = STALE, ()


# ------------------------------------------------------------------------------------------------ extraction


class _Extraction:
    """What the outputs and the guards need, renumbered; see the twin in csrc/record.c."""

    def __init__(self, tracer: Tracer) -> None:
        from ._recording import Lines  # here, because it needs NumPy, which most programs do not

        self.tracer = tracer
        self.lines = Lines(tracer.sites)
        self.nodes: list[tuple[int, int, int, int, int, int]] = []
        self.pool: list[int] = []
        self.constants: list[float] = []
        self.parameters: list[Value] = []
        self.number: dict[int, int] = {}  # of each node, by serial

    def needed(self, outputs: list[Value]) -> dict[int, Value]:
        """Return by serial what the outputs and guards were computed from, or raise what cannot be recorded of it."""
        found = _graph.reached_from([*outputs, *(node for node, _, _ in self.tracer.guards)])
        through = {node._serial: site for node, _, site in self.tracer.guards}
        for serial in sorted(found, reverse=True):
            node = found[serial]
            site = self.tracer.site_of.get(serial) or through.get(serial, 0)
            if node._rule is STALE:
                raise _errors.of_another_recording(self.lines[site])
            if node._rule.closure or node._rule.opcode in _BY_HAND:
                raise _errors.hand_made(self.lines[site])
            for operand in node._operands:
                if operand.__class__ is not float:
                    through.setdefault(operand._serial, site)
        return found

    def write(self, node: Value) -> None:
        serial, rule, site = node._serial, node._rule, self.tracer.site_of.get(node._serial, 0)
        if serial in self.tracer.inputs:
            self.number[serial] = self._append(LEAF.opcode, self.tracer.inputs[serial])
        elif rule is CONSTANT or (rule is LEAF and serial in self.tracer.site_of):
            self.number[serial] = self._constant(node._data, site)
        elif rule is LEAF:
            self.number[serial] = self._append(LEAF.opcode, -1)  # its input number is known when it is used
        else:
            operands = [self.operand(operand) for operand in (*node._operands, *rule.numbers)]
            if rule.opcode in _POOLED:
                self.number[serial] = self._append(rule.opcode, len(self.pool), len(operands), line=site)
                self.pool += operands
            else:
                self.number[serial] = self._append(rule.opcode, *operands, line=site)

    def operand(self, operand: Value | float) -> int:
        """Return the number of an operand; a parameter gets its input number when it is used first."""
        if not isinstance(operand, Value):
            return self._constant(operand)
        number = self.number[operand._serial]
        if self.nodes[number][:3] == (LEAF.opcode, 0, -1):
            self.nodes[number] = (LEAF.opcode, 0, len(self.tracer.inputs) + len(self.parameters), 0, 0, 0)
            self.parameters.append(operand)
        return number

    def _constant(self, number: float, line: int = 0) -> int:
        self.constants.append(number)
        return self._append(CONSTANT.opcode, len(self.constants) - 1, line=line)

    def _append(self, opcode: int, a: int, b: int = 0, c: int = 0, *, line: int = 0) -> int:
        self.nodes.append((opcode, 0, a, b, c, line))
        return len(self.nodes) - 1

    def recording(self, outputs: list[Value]) -> Recording:
        import numpy as np

        from ._recording import NODE, Recording

        found = self.needed(outputs)
        for serial in sorted(found):
            self.write(found[serial])
        guards = self.tracer.guards
        numbers = [self.operand(node) for node in (*(node for node, _, _ in guards), *outputs)]
        return Recording(
            nodes=np.array(self.nodes, NODE),
            pool=np.array(self.pool, np.uint32),
            constants=np.array(self.constants, np.float64),
            inputs=len(self.tracer.inputs) + len(self.parameters),
            outputs=np.array(numbers[len(guards) :], np.uint32),
            guards=np.array(numbers[: len(guards)], np.uint32),
            expected=np.array([outcome for _, outcome, _ in guards], np.uint8),
            guard_lines=np.array([site for _, _, site in guards], np.uint32),
            parameters=tuple(self.parameters),
            lines=self.lines,
        )


# --------------------------------------------------------------------------------------- what a backend offers


def is_recording() -> bool:
    """Whether this thread records a function."""
    return _graph.tracer() is not None


def peek(value: Value) -> float:
    """Return the data of a Value, also while a function is recorded: for what is not recorded."""
    return value._data


def gather_data(values: tuple[Value, ...], into: NDArray[np.float64]) -> None:
    """Write the data of Values to an array, also while a function is recorded."""
    into[:] = [value._data for value in values]


def add_grads(values: tuple[Value, ...], amounts: NDArray[np.float64]) -> None:
    """Add to the gradients of Values, also while a function is recorded."""
    for value, amount in zip(values, amounts.tolist(), strict=True):
        value._grad += amount


def gather_grads(values: tuple[Value, ...], into: NDArray[np.float64]) -> None:
    """Write the gradients of Values to an array."""
    into[:] = [value.grad for value in values]


def scatter_data(values: tuple[Value, ...], numbers: NDArray[np.float64]) -> None:
    """Set the data of Values to the numbers of an array."""
    for value, number in zip(values, numbers.tolist(), strict=True):
        value.data = number


def scatter_grads(values: tuple[Value, ...], numbers: NDArray[np.float64]) -> None:
    """Set the gradients of Values to the numbers of an array."""
    for value, number in zip(values, numbers.tolist(), strict=True):
        value.grad = number


def start_recording(values: Iterable[Any]) -> list[Value]:
    """Start to record what this thread does, and return the inputs as Values. Recordings nest."""
    numbers = [_errors.real("start_recording", value) for value in values]
    recording = Tracer()
    inputs = [Value(number) for number in numbers]
    for value in inputs:
        recording.own_input(value)
    return inputs


def abandon_recording() -> None:
    """End the recording of this thread that was started last."""
    _this_recording().end()


def finish_recording(outputs: Iterable[Any]) -> Recording:
    """End the recording of this thread that was started last, and return what the outputs need of it.

    It goes on if this raises: then abandon it.
    """
    tracer = _this_recording()
    given = list(outputs)
    nodes = [x if isinstance(x, Value) else Value(_errors.real("the recorded function", x)) for x in given]
    recording = _Extraction(tracer).recording(nodes)
    tracer.end()
    return recording


def _this_recording() -> Tracer:
    recording = _graph.tracer()
    if recording is None:
        raise _errors.not_recording()
    return recording
