"""Local derivatives as formulas, from the texts of the table: ``f``, ``1 - o * o``, ``2 * x``.

A choice in a rule is shown as the side that the numbers take.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Sequence

from .._rules import Row
from .._walk import Node, number_text

_FOLDED: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
}


def partial(nodes: Sequence[Node], node: Node, k: int) -> ast.expr | None:
    """Return the derivative of a node with respect to its operand k as an expression; None if there is no rule."""
    if node.row is None or node.is_closure:
        return None
    terms = len(node.edges) // len(node.row.operands) if not isinstance(node.row, Row) else 1
    tree = ast.parse(node.row.partial_texts[k // terms], mode="eval").body
    simplified: ast.expr = _Simplifier(_letters(nodes, node, k)).visit(tree)
    return simplified


def _letters(nodes: Sequence[Node], node: Node, k: int) -> dict[str, tuple[ast.expr, float]]:
    """What the letters of the rule stand for: a name or a number, and its data."""
    operands = [nodes[edge.operand] for edge in node.edges]
    row = node.row
    assert row is not None
    letters = {"z": (_named(node), node.data)}
    if not isinstance(row, Row):
        count = len(operands) // len(row.operands)
        letters["n"] = (ast.Constant(float(count)), float(count))
        operands = operands[k % count :: count]
    letters |= {letter: (_named(x), x.data) for letter, x in zip(row.operands, operands, strict=False)}
    if node.exponent is not None:
        letters[row.operands[-1]] = (ast.Constant(node.exponent), node.exponent)
    return letters


def _named(node: Node) -> ast.expr:
    return ast.Constant(node.data) if node.kind == "number" else ast.Name(node.name)


class _Simplifier(ast.NodeTransformer):
    """Puts names in the places of letters, takes choices, and leaves out what changes nothing."""

    def __init__(self, letters: dict[str, tuple[ast.expr, float]]) -> None:
        self.letters = letters
        self.numbers = {letter: number for letter, (_, number) in letters.items()}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.letters[node.id][0]

    def visit_Call(self, node: ast.Call) -> ast.expr:
        function = ast.unparse(node.func)
        if function == "sel":
            condition = compile(ast.fix_missing_locations(ast.Expression(node.args[0])), "ops.def", "eval")
            chosen: ast.expr = self.visit(node.args[1] if eval(condition, self.numbers) else node.args[2])
            return chosen
        arguments: list[ast.expr] = [self.visit(argument) for argument in node.args]
        if function == "pow":
            if _number(arguments[1]) in (0.0, 1.0):
                return arguments[0] if _number(arguments[1]) else ast.Constant(1.0)
            return ast.BinOp(arguments[0], ast.Pow(), arguments[1])
        return ast.Call(node.func, arguments, [])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand: ast.expr = self.visit(node.operand)
        number = _number(operand)
        return ast.UnaryOp(node.op, operand) if number is None else ast.Constant(-number)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left: ast.expr = self.visit(node.left)
        right: ast.expr = self.visit(node.right)
        a, b, fold = _number(left), _number(right), _FOLDED.get(type(node.op))
        if a is not None and b is not None and fold is not None:
            return ast.Constant(fold(a, b))
        if isinstance(node.op, ast.Mult) and (a == 1.0 or b == 1.0):
            return right if a == 1.0 else left
        return ast.BinOp(left, node.op, right)


def _number(tree: ast.expr) -> float | None:
    return tree.value if isinstance(tree, ast.Constant) and isinstance(tree.value, float) else None


class _ShortNumbers(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        text = short(float(node.value))  # type: ignore[arg-type]
        return ast.Name(f"({text})" if text.startswith("-") else text)


def short(number: float) -> str:
    """Return a number to six digits."""
    return number_text(float(f"{number:.6g}"))


def as_text(tree: ast.expr | None) -> str:
    """Return an expression as text; nothing if there is none."""
    if tree is None:
        return ""
    text = ast.unparse(ast.fix_missing_locations(_ShortNumbers().visit(copy.deepcopy(tree))))
    return text[1:-1] if re.fullmatch(r"\(-[^()]*\)", text) else text


# -------------------------------------------------------------------------------------------------------- LaTeX

_KNOWN = {"sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log"}
_BINDING = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 4, ast.Pow: 3}


def latex_name(name: str) -> str:
    r"""Return a name as LaTeX: ``w1`` as ``w_{1}``, words upright."""
    match = re.fullmatch(r"([A-Za-z])_?(\w*)", name)
    if match and not match[2]:
        return match[1]
    if match and match[2].isdigit():
        return f"{match[1]}_{{{match[2]}}}"
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    escaped = re.sub(r"[\\~^]|[&%$#_{}]", lambda found: special.get(found[0], "\\" + found[0]), name)
    return rf"\text{{{escaped}}}"


def latex_number(number: float) -> str:
    """Return a number to six digits as LaTeX."""
    text = short(number)
    if "inf" in text or "nan" in text:
        text = text.replace("inf", r"\infty").replace("nan", r"\text{nan}")
    mantissa, e, exponent = text.partition("e")
    if e:
        text = rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return text


def as_latex(tree: ast.expr | None) -> str:
    """Return an expression as LaTeX; nothing if there is none."""
    return "" if tree is None else _latex(tree, 0)


def _latex(tree: ast.expr, outside: int) -> str:
    match tree:
        case ast.Constant(float(number)):
            return _enclosed(latex_number(number), number < 0.0 and outside > 0)
        case ast.Name(name):
            return latex_name(name)
        case ast.UnaryOp(_, operand):
            return _enclosed("-" + _latex(operand, 2), outside > 1)
        case ast.BinOp(left, ast.Div(), right):
            return rf"\frac{{{_latex(left, 0)}}}{{{_latex(right, 0)}}}"
        case ast.BinOp(left, ast.Pow(), right):
            return f"{{{_latex(left, 4)}}}^{{{_latex(right, 0)}}}"
        case ast.BinOp(left, op, right):
            binding = _BINDING[type(op)]
            sign = {ast.Add: " + ", ast.Sub: " - ", ast.Mult: r" \cdot "}[type(op)]
            text = _latex(left, binding) + sign + _latex(right, binding + isinstance(op, ast.Sub))
            return _enclosed(text, binding < outside)
        case ast.Call(ast.Name(name), arguments):
            head = f"\\{name}" if name in _KNOWN else rf"\operatorname{{{name}}}".replace("_", r"\_")
            inside = ", ".join(_latex(argument, 0) for argument in arguments)
            return rf"{head}\left({inside}\right)"
    raise TypeError(f"no LaTeX for {ast.dump(tree)}")


def _enclosed(text: str, yes: bool) -> str:
    return rf"\left({text}\right)" if yes else text
