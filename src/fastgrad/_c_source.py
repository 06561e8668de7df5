"""One C99 file for programs: straight-line code, and of fastgrad's own C what it needs, so that results are the same.

Statements stand in functions of bounded size, so that a compiler's time stays linear. What one function computes and
another one needs passes through a workspace, whose places are used again where a number is needed no more.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from functools import cache
from math import copysign, isfinite, isnan
from typing import NamedTuple

from ._c_parts import Parts
from ._numpy_code import Arrays, Ir, read, rewrite
from ._numpy_rules import ARITY, COLUMNS, CONST, LEAF, TAKE
from ._rules import OPCODES, REDUCTIONS, ROWS, Reduction, Row
from ._version import __version__

_STATEMENTS = 250  # of a function: gcc takes the longer for each, the more there are
_ON_THE_STACK = 8192  # doubles of workspace; a larger one is allocated

_OPERATIONS: tuple[Row | Reduction, ...] = (*ROWS, *REDUCTIONS)
_ROWS = {OPCODES[row.name]: row for row in _OPERATIONS}

_C_WORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long main
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
"""
#: No names for functions: words of C, and what the table has, as does the mathematical library in good part.
_TAKEN = {*_C_WORDS.split(), *(name for row in _OPERATIONS for name in (row.name, row.method))}


class Path(NamedTuple):
    """A program, and for the guards, which are its last outputs, what each was when it was recorded."""

    program: Arrays
    expected: bytes = b""


class Function(NamedTuple):
    """A C function to be: it takes the first path all of whose guards are as recorded."""

    name: str
    paths: Sequence[Path]
    about: str = ""  # goes into the comment above it


def c_source(functions: Sequence[Function]) -> str:
    """Write the C file with these functions.

    Each is ``int name(const double *x, double *y)``: it reads the inputs from x and writes the outputs to y, and
    returns 0; 1 where no recorded path fits the inputs; -1 where there is no memory for its workspace.
    """
    names = [function.name for function in functions]
    for name in names:
        if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name in _TAKEN or names.count(name) > 1:
            raise ValueError(f"{name!r} cannot be the name of a C function of its own")
    used: set[int] = set()
    bodies = [_function(function, used) for function in functions]
    operations = [_operation(_ROWS[op]) for op in sorted(used - {TAKE}) if not _is_operator(op)]
    if TAKE in used:
        operations.append(_TAKE)
    parts = Parts.read()
    support = parts.needed_by("\n".join(operations))
    includes = {"<math.h>", *support.includes} | ({"<stdlib.h>"} if any("malloc" in body for body in bodies) else set())
    return "\n".join(
        [
            _HEAD.format(version=__version__, names=", ".join(names)),
            *(f"#include {header}" for header in sorted(includes)),
            _CONTRACTION,
            *(f"int {name}(const double *x, double *y);" for name in names),
            *_section("fastgrad's own functions, as far as they are needed", support.texts),
            *_section("operations", operations),
            *(f"{'' if i else chr(10)}#undef {word}" for i, word in enumerate(support.words)),
            *_section("programs", bodies),
            "",
        ]
    )


_HEAD = """\
/* {names}: written by fastgrad {version}.
 *
 * This file needs nothing but C99 and its mathematical library. Results are fastgrad's to the last bit if the compiler
 * neither fuses multiplications with additions nor reorders: gcc and clang with -ffp-contract=off, MSVC with
 * /fp:precise, and without -ffast-math. For a processor that has fused multiply-add, say so to the compiler (-mfma, or
 * -march=native): elsewhere fma() is a call.
 */"""

# GCC does not know the pragma, but keeps to the standard if it is told one.
_CONTRACTION = """
#if defined(__clang__) || !defined(__GNUC__)
#pragma STDC FP_CONTRACT OFF
#endif
"""

_TAKE = """\
static double fg_op_take(double index, const double *table, int n)
{
    return index >= 0.0 && index < n ? table[(int)index] : NAN;
}"""


def _section(title: str, texts: Sequence[str]) -> list[str]:
    """Texts under a title, a blank line between them, but for neighbouring macros."""
    lines, before = [f"\n/* {'-' * (111 - len(title))} {title} */"], ""
    for text in texts:
        lines.append(text if text.startswith(before) and before else f"\n{text}")
        before = "#define" if text.startswith("#define") else ""
    return lines if texts else []


# -------------------------------------------------------------------------------------------------- operations


@cache
def _is_operator(op: int) -> bool:
    """Whether a row is just an operator of C."""
    row = _ROWS[op]
    if not isinstance(row, Row):
        return False
    body = ast.parse(row.forward_text, mode="eval").body
    return isinstance(body, (ast.UnaryOp, ast.BinOp)) and not any(
        isinstance(node, (ast.Call, ast.Constant)) for node in ast.walk(body)
    )


def _operation(row: Row | Reduction) -> str:
    """The C function of a row."""
    if isinstance(row, Row):
        parameters = ", ".join(f"double {operand}" for operand in row.operands)
        return f"static inline double fg_op_{row.name}({parameters})\n{{\n    return {row.forward_text};\n}}"
    columns = ", ".join(f"const double *{operand}s" for operand in row.operands)
    items = "".join(f"        double {operand} = {operand}s[i];\n" for operand in row.operands)
    wants_largest = bool(re.search(r"\bm\b", row.term_text + row.finish_text))
    largest = "    double m = -INFINITY;\n    for (int i = 0; i < count; i++)\n"
    largest += "        m = xs[i] > m || xs[i] != xs[i] ? xs[i] : m;\n"
    counted = "    double n = count;\n" if re.search(r"\bn\b", row.finish_text) else ""
    return (
        f"static double fg_op_{row.name}({columns}, int count)\n{{\n"
        f"{largest if wants_largest else ''}    fg_parts parts = {{{{0.0}}}};\n"
        f"    for (int i = 0; i < count; i++) {{\n{items}"
        f"        fg_parts_add(&parts, (uint32_t)i, {row.term_text});\n    }}\n"
        f"    double s = fg_parts_total(&parts);\n{counted}    return {row.finish_text};\n}}"
    )


# -------------------------------------------------------------------------------------------------- programs


def _function(function: Function, used: set[int]) -> str:
    """The C functions of one function, the last of which has its name."""
    paths = [_Path(path, used) for path in function.paths]
    about = f"/* {function.about.replace('*/', '* /')} */\n" if function.about else ""
    head = f"int {function.name}(const double *x, double *y)\n{{\n"
    if len(paths) == 1:
        return paths[0].text(function.name, f"{about}{head}")
    names = [f"{function.name}_path{k}" for k in range(1, len(paths) + 1)]
    texts = [
        path.text(name, f"static int {name}(const double *x, double *y)\n{{\n")
        for name, path in zip(names, paths, strict=True)
    ]
    calls = "".join(f"    left = left > 0 ? {name}(x, y) : left;\n" for name in names)
    return "\n\n".join([*texts, f"{about}{head}    int left = 1;\n{calls}    return left;\n}}"])


class _Path:
    """The statements of a program, in parts of bounded size."""

    def __init__(self, path: Path, used: set[int]) -> None:
        self._ir: Ir = rewrite(read(path.program), ("cse", "dead"), {})
        self._guards = len(self._ir.outputs) - len(path.expected)
        self._expected = path.expected
        self._part: dict[int, int] = {}
        for node, op in enumerate(self._ir.op):
            if op not in (LEAF, CONST):
                used.add(op)
                self._part[node] = len(self._part) // _STATEMENTS
        self._parts = len(self._part) // _STATEMENTS + 1
        self._place_numbers()

    def _place_numbers(self) -> None:
        """Find places in the workspace for what parts hand on to later ones."""
        last: dict[int, int] = {}  # the last part that needs a node
        for node, part in self._part.items():
            for k in self._ir.operands[node]:
                if self._part.get(k, part) < part:
                    last[k] = part
        self._place: dict[int, int] = {}
        free: list[int] = []
        over: dict[int, list[int]] = {}  # by part: the places that are free behind it
        self._places, part = 0, 0
        for node in (node for node in self._part if node in last):
            while part < self._part[node]:
                free += over.pop(part, [])
                part += 1
            if not free:
                free.append(self._places)
                self._places += 1
            self._place[node] = free.pop()
            over.setdefault(last[node], []).append(self._place[node])

    def text(self, name: str, head: str) -> str:
        statements: list[list[str]] = [[] for _ in range(self._parts)]
        handed_out: dict[int, list[str]] = {}
        for k, node in enumerate(self._ir.outputs):
            handed_out.setdefault(node, []).append(self._hand_out(k, node))
            if node not in self._part:
                statements[0].append(handed_out[node][-1])
        for node, part in self._part.items():
            statements[part] += [self._statement(node), *handed_out.get(node, [])]
        if self._parts == 1:
            return head + _block(statements[0], "xy") + "    return 0;\n}"
        signature = "const double *x, double *y, double *w"
        parts = [
            f"static int {name}_{i}({signature})\n{{\n{_block(lines, 'xyw')}    return 0;\n}}"
            for i, lines in enumerate(statements, 1)
        ]
        return "\n\n".join([*parts, head + self._calls([f"{name}_{i}" for i in range(1, self._parts + 1)])])

    def _calls(self, names: Sequence[str]) -> str:
        calls = "".join(f"    left = left ? left : {name}(x, y, w);\n" for name in names)
        if self._places <= _ON_THE_STACK:
            return f"    double w[{max(1, self._places)}];\n    int left = 0;\n{calls}    return left;\n}}"
        return (
            f"    double *w = malloc({self._places} * sizeof *w);\n    int left = w ? 0 : -1;\n"
            f"{calls}    free(w);\n    return left;\n}}"
        )

    def _hand_out(self, k: int, node: int) -> str:
        if k < self._guards:
            return f"y[{k}] = {self._name(node, self._part.get(node, 0))};"
        expected = "== 0.0" if self._expected[k - self._guards] else "!= 0.0"
        return f"if ({self._name(node, self._part.get(node, 0))} {expected}) return 1;"

    def _statement(self, node: int) -> str:
        part = self._part[node]
        op, names = self._ir.op[node], [self._name(k, part) for k in self._ir.operands[node]]
        text = f"const double v{node} = "
        if op in ARITY:
            text += _expression(op, names) + ";"
        else:
            text = self._nary(node, op, names)
        return f"{text} w[{self._place[node]}] = v{node};" if node in self._place else text

    def _nary(self, node: int, op: int, names: Sequence[str]) -> str:
        """A reduction or a choice from a table: its operands become arrays."""
        index = names[:1] if op == TAKE else []
        terms, columns = names[len(index) :], COLUMNS.get(op, 1)
        n = len(terms) // columns
        arrays = "".join(
            f"const double t{node}_{i}[] = {{{', '.join(terms[i * n : (i + 1) * n]) or '0.0'}}}; "
            for i in range(columns)
        )
        operands = ", ".join([*index, *(f"t{node}_{i}" for i in range(columns)), str(n)])
        return f"{arrays}const double v{node} = fg_op_{'take' if op == TAKE else _ROWS[op].name}({operands});"

    def _name(self, node: int, part: int) -> str:
        """How a number is written in a part."""
        if self._ir.op[node] == LEAF:
            return f"x[{self._ir.operands[node][0]}]"
        if self._ir.op[node] == CONST:
            return _number(self._ir.operands[node][0])
        return f"v{node}" if self._part[node] == part else f"w[{self._place[node]}]"


def _block(statements: Iterable[str], parameters: str) -> str:
    lines = list(statements)
    text = "".join(f"    {line}\n" for line in lines)
    unused = [f"(void){name};" for name in parameters if not re.search(rf"\b{name}\[", text)]
    return (f"    {' '.join(unused)}\n" if unused else "") + text


def _expression(op: int, names: Sequence[str]) -> str:
    row = _ROWS[op]
    assert isinstance(row, Row)
    if not _is_operator(op):
        return f"fg_op_{row.name}({', '.join(names)})"
    of = dict(zip(row.operands, names, strict=True))
    return re.sub(r"\b[a-z]\b", lambda name: of[name[0]], row.forward_text)


def _number(x: float) -> str:
    if isfinite(x):
        return repr(x) if copysign(1.0, x) > 0.0 else f"({x!r})"
    return "NAN" if isnan(x) else "INFINITY" if x > 0.0 else "(-INFINITY)"
