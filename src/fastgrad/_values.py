"""Compiled functions on Values: so that they can stand inside other functions, and be differentiated there.

While a function is recorded, a derivative is its program, done again node by node on Values: what it does is recorded.
Otherwise each number of a derivative is one node, with the partials that the program gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._backend import Value, module
from ._case import Case
from ._paths import Path
from ._questions import Question
from ._recording import OPCODES
from ._rules import BY_NAME, REDUCTIONS
from ._tracing import Refill

_NAMES = {code: name for name, code in OPCODES.items()}
_PAIRS = {row.name for row in REDUCTIONS if len(row.operands) == 2}


def number(element: Any) -> float:
    """Return the number of a Value, also while it is traced, or of a number."""
    return module.peek(element) if isinstance(element, Value) else float(element)


def as_values(elements: Sequence[Any]) -> list[Any]:
    """Return Values: numbers among the elements become constants."""
    return [element if isinstance(element, Value) else Value(element) for element in elements]


def answer(case: Case, question: Question, arguments: Sequence[Any], extra: Sequence[Any], refill: Refill) -> list[Any]:
    """Answer for one row whose elements are Values or numbers."""
    path = case.path_of(list(map(number, arguments)), refill)
    inputs = [*arguments, *path.parameters, *question.extra_elements(path, extra)]
    if module.is_recording():
        return _replayed(question.program(path), path, as_values(inputs))
    return _as_nodes(question, path, inputs)


# ------------------------------------------------------------------------------------------- while recording


def _replayed(program: Any, path: Path, inputs: Sequence[Any]) -> list[Any]:
    nodes = replay(program, inputs)
    found = [nodes[k] for k in program.outputs.tolist()]
    count = len(found) - len(path.recording.guards)
    for guard in found[count:]:
        bool(guard)  # what is being recorded holds for as long as the guards say the same
    return found[:count]


def replay(program: Any, inputs: Sequence[Any], constant: Callable[[float], Any] = Value) -> list[Any]:
    """Do what a program does on Values; return them by node. ``constant`` says what constants are: Values or floats."""
    found: list[Any] = []
    pool, constants = program.pool.tolist(), program.constants.tolist()
    for op, _, a, b, c, _ in program.nodes.tolist():
        name = _NAMES[op]
        if name == "leaf":
            found.append(inputs[a])
        elif name == "const":
            found.append(constant(constants[a]))
        elif name in BY_NAME:
            operands = (a, b, c)[: len(BY_NAME[name].operands)]
            found.append(getattr(module, name)(*_with_a_value([found[k] for k in operands])))
        else:
            found.append(_apply(name, _with_a_value([found[k] for k in pool[a : a + b]])))
    return found


def _with_a_value(operands: list[Any]) -> list[Any]:
    """Make a Value of the first operand if there is none: operations on floats are those of Python, which may raise."""
    return operands if any(isinstance(x, Value) for x in operands) else [Value(operands[0]), *operands[1:]]


def _apply(name: str, operands: list[Any]) -> Any:
    """Apply what takes any number of operands."""
    function = getattr(module, name)
    if name == "take":
        return function(operands[1:], operands[0])
    half = len(operands) // 2
    return function(operands[:half], operands[half:]) if name in _PAIRS else function(operands)


# -------------------------------------------------------------------------------------------------- otherwise


def _as_nodes(question: Question, path: Path, inputs: Sequence[Any]) -> list[Any]:
    """One Value for each number of the answer, with its partials to those inputs that are Values."""
    program = question.program(path)
    count = len(program.outputs) - len(path.recording.guards)
    code = path.partials.get(question)
    if code is None:
        swept = program.reverse(range(count), range(program.inputs))
        nodes = [program.outputs[:count], swept.outputs]
        code = path.code(path.with_guards(swept, nodes), [False] * program.inputs)
        path.partials[question] = code
    values, partials = np.empty((1, count)), np.empty((1, count * program.inputs))
    left = np.empty(1, np.uint8) if len(path.recording.guards) else None
    code.run([np.array([list(map(number, inputs))])], [values, partials], left, 1)
    mine = [i for i, element in enumerate(inputs) if isinstance(element, Value)]
    local = partials.reshape(count, program.inputs)[:, mine].tolist()
    children = tuple(inputs[i] for i in mine)
    return [Value(value, children, tuple(given)) for value, given in zip(values[0].tolist(), local, strict=True)]
