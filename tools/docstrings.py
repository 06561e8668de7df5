"""The docstrings of the operations, written from their rows: what a row says is all that there is to say."""

from __future__ import annotations

import re
import sys
from itertools import product
from math import inf, isfinite
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

_POINTS = (0.5, 2.0, 1.5, 1.0)  # of an example: the first of them that are in the domain
_PROBES = (-1e308, -1e3, -2.0, -0.5, 0.0, 0.5, 2.0, 1e3, 1e308)  # of what can fail
_COLUMNS = {"values": [1.0, 2.0, 4.0], "xs": [1.0, 2.0, 4.0], "ys": [3.0, 5.0, 7.0]}


def docstrings(rules: str) -> dict[str, str]:
    """The numpydoc text of each row's function, by the row's name; ``rules`` is the text of _rules.py."""
    table = _rules_module(rules)
    operations = {row.name: _of_operation(row) for row in table.ROWS}
    return operations | {row.name: _of_reduction(row) for row in table.REDUCTIONS}


def _rules_module(text: str) -> Any:
    """Run the text of _rules.py among its siblings, without the package around it, which may not be built."""
    package = ModuleType("fastgrad")
    package.__path__ = [str(ROOT / "src" / "fastgrad")]
    module = ModuleType("fastgrad._rules")
    module.__package__ = "fastgrad"
    sys.modules |= {"fastgrad": package, "fastgrad._rules": module}
    exec(compile(text, "_rules.py", "exec"), vars(module))
    return module


def _of_operation(row: Any) -> str:
    names = row.operands if row.parameter is None else (*row.operands[:-1], row.parameter)
    rules = f"""{row.doc}

Parameters
----------
{", ".join(names)} : Value, float or array_like
    Arrays and lists are taken element by element, with NumPy's broadcasting.{_default(row)}

Returns
-------
Value, float or ndarray
    ``z = {row.forward_text}``; a Value where any of the operands is one.
{_raises(row)}
Notes
-----
The partial derivatives are {_partials(row.operands, row.partial_texts)}.{_glossary(row)}
"""
    examples = f"""
Examples
--------
{_example(row)}
"""
    return _renamed(rules, row.operands[-1], names[-1]) + examples


def _renamed(text: str, old: str, new: str) -> str:
    return re.sub(rf"\b(d?){old}\b", rf"\1{new}", text)


def _default(row: Any) -> str:
    return "" if row.default is None else f" The default of {row.parameter} is {row.default}."


def _glossary(row: Any) -> str:
    texts = (row.forward_text, *row.partial_texts)
    return "\nHere ``sel(c, a, b)`` is a where c holds, else b." if any("sel(" in text for text in texts) else ""


def _raises(row: Any) -> str:
    fails = {row.domain(*p) for p in product(_PROBES, repeat=len(row.operands)) if not isfinite(row.forward(*p))}
    inside, outside = True in fails, False in fails
    too_large = "OverflowError\n    If the result is too large for a float."
    undefined = f"\n    Outside of the domain ``{row.domain_text}``"
    errors = {
        "ARITH": [f"ZeroDivisionError{undefined}."] * outside,
        "POWER": [
            "ZeroDivisionError\n    For 0 to a negative power.",
            "ValueError\n    For a negative number to a power that is not whole.",
            too_large,
        ],
        "MATH": [f"ValueError{undefined}, where the result is not finite."] * outside + [too_large] * inside,
    }[row.kind]
    return "\n".join(["", "Raises", "------", *errors, ""]) if errors else ""


def _partials(operands: tuple[str, ...], texts: tuple[str, ...]) -> str:
    return ", ".join(f"dz/d{name} = ``{text}``" for name, text in zip(operands, texts, strict=False))


def _example(row: Any) -> str:
    point = next(p for p in product(_POINTS, repeat=len(row.operands)) if _is_typical(row, p))
    z = row.forward(*point)
    rest = "".join(f", {x}" for x in point[1:])
    slot = 1 if len(point) == 3 else 0  # the condition of `where` has no derivative worth showing
    operands = ", ".join("x" if i == slot else str(p) for i, p in enumerate(point))
    return f"""\
>>> import fastgrad as fg
>>> round(fg.{row.method}({point[0]}{rest}), 6)
{round(z, 6)}
>>> x = fg.Value({point[slot]})
>>> fg.{row.method}({operands}).backward()
>>> round(x.grad, 6)
{round(row.partials(*point, z)[slot], 6) + 0.0}"""


def _is_typical(row: Any, point: tuple[float, ...]) -> bool:
    return row.domain(*point) and all(map(isfinite, row.partials(*point, row.forward(*point))))


def _of_reduction(row: Any) -> str:
    names = ("values",) if len(row.operands) == 1 else ("xs", "ys")
    return f"""{row.doc}

The result is one node, however many values there are.

Parameters
----------
{", ".join(names)} : iterable of Value and float
    Anything with one dimension{"" if len(names) == 1 else "; both of one length"}.

Returns
-------
Value or float
    A Value if there is one among the operands.

Raises
------
ValueError
    {_unfit(row)}

Notes
-----
The partial derivatives to one term, of n, are {_partials(row.operands, row.partial_texts)}.

Examples
--------
>>> import fastgrad as fg
>>> round(fg.{row.name}({", ".join(str(_COLUMNS[name]) for name in names)}), 6)
{round(_reduced(row, names), 6)}
"""


def _unfit(row: Any) -> str:
    unfit = "If an operand has more than one dimension"
    if len(row.operands) > 1:
        return f"{unfit}, or their lengths differ."
    return f"{unfit}{'' if isfinite(row.finish(0.0, -inf, 0.0)) else ', or there is no value'}."


def _reduced(row: Any, names: tuple[str, ...]) -> float:
    columns = [_COLUMNS[name] for name in names]
    m, n = max(columns[0]), float(len(columns[0]))
    reduced: float = row.finish(sum(row.term(*term, m) for term in zip(*columns, strict=True)), m, n)
    return reduced
