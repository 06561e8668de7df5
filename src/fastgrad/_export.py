"""Compiled functions as C: which functions the file has, and what their arguments hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np

from ._backend import Value, program
from ._c_source import Function, c_source
from ._c_source import Path as CPath
from ._case import Case
from ._derivatives import Space, is_scalar
from ._paths import Path
from ._questions import Question
from ._recording import OPCODES

Items = list[tuple[str, int]]  # what lies one behind the other, and how many numbers each is


def c_file(case: Case, results: Space) -> str:
    """Return one C99 file with a function and its derivatives with respect to all arguments and parameters."""
    subject = case.subject
    name = subject.name if re.fullmatch(r"[A-Za-z]\w*", subject.name, re.ASCII) else "f"
    arguments: Items = list(zip(case.leaf_names, case.sizes, strict=True))
    parameters = [(_described(i, parameter), 1) for i, parameter in enumerate(subject.parameters)]
    outputs: Items = list(zip(results.structure.names("result"), results.sizes, strict=True))
    slopes = [(f"d {a} / d {b}", m * n) for (a, m), (b, n) in product(outputs, [*arguments, *_together(parameters)])]
    argnums = [i for i, a in enumerate(case.arguments) if a.leaves.start < a.leaves.stop]
    asked: tuple[Any, ...] = (*argnums, "parameters") if parameters else tuple(argnums)
    derivative = "value_and_grad" if is_scalar(results) else "jacobian"
    functions = [(case.question("value"), outputs)]
    if asked:
        functions.append((case.question(derivative, asked), slopes if derivative == "jacobian" else outputs + slopes))
    return c_source(
        [
            Function(
                f"{name}_{question.kind}",
                [_path(path, question, case) for path in case.paths],
                "\n".join([f"{subject.name}: {question.kind}", *_held("x", arguments + parameters), *_held("y", held)]),
            )
            for question, held in functions
        ]
    )


def _path(path: Path, question: Question, case: Case) -> CPath:
    """A path's program with all parameters of the function as inputs, in the function's order."""
    first, parameters = sum(case.sizes), case.subject.parameters
    places = {parameter: first + i for i, parameter in enumerate(parameters)}
    numbers = np.array([*range(first), *(places[parameter] for parameter in path.parameters)], np.uint32)
    found = question.program(path)
    nodes = found.nodes.copy()
    leaves = nodes["op"] == OPCODES["leaf"]
    nodes["a"][leaves] = numbers[nodes["a"][leaves]]
    whole: Any = program.Program(nodes, found.pool, found.constants, first + len(parameters), found.outputs)
    if hasattr(whole, "rewrite"):
        whole, _ = whole.rewrite(["fold"])
    return CPath(whole, path.recording.expected.tobytes())


def _described(i: int, parameter: Value) -> str:
    label = f" {parameter.label!r}" if parameter.label else ""
    return f"parameter {i}{label}, {parameter.data!r} when this was written"


def _together(parameters: Items) -> Items:
    return [("parameters", len(parameters))] if parameters else []


def _held(array: str, items: Iterable[tuple[str, int]]) -> Iterator[str]:
    """A line for each item of an array of C: where it lies, and what it is."""
    place = 0
    for what, size in items:
        if size:
            where = f"{array}[{place}]" if size == 1 else f"{array}[{place}] to {array}[{place + size - 1}]"
            yield f"    {where}: {what}"
        place += size
