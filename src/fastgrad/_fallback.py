"""The pure-Python backend: the same surface as the compiled one, its operations made from the same table."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from functools import lru_cache, reduce
from itertools import chain
from math import inf, nan
from numbers import Integral
from typing import Any, NoReturn

from . import _errors, _value
from ._docs import DOCUMENTATION
from ._errors import is_array, is_real
from ._graph import (
    Rule,
    Value,
    goes_on,
    is_watching,
    look,
    record,
    set_micrograd_mode,
    set_watch_hooks,
    switch_recording,
    switch_watching,
    tape_stats,
    tracer,
)
from ._rules import OPCODES, REDUCTIONS, ROWS, Reduction, Row
from ._trace import (
    abandon_recording,
    add_grads,
    finish_recording,
    gather_data,
    gather_grads,
    is_recording,
    peek,
    scatter_data,
    scatter_grads,
    start_recording,
)

__all__ = [
    "NAME",
    "Value",
    "abandon_recording",
    "add_grads",
    "finish_recording",
    "gather_data",
    "gather_grads",
    "is_recording",
    "is_watching",
    "look",
    "peek",
    "record_take",
    "scatter_data",
    "scatter_grads",
    "set_elementwise_hook",
    "set_micrograd_mode",
    "set_watch_hooks",
    "start_recording",
    "switch_recording",
    "switch_watching",
    "tape_stats",
]

NAME = "python"

Function = Callable[..., Any]

# ------------------------------------------------------------------------------------------------- operations

Foreign = Callable[[Row, tuple[Any, ...]], Any]  # what an operation does with what is neither Value nor number


def _not_elementwise(name: str, operands: tuple[Any, ...]) -> NoReturn:
    position = next(i for i, x in enumerate(operands) if not isinstance(x, Value) and not is_real(x))
    raise _errors.not_an_operand(name, position, operands[position])


_elementwise: Callable[[str, tuple[Any, ...]], Any] = _not_elementwise


def _foreign_argument(row: Row, operands: tuple[Any, ...]) -> Any:
    return _elementwise(row.name, operands)


def _foreign_operand(row: Row, operands: tuple[Any, ...]) -> Any:
    return _value.array_operator(row.method, *operands) if any(map(is_array, operands)) else NotImplemented


def _check(row: Row, operands: tuple[float, ...], result: float, values: bool) -> None:
    """Raise if an operation failed, unless it goes on: on Values a recorded function does, as over arrays."""
    if not values or not goes_on():
        _errors.check(row.name, operands, result)


def _apply(row: Row, rule: Rule, foreign: Foreign, operands: tuple[Any, ...]) -> Any:
    """Do an operation on operands of any kind; the functions made below take the usual kinds first."""
    nodes: list[Any] = []
    for x in operands:
        if isinstance(x, Value):
            nodes.append(x)
        elif is_real(x):
            nodes.append(float(x))
        else:
            return foreign(row, operands)
    data = tuple([x if x.__class__ is float else x._data for x in nodes])
    z = row.forward(*data)
    values = not all([x.__class__ is float for x in nodes])
    if z - z != 0.0:
        _check(row, data, z, values)
    return record(z, tuple(nodes), rule) if values else z


def _unary(row: Row, rule: Rule, foreign: Foreign) -> Function:
    forward = row.forward

    def function(x: Any, /) -> Any:
        a = x._data if x.__class__ is Value else x
        if a.__class__ is not float:
            return _apply(row, rule, foreign, (x,))
        z = forward(a)
        if z - z != 0.0:  # infinite or nan
            _check(row, (a,), z, a is not x)
        return z if a is x else record(z, (x,), rule)

    return function


def _binary(row: Row, rule: Rule, foreign: Foreign) -> Function:
    forward = row.forward

    def function(x: Any, y: Any, /) -> Any:
        a = x._data if x.__class__ is Value else x
        b = y._data if y.__class__ is Value else y
        if a.__class__ is not float or b.__class__ is not float:
            if y.__class__ is int:
                return function(x, float(y))
            if x.__class__ is int:
                return function(float(x), y)
            return _apply(row, rule, foreign, (x, y))
        z = forward(a, b)
        if z - z != 0.0:
            _check(row, (a, b), z, a is not x or b is not y)
        return z if a is x and b is y else record(z, (x, y), rule)

    return function


def _ternary(row: Row, rule: Rule, foreign: Foreign) -> Function:
    def function(x: Any, y: Any, w: Any, /) -> Any:
        return _apply(row, rule, foreign, (x, y, w))

    return function


def _power(row: Row, rule: Rule, foreign: Foreign) -> Function:
    general, forward, partials = _binary(row, rule, foreign), row.forward, row.partials

    @lru_cache(maxsize=256, typed=True)
    def to_the(exponent: int | float) -> tuple[float, Rule]:
        y = float(exponent)
        return y, rule._replace(
            label=f"{row.label}{exponent}", partials=lambda x, z: partials(x, y, z)[:1], numbers=(y,)
        )

    def function(x: Any, y: Any, /) -> Any:
        if y.__class__ is not int and y.__class__ is not float:
            if isinstance(y, Value) or not is_real(y):
                return general(x, y)
            y = int(y) if isinstance(y, Integral) else float(y)
        if not isinstance(x, Value):
            return general(x, y)
        # A number as exponent is no child: micrograd keeps it in the label.
        b, rule_of_exponent = to_the(y)
        z = forward(x._data, b)
        if z - z != 0.0:
            _check(row, (x._data, b), z, True)
        return record(z, (x,), rule_of_exponent)

    return function


# ------------------------------------------------------------------------------------------------- reductions


def _total(terms: list[float]) -> float:
    """Add in the one order that reduce.h defines: eight interleaved partial sums, then a tree."""
    p = [reduce(operator.add, terms[k::8], 0.0) for k in range(8)]
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))


def _columns(row: Reduction, operands: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    n = len(operands) // len(row.operands)
    return [operands[i * n : (i + 1) * n] for i in range(len(row.operands))]


def _reduction_rule(row: Reduction) -> Rule:
    def partials(*data_and_z: float) -> Iterable[float]:
        *data, z = data_and_z
        columns = _columns(row, tuple(data))
        terms = [row.partials(*term, z, float(len(columns[0]))) for term in zip(*columns, strict=True)]
        return [partial for column in zip(*terms, strict=True) for partial in column]

    return Rule(row.label, partials, OPCODES[row.name])


def _reduce(row: Reduction, rule: Rule, *given: Any) -> Any:
    lists = [_as_list(row.name, column) for column in given]
    if len({len(column) for column in lists}) > 1:
        _errors.reduction_error(row.name, *lists)
    nodes = tuple(chain.from_iterable(lists))
    data = tuple([x if x.__class__ is float else x._data for x in nodes])
    columns = _columns(row, data)
    m = max(columns[0], default=-inf)
    s = _total([row.term(*term, m) for term in zip(*columns, strict=True)])
    z: float = row.finish(s, m, float(len(columns[0])))
    if not data and z - z != 0.0:
        _errors.reduction_error(row.name, *lists)
    return z if set(map(type, nodes)) <= {float} else record(z, nodes, rule)


def _as_list(name: str, column: Any) -> list[Any]:
    found = list(column) if isinstance(column, (list, tuple)) else _errors.items(name, column)
    if set(map(type, found)) <= {Value, float}:
        return found
    if not all(isinstance(x, Value) or is_real(x) for x in found):
        _errors.reduction_error(name, found)
    return [x if isinstance(x, Value) else float(x) for x in found]


def _reduction(row: Reduction) -> Function:
    rule = _reduction_rule(row)

    def of_values(values: Any, /) -> Any:
        return _reduce(row, rule, values)

    def of_pairs(xs: Any, ys: Any, /) -> Any:
        return _reduce(row, rule, xs, ys)

    return of_values if len(row.operands) == 1 else of_pairs


# --------------------------------------------------------------------------- functions, methods and operators

# What Python calls the operators that NumPy names.
_SPECIAL_METHODS = {
    "negative": "neg",
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "true_divide": "truediv",
    "remainder": "mod",
    "floor_divide": "floordiv",
    "power": "pow",
    "absolute": "abs",
}


def _rule(row: Row) -> Rule:
    passes = tuple([text != "0.0" for text in row.partial_texts])
    return Rule(row.label, row.partials, OPCODES[row.name], () if all(passes) else passes)


def _made(row: Row, foreign: Foreign, name: str, first: str = "self") -> Function:
    makers = {1: _unary, 2: _power if row.kind == "POWER" else _binary, 3: _ternary}
    function = makers[len(row.operands)](row, _rule(row), foreign)
    code = function.__code__
    operands = (first, row.parameter or code.co_varnames[1], *code.co_varnames[2:])[: len(code.co_varnames)]
    function.__code__ = code.replace(co_varnames=operands)
    function.__defaults__ = None if row.default is None else (row.default,)
    return _named(function, row, name)


def _named(function: Function, row: Row | Reduction, name: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__module__ = "fastgrad"
    function.__doc__ = DOCUMENTATION[row.name]
    function.__annotations__ = {}
    return function


def _reflected(function: Function) -> Function:
    return lambda self, other: function(other, self)


def _without_modulus(power: Function) -> Function:
    return lambda self, other, mod=None, /: power(self, other) if mod is None else NotImplemented


#: The operators that order, by the label of their row.
_ORDER = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def _comparison(row: Row) -> Function:
    compare: Callable[[float, float], bool] = getattr(operator, _ORDER[row.label])
    node = _made(row, _foreign_operand, row.method)

    def function(self: Value, other: Any) -> Any:
        traced = tracer() is not None
        if is_array(other):
            return _value.array_operator(row.method, self, other, traced)
        if not isinstance(other, Value) and not is_real(other):
            return NotImplemented
        return node(self, other) if traced else compare(self._data, getattr(other, "_data", other))

    return function


def _identity(row: Row) -> Function:
    def function(self: Value, other: Any) -> Any:
        return _value.array_operator(row.method, self, other) if is_array(other) else NotImplemented

    return function


def _operators(row: Row) -> dict[str, Function]:
    special = _SPECIAL_METHODS[row.method]
    operators = {f"__{special}__": _made(row, _foreign_operand, f"__{special}__")}
    if len(row.operands) == 2:
        operators[f"__r{special}__"] = _reflected(operators[f"__{special}__"])
    if row.kind == "POWER":
        return {name: _without_modulus(function) for name, function in operators.items()}
    return operators


def _members() -> dict[str, Any]:
    """The methods of Value that come from the table, and the comparisons."""
    by_label = {row.label: row for row in ROWS}
    members: dict[str, Any] = {"__eq__": _identity(by_label["=="]), "__ne__": _identity(by_label["!="])}
    for label, name in _ORDER.items():
        members[f"__{name}__"] = _comparison(by_label[label])
    for row in ROWS:
        if row.kind != "MATH":
            members |= _operators(row)
        elif len(row.operands) < 3:
            members[row.method] = _made(row, _foreign_argument, row.method)
    return members


globals().update({row.name: _made(row, _foreign_argument, row.name, "x") for row in ROWS})
globals().update({row.name: _named(_reduction(row), row, row.name) for row in REDUCTIONS})
_value.equip(Value, _members())
Value.__module__ = "fastgrad"


_TAKE = Rule("take", lambda index, *entries_and_z: [0.0] * len(entries_and_z), OPCODES["take"])


def record_take(operands: list[Any]) -> Any:
    """Return the node that picks, by the first operand, from the others."""
    nodes = tuple(_as_list("take", operands))
    k = nodes[0]._data
    chosen = nodes[1 + int(k)] if 0.0 <= k < len(nodes) - 1 else nan
    return record(chosen._data if isinstance(chosen, Value) else chosen, nodes, _TAKE)


# ------------------------------------------------------------------------------------------------------- hook


def set_elementwise_hook(hook: Callable[[str, tuple[Any, ...]], Any]) -> None:
    """What module functions do with arrays and sequences: hook(name, arguments)."""
    global _elementwise
    _elementwise = hook
