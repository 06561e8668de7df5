"""Read csrc/ops.def: every operation of fastgrad, its rules, and the language that they are written in."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

# The word that a row begins with: the kind of the operation, its operands, and the columns between label and doc.
KINDS = {
    "ARITH1": ("ARITH", "x", "forward dx domain"),
    "ARITH2": ("ARITH", "xy", "forward dx dy domain"),
    "POWER2": ("POWER", "xy", "forward dx dy domain"),
    "MATH1": ("MATH", "x", "forward dx domain"),
    "MATH2": ("MATH", "xy", "forward dx dy domain"),
    "MATH3": ("MATH", "xyw", "forward dx dy dw domain"),
    "PARAM2": ("MATH", "xy", "parameter default forward dx dy domain"),
    "REDUCE1": ("REDUCE", "x", "term finish dx"),
    "SHIFTED1": ("REDUCE", "x", "term finish dx"),
    "REDUCE2": ("REDUCE", "xy", "term finish dx dy"),
}

# What the columns hold that are not rules.
FACTS = {
    "name": "a name",
    "method": "a name",
    "label": "a string",
    "parameter": "a name",
    "default": "a double",
    "doc": "a string",
}


class TableError(Exception):
    """A row that is none; the message says which one, what was expected and what is there."""


@dataclass(frozen=True)
class Operation:
    """One row of ops.def; its rules are texts by column."""

    where: str
    kind: str
    section: str
    operands: tuple[str, ...]
    rules: dict[str, str]
    name: str
    method: str
    label: str
    doc: str
    parameter: str | None = None
    default: float | None = None

    @property
    def partials(self) -> list[str]:
        return [self.rules["d" + operand] for operand in self.operands]

    @property
    def is_reduction(self) -> bool:
        return self.kind == "REDUCE"

    @property
    def is_primitive(self) -> bool:
        """Whether its forward rule says no more than its own name, so that it is defined elsewhere."""
        return in_python(self.rules["forward"]) == f"{self.name}({', '.join(self.operands)})"

    def scope(self, rule: str) -> tuple[str, ...]:
        """The names that a rule may use, in the order of its function's parameters."""
        if rule in ("forward", "domain"):
            return self.operands
        if not self.is_reduction:
            return (*self.operands, "z")
        return {"term": (*self.operands, "m"), "finish": ("s", "m", "n")}.get(rule, (*self.operands, "z", "n"))


def read_table(source: str) -> list[Operation]:
    """The rows in their order, each checked."""
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise TableError(f"line {error.lineno}: {error.msg}") from error
    operations: list[Operation] = []
    section = ""
    for statement in statements:
        match statement:
            case ast.Expr(ast.Call(ast.Name("SECTION"), [ast.Constant(str(title))], [])):
                section = title
            case ast.Expr(ast.Call(ast.Name(head), [ast.Name(name), *_] as cells, [])):
                operations.append(_read_row(f"line {statement.lineno}, {name}", section, head, cells, source))
            case _:
                raise TableError(f"line {statement.lineno}: expected KIND(name, ...), got {ast.unparse(statement)}")
    _check_names(operations)
    arity = {operation.name: len(operation.operands) for operation in operations if not operation.is_reduction}
    for operation in operations:
        for rule in operation.rules:
            _RuleChecker(operation, rule, arity).check()
    return operations


def _read_row(where: str, section: str, head: str, cells: Sequence[ast.expr], source: str) -> Operation:
    if head not in KINDS:
        raise TableError(f"{where}: expected one of the kinds {', '.join(KINDS)}; got {head}")
    kind, operands, middle = KINDS[head]
    columns = ["name", "method", "label", *middle.split(), "doc"]
    if len(cells) != len(columns):
        raise TableError(f"{where}: expected the {len(columns)} columns {', '.join(columns)}; got {len(cells)}")
    facts: dict[str, str | float] = {}
    rules: dict[str, str] = {}
    for column, cell in zip(columns, cells, strict=True):
        match FACTS.get(column), cell:
            case None, _:
                rules[column] = " ".join((ast.get_source_segment(source, cell) or "").split())
            case ("a name", ast.Name(fact)) | ("a string", ast.Constant(str(fact))):
                facts[column] = fact
            case "a double", ast.Constant(float(number)):
                facts[column] = number
            case expected, _:
                raise TableError(f"{where}: {column}: expected {expected}, got {ast.unparse(cell)}")
    return Operation(where, kind, section, tuple(operands), rules, **facts)  # type: ignore[arg-type]


def _check_names(operations: Sequence[Operation]) -> None:
    owner: dict[str, str] = {}
    for operation in operations:
        for name in {operation.name, operation.method}:
            if name in owner:
                raise TableError(f"{operation.where}: expected a new name, but {name} is that of {owner[name]}")
            owner[name] = operation.where


class _RuleChecker:
    """Rules are numbers, domains are conditions; what these words mean, the two methods say."""

    def __init__(self, operation: Operation, rule: str, arity: dict[str, int]) -> None:
        self.operation, self.rule, self.arity = operation, rule, arity

    def check(self) -> None:
        body = ast.parse(self.operation.rules[self.rule], mode="eval").body
        (self.condition if self.rule == "domain" else self.number)(body)

    def number(self, node: ast.expr) -> None:
        names = self.operation.scope(self.rule)
        match node:
            case ast.Constant(float()):
                pass
            case ast.Name(name):
                if name not in names:
                    self.fail(f"one of the names {', '.join(names)}", node)
            case ast.UnaryOp(ast.USub(), operand):
                self.number(operand)
            case ast.BinOp(left, ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right):
                self.number(left)
                self.number(right)
            case ast.Call(ast.Name("sel"), [condition, chosen, other], []):
                self.condition(condition)
                self.number(chosen)
                self.number(other)
            case ast.Call(ast.Name(name), operands, []):
                if self.arity.get(name) != len(operands):
                    self.fail(f"a row with {len(operands)} operands, or sel(condition, a, b)", node)
                for operand in operands:
                    self.number(operand)
            case _:
                self.fail("a number: a double, a name, + - * / or a call", node)

    def condition(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(True):
                pass
            case ast.Compare(left, [ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE() | ast.Eq() | ast.NotEq()], [right]):
                self.number(left)
                self.number(right)
            case ast.BoolOp(_, parts):
                for part in parts:
                    self.condition(part)
            case _:
                self.fail("a condition: a comparison of two numbers, and, or, or True", node)

    def fail(self, expected: str, node: ast.expr) -> None:
        raise TableError(f"{self.operation.where}: {self.rule}: expected {expected}; got {ast.unparse(node)}")


class _InPython(ast.NodeTransformer):
    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return ast.Call(ast.Name("div"), [node.left, node.right], []) if isinstance(node.op, ast.Div) else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return ast.IfExp(*node.args) if ast.unparse(node.func) == "sel" else node


def in_python(rule: str) -> str:
    """The rule as a Python expression: / becomes div, which raises nothing, and sel a conditional expression."""
    return ast.unparse(_InPython().visit(ast.parse(rule, mode="eval").body))
