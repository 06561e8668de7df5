"""What Values combine with, compare with and turn into; and how operations fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from kinds import each_number

# ------------------------------------------------------------------------------------------------------------ operators

BINARY: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("+", lambda a, b: a + b),
    ("-", lambda a, b: a - b),
    ("*", lambda a, b: a * b),
    ("/", lambda a, b: a / b),
    ("//", lambda a, b: a // b),
    ("%", lambda a, b: a % b),
    ("**", lambda a, b: a**b),
]
each_operator = pytest.mark.parametrize(("op", "apply"), BINARY, ids=[op for op, _ in BINARY])


@each_operator
@each_number
def test_operator_takes_any_number_on_either_side(
    op: str, apply: Callable[[Any, Any], Any], number: Any, fg: ModuleType
) -> None:
    v = fg.Value(4.0)
    for got, expected in [(apply(v, number), apply(4.0, float(number))), (apply(number, v), apply(float(number), 4.0))]:
        assert type(got) is fg.Value
        assert got.data == pytest.approx(expected, rel=1e-15)
        assert got._op.startswith(op)


@each_operator
def test_operator_on_two_values_is_pythons_on_their_data(
    op: str, apply: Callable[[Any, Any], Any], fg: ModuleType
) -> None:
    for x, y in [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (-7.5, -2.0), (0.0, 3.0), (-0.0, 3.0), (1e300, 1e-8)]:
        got = apply(fg.Value(x), fg.Value(y))
        assert got._op == op
        if op == "**" and x > 1e200:
            continue
        assert repr(got.data) == repr(apply(x, y)), (x, y)


def test_unary_operators(fg: ModuleType) -> None:
    v = fg.Value(-2.5)
    assert [(-v).data, abs(v).data, (+v).data] == [2.5, 2.5, -2.5]
    assert [type(u) for u in (-v, abs(v), +v)] == [fg.Value] * 3


def test_augmented_assignment_makes_a_new_value(fg: ModuleType) -> None:
    a = first = fg.Value(2.0)
    a += 1
    a *= 3
    a -= fg.Value(1.0)
    a /= 4
    a **= 2
    assert (a.data, first.data) == (4.0, 2.0)
    a.backward()
    assert first.grad == 2 * 2.0 * 3 / 4


def test_sum_starts_at_the_number_zero(fg: ModuleType) -> None:
    values = [fg.Value(1.0), fg.Value(2.0), fg.Value(3.5)]
    total = sum(values)
    assert total.data == 6.5
    total.backward()
    assert [v.grad for v in values] == [1.0, 1.0, 1.0]
    assert sum(values, fg.Value(1.0)).data == 7.5


@each_operator
@pytest.mark.parametrize("other", ["a", None, [1.0], (1.0,), {}, 1j, object()], ids=lambda other: type(other).__name__)
def test_operator_refuses_what_is_no_number(
    op: str, apply: Callable[[Any, Any], Any], other: Any, fg: ModuleType
) -> None:
    for operands in [(fg.Value(1.0), other), (other, fg.Value(1.0))]:
        if isinstance(operands[0], str) and op == "%":
            continue  # formatting
        with pytest.raises(TypeError):
            apply(*operands)


def test_operator_leaves_other_types_their_turn(fg: ModuleType) -> None:
    class Other:
        def __radd__(self, left: Any) -> str:
            return "other's"

    assert fg.Value(1.0) + Other() == "other's"
    assert fg.Value(1.0).__add__("a") is NotImplemented


def test_three_argument_power_is_refused(fg: ModuleType) -> None:
    with pytest.raises(TypeError):
        pow(fg.Value(2.0), 3, 5)


# --------------------------------------------------------------------------------------- comparisons, truth, conversion


@each_number
def test_order_compares_data(number: Any, fg: ModuleType) -> None:
    below, above = fg.Value(float(number) - 1), fg.Value(float(number) + 1)
    assert below < number < above
    assert below <= number <= above
    assert above > number > below
    assert above >= number >= below
    assert not above < number
    assert below < above and below <= above and above > below and above >= below


def test_order_of_equal_data(fg: ModuleType) -> None:
    a, b = fg.Value(1.0), fg.Value(1.0)
    assert a <= b and a >= b and not a < b and not a > b


def test_nan_is_in_no_order(fg: ModuleType) -> None:
    a, nan = fg.Value(1.0), fg.Value(math.nan)
    assert not (a < nan or a <= nan or a > nan or a >= nan)


@pytest.mark.parametrize("other", ["a", None, [1.0], 1j])
def test_order_against_what_is_no_number_is_refused(other: Any, fg: ModuleType) -> None:
    with pytest.raises(TypeError, match="not supported between"):
        _ = fg.Value(1.0) < other


def test_max_and_sorted_of_values(fg: ModuleType) -> None:
    a, b, c = fg.Value(2.0), fg.Value(-1.0), fg.Value(3.0)
    assert max([a, b, c]) is c
    assert sorted([a, b, c]) == [b, a, c]


def test_equality_and_hash_are_identity(fg: ModuleType) -> None:
    a, b = fg.Value(1.0), fg.Value(1.0)
    assert a == a and a != b
    assert a != 1.0 and a != "a"
    assert len({a, b, a}) == 2
    state = {a: "first", b: "second"}
    a.data = 5.0
    assert state[a] == "first"
    assert hash(a) == hash(a)


@pytest.mark.parametrize(("data", "truth"), [(0.0, False), (-0.0, False), (2.0, True), (-1e-9, True), (math.nan, True)])
def test_truth_is_that_of_the_data(data: float, truth: bool, fg: ModuleType) -> None:
    assert bool(fg.Value(data)) is truth


def test_conversion_to_pythons_numbers(fg: ModuleType) -> None:
    v = fg.Value(-2.75)
    assert (float(v), int(v), round(v), round(v, 1)) == (-2.75, -2, -3, round(-2.75, 1))
    assert [type(n) for n in (float(v), int(v), round(v), round(v, 1))] == [float, int, int, float]
    assert math.sqrt(fg.Value(4.0)) == 2.0


def test_math_floor_and_ceil_stay_in_the_graph(fg: ModuleType) -> None:
    v = fg.Value(-2.75)
    assert [(u.data, u._op) for u in (math.floor(v), math.ceil(v))] == [(-3.0, "floor"), (-2.0, "ceil")]


def test_value_is_no_sequence(fg: ModuleType) -> None:
    v = fg.Value(1.0)
    with pytest.raises(TypeError):
        len(v)
    with pytest.raises(TypeError):
        iter(v)
    with pytest.raises(TypeError):
        _ = v[0]


# --------------------------------------------------------------------------------------------------------- eager errors


@pytest.mark.parametrize(
    ("expression", "error", "words"),
    [
        ("V(1) / 0", ZeroDivisionError, ["1.0 / 0.0"]),
        ("1 / V(0)", ZeroDivisionError, ["1.0 / 0.0"]),
        ("V(1) / V(-0.0)", ZeroDivisionError, ["1.0 / -0.0"]),
        ("V(1) // 0", ZeroDivisionError, ["1.0 // 0.0"]),
        ("V(1) % 0", ZeroDivisionError, ["1.0 % 0.0"]),
        ("V(0) ** -1", ZeroDivisionError, ["0.0 ** -1.0"]),
        ("V(0) ** V(-0.5)", ZeroDivisionError, ["0.0 ** -0.5"]),
        ("V(-8) ** (1/3)", ValueError, ["-8.0", "** 0.333"]),
        ("(-8) ** V(0.5)", ValueError, ["-8.0", "** 0.5"]),
        ("V(10) ** 400", OverflowError, ["10.0 ** 400.0"]),
        ("V(0).log()", ValueError, ["log(0.0)", "x > 0.0"]),
        ("V(-1).log()", ValueError, ["log(-1.0)", "x > 0.0"]),
        ("V(-1).sqrt()", ValueError, ["sqrt(-1.0)"]),
        ("V(2).arcsin()", ValueError, ["2.0", "abs(x)"]),
        ("V(-1).log1p()", ValueError, ["log1p(-1.0)"]),
        ("V(1).arctanh()", ValueError, ["1.0", "abs(x)"]),
        ("V(1000).exp()", OverflowError, ["exp(1000.0)"]),
        ("V(1000).cosh()", OverflowError, ["cosh(1000.0)"]),
        ("V(1e300).hypot(1.79e308)", None, []),
        ("V(1.5e308).hypot(1.5e308)", OverflowError, ["hypot(1.5e+308, 1.5e+308)"]),
        ("V(1).fmod(0)", ValueError, ["fmod(1.0, 0.0)"]),
        ("V(-2).lgamma()", ValueError, ["lgamma(-2.0)"]),
        ("V(float('inf')).sin()", ValueError, ["sin(inf)"]),
        ("V(1e200) * 1e200", None, []),
        ("V(1e308) + V(1e308)", None, []),
        ("V(float('nan')).log()", None, []),
        ("V(float('inf')).exp()", None, []),
        ("V(float('inf')) - float('inf')", None, []),
        ("V(0).sqrt()", None, []),
        ("V(float('nan')) / 1", None, []),
    ],
)
def test_eager_operation_fails_as_python_does_and_names_itself_and_its_operands(
    expression: str, error: type[Exception] | None, words: list[str], fg: ModuleType
) -> None:
    if error is None:
        assert isinstance(eval(expression, {"V": fg.Value}), fg.Value)
        return
    with pytest.raises(error) as caught:
        eval(expression, {"V": fg.Value})
    assert type(caught.value) is error
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("expression", ["V(1) / 0", "V(0).log()", "V(1000).exp()", "V(0) ** -1", "fg.sum(['a'])"])
def test_failed_operation_leaves_no_trace(expression: str, fg: ModuleType) -> None:
    x = fg.Value(3.0)
    y = x * x
    for _ in range(100):
        with pytest.raises((ArithmeticError, ValueError, TypeError)):
            eval(expression, {"V": fg.Value, "fg": fg})
    y.backward()
    assert x.grad == 6.0


@pytest.mark.parametrize(
    "call",
    [
        lambda v: v.exp(1.0),
        lambda v: v.arctan2(),
        lambda v: v.arctan2(1.0, 2.0),
        lambda v: v.arctan2("a"),
        lambda v: v.maximum(None),
        lambda v: v.leaky_relu("a"),
        lambda v: v.leaky_relu(0.1, 0.2),
        lambda v: v.hypot(other=1.0),
        lambda v: v.backward(1.0, 2.0, 3.0, 4.0),
        lambda v: type(v)(1.0, colour="red"),
    ],
)
def test_method_refuses_wrong_arguments(call: Callable[[Any], Any], fg: ModuleType) -> None:
    with pytest.raises(TypeError):
        call(fg.Value(1.0))
