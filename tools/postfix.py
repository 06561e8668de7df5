"""The rules of ops.def in postfix, as the C core reads them: operands first, then the row that takes them.

All that a rule does is a row: ``x * y`` becomes x, y, mul; ``x < y`` x, y, less; ``sel(c, a, b)`` c, a, b, where.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from table import Operation

ROWS = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.USub: "neg",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.And: "logical_and",
    ast.Or: "logical_or",
}
SYMMETRIC = (ast.Add, ast.Mult, ast.Eq, ast.NotEq, ast.And, ast.Or)
MAX_CONSTANTS = 0x100 - 0x90  # what is left of a byte; see partials.h


@dataclass
class Postfix:
    """The rules one behind another; rule 0 is that of what is literally 0.0, which emits nothing."""

    arity: dict[str, int]
    constants: list[str] = field(default_factory=list)
    rules: list[tuple[str, list[str]]] = field(default_factory=lambda: [("0.0", [])])
    depth: int = 0

    def place(self, title: str, text: str) -> int:
        """Where the rule begins, counted in bytes."""
        if text == "0.0":
            return 0
        at = sum(len(tokens) + 1 for _, tokens in self.rules)
        tokens = self.tokens(ast.parse(text, mode="eval").body)
        self.depth = max(self.depth, depth_of(tokens, self.arity))
        self.rules.append((f"{title}: {text}", tokens))
        return at

    def tokens(self, node: ast.expr) -> list[str]:
        match node:
            case ast.Constant(value):
                return [self.constant(repr(float(value)))]
            case ast.Name(name):
                return [f"FG_P_{name.upper()}"]
            case ast.UnaryOp(ast.USub(), ast.Constant(float(value))):
                return [self.constant(repr(-value))]
            case ast.UnaryOp(operator, operand):
                return self.call(ROWS[type(operator)], [operand])
            case ast.BinOp(left, operator, right) | ast.Compare(left, [operator], [right]):
                return self.call(ROWS[type(operator)], [left, right])
            case ast.BoolOp(operator, [first, *others]):
                return self.tokens(first) + [
                    token for other in others for token in [*self.tokens(other), f"FG_OP_{ROWS[type(operator)]}"]
                ]
            case ast.Call(ast.Name(name), operands):
                return self.call({"sel": "where"}.get(name, name), operands)
        raise AssertionError(f"no postfix for {ast.unparse(node)}")

    def call(self, name: str, operands: Sequence[ast.expr]) -> list[str]:
        return [token for operand in operands for token in self.tokens(operand)] + [f"FG_OP_{name}"]

    def constant(self, literal: str) -> str:
        if literal not in self.constants:
            self.constants.append(literal)
            assert len(self.constants) <= MAX_CONSTANTS
        return f"FG_P_K + {self.constants.index(literal)}"

    def text(self) -> Iterable[str]:
        return (
            f"    {''.join(f'{token}, ' for token in tokens)}FG_P_END, /* {title} */\n" for title, tokens in self.rules
        )


def depth_of(tokens: Sequence[str], arity: dict[str, int]) -> int:
    """How many numbers wait at most while the rule is worked out."""
    depth = deepest = 0
    for token in tokens:
        depth += 1 - (arity[token.removeprefix("FG_OP_")] if token.startswith("FG_OP_") else 0)
        deepest = max(deepest, depth)
    return deepest


class _Ordered(ast.NodeTransformer):
    """Puts the operands of what is symmetric into one order, so that rules that differ in it alone become equal."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, SYMMETRIC):
            node.left, node.right = sorted([node.left, node.right], key=ast.unparse)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.ops[0], SYMMETRIC):
            node.left, node.comparators[0] = sorted([node.left, node.comparators[0]], key=ast.unparse)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        node.values.sort(key=ast.unparse)
        return node


class _Swapped(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name({"x": "y", "y": "x"}.get(node.id, node.id))


def is_commutative(operation: Operation) -> bool:
    """Whether the text of the forward rule says so; a rule that says no more than its name does not."""
    if operation.is_reduction or operation.is_primitive or len(operation.operands) != 2:
        return False
    text = operation.rules["forward"]
    swapped = _Swapped().visit(ast.parse(text, mode="eval"))
    return ast.unparse(_Ordered().visit(swapped)) == ast.unparse(_Ordered().visit(ast.parse(text, mode="eval")))


def is_boolean(operation: Operation) -> bool:
    """Whether the result is 1 where a condition holds, and else 0."""
    match ast.parse(operation.rules.get("forward", "0.0"), mode="eval").body:
        case ast.Call(ast.Name("sel"), [_, ast.Constant(1.0), ast.Constant(0.0)]):
            return True
    return False


def properties(operation: Operation) -> str:
    names = {"FG_COMMUTATIVE": is_commutative(operation), "FG_BOOLEAN": is_boolean(operation)}
    return " | ".join(name for name, holds in names.items() if holds)


def partials_parts(operations: Sequence[Operation]) -> dict[str, Iterable[str]]:
    postfix = Postfix({operation.name: len(operation.operands) for operation in operations})
    partials, reductions = [], []
    for op in operations:
        places = [postfix.place(f"{op.name}, d{x}", text) for x, text in zip(op.operands, op.partials, strict=True)]
        partials.append(f"    [FG_OP_{op.name}] = {{{', '.join(map(str, places))}}},\n")
    for op in operations:
        if op.is_reduction:
            places = [postfix.place(f"{op.name}, {rule}", op.rules[rule]) for rule in ("term", "finish")]
            reductions.append(f"    [FG_OP_{op.name}] = {{{', '.join(map(str, places))}}},\n")
    return {
        "postfix": list(postfix.text()),
        "postfix_constants": [f"    {literal},\n" for literal in postfix.constants],
        "postfix_depth": [str(postfix.depth)],
        "partials": partials,
        "reduction_rules": reductions,
        "properties": [f"    [FG_OP_{op.name}] = {text},\n" for op in operations if (text := properties(op))],
    }
