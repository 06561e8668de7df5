"""Module functions: scalars, Values, arrays and lists in, the same kind out; and the reductions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from exact import BY_NAME, REDUCTIONS

# --------------------------------------------------------------------------------------------------- scalars and arrays


def test_function_of_a_number_is_a_float(fg: ModuleType) -> None:
    for number in (1, True, 1.0, np.float32(1.0), np.int64(1)):
        assert type(fg.exp(number)) is float
        assert fg.exp(number) == math.exp(1.0)


def test_function_of_a_value_is_a_value(fg: ModuleType) -> None:
    v = fg.Value(1.0)
    assert type(fg.exp(v)) is fg.Value
    assert fg.exp(v)._children == (v,)


def test_function_of_values_and_numbers_is_a_value(fg: ModuleType) -> None:
    v = fg.Value(3.0)
    for y in (fg.hypot(v, 4), fg.hypot(4.0, v), fg.hypot(v, np.float64(4.0))):
        assert (type(y), y.data) == (fg.Value, 5.0)


def test_function_of_a_float_array_is_a_float_array(fg: ModuleType) -> None:
    x = np.array([[0.5, 1.0], [2.0, 4.0]])
    got = fg.log(x)
    assert (got.dtype, got.shape) == (np.dtype(float), (2, 2))
    assert np.allclose(got, np.log(x), rtol=1e-15)


@pytest.mark.parametrize("make", [list, tuple, np.array], ids=["list", "tuple", "array"])
def test_function_of_a_sequence_of_numbers_is_a_float_array(make: Callable[[Any], Any], fg: ModuleType) -> None:
    got = fg.sqrt(make([1, 4, 9]))
    assert isinstance(got, np.ndarray)
    assert (got.dtype, got.tolist()) == (np.dtype(float), [1.0, 2.0, 3.0])


@pytest.mark.parametrize("make", [list, tuple, np.array], ids=["list", "tuple", "array"])
def test_function_of_a_sequence_of_values_is_an_object_array(make: Callable[[Any], Any], fg: ModuleType) -> None:
    values = [fg.Value(1.0), fg.Value(4.0)]
    got = fg.sqrt(make(values))
    assert (got.dtype, got.shape) == (np.dtype(object), (2,))
    assert [v._children for v in got] == [(values[0],), (values[1],)]


def test_sequence_may_mix_values_and_numbers(fg: ModuleType) -> None:
    assert [float(v) for v in fg.sqrt([fg.Value(4.0), 9.0])] == [2.0, 3.0]


def test_arguments_broadcast(fg: ModuleType) -> None:
    v = fg.Value(2.0)
    got = fg.maximum(np.array([[1.0], [3.0]]), [v, 0.0, 4.0])
    assert got.shape == (2, 3)
    assert [[float(u) for u in row] for row in got] == [[2.0, 1.0, 4.0], [3.0, 3.0, 4.0]]
    floats = fg.add(np.ones((2, 1)), [1, 2, 3])
    assert (floats.dtype, floats.tolist()) == (np.dtype(float), [[2.0, 3.0, 4.0]] * 2)


def test_shapes_that_do_not_broadcast_are_numpys_error(fg: ModuleType) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        fg.add(np.ones(2), np.ones(3))


def test_empty_array_stays_empty(fg: ModuleType) -> None:
    got = fg.exp(np.ones((0, 3)))
    assert (got.shape, got.dtype) == ((0, 3), np.dtype(float))


def test_zero_dimensional_array_is_a_scalar(fg: ModuleType) -> None:
    assert float(fg.exp(np.array(0.0))) == 1.0
    assert np.ndim(fg.exp(np.array(0.0))) == 0


@pytest.mark.parametrize("make", [list, np.array], ids=["list", "array"])
def test_parameter_keeps_its_default_over_arrays(make: Callable[[Any], Any], fg: ModuleType) -> None:
    assert fg.leaky_relu(make([-100.0, 2.0])).tolist() == [-1.0, 2.0]
    assert fg.leaky_relu(make([-100.0, 2.0]), 0.5).tolist() == [-50.0, 2.0]
    assert fg.elu(make([0.0, 2.0]), make([1.0, 3.0])).tolist() == [0.0, 2.0]


def test_where_picks_by_truth_and_broadcasts(fg: ModuleType) -> None:
    a, b = fg.Value(1.0), fg.Value(2.0)
    assert fg.where(True, 3, 4.0) == 3.0
    assert fg.where(a > b, a, b).data == 2.0
    picked = fg.where(np.array([True, False]), a, b)
    assert [float(v) for v in picked] == [1.0, 2.0]
    np.sum(picked).backward()
    assert (a.grad, b.grad) == (1.0, 1.0)
    assert fg.where([1, 0, 1], [1.0, 2.0, 3.0], 0).tolist() == [1.0, 0.0, 3.0]


@pytest.mark.parametrize("wrong", ["a", None, 1j, {}, object()], ids=lambda wrong: type(wrong).__name__)
def test_function_refuses_what_is_no_number(wrong: Any, fg: ModuleType) -> None:
    for call in (lambda: fg.exp(wrong), lambda: fg.hypot(1.0, wrong), lambda: fg.add(wrong, fg.Value(1.0))):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError):
        fg.exp([1.0, wrong])


@pytest.mark.parametrize(
    "call", ["fg.exp()", "fg.exp(1.0, 2.0)", "fg.hypot(1.0)", "fg.where(1.0, 2.0)", "fg.leaky_relu()", "fg.sum()"]
)
def test_function_refuses_a_wrong_number_of_arguments(call: str, fg: ModuleType) -> None:
    with pytest.raises(TypeError):
        eval(call, {"fg": fg})


def test_domain_errors_are_those_of_the_method(fg: ModuleType) -> None:
    for x in (0.0, fg.Value(0.0), fg.Value(0.0) * 1):
        with pytest.raises(ValueError, match=r"log\(0\.0\)"):
            fg.log(x)
    with pytest.raises(ZeroDivisionError, match=r"1\.0 / 0\.0"):
        fg.div(1, 0)


# ----------------------------------------------------------------------------------------------------------- reductions

MAKERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": lambda values: (v for v in values),
    "array": np.array,
    "map": lambda values: map(lambda v: v, values),
}
each_iterable = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@each_iterable
def test_reductions_take_any_iterable(make: Callable[[list[Any]], Any], fg: ModuleType) -> None:
    values = [fg.Value(1.0), fg.Value(2.0), fg.Value(4.0)]
    for reduce, expected in [(fg.sum, 7.0), (fg.mean, 7 / 3), (fg.logsumexp, math.log(sum(map(math.exp, (1, 2, 4)))))]:
        node = reduce(make(values))
        assert node.data == pytest.approx(expected, rel=1e-15)
        assert node._children == tuple(values)
    node = fg.dot(make(values), make([3.0, 5.0, 7.0]))
    assert (node.data, node._children[:3]) == (41.0, tuple(values))


@each_iterable
def test_reductions_of_numbers_are_floats(make: Callable[[list[Any]], Any], fg: ModuleType) -> None:
    for got, expected in [
        (fg.sum(make([1, 2, 4])), 7.0),
        (fg.mean(make([1, True, 4.0])), 2.0),
        (fg.logsumexp(make([0.0, 0.0])), math.log(2.0)),
        (fg.dot(make([1, 2]), make([3, 4])), 11.0),
    ]:
        assert type(got) is float
        assert got == pytest.approx(expected, rel=1e-15)


def test_reduction_is_one_node_with_its_operands_in_order(fg: ModuleType) -> None:
    a, b = fg.Value(1.0), fg.Value(2.0)
    node = fg.sum([a, 5.0, b, a])
    assert node._op == "sum"
    assert [child.data for child in node._children] == [1.0, 5.0, 2.0, 1.0]
    assert (node._children[0], node._children[2], node._children[3]) == (a, b, a)
    node.backward()
    assert (a.grad, b.grad, node._children[1].grad) == (2.0, 1.0, 0.0)


def test_dot_has_first_the_xs_then_the_ys(fg: ModuleType) -> None:
    x, w = [fg.Value(1.0), fg.Value(2.0)], [fg.Value(3.0), fg.Value(5.0)]
    node = fg.dot(x, w)
    assert node._children == (*x, *w)
    assert node._local_grads == (3.0, 5.0, 1.0, 2.0)
    node.backward()
    assert [v.grad for v in (*x, *w)] == [3.0, 5.0, 1.0, 2.0]


def test_sum_of_nothing_is_zero(fg: ModuleType) -> None:
    assert fg.sum([]) == 0.0
    assert type(fg.sum([])) is float
    assert fg.dot([], []) == 0.0


@pytest.mark.parametrize("name", ["mean", "logsumexp"])
def test_mean_and_logsumexp_of_nothing_are_refused(name: str, fg: ModuleType) -> None:
    with pytest.raises(ValueError, match=name):
        getattr(fg, name)([])


@pytest.mark.parametrize("as_generator", [False, True])
def test_dot_of_unequal_lengths_names_both(as_generator: bool, fg: ModuleType) -> None:
    xs, ys = [fg.Value(1.0)] * 3, [1.0, 2.0]
    with pytest.raises(ValueError, match=r"(?s)3.*2"):
        fg.dot(iter(xs) if as_generator else xs, iter(ys) if as_generator else ys)


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        (3.0, TypeError),
        (None, TypeError),
        ("ab", TypeError),
        (["a"], TypeError),
        ([None], TypeError),
        ([1j], TypeError),
        ([[1.0, 2.0]], ValueError),
        (np.ones((2, 2)), ValueError),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["sum", "mean", "logsumexp", "dot"])
def test_reduction_says_what_it_takes(name: str, argument: Any, error: type[Exception], fg: ModuleType) -> None:
    with pytest.raises(error, match=name):
        getattr(fg, name)(*[argument] * (2 if name == "dot" else 1))


def test_error_inside_a_generator_arrives_and_leaves_no_trace(fg: ModuleType) -> None:
    def failing() -> Any:
        yield fg.Value(1.0)
        raise KeyError("mine")

    for reduce in (fg.sum, fg.mean, fg.logsumexp, lambda g: fg.dot(g, g)):
        with pytest.raises(KeyError, match="mine"):
            reduce(failing())
    v = fg.Value(2.0)
    fg.sum([v, v]).backward()
    assert v.grad == 2.0


def test_generator_may_build_values_and_reduce_itself(fg: ModuleType) -> None:
    leaves = [fg.Value(float(i)) for i in range(100)]
    total = fg.sum(fg.dot([v, v], [v * 2, 1.0]) + fg.sum(u for u in leaves[:3]) for v in leaves)
    total.backward()
    assert total.data == sum(2.0 * i * i + i + 3.0 for i in range(100))
    assert leaves[50].grad == 4 * 50.0 + 1.0
    assert leaves[2].grad == 4 * 2.0 + 1.0 + 100.0


def test_terms_may_be_dropped_while_they_are_summed(fg: ModuleType) -> None:
    """The generator's own values live in the sum alone, over as many reclaims as it takes."""
    v = fg.Value(0.5)
    total = fg.sum(v * (i % 7) for i in range(50_000))
    total.backward()
    assert v.grad == sum(i % 7 for i in range(50_000))


def in_the_one_order(terms: list[float]) -> float:
    """Eight interleaved partial sums, then a tree: what reduce.h defines."""
    acc = [0.0] * 8
    for i, term in enumerate(terms):
        acc[i % 8] += term
    p = [acc[k] + acc[k + 4] for k in range(4)]
    return (p[0] + p[2]) + (p[1] + p[3])


@pytest.mark.parametrize("n", [*range(20), 63, 64, 65, 100, 1000])
def test_sums_have_one_order_to_the_last_bit(n: int, fg: ModuleType) -> None:
    draw = random.Random(n)
    xs = [draw.uniform(-1, 1) * 10.0 ** draw.randint(-8, 8) for _ in range(n)]
    ys = [draw.uniform(-1, 1) for _ in range(n)]
    values = list(map(fg.Value, xs))
    products = [x * y for x, y in zip(xs, ys, strict=True)]
    assert float(fg.sum(values)) == fg.sum(xs) == in_the_one_order(xs)
    assert float(fg.dot(values, ys)) == fg.dot(xs, ys) == in_the_one_order(products)
    if n:
        assert float(fg.mean(values)) == fg.mean(xs) == in_the_one_order(xs) / n


def test_logsumexp_neither_overflows_nor_underflows(fg: ModuleType) -> None:
    for shift in (1000.0, -1000.0):
        values = [fg.Value(shift), fg.Value(shift + math.log(3.0))]
        node = fg.logsumexp(values)
        node.backward()
        assert node.data == pytest.approx(shift + math.log(4.0), rel=1e-15)
        assert [v.grad for v in values] == pytest.approx([0.25, 0.75], rel=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-math.inf, 0.0], 0.0),
        ([-math.inf, -math.inf], -math.inf),
        ([math.inf, 0.0], math.inf),
        ([math.nan, 0.0], math.nan),
        ([0.0, math.nan], math.nan),
        ([7.5], 7.5),
    ],
)
def test_logsumexp_at_infinities(values: list[float], expected: float, fg: ModuleType) -> None:
    assert fg.logsumexp(values) == pytest.approx(expected, nan_ok=True)
    assert fg.logsumexp(map(fg.Value, values)).data == pytest.approx(expected, nan_ok=True)


# -------------------------------------------------------------------------------------------------------------- softmax


def test_softmax_is_a_list_of_values_that_sum_to_one(fg: ModuleType) -> None:
    logits = [fg.Value(x) for x in (1.0, 2.0, 4.0)]
    probabilities = fg.softmax(logits)
    assert isinstance(probabilities, list)
    assert all(type(p) is fg.Value for p in probabilities)
    exps = [math.exp(x) for x in (1.0, 2.0, 4.0)]
    assert [p.data for p in probabilities] == pytest.approx([e / sum(exps) for e in exps], rel=1e-15)
    assert fg.sum(probabilities).data == pytest.approx(1.0, rel=1e-15)


def test_gradient_of_the_cross_entropy_of_a_softmax(fg: ModuleType) -> None:
    logits = [fg.Value(x) for x in (1.0, 2.0, 4.0)]
    probabilities = fg.softmax(logits)
    (-probabilities[1].log()).backward()
    expected = [p.data - (i == 1) for i, p in enumerate(probabilities)]
    assert [v.grad for v in logits] == pytest.approx(expected, rel=1e-14)


def test_softmax_of_large_logits(fg: ModuleType) -> None:
    assert [p.data for p in fg.softmax([fg.Value(1000.0), fg.Value(1000.0)])] == [0.5, 0.5]


def test_softmax_takes_any_iterable(fg: ModuleType) -> None:
    assert [p.data for p in fg.softmax(fg.Value(0.0) for _ in range(4))] == [0.25] * 4
    with pytest.raises(ValueError, match=r"softmax|logsumexp"):
        fg.softmax([])


@pytest.mark.parametrize("name", [row.name for row in REDUCTIONS])
def test_error_inside_a_generator_passes_as_it_is(name: str, fg: ModuleType) -> None:
    def broken() -> Iterator[Any]:
        yield fg.Value(1.0)
        raise TypeError("mine")

    arguments = [broken()] + [[1.0, 2.0]] * (len(BY_NAME[name].operands) - 1)
    with pytest.raises(TypeError, match=r"^mine$"):
        getattr(fg, name)(*arguments)


def test_list_that_changes_under_a_reduction_is_never_misread(fg: ModuleType) -> None:
    xs = [fg.Value(1.0), fg.Value(2.0)]

    def spoiling() -> Iterator[float]:
        yield 3.0
        xs[0] = "no number"
        yield 4.0

    try:
        assert fg.dot(xs, spoiling()).data == 11.0  # what was there before
    except TypeError as error:
        assert "no number" in str(error)
