"""Every row of ops.def has every property: a new row is tested by being there."""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from exact import (
    BY_NAME,
    REDUCTIONS,
    ROWS,
    Row,
    differentiate,
    domain,
    forward,
    function,
    is_smooth,
    mp,
    numerical_derivative,
    points,
    rule,
)

#: polygamma(n, x) has no derivative to n, which counts derivatives; stop_gradient is there to have none.
TAKEN_AS_CONSTANT = {("polygamma", "x"), ("stop_gradient", "x")}

PARTIALS = [
    pytest.param(row, i, id=f"d{row.name}_d{operand}")
    for row in ROWS
    for i, operand in enumerate(row.operands)
    if (row.name, operand) not in TAKEN_AS_CONSTANT
]


def each(rows: Sequence[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


def agree(got: Any, exact: Any, relative: float, absolute: float) -> bool:
    """Whether two numbers are close, infinities equal, and nan only where nan is meant."""
    got, exact = mp.mpf(got), mp.mpf(exact)
    if mp.isnan(exact) or mp.isnan(got):
        return bool(mp.isnan(exact) and mp.isnan(got))
    return bool(got == exact or abs(got - exact) <= relative * abs(exact) + absolute)


# ----------------------------------------------------------------------------------------- the mathematics of the table


@pytest.mark.parametrize(("row", "i"), PARTIALS)
def test_partials_are_the_derivatives_of_the_forward_rule(row: Row, i: int) -> None:
    """At 50 digits, so that a constant that is wrong in its last place shows."""
    f, partial = forward(row), rule(row, row.partial_texts[i])
    checked = [operands for operands in points(row, 16) if is_smooth(f, operands, i)]
    assert len(checked) >= 8
    for operands in checked:
        assert agree(partial(*map(mp.mpf, operands)), numerical_derivative(f, operands, i), 1e-14, 1e-30), operands


@pytest.mark.parametrize(("row", "i"), PARTIALS)
def test_second_derivatives_follow_from_the_table_alone(row: Row, i: int) -> None:
    f = rule(row, row.partial_texts[i])
    for j, operand in enumerate(row.operands):
        if (row.name, operand) in TAKEN_AS_CONSTANT:
            continue
        second = rule(row, differentiate(row.partial_texts[i], operand, row))
        checked = [operands for operands in points(row, 12) if is_smooth(f, operands, j)]
        assert len(checked) >= 4
        for operands in checked:
            assert agree(second(*map(mp.mpf, operands)), numerical_derivative(f, operands, j), 1e-14, 1e-30), operands


@pytest.mark.parametrize(("row", "i"), PARTIALS)
def test_inside_the_domain_result_and_partials_are_finite(row: Row, i: int) -> None:
    """Except for a partial where the derivative does not exist, as to the exponent at a negative base."""
    f, partial, inside = forward(row), rule(row, row.partial_texts[i]), domain(row)
    values = (0.0, 1e-5, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0)
    for operands in itertools.product(values, repeat=len(row.operands)):
        exact = tuple(map(mp.mpf, operands))
        if inside(*exact):
            assert mp.isfinite(f(*exact)), operands
            assert mp.isfinite(partial(*exact)) or mp.isnan(numerical_derivative(f, operands, i)), operands


@each([*ROWS, *REDUCTIONS])
def test_rules_call_nothing_but_rows(row: Row) -> None:
    """So that the table can differentiate its own rules, to any order."""
    texts = [row.term_text, row.finish_text] if row.kind == "REDUCE" else [row.forward_text, row.domain_text]
    for text in (*texts, *row.partial_texts):
        called = {ast.unparse(node.func) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)}
        assert called <= BY_NAME.keys() | {"sel"}, text


@each([row for row in ROWS if hasattr(np, row.method)])
def test_row_means_what_numpy_means_by_its_name(row: Row, fg: ModuleType) -> None:
    reference = getattr(np, row.method)
    for operands in points(row, 40):
        expected = float(reference(*operands))
        assert math.isclose(getattr(fg, row.name)(*operands), expected, rel_tol=1e-14, abs_tol=1e-15), operands


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("ndtr", lambda x: mp.ncdf(x)),
        ("log_ndtr", lambda x: mp.log(mp.ncdf(x))),
        ("erfcx", lambda x: mp.exp(x * x) * mp.erfc(x)),
        ("relu", lambda x: max(x, mp.zero)),
        ("leaky_relu", lambda x, slope: x if x > 0 else slope * x),
        ("elu", lambda x, alpha: x if x > 0 else alpha * mp.expm1(x)),
        ("gelu", lambda x: x * mp.ncdf(x)),
        ("sigmoid", lambda x: 1 / (1 + mp.exp(-x))),
        ("silu", lambda x: x / (1 + mp.exp(-x))),
        ("softplus", lambda x: mp.log1p(mp.exp(x))),
        ("lgamma", lambda x: mp.log(abs(mp.gamma(x)))),
        ("digamma", lambda x: mp.psi(0, x)),
    ],
)
def test_row_means_what_textbooks_mean_by_its_name(name: str, definition: Any) -> None:
    row = BY_NAME[name]
    for operands in points(row, 20):
        exact = tuple(map(mp.mpf, operands))
        assert agree(forward(row)(*exact), definition(*exact), 1e-30, 1e-40), operands


# ----------------------------------------------------------------------------------------------- the numbers in doubles


@each(ROWS)
def test_forward_is_accurate(row: Row, fg: ModuleType) -> None:
    exact = forward(row)
    for operands in points(row, 60):
        assert agree(getattr(fg, row.name)(*operands), exact(*map(mp.mpf, operands)), 1e-12, 1e-15), operands


@each(ROWS)
def test_partials_are_accurate(row: Row, fg: ModuleType) -> None:
    exact = [rule(row, partial) for partial in row.partial_texts]
    for operands in points(row, 40):
        local_grads = getattr(fg, row.name)(*map(fg.Value, operands))._local_grads
        assert len(local_grads) == len(exact)
        for got, partial in zip(local_grads, exact, strict=True):
            expected = partial(*map(mp.mpf, operands))
            assert agree(got, expected, 1e-12, 1e-15 * max(1, *map(abs, operands))), operands


@pytest.mark.parametrize(
    ("name", "operands"),
    [
        ("erfcx", [(x,) for x in (-26.0, -5.0, -0.5, 1e-9, 0.5, 1.9, 2.1, 9.9, 24.0, 30.0, 1e3, 1e8, 1e150)]),
        ("ndtr", [(x,) for x in (-38.0, -20.0, -6.0, -1.0, 1e-9, 3.0, 9.0)]),
        ("log_ndtr", [(x,) for x in (-1e9, -300.0, -38.0, -10.0, -1.01, -0.99, 0.0, 5.0, 30.0)]),
        ("digamma", [(x,) for x in (1e-300, 1e-5, 0.1, 1.0, 1.4616, 1.4617, 6.0, 1e3, 1e300, -0.5, -1.25, -30.3)]),
        ("lgamma", [(x,) for x in (1e-300, 1e-5, 0.1, 0.999, 2.001, 30.0, 1e3, 1e300, -0.5, -1.25, -30.3)]),
        ("polygamma", [(float(n), x) for n in (0, 1, 2, 3, 10, 30) for x in (1e-3, 0.5, 1.0, 7.7, 40.0, 1e6)]),
        ("polygamma", [(float(n), x) for n in (1, 2, 3) for x in (-0.5, -1.25, -7.75)]),
    ],
)
def test_special_functions_are_accurate_over_their_whole_range(
    name: str, operands: list[tuple[float, ...]], fg: ModuleType
) -> None:
    for point in operands:
        assert agree(getattr(fg, name)(*point), forward(BY_NAME[name])(*map(mp.mpf, point)), 1e-12, 1e-15), point


@each(ROWS)
def test_function_and_node_give_the_same_number(row: Row, fg: ModuleType) -> None:
    call = getattr(fg, row.name)
    for operands in points(row, 20):
        node = call(*map(fg.Value, operands))
        assert type(call(*operands)) is float
        assert node.data == call(*operands), operands
        assert node._op == row.label
        assert [child.data for child in node._children] == list(operands)


@each([row for row in ROWS if row.kind == "MATH" and row.name != "where"])
def test_method_is_the_function(row: Row, fg: ModuleType) -> None:
    for first, *others in points(row, 5):
        node = getattr(fg.Value(first), row.method)(*others)
        assert isinstance(node, fg.Value)
        assert node.data == getattr(fg, row.name)(first, *others)
        assert node._op == row.label


@each([row for row in ROWS if row.parameter])
def test_parameter_has_its_default(row: Row, fg: ModuleType) -> None:
    for first, _ in points(row, 5):
        expected = getattr(fg, row.name)(first, row.default)
        assert getattr(fg, row.name)(first) == expected
        assert getattr(fg.Value(first), row.method)().data == expected


@each([*ROWS, *REDUCTIONS])
def test_function_has_both_of_its_names_and_its_documentation(row: Row, fg: ModuleType) -> None:
    function_ = getattr(fg, row.name)
    assert getattr(fg, row.method) is function_
    assert row.doc in function_.__doc__.replace("\n", " ")


# ------------------------------------------------------------------------------------------- reductions, by their rules


@each(REDUCTIONS)
def test_reduction_and_its_partials_follow_their_rules(row: Row, fg: ModuleType) -> None:
    columns = [[0.5, -1.25, 3.0, 0.125, 7.5], [2.0, 0.75, -1.5, 4.0, 1.0]][: len(row.operands)]
    node = getattr(fg, row.name)(*[list(map(fg.Value, column)) for column in columns])
    n, m = len(columns[0]), max(columns[0])
    context = {"n": mp.mpf(n), "m": mp.mpf(m)}
    terms = [
        function(row.term_text, (*row.operands, "m"))(*map(mp.mpf, operands), context["m"])
        for operands in zip(*columns, strict=True)
    ]
    z = function(row.finish_text, ("s", "m", "n"))(mp.fsum(terms), context["m"], context["n"])
    assert agree(node.data, z, 1e-14, 0.0)
    assert node._op == row.label
    expected = [
        function(partial, (*row.operands, "z", "n"))(*map(mp.mpf, operands), z, context["n"])
        for partial in row.partial_texts
        for operands in zip(*columns, strict=True)
    ]
    assert [child.data for child in node._children] == list(itertools.chain(*columns))
    assert len(node._local_grads) == len(expected)
    assert all(agree(got, exact, 1e-14, 0.0) for got, exact in zip(node._local_grads, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "columns", "gradients"),
    [
        ("sum", [[1.0, 2.0, 4.0]], [1.0, 1.0, 1.0]),
        ("mean", [[1.0, 2.0, 4.0, 9.0]], [0.25, 0.25, 0.25, 0.25]),
        ("logsumexp", [[0.0, math.log(3.0)]], [0.25, 0.75]),
        ("dot", [[1.0, 2.0], [3.0, 5.0]], [3.0, 5.0, 1.0, 2.0]),
    ],
)
def test_reduction_gradients_known_by_hand(
    name: str, columns: list[list[float]], gradients: list[float], fg: ModuleType
) -> None:
    leaves = [list(map(fg.Value, column)) for column in columns]
    getattr(fg, name)(*leaves).backward()
    assert [leaf.grad for leaf in itertools.chain(*leaves)] == pytest.approx(gradients, rel=1e-15)


# -------------------------------------------------------------------------------- kinks, ties, and points out of domain

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("name", "operands", "result", "partials"),
    [
        ("relu", (0.0,), 0.0, (0.0,)),
        ("relu", (-0.0,), 0.0, (0.0,)),
        ("relu", (NAN,), NAN, (NAN,)),
        ("relu", (INF,), INF, (1.0,)),
        ("leaky_relu", (0.0, 0.25), 0.0, (0.25, 0.0)),
        ("elu", (0.0, 1.5), 0.0, (1.5, 0.0)),
        ("abs", (0.0,), 0.0, (0.0,)),
        ("abs", (-0.0,), 0.0, (0.0,)),
        ("abs", (NAN,), NAN, (NAN,)),
        ("sign", (0.0,), 0.0, (0.0,)),
        ("sign", (NAN,), NAN, (0.0,)),
        ("floor", (2.0,), 2.0, (0.0,)),
        ("ceil", (-2.0,), -2.0, (0.0,)),
        ("hypot", (0.0, 0.0), 0.0, (0.0, 0.0)),
        ("fmin", (2.0, 2.0), 2.0, (0.5, 0.5)),
        ("fmax", (2.0, 2.0), 2.0, (0.5, 0.5)),
        ("minimum", (2.0, 2.0), 2.0, (0.5, 0.5)),
        ("maximum", (2.0, 2.0), 2.0, (0.5, 0.5)),
        ("fmin", (NAN, 2.0), 2.0, (0.0, 1.0)),
        ("fmin", (2.0, NAN), 2.0, (1.0, 0.0)),
        ("fmax", (NAN, 2.0), 2.0, (0.0, 1.0)),
        ("fmax", (2.0, NAN), 2.0, (1.0, 0.0)),
        ("minimum", (NAN, 2.0), NAN, (1.0, 0.0)),
        ("minimum", (2.0, NAN), NAN, (0.0, 1.0)),
        ("maximum", (NAN, 2.0), NAN, (1.0, 0.0)),
        ("maximum", (2.0, NAN), NAN, (0.0, 1.0)),
        ("where", (1.0, 5.0, 7.0), 5.0, (0.0, 1.0, 0.0)),
        ("where", (0.0, 5.0, 7.0), 7.0, (0.0, 0.0, 1.0)),
        ("where", (-0.0, 5.0, 7.0), 7.0, (0.0, 0.0, 1.0)),
        ("where", (NAN, 5.0, 7.0), 5.0, (0.0, 1.0, 0.0)),
        ("pow", (0.0, 0.0), 1.0, (0.0, 0.0)),
        ("pow", (0.0, 1.0), 0.0, (1.0, 0.0)),
        ("pow", (0.0, 2.0), 0.0, (0.0, 0.0)),
        ("pow", (0.0, 0.5), 0.0, (INF, 0.0)),
        ("pow", (-2.0, 0.0), 1.0, (0.0, NAN)),
        ("pow", (-2.0, 3.0), -8.0, (12.0, NAN)),
        ("pow", (-2.0, -3.0), -0.125, (-0.1875, NAN)),
        ("mod", (-7.0, 3.0), 2.0, (1.0, 3.0)),
        ("floordiv", (-7.0, 2.0), -4.0, (0.0, 0.0)),
        ("fmod", (-7.0, 3.0), -1.0, (1.0, 2.0)),
        ("sqrt", (0.0,), 0.0, (INF,)),
        ("cbrt", (0.0,), 0.0, (INF,)),
        ("cbrt", (-8.0,), -2.0, (1.0 / 12.0,)),
        ("softplus", (800.0,), 800.0, (1.0,)),
        ("softplus", (-800.0,), 0.0, (0.0,)),
        ("sigmoid", (800.0,), 1.0, (0.0,)),
        ("sigmoid", (-800.0,), 0.0, (0.0,)),
        ("tanh", (1000.0,), 1.0, (0.0,)),
        ("polygamma", (1.0, 1.0), math.pi**2 / 6, (0.0, -2.4041138063191885)),
    ],
)
def test_convention_at_kinks_ties_and_ends(
    name: str, operands: tuple[float, ...], result: float, partials: tuple[float, ...], fg: ModuleType
) -> None:
    node = getattr(fg, name)(*map(fg.Value, operands))
    assert node.data == pytest.approx(result, rel=1e-14, abs=0.0, nan_ok=True)
    assert node._local_grads == pytest.approx(partials, rel=1e-14, abs=0.0, nan_ok=True)


# --------------------------------------------------------------------------------------- both backends, to the last bit

GRID = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 0.1, -0.7, 7.25, -19.5, 700.0, -745.0),
    *(1e300, -1e300, 1e-300, -1e-300, 5e-324, INF, -INF, NAN),
]

#: IEEE 754 rounds these correctly, so a rule that calls nothing else is the same everywhere to the last bit.
EXACT = {"sel", "abs", "floor", "ceil", "fmod", "sqrt", "mod", "floordiv"}
ULPS = 8


def is_exact(text: str) -> bool:
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)} <= EXACT


def same(a: float, b: float, ulps: int) -> bool:
    if math.isnan(a) or math.isnan(b) or math.isinf(a) or math.isinf(b) or a == b == 0.0:
        return repr(a) == repr(b)  # also tells 0.0 from -0.0
    return abs(a - b) <= ulps * math.ulp(max(abs(a), abs(b)))


def grid(row: Row) -> list[tuple[float, ...]]:
    values = GRID if len(row.operands) < 3 else GRID[::3]
    return list(itertools.product(values, repeat=len(row.operands)))


def outcome(package: ModuleType, name: str, operands: tuple[float, ...]) -> float | str:
    """What an eager operation gives: a number, or an error with its text."""
    try:
        return float(getattr(package, name)(*map(package.Value, operands)).data)
    except (ArithmeticError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


@each(ROWS)
def test_backends_agree_on_results_and_errors(row: Row, both: dict[str, ModuleType]) -> None:
    ulps = 0 if is_exact(row.forward_text) else ULPS
    for operands in grid(row):
        c, python = (outcome(both[backend], row.name, operands) for backend in ("c", "python"))
        if isinstance(c, float) and isinstance(python, float):
            assert same(c, python, ulps), operands
        else:
            assert c == python, operands


@each(ROWS)
def test_backends_agree_on_partials(row: Row, both: dict[str, ModuleType]) -> None:
    """Also where the eager operation raises: the data of a node's operands and its own are set afterwards."""
    start = next(points(row, 1))
    nodes = [getattr(both[backend], row.name)(*map(both[backend].Value, start)) for backend in ("c", "python")]
    for operands in grid(row):
        result = outcome(both["python"], row.name, operands)
        for node in nodes:
            node.data = result if isinstance(result, float) else NAN
            for child, operand in zip(node._children, operands, strict=True):
                child.data = operand
        for c, python, text in zip(nodes[0]._local_grads, nodes[1]._local_grads, row.partial_texts, strict=True):
            assert same(c, python, 0 if is_exact(text) else ULPS), operands
