"""The rules of the table in the two forms that programs need: as NumPy functions, and as emitters of nodes.

An emitter writes a partial as nodes of a program. It turns an operator of the rule language into the row that has
nothing else as its rule: ``a + b`` into the row ``x + y``, ``sel(a < b, c, d)`` into the rows ``sel(x < y, 1.0, 0.0)``
and ``sel(x != 0.0, y, w)``. So no operation is named here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from itertools import product
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._rules import OPCODES, REDUCTIONS, ROWS, Reduction, Row

Array = NDArray[np.float64]
Kernel = Callable[..., Array]  # of the operands, arrays of one length or of length 1

_FORMS: dict[type[ast.AST] | str, str] = {
    ast.USub: "-x",
    ast.Add: "x + y",
    ast.Sub: "x - y",
    ast.Mult: "x * y",
    ast.Div: "x / y",
    ast.Lt: "sel(x < y, 1.0, 0.0)",
    ast.LtE: "sel(x <= y, 1.0, 0.0)",
    ast.Gt: "sel(x > y, 1.0, 0.0)",
    ast.GtE: "sel(x >= y, 1.0, 0.0)",
    ast.Eq: "sel(x == y, 1.0, 0.0)",
    ast.NotEq: "sel(x != y, 1.0, 0.0)",
    ast.And: "sel(x != 0.0 and y != 0.0, 1.0, 0.0)",
    ast.Or: "sel(x != 0.0 or y != 0.0, 1.0, 0.0)",
    "sel": "sel(x != 0.0, y, w)",
    "zero": "sel(x == 0.0, 0.0, x * y)",
}

_BY_TEXT = {row.forward_text: OPCODES[row.name] for row in ROWS}
_FORM = {form: _BY_TEXT[text] for form, text in _FORMS.items()}
_OPERATIONS: tuple[Row | Reduction, ...] = (*ROWS, *REDUCTIONS)
_ROWS = {OPCODES[row.name]: row for row in _OPERATIONS}

LEAF, CONST, TAKE = OPCODES["leaf"], OPCODES["const"], OPCODES["take"]
NEG, ADD, MUL, EQUAL = (_FORM[form] for form in (ast.USub, ast.Add, ast.Mult, ast.Eq))
AND, OR, SELECT = (_FORM[form] for form in (ast.And, ast.Or, "sel"))
ZMUL = _FORM["zero"]  # 0 where the first operand is 0, whatever the second: an adjoint that is 0 passes on 0
NAMES = {opcode: name for name, opcode in OPCODES.items()} | {LEAF: "input", CONST: "constant"}
ARITY = {OPCODES[row.name]: len(row.operands) for row in ROWS}
COLUMNS = {OPCODES[row.name]: len(row.operands) for row in REDUCTIONS}
COMMUTATIVE = frozenset({ADD, MUL})


# ------------------------------------------------------------------------------------------------------- NumPy


class _InNumpy(ast.NodeTransformer):
    """sel becomes numpy.where; and, or become & and |, which work elementwise on comparisons."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        operator = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        return reduce(lambda a, b: ast.BinOp(a, operator, b), node.values)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "sel":
            node.func = ast.Attribute(ast.Name("np", ast.Load()), "where", ast.Load())
        return node


def _in_numpy(text: str, parameters: Sequence[str], names: dict[str, Any]) -> Kernel:
    body = ast.fix_missing_locations(_InNumpy().visit(ast.parse(text, mode="eval")))
    kernel: Kernel = eval(f"lambda {', '.join(parameters)}: {ast.unparse(body)}", names)  # the table's own text
    return kernel


def _row_kernel(row: Row, names: dict[str, Any]) -> Kernel:
    if row.forward_text != f"{row.name}({', '.join(row.operands)})":
        return _in_numpy(row.forward_text, row.operands, names)
    found = getattr(np, row.method, None)
    return found if isinstance(found, np.ufunc) else _elementwise(row.forward, len(row.operands))


def _elementwise(function: Callable[..., float], operands: int) -> Kernel:
    """What NumPy lacks: the scalar function, number by number."""
    over_objects = np.frompyfunc(function, operands, 1)

    def kernel(*arrays: Array) -> Array:
        result: Array = over_objects(*arrays).astype(np.float64)
        return result

    return kernel


def _names_in(*texts: str) -> set[str]:
    return {node.id for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def _reduction_kernel(row: Reduction, names: dict[str, Any]) -> Kernel:
    """The terms are added in the one order that reduce.h defines: eight interleaved partial sums, then a tree."""
    term = _in_numpy(row.term_text, (*row.operands, "m"), names)
    finish = _in_numpy(row.finish_text, ("s", "m", "n"), names)
    wants_largest = "m" in _names_in(row.term_text, row.finish_text)

    def kernel(*operands: Array) -> Array:
        n = len(operands) // len(row.operands)
        columns = [operands[i * n : (i + 1) * n] for i in range(len(row.operands))]
        m = _largest(columns[0]) if wants_largest else None
        p: list[Any] = [np.zeros(1)] * 8
        for i, x in enumerate(zip(*columns, strict=True)):
            p[i % 8] = p[i % 8] + term(*x, m)
        s = ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))
        return finish(s, m, np.full(1, float(n)))

    return kernel


def _largest(operands: Sequence[Array]) -> Array:
    m = np.full(1, -np.inf)
    for x in operands:
        m = np.where((x > m) | (x != x), x, m)
    return m


def take(index: Array, *entries: Array) -> Array:
    """The entry at ``index``, row by row; nan where there is none."""
    inside = (index >= 0.0) & (index < len(entries))
    position = np.where(inside, index, 0.0).astype(np.intp)
    table = np.stack(np.broadcast_arrays(*entries))
    column = 0 if table.shape[1] == 1 else np.arange(table.shape[1])
    return np.where(inside, table[position, column], np.nan)


def _kernels() -> dict[int, Kernel]:
    names: dict[str, Any] = {"np": np}
    names.update({row.name: _row_kernel(row, names) for row in ROWS})  # rules call rows: each finds the others there
    kernels = {OPCODES[row.name]: names[row.name] for row in ROWS}
    kernels |= {OPCODES[row.name]: _reduction_kernel(row, names) for row in REDUCTIONS}
    return kernels | {TAKE: take}


KERNELS = _kernels()


# ---------------------------------------------------------------------------------------------------- emitters

Emitter = Callable[..., int]  # (emit, const, *operands, z, n) -> node; emit(opcode, *nodes), const(number)


class Partial(NamedTuple):
    """A partial of a row, or of one column of a reduction."""

    literal: float | None  # the text is just this number
    emit: Emitter


def _emission(node: ast.expr) -> str:
    """The source of the call that emits a rule's expression."""
    match node:
        case ast.Constant(float(value)):
            return f"const({value!r})"
        case ast.UnaryOp(ast.USub(), ast.Constant(float(value))):
            return f"const({-value!r})"
        case ast.Name(name):
            return name
        case ast.UnaryOp(op, operand):
            return _emit(_FORM[type(op)], operand)
        case ast.BinOp(left, op, right):
            return _emit(_FORM[type(op)], left, right)
        case ast.Compare(left, [op], [right]):
            return _emit(_FORM[type(op)], left, right)
        case ast.BoolOp(op, [first, second]):
            return _emit(_FORM[type(op)], first, second)
        case ast.BoolOp(op, [first, *others]):
            return _emit(_FORM[type(op)], first, ast.BoolOp(op, others))
        case ast.Call(ast.Name("sel"), [ast.Compare(number, [ast.NotEq()], [ast.Constant(0.0)]), *operands]):
            return _emit(SELECT, number, *operands)  # which is what this row asks of its first operand itself
        case ast.Call(ast.Name("sel"), operands):
            return _emit(SELECT, *operands)
        case ast.Call(ast.Name(name), operands):
            return _emit(OPCODES[name], *operands)
    raise AssertionError(f"{ast.unparse(node)} is not in the language of rules")


def _emit(opcode: int, *operands: ast.expr) -> str:
    return f"emit({', '.join([str(opcode), *map(_emission, operands)])})"


def _partial(text: str, operands: Sequence[str]) -> Partial:
    body = ast.parse(text, mode="eval").body
    literal = None if _names_in(text) else float(ast.literal_eval(text))
    emit: Emitter = eval(f"lambda emit, const, {', '.join(operands)}, z, n: {_emission(body)}")  # the table's own text
    return Partial(literal, emit)


#: By opcode, one for each operand of a row, for each column of a reduction.
PARTIALS: dict[int, tuple[Partial, ...]] = {
    OPCODES[row.name]: tuple(_partial(text, row.operands) for text in row.partial_texts) for row in _OPERATIONS
}

_GRID = (-2000.0, -1.0, 0.0, 1.0, 2000.0)


@lru_cache(maxsize=4096)
def is_singular(opcode: int, column: int, numbers: tuple[float | None, ...]) -> bool:
    """Whether a partial is infinite or nan at some of a few telling operands; those that are constants are given."""
    row = _ROWS[opcode]
    for point in product(*(_GRID if x is None else (x,) for x in numbers)):
        if isinstance(row, Row):
            partials = row.partials(*point, row.forward(*point))
        else:  # of a single term
            partials = row.partials(*point, row.finish(row.term(*point, point[0]), point[0], 1.0), 1.0)
        if not isfinite(partials[column]):
            return True
    return False


def number(opcode: int, operands: Sequence[float]) -> float:
    """The result of a row on numbers."""
    row = _ROWS[opcode]
    assert isinstance(row, Row)
    return float(row.forward(*operands))
