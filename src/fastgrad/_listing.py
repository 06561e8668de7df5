"""Compiled functions as their users see them: paths, figures and listings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ._case import Case
from ._compile_errors import at
from ._paths import Key, Path


class PathInfo(NamedTuple):
    """One path of a compiled function: how many rows took it, and the branches that it is made of."""

    rows: int
    guards: tuple[str, ...]  # "file:line in function: source -> True"


def path_info(path: Path) -> PathInfo:
    return PathInfo(path.rows, tuple(f"{at(line)} -> {outcome}" for line, outcome in path.guards()))


def stats(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """A dict for each program that was made."""
    return [
        {"answers": answers(case, key), "path": number, **code.stats()}
        for case in cases
        for number, path in enumerate(case.paths)
        for key, code in path.codes.items()
    ]


def answers(case: Case, key: Key) -> str:
    """What a program answers, such as ``grad(x, y)``; * marks what varies from row to row."""
    question, batched, summed = key
    marks = dict(zip(case.leaf_names, batched, strict=False))
    arguments = ", ".join(f"{name}{'*' * marks.get(name, False)}" for name in case.leaf_names)
    return f"{'sum of ' * summed}{question.kind}({arguments})"


def listing(head: str, cases: Iterable[Case]) -> str:
    """All programs, an instruction a line, with the source lines that they come from."""
    return "\n".join([head, *(line for case in cases for line in _lines(case))])


def _lines(case: Case) -> Iterator[str]:
    for number, path in enumerate(case.paths):
        rows, guards = path_info(path)
        yield f"path {number}: {rows} row{'s' * (rows != 1)}"
        yield from (f"    guard {guard}" for guard in guards)
        for key, code in path.codes.items():
            yield f"  {answers(case, key)}"
            yield from (f"    {line}" for line in code.listing(path.recording.lines).splitlines())
