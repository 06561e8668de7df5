"""Code as text: one line an instruction, each with the source line that it was recorded at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ._rules import OPCODES

__all__ = ["Streams", "listing"]

_NAMES = {number: name for name, number in OPCODES.items()}
#: The instructions behind the rows, in the order of csrc/code.h.
_OTHERS = (
    *("load", "store", "sum_rows", "sum_rows_mul", "sum_rows_zmul", "splat", "guard"),
    *("mul_add", "mul_sub", "sub_mul", "chain"),
)
_NAMES |= dict(enumerate(_OTHERS, len(OPCODES)))
_TERMS = (
    *("+ {}", "- {}", "+ {} * {}", "- {} * {}", "negated + {}", "* {}", "negated + {} * {}"),
    *("zmul by {}", "+ zmul({}, {})", "zmul {} by it"),
)
_UNIFORM = 1 << 31


class Streams(NamedTuple):
    """What csrc/code.h says of code, as lists."""

    uniform: list[tuple[int, ...]]  # op, operands of fg_instr, line
    lane: list[tuple[int, ...]]
    pool: list[int]
    constants: list[float]
    inputs: list[int]  # the uniform ones
    outputs: list[int]  # their places, or -1
    arity: dict[int, int]  # of rows; those not in it have their operands in the pool
    expected: bytes


def listing(streams: Streams, lines: Sequence[Any]) -> str:
    """Return the text; ``lines`` is what the line numbers of the program count in."""
    return "\n".join([*_uniform_part(streams, lines), *_lane_part(streams, lines)])


def _uniform_part(streams: Streams, lines: Sequence[Any]) -> Iterator[str]:
    if streams.uniform or max(streams.outputs, default=-1) >= 0:
        yield "once a call:"
    for op, z, a, b, c, line in streams.uniform:
        text = _operation(streams, op, a, b, c, uniform=True)
        yield _with_line(f"  {_place(streams, z)} = {text}", line, lines)
    guards = len(streams.outputs) - len(streams.expected)
    for k, place in enumerate(streams.outputs):
        if place >= 0:
            what = f"output {k}" if k < guards else f"guard {k - guards}, expected {bool(streams.expected[k - guards])}"
            yield f"  {what}: {_place(streams, place)}"


def _lane_part(streams: Streams, lines: Sequence[Any]) -> Iterator[str]:
    if streams.lane:
        yield "for each row:"
    for op, z, a, b, c, line in streams.lane:
        yield _with_line(f"  {_lane_text(streams, op, z, a, b, c)}", line, lines)


def _lane_text(streams: Streams, op: int, z: int, a: int, b: int, c: int) -> str:
    name = _NAMES[op]
    pairs = [*zip(streams.pool[a : a + b], streams.pool[a + b : a + 2 * b], strict=False)]
    match name:
        case "load":
            return ", ".join(f"s{slot} = input {i}" for i, slot in pairs)
        case "store":
            return ", ".join(f"output {i} = {_operand(streams, slot)}" for i, slot in pairs)
        case "sum_rows":
            return f"output {z} += {_operand(streams, a)}"
        case "sum_rows_mul":
            return f"output {z} += {_operand(streams, a)} * {_operand(streams, b)}"
        case "sum_rows_zmul":
            return f"output {z} += zmul({_operand(streams, a)}, {_operand(streams, b)})"
        case "guard":
            return f"guard {b}: {_operand(streams, a)} is {'true' if c else 'false'}"
    return f"s{z} = {_operation(streams, op, a, b, c, uniform=False)}"


def _operation(streams: Streams, op: int, a: int, b: int, c: int, uniform: bool) -> str:
    def operand(number: int) -> str:
        return _place(streams, number) if uniform else _operand(streams, number)

    name = _NAMES[op]
    if name == "chain":
        terms = [streams.pool[i : i + 3] for i in range(a, a + 3 * b, 3)]
        return " ".join(_TERMS[kind].format(operand(x), operand(y)) for kind, x, y in terms)
    if op in streams.arity or name in _OTHERS:
        count = streams.arity.get(op, 1 if name == "splat" else 3)
        return f"{name}({', '.join(map(operand, (a, b, c)[:count]))})"
    return f"{name}({', '.join(map(operand, streams.pool[a : a + b]))})"


def _operand(streams: Streams, number: int) -> str:
    return _place(streams, number - _UNIFORM) if number >= _UNIFORM else f"s{number}"


def _place(streams: Streams, place: int) -> str:
    if place < len(streams.constants):
        return repr(streams.constants[place])
    if place < len(streams.constants) + len(streams.inputs):
        return f"input {streams.inputs[place - len(streams.constants)]}"
    return f"u{place}"


def _with_line(text: str, line: int, lines: Sequence[Any]) -> str:
    if not 0 < line < len(lines):
        return text
    file, number, function = lines[line]
    return f"{text:<48} # {file}:{number} in {function}"
