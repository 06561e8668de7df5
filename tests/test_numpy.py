"""Values beside NumPy: scalars of every dtype, object arrays, and the functions that call their elements' methods."""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

SCALARS = [*"?bhilqBHILQefdg"]
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv]
each_operator = pytest.mark.parametrize("apply", OPERATORS, ids=[f.__name__ for f in OPERATORS])


def data(values: Any) -> Any:
    """The data of an object array of Values, as an array of floats."""
    return np.vectorize(float, otypes=[float])(values)


@pytest.mark.parametrize("code", SCALARS, ids=[np.dtype(code).name for code in SCALARS])
@each_operator
def test_scalar_of_any_dtype_on_either_side_gives_a_value(
    apply: Callable[[Any, Any], Any], code: str, fg: ModuleType
) -> None:
    number, v = np.dtype(code).type(1), fg.Value(4.0)
    for left, right in [(number, v), (v, number)]:
        got = apply(left, right)
        assert type(got) is fg.Value
        assert got.data == apply(float(left), float(right))
        got.backward()


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge], ids=lambda f: f.__name__)
def test_numpy_scalar_compares_by_data_on_either_side(compare: Callable[[Any, Any], Any], fg: ModuleType) -> None:
    assert bool(compare(fg.Value(1.0), np.float64(2.0))) is compare(1.0, 2.0)
    assert bool(compare(np.float64(2.0), fg.Value(1.0))) is compare(2.0, 1.0)


def test_zero_dimensional_array_on_either_side_gives_a_value(fg: ModuleType) -> None:
    v = fg.Value(4.0)
    for got in (np.array(2.0) * v, v * np.array(2.0)):
        assert type(got) is fg.Value
        assert got.data == 8.0


@each_operator
def test_array_on_either_side_works_elementwise(apply: Callable[[Any, Any], Any], fg: ModuleType) -> None:
    v, array = fg.Value(2.0), np.array([[1.0, 2.0, 4.0], [8.0, 0.5, 3.0]])
    for got, expected in [(apply(v, array), apply(2.0, array)), (apply(array, v), apply(array, 2.0))]:
        assert isinstance(got, np.ndarray)
        assert (got.dtype, got.shape) == (np.dtype(object), (2, 3))
        assert all(type(element) is fg.Value for element in got.flat)
        assert np.allclose(data(got), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool", "uint8", "object"])
def test_array_of_any_real_dtype_times_value(dtype: str, fg: ModuleType) -> None:
    array = np.array([0, 1, 1]).astype(dtype)
    assert data(array * fg.Value(2.5)).tolist() == data(fg.Value(2.5) * array).tolist() == [0.0, 2.5, 2.5]


def test_gradient_of_a_value_broadcast_over_an_array(fg: ModuleType) -> None:
    v = fg.Value(2.0)
    np.sum(np.array([1.0, 2.0, 4.0]) * v).backward()
    assert v.grad == 7.0


def test_array_of_text_is_refused(fg: ModuleType) -> None:
    with pytest.raises(TypeError):
        fg.Value(1.0) + np.array(["a", "b"])


def test_array_is_not_swallowed_as_data(fg: ModuleType) -> None:
    with pytest.raises(TypeError, match="one Value per element"):
        fg.Value(np.ones(3))


def test_array_of_values_has_their_identity(fg: ModuleType) -> None:
    values = [fg.Value(1.0), fg.Value(2.0)]
    array = np.array(values)
    assert (array.dtype, array.shape) == (np.dtype(object), (2,))
    assert array[0] is values[0] and array[1] is values[1]
    assert np.array([[v, v] for v in values]).shape == (2, 2)


def test_map_over_a_row(fg: ModuleType) -> None:
    row = list(map(fg.Value, np.array([[1.5, 2.5]], dtype=np.float32)[0]))
    assert [v.data for v in row] == [1.5, 2.5]


@pytest.mark.parametrize(
    "name", ["exp", "log", "sqrt", "sin", "cos", "tanh", "arctan", "log1p", "cbrt", "floor", "absolute", "negative"]
)
def test_ufunc_calls_the_method_of_each_element(name: str, fg: ModuleType) -> None:
    numbers = np.array([[0.5, 1.25], [2.0, 3.75]])
    values = np.array([[fg.Value(x) for x in row] for row in numbers])
    got = getattr(np, name)(values)
    assert (got.dtype, got.shape) == (np.dtype(object), (2, 2))
    assert np.allclose(data(got), getattr(np, name)(numbers), rtol=1e-15)


@pytest.mark.parametrize("name", ["exp", "log", "tanh"])
def test_ufunc_on_one_value(name: str, fg: ModuleType) -> None:
    v = fg.Value(0.5)
    got = getattr(np, name)(v)
    assert type(got) is fg.Value
    got.backward()
    assert got.data == pytest.approx(getattr(np, name)(0.5), rel=1e-15)
    assert v.grad != 0.0


@pytest.mark.parametrize("name", ["hypot", "arctan2", "fmod"])
def test_binary_ufunc_on_object_arrays(name: str, fg: ModuleType) -> None:
    a, b = np.array([3.0, 1.0]), np.array([4.0, 2.0])
    values = np.array([fg.Value(x) for x in a]), np.array([fg.Value(x) for x in b])
    assert np.allclose(data(getattr(np, name)(*values)), getattr(np, name)(a, b), rtol=1e-15)


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_extrema_of_object_arrays_pick_the_value_itself(name: str, fg: ModuleType) -> None:
    a, b = fg.Value(1.0), fg.Value(2.0)
    assert getattr(np, name)(np.array([a]), np.array([b]))[0] is (b if "max" in name else a)


def test_arithmetic_of_two_object_arrays_broadcasts(fg: ModuleType) -> None:
    rows = np.array([[fg.Value(1.0)], [fg.Value(2.0)]])
    columns = np.array([fg.Value(10.0), fg.Value(20.0), fg.Value(30.0)])
    got = rows * columns + 1
    assert got.shape == (2, 3)
    assert data(got).tolist() == [[11.0, 21.0, 31.0], [21.0, 41.0, 61.0]]
    got.sum().backward()
    assert (rows[0, 0].grad, columns[1].grad) == (60.0, 3.0)


def test_sum_mean_and_prod_of_an_object_array(fg: ModuleType) -> None:
    values = np.array([fg.Value(x) for x in (1.0, 2.0, 4.0)])
    assert [v.data for v in (values.sum(), np.sum(values), values.mean(), values.prod())] == [7.0, 7.0, 7.0 / 3, 8.0]
    assert values.max() is values[2] and values.argmin() == 0


def test_dot_and_matmul_of_object_arrays(fg: ModuleType) -> None:
    w = np.array([[fg.Value(1.0), fg.Value(2.0)], [fg.Value(3.0), fg.Value(4.0)]])
    x = np.array([10.0, 100.0])
    for got in (w @ x, np.dot(w, x), w.dot(x)):
        assert data(got).tolist() == [210.0, 430.0]
    y = w @ np.array([fg.Value(10.0), fg.Value(100.0)])
    y[1].backward()
    assert [v.grad for v in w.flat] == [0.0, 0.0, 10.0, 100.0]


def test_where_and_comparison_of_object_arrays(fg: ModuleType) -> None:
    values = np.array([fg.Value(-1.0), fg.Value(2.0)])
    picked = np.where(values > 0, values, 0.0)
    assert picked[0] == 0.0 and picked[1] is values[1]
    assert (values >= 2.0).tolist() == [False, True]


def test_array_keeps_no_value_alive_after_it_is_gone(fg: ModuleType) -> None:
    v = fg.Value(2.0)
    for _ in range(1000):
        (np.ones(10) * v).sum().backward()
    assert v.grad == 10_000.0


def test_as_float_array(fg: ModuleType) -> None:
    values = [fg.Value(1.0), fg.Value(2.5)]
    assert np.array(values).astype(float).tolist() == [1.0, 2.5]
    assert np.array([v.data for v in values]).dtype == np.float64


def test_linear_regression_on_object_arrays(fg: ModuleType) -> None:
    """One gradient step of least squares, against the closed form."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(8, 3)), draw.normal(size=8)
    weights = np.array([fg.Value(w) for w in draw.normal(size=3)])
    loss = np.mean((x @ weights - y) ** 2)
    loss.backward()
    residual = x @ data(weights) - y
    assert loss.data == pytest.approx(np.mean(residual**2), rel=1e-13)
    assert [w.grad for w in weights] == pytest.approx((2 / 8 * x.T @ residual).tolist(), rel=1e-12)
