"""The rules of ops.def in JavaScript, for the page that fastgrad.show writes."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable

from table import Operation

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "===",
    ast.NotEq: "!==",
    ast.And: " && ",
    ast.Or: " || ",
}


def javascript_parts(operations: list[Operation]) -> dict[str, Iterable[str]]:
    """The parts of operations.js: functions that are defined elsewhere, functions, and an entry for each row."""
    rows = [operation for operation in operations if not operation.is_reduction]
    return {
        "js_primitives": (f"    {operation.name},\n" for operation in rows if _is_primitive(operation)),
        "js_composed": (_composed(operation) for operation in rows if not _is_primitive(operation)),
        "js_rows": map(_entry, operations),
    }


def in_javascript(rule: str) -> str:
    """The rule as an expression in JavaScript, whose numbers are C's doubles."""
    return _expression(ast.parse(rule, mode="eval").body)


def _expression(node: ast.expr) -> str:
    match node:
        case ast.Constant(True):
            return "true"
        case ast.Constant(float(number)):
            return repr(number)
        case ast.Name(name):
            return name
        case ast.UnaryOp(ast.USub(), operand):
            return f"(-{_expression(operand)})"
        case ast.BinOp(left, operator, right) | ast.Compare(left, [operator], [right]):
            return f"({_expression(left)} {_OPERATORS[type(operator)]} {_expression(right)})"
        case ast.BoolOp(operator, parts):
            return f"({_OPERATORS[type(operator)].join(map(_expression, parts))})"
        case ast.Call(ast.Name("sel"), [condition, chosen, other]):
            return f"({_expression(condition)} ? {_expression(chosen)} : {_expression(other)})"
        case ast.Call(ast.Name(name), operands):
            return f"{name}({', '.join(map(_expression, operands))})"
    raise AssertionError(f"{ast.unparse(node)} is not in the language of rules")


def _is_primitive(operation: Operation) -> bool:
    """As for Python, but that JavaScript's / is C's."""
    return operation.is_primitive and "(" in operation.rules["forward"]


def _composed(operation: Operation) -> str:
    body = in_javascript(operation.rules["forward"])
    return f"  function {operation.name}({', '.join(operation.operands)}) {{\n    return {body};\n  }}\n"


def _entry(operation: Operation) -> str:
    op = operation
    facts = {"label": op.label, "doc": op.doc, "operands": op.operands, "texts": op.partials}
    if not op.is_reduction:
        facts |= {"text": op.rules["forward"], "domainText": op.rules["domain"]}
    lines = [f"{name}: {json.dumps(fact)}" for name, fact in facts.items()]
    lines += [f"{name}: {_function(op, name)}" for name in ("term", "finish", "domain") if name in op.rules]
    lines += [] if op.is_reduction else [f"forward: {op.name}"]
    partials = ", ".join("null" if text == "0.0" else in_javascript(text) for text in op.partials)
    lines.append(f"partials: ({', '.join(op.scope('dx'))}) => [{partials}]")
    return f"    {op.name}: {{\n" + "".join(f"      {line},\n" for line in lines) + "    },\n"


def _function(operation: Operation, rule: str) -> str:
    return f"({', '.join(operation.scope(rule))}) => {in_javascript(operation.rules[rule])}"
