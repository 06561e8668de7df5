"""The rules of ops.def in mpmath: evaluated to many digits, and differentiated symbolically by the table itself."""

from __future__ import annotations

import ast
import functools
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import mpmath

from fastgrad._rules import REDUCTIONS, ROWS

mp = mpmath.mp.clone()
mp.dps = 50

Row = Any
Number = Any  # an mpf; nan where there is no real value
BY_NAME = {row.name: row for row in (*ROWS, *REDUCTIONS)}

#: Rules write these rounded to double; with the exact constants they can be checked beyond double precision.
CONSTANTS = {
    float(exact): exact
    for exact in (
        *(mp.ln2, 1 / mp.ln2, 1 / mp.ln10),
        *(1 / mp.sqrt(2), 2 / mp.sqrt(mp.pi), mp.sqrt(2 / mp.pi), 1 / mp.sqrt(2 * mp.pi)),
    )
}


def real(function: Callable[..., Number]) -> Callable[..., Number]:
    """`function`, with nan where it has no real value."""

    @functools.wraps(function)
    def wrapped(*operands: Number) -> Number:
        try:
            result = mp.convert(function(*operands))
        except (ValueError, ZeroDivisionError):
            return mp.nan
        return mp.nan if mp.im(result) != 0 else mp.re(result)

    return wrapped


def _lgamma(x: Number) -> Number:
    return mp.loggamma(x) if x > 0 else mp.log(abs(mp.gamma(x)))


#: What mpmath lacks, or calls differently, of the functions that rules may call.
PRIMITIVES: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x),
    "exp2": lambda x: mp.power(2, x),
    "floordiv": lambda x, y: mp.floor(x / y),
    "fmod": lambda x, y: x - y * mp.sign(x / y) * mp.floor(abs(x / y)),
    "lgamma": _lgamma,
    "log2": lambda x: mp.log(x) / mp.ln2,
    "ndtr": mp.ncdf,
    "mod": lambda x, y: x - y * mp.floor(x / y),
    "polygamma": lambda x, y: mp.psi(int(x), y) if mp.isint(x) and x >= 0 else mp.nan,
    "pow": mp.power,
}


class _ToMpmath(ast.NodeTransformer):
    """Numbers become mpf, sel(condition, a, b) becomes a conditional, so that only the chosen rule is evaluated."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return node if isinstance(node.value, bool) else ast.Call(ast.Name("number", ast.Load()), [node], [])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return ast.IfExp(*node.args) if ast.unparse(node.func) == "sel" else node


@functools.cache
def function(text: str, operands: tuple[str, ...]) -> Callable[..., Number]:
    """The rule `text` as a function of `operands` in mpmath."""
    body = ast.fix_missing_locations(_ToMpmath().visit(ast.parse(text, mode="eval")))
    source = f"lambda {', '.join(operands)}: {ast.unparse(body)}"
    return real(eval(source, NAMES.copy()))  # the text is ops.def's own


@functools.cache
def forward(row: Row) -> Callable[..., Number]:
    """The row's function; a row that calls its own name is a primitive, and mpmath has it."""
    if row.forward_text == f"{row.name}({', '.join(row.operands)})" or row.name in PRIMITIVES:
        return real(PRIMITIVES.get(row.name) or getattr(mp, row.name))
    return function(row.forward_text, row.operands)


NAMES: dict[str, Any] = {
    "number": lambda constant: CONSTANTS.get(constant, mp.mpf(constant)),
    **{row.name: lambda *operands, row=row: forward(row)(*operands) for row in ROWS},
}


def rule(row: Row, text: str) -> Callable[..., Number]:
    """A rule of `row` that may use its result z, as a function of the operands alone."""
    of_operands_and_z = function(text, (*row.operands, "z"))
    return lambda *operands: of_operands_and_z(*operands, forward(row)(*operands))


def domain(row: Row) -> Callable[..., bool]:
    return function(row.domain_text, row.operands)


def numerical_derivative(f: Callable[..., Number], operands: tuple[float, ...], i: int) -> Number:
    """The derivative of `f` to operand `i` by finite differences in many digits."""
    return mp.diff(along(f, operands, i), mp.mpf(operands[i]))


def along(f: Callable[..., Number], operands: tuple[float, ...], i: int) -> Callable[[Number], Number]:
    fixed = [mp.mpf(operand) for operand in operands]
    return lambda v: f(*fixed[:i], v, *fixed[i + 1 :])


def is_smooth(f: Callable[..., Number], operands: tuple[float, ...], i: int) -> bool:
    """Whether `f` has neither kink nor jump here along operand `i`: there second differences are of the order of h."""
    h, v, g = mp.mpf("1e-20"), mp.mpf(operands[i]), along(f, operands, i)
    return not abs(g(v + h) - 2 * g(v) + g(v - h)) > h * mp.mpf("1e-8")


def points(row: Row, count: int) -> Iterator[tuple[float, ...]]:
    """Random operands in the domain of `row`: of either sign, log-uniform from 1e-3 to 30, or small whole numbers."""
    draw = random.Random(row.name)
    admitted = 0
    for _ in range(100_000):
        operands = tuple(_draw_operand(draw) for _ in row.operands)
        if domain(row)(*map(mp.mpf, operands)):
            yield operands
            admitted += 1
        if admitted == count:
            return
    raise AssertionError(f"the domain {row.domain_text!r} of {row.name} admits next to nothing")


def _draw_operand(draw: random.Random) -> float:
    if draw.random() < 0.25:
        return float(draw.randint(-3, 4))
    return float(f"{draw.choice((-1, 1)) * 10 ** draw.uniform(-3, 1.477):.6g}")


def differentiate(text: str, by: str, row: Row) -> str:
    """The derivative of a rule of `row` to the operand `by`, as a rule: the chain rule over the partials of rows."""
    partials = dict(zip(row.operands, row.partial_texts, strict=True))

    def d(node: ast.expr) -> str:
        match node:
            case ast.Constant():
                return "0.0"
            case ast.Name(id=name):
                return {by: "1.0", "z": partials[by]}.get(name, "0.0")
            case ast.UnaryOp(op=ast.USub(), operand=a):
                return _product("-1.0", d(a))
            case ast.BinOp(left=a, op=ast.Add(), right=b):
                return _sum(d(a), d(b))
            case ast.BinOp(left=a, op=ast.Sub(), right=b):
                return _sum(d(a), _product("-1.0", d(b)))
            case ast.BinOp(left=a, op=ast.Mult(), right=b):
                return _sum(_product(d(a), ast.unparse(b)), _product(ast.unparse(a), d(b)))
            case ast.BinOp(left=a, op=ast.Div(), right=b):
                numerator = _sum(d(a), _product("-1.0", ast.unparse(node), d(b)))
                return _product(numerator, f"1.0 / ({ast.unparse(b)})")
            case ast.Call(func=ast.Name(id="sel"), args=[condition, a, b]):
                return f"sel({ast.unparse(condition)}, {d(a)}, {d(b)})"
            case ast.Call(func=ast.Name(id=name), args=arguments):
                inner = BY_NAME[name]
                texts = [f"({ast.unparse(argument)})" for argument in arguments]
                bound = dict(zip((*inner.operands, "z"), (*texts, ast.unparse(node)), strict=True))
                outer = [re.sub(r"\b[xywz]\b", lambda name: bound[name[0]], partial) for partial in inner.partial_texts]
                return _sum(*map(_product, outer, map(d, arguments)))
        raise AssertionError(f"no rule to differentiate {ast.unparse(node)!r}")

    return d(ast.parse(text, mode="eval").body)


def _sum(*terms: str) -> str:
    return " + ".join(f"({term})" for term in terms if term != "0.0") or "0.0"


def _product(*factors: str) -> str:
    return "0.0" if "0.0" in factors else " * ".join(f"({factor})" for factor in factors)
