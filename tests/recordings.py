"""Recordings in tests: to make one, and to run it on floats or on Values by what the table says."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from fastgrad._rules import OPCODES, REDUCTIONS, ROWS

NAMES = {opcode: name for name, opcode in OPCODES.items()}
ARITY = {row.name: len(row.operands) for row in ROWS}
COLUMNS = {row.name: len(row.operands) for row in REDUCTIONS}


def here(below: int = 0) -> tuple[str, int]:
    """The file and the line, so many lines below, from where this is called."""
    frame = sys._getframe(1)
    return frame.f_code.co_filename, frame.f_lineno + below


def record(fg: ModuleType, f: Callable[..., Any], *values: float) -> Any:
    """Record f at these values; f returns an output or a list of them."""
    backend = fg._backend.module
    inputs = backend.start_recording(values)
    try:
        result = f(*inputs)
        return backend.finish_recording(result if isinstance(result, (list, tuple)) else [result])
    except BaseException:
        backend.abandon_recording()
        raise


def operands_of(recording: Any, number: int) -> list[int]:
    """The nodes that a node is computed from."""
    op, _, a, b, c, _ = recording.nodes[number].tolist()
    name = NAMES[op]
    if name in ("leaf", "const"):
        return []
    if name in ARITY:
        return [a, b, c][: ARITY[name]]
    return recording.pool[a : a + b].tolist()


def run(fg: ModuleType, recording: Any, values: Sequence[Any]) -> list[Any]:
    """Compute every node from the inputs, parameters included, by fastgrad's functions of numbers or of Values."""
    results: list[Any] = []
    for number, node in enumerate(recording.nodes):
        name = NAMES[int(node["op"])]
        if name == "leaf":
            results.append(values[node["a"]])
        elif name == "const":
            results.append(float(recording.constants[node["a"]]))
        else:
            operands = [results[k] for k in operands_of(recording, number)]
            results.append(_computed(fg, name, operands))
    return results


def _computed(fg: ModuleType, name: str, operands: list[Any]) -> Any:
    if name == "take":
        return operands[1 + int(operands[0])]
    if name in COLUMNS:
        n = len(operands) // COLUMNS[name]
        return getattr(fg, name)(*(operands[i * n : (i + 1) * n] for i in range(COLUMNS[name])))
    return getattr(fg, name)(*operands)


def outputs(fg: ModuleType, recording: Any, values: Sequence[Any]) -> list[Any]:
    results = run(fg, recording, values)
    return [results[k] for k in recording.outputs]


def names(recording: Any) -> list[str]:
    return [NAMES[int(op)] for op in recording.nodes["op"]]


def operations(recording: Any) -> list[str]:
    return [name for name in names(recording) if name not in ("leaf", "const")]


def bits(numbers: Sequence[float]) -> list[bytes]:
    """What tells numbers apart that == does not: -0.0 and nan."""
    return [struct.pack("d", number) for number in numbers]


def check_form(recording: Any) -> None:
    """The rules of csrc/program.h: operands before users, numbers in range, nothing that nobody needs."""
    size = len(recording.nodes)
    needed = set(recording.outputs.tolist()) | set(recording.guards.tolist())
    for number in reversed(range(size)):
        assert number in needed, f"node {number} is dead"
        operands = operands_of(recording, number)
        assert all(operand < number for operand in operands)
        needed |= set(operands)
    leaves = [int(node["a"]) for node in recording.nodes if NAMES[int(node["op"])] == "leaf"]
    assert len(set(leaves)) == len(leaves)
    assert all(leaf < recording.inputs for leaf in leaves)
    assert len(recording.guards) == len(recording.expected) == len(recording.guard_lines)
    assert all(line < len(recording.lines) for line in recording.nodes["line"].tolist())
    assert set(names(recording)) <= {"leaf", "const", "take", *ARITY, *COLUMNS}
