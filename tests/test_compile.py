"""Compiled functions called: arguments of every kind in, results of the same structure out."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import math
from fractions import Fraction
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from compiled import agree, row_by_row


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Market:
    spot: Any
    rate: Any


class Sub(np.ndarray):  # type: ignore[type-arg]
    pass


class Side(enum.Enum):
    CALL = 1
    PUT = -1


def product(x: Any, y: Any) -> Any:
    return x * y + x


# ---------------------------------------------------------------------------------------------------- rows


def test_floats_in_floats_out(fg: ModuleType) -> None:
    result = fg.compile(product)(2.0, 3.0)
    assert type(result) is float and result == 8.0


@pytest.mark.parametrize("number", [2, True, Fraction(4, 2), np.float32(2), np.int8(2), np.array(2), np.longdouble(2)])
def test_numbers_of_every_kind(fg: ModuleType, number: Any) -> None:
    result = fg.compile(lambda x: x * 3.0 if x is not True else 6.0)(number)
    assert type(result) is float and result == 6.0


SHAPES = [
    *(((), ()), ((3,), ()), ((), (3,)), ((3,), (3,)), ((3, 1), (4,)), ((2, 1, 3), (4, 1)), ((1,), (1,)), ((1, 1), ())),
    *(((0,), ()), ((0,), (1,)), ((2, 0), (1, 0)), ((5, 1), (0,)), ((1,), (5,)), ((7, 1, 1), (1, 2, 3))),
]


@pytest.mark.parametrize(("a", "b"), SHAPES, ids=str)
def test_arguments_broadcast_as_in_numpy(fg: ModuleType, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x = np.arange(1.0, 1.0 + math.prod(a)).reshape(a)
    y = np.linspace(-2.0, 2.0, math.prod(b)).reshape(b)
    f = fg.compile(product)
    expected, (to_x, to_y) = row_by_row(fg, product, x, y)
    assert agree(fg, f(x, y), expected)
    gx, gy = f.grad(x, y)
    assert agree(fg, gx, to_x) and agree(fg, gy, to_y)
    assert all(isinstance(result, float if expected.ndim == 0 else np.ndarray) for result in (f(x, y), gx, gy))


DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f8", ">i4", "g"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_dtype_that_casts_to_float64(fg: ModuleType, dtype: str) -> None:
    x = np.array([0, 1, 1, 0, 1]).astype(dtype)
    assert fg.compile(product)(x, 2.0).tolist() == [0.0, 3.0, 3.0, 0.0, 3.0]


def memory_orders() -> dict[str, Any]:
    x = np.arange(24.0).reshape(4, 6) / 7.0
    unaligned = np.frombuffer(b"x" + x.tobytes(), np.uint8)[1:].view(float).reshape(4, 6)
    assert not unaligned.flags.aligned
    return {
        "C": x,
        "Fortran": np.asfortranarray(x),
        "reversed": x[::-1, ::-1].copy()[::-1, ::-1],
        "strided": np.repeat(np.repeat(x, 3, axis=0), 2, axis=1)[::3, ::2],
        "read-only": np.frombuffer(x.tobytes()).reshape(4, 6),
        "unaligned": unaligned,
        "broadcast": np.broadcast_to(x[:1], (4, 6)),
        "list": x.tolist(),
        "subclass": x.view(Sub),
    }


@pytest.mark.parametrize("order", sorted(memory_orders()))
@pytest.mark.parametrize("signature", ["(),()->()", "(n),()->()"])
def test_any_memory_order(fg: ModuleType, order: str, signature: str) -> None:
    def f(x: Any, y: Any) -> Any:
        return fg.sum(x * y) if signature[1] == "n" else x * y

    x = memory_orders()[order]
    compiled = fg.compile(f, signature)
    plain = np.array(x, order="C")
    y = np.arange(4.0) if signature[1] == "n" else 2.0
    assert agree(fg, compiled(x, y), compiled(plain, y))
    for got, expected in zip(compiled.grad(x, y), compiled.grad(plain, y), strict=True):
        assert agree(fg, got, expected)


def test_many_rows_are_the_rows_one_by_one(fg: ModuleType) -> None:
    f = fg.compile(lambda x, y: fg.tanh(x) * fg.exp(-y * y) + fg.log1p(x * x))
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3000))
    whole, slopes = f(x, y), f.grad(x, y)
    for rows in (slice(0, 1), slice(1, 8), slice(8, 1033), slice(1033, 3000)):
        assert agree(fg, f(x[rows], y[rows]), whole[rows])
        for got, slope in zip(f.grad(x[rows], y[rows]), slopes, strict=True):
            assert agree(fg, got, slope[rows])
    singles = [f(a, b) for a, b in zip(x[:50], y[:50], strict=True)]
    assert agree(fg, singles, whole[:50])


# ----------------------------------------------------------------------------------------- core dimensions


def test_core_dimensions_are_object_arrays_of_values(fg: ModuleType) -> None:
    seen = []

    @fg.compile(signature="(n,3),(),(0)->()")
    def f(x: Any, y: Any, z: Any) -> Any:
        seen.append((type(x), x.shape, x.dtype, type(y), z.shape))
        assert all(isinstance(v, fg.Value) for row in x for v in row)
        return fg.sum((x[:, 1:] * y).ravel()) + fg.dot(x[0], x[1])

    x = np.arange(6.0).reshape(2, 3)
    assert f(x, 2.0, []) == 2.0 * (1 + 2 + 4 + 5) + (0 * 3 + 1 * 4 + 2 * 5)
    assert seen == [(np.ndarray, (2, 3), np.dtype(object), fg.Value, (0,))]


def test_a_new_core_shape_is_a_new_recording(fg: ModuleType) -> None:
    f = fg.compile(lambda x: fg.sum(x) if len(x) else 0.0, signature="(n)->()")
    assert [f(np.ones(n)) for n in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert len(f.paths) == 4


def test_results_with_core_dimensions(fg: ModuleType) -> None:
    f = fg.compile(lambda x: ([x[0], x[1], x[0] * x[1]], x[0]), signature="(2)->(m),()")
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    three, one = f(x)
    assert three.tolist() == [[1.0, 2.0, 2.0], [3.0, 4.0, 12.0]] and one.tolist() == [1.0, 3.0]


def test_signature_without_results_leaves_them_open(fg: ModuleType) -> None:
    f = fg.compile(lambda x: {"sum": fg.sum(x), "x": x * 2.0}, signature="(n)")
    result = f([[1.0, 2.0], [3.0, 4.0]])
    assert result["sum"].tolist() == [3.0, 7.0] and result["x"].tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_arguments_with_defaults_need_not_be_in_the_signature(fg: ModuleType) -> None:
    @fg.compile(signature="(n)->()")
    def rosenbrock(x: Any, a: float = 1.0, *, b: float = 100.0) -> Any:
        return fg.sum(b * (x[1:] - x[:-1] ** 2) ** 2 + (a - x[:-1]) ** 2)

    x = np.array([1.5, 2.0, 3.0])
    assert rosenbrock(x) == pytest.approx(100 * (0.25**2 + 1) + 0.25 + 1)
    assert rosenbrock(x, b=[0.0, 1.0]).tolist() == pytest.approx([1.25, 2.3125])
    assert rosenbrock.grad(x).shape == (3,)  # with respect to what the call gives
    assert [np.shape(g) for g in rosenbrock.grad(x, b=[0.0, 1.0])] == [(2, 3), (2,)]
    assert len(rosenbrock.paths) == 2  # by which arguments are given; not by their data


# ---------------------------------------------------------------------------------------- structures, statics


def structures() -> dict[str, tuple[Any, Any]]:
    """An argument and how a function takes two numbers out of it."""
    return {
        "tuple": ((2.0, 3.0), lambda p: (p[0], p[1])),
        "nested": ((2.0, ((3.0,),)), lambda p: (p[0], p[1][0][0])),
        "dict": ({"a": 2.0, "b": 3.0}, lambda p: (p["a"], p["b"])),
        "namedtuple": (Pair(2.0, 3.0), lambda p: (p.left, p.right)),
        "dataclass": (Market(spot=2.0, rate=3.0), lambda p: (p.spot, p.rate)),
        "mixed": (({"x": Pair("name", 2.0)}, [3.0, 4.0, 5.0], None), lambda p: (p[0]["x"].right, p[1])),
    }


@pytest.mark.parametrize("kind", sorted(structures()))
def test_structures_of_numbers_as_arguments(fg: ModuleType, kind: str) -> None:
    argument, take = structures()[kind]

    def f(p: Any, z: Any) -> Any:
        x, y = take(p)
        return x * y * y + z

    compiled = fg.compile(f)
    y = np.array(take(argument)[1])
    assert agree(fg, compiled(argument, 1.0), 2.0 * y * y + 1.0)
    to_p, to_z = compiled.grad(argument, 1.0)
    assert type(to_p) is type(argument)
    to_x, to_y = take(to_p)
    assert agree(fg, to_x, y * y) and agree(fg, to_y, 4.0 * y) and agree(fg, to_z, np.ones(y.shape))


@pytest.mark.parametrize("kind", sorted(set(structures()) - {"mixed"}))
def test_structures_as_results(fg: ModuleType, kind: str) -> None:
    template, take = structures()[kind]

    def f(x: Any) -> Any:
        return rebuild(template, {2.0: x, 3.0: x * x})

    results = fg.compile(f)(np.array([1.0, 2.0]))
    first, second = take(results)
    assert type(results) is type(template)
    assert first.tolist() == [1.0, 2.0] and second.tolist() == [1.0, 4.0]
    first, second = take(fg.compile(f).jacobian(np.array([1.0, 2.0])))
    assert first.tolist() == [1.0, 1.0] and second.tolist() == [2.0, 4.0]


def rebuild(template: Any, parts: dict[float, Any]) -> Any:
    if isinstance(template, float):
        return parts[template]
    if isinstance(template, dict):
        return {key: rebuild(item, parts) for key, item in template.items()}
    if isinstance(template, Market):
        return Market(rebuild(template.spot, parts), rebuild(template.rate, parts))
    items = [rebuild(item, parts) for item in template]
    return Pair(*items) if isinstance(template, Pair) else tuple(items)


def test_results_that_are_lists_arrays_and_constants(fg: ModuleType) -> None:
    f = fg.compile(lambda x: [x, np.array([x, 2.0 * x]), 7, True, np.array([[1.0, 2.0]]), {"none": ()}])
    a, b, c, d, e, empty = f([1.0, 2.0])
    assert a.tolist() == [1.0, 2.0] and b.tolist() == [[1.0, 2.0], [2.0, 4.0]]
    assert c.tolist() == [7.0, 7.0] and d.tolist() == [1.0, 1.0]
    assert e.tolist() == [[[1.0, 2.0]], [[1.0, 2.0]]] and empty == {"none": ()}
    assert type(f(1.0)) is list and type(f(1.0)[2]) is float


def test_a_comparison_is_a_result(fg: ModuleType) -> None:
    assert fg.compile(lambda x: x > 1.0)([0.0, 1.0, 2.0, math.nan]).tolist() == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "values",
    [("a", "b"), (None, True), (True, False), (Side.CALL, Side.PUT), (b"x", b"y"), (math.sin, math.cos), (str, int)],
    ids=lambda values: type(values[0]).__name__,
)
def test_other_arguments_are_static(fg: ModuleType, values: tuple[Any, Any]) -> None:
    runs = []

    def f(x: Any, which: Any) -> Any:
        runs.append(which)
        return x * (2.0 if which == values[0] else 3.0)

    compiled = fg.compile(f)
    for _ in range(2):
        assert [compiled(1.0, value) for value in values] == [2.0, 3.0]
    assert runs == list(values)
    assert compiled.grad(1.0, values[1]) == 3.0


@pytest.mark.parametrize("static", ["n", 1, ("n",), [1]])
def test_numbers_can_be_declared_static(fg: ModuleType, static: Any) -> None:
    @fg.compile(static=static)
    def power(x: Any, n: int) -> Any:
        result = 1.0
        for _ in range(n):
            result = result * x
        return result

    assert power([2.0, 3.0], 3).tolist() == [8.0, 27.0]
    assert power(2.0, n=5) == 32.0
    assert power.grad([2.0, 3.0], 2).tolist() == [4.0, 6.0]
    assert power(2.0, 0) == 1.0


def test_static_values_are_told_apart_by_type_and_sign(fg: ModuleType) -> None:
    f = fg.compile(lambda x, s: x * len(repr(s)), static="s")
    statics = [1, 1.0, True, 0.0, -0.0, 0, False, (1, 2), (1.0, 2), "1"]
    assert [f(1.0, s) for s in statics] == [len(repr(s)) for s in statics]


def test_statics_that_never_repeat_do_not_pile_up(fg: ModuleType) -> None:
    f = fg.compile(lambda x, s: x * s, static="s")
    for s in range(1500):
        assert f(2.0, s) == 2.0 * s
    assert len(f.paths) <= 1024


# --------------------------------------------------------------------------------------------- Python's calls


def test_arguments_are_passed_as_in_python(fg: ModuleType) -> None:
    @fg.compile
    def f(a: Any, /, b: Any, c: Any = 10.0, *rest: Any, d: Any = 100.0, **others: Any) -> Any:
        return a + 2 * b + 3 * c + 5 * sum(rest) + 7 * d + 11 * others.get("e", 0.0)

    assert f(1.0, 2.0) == 1 + 4 + 30 + 700
    assert f(1.0, b=2.0, c=3.0) == 1 + 4 + 9 + 700
    assert f(1.0, 2.0, 3.0, 4.0, 5.0, d=1.0, e=2.0) == 1 + 4 + 9 + 45 + 7 + 22
    assert f.grad(1.0, 2.0, 3.0, 4.0, 5.0, d=1.0, e=2.0) == (1.0, 2.0, 3.0, 5.0, 5.0, 7.0, 11.0)
    assert f.grad(1.0, b=2.0, e=1.0, argnums=("e", "b", 0)) == (11.0, 2.0, 1.0)
    assert f.grad(1.0, 2.0, 3.0, 4.0, argnums="rest[0]") == 5.0


def test_functions_without_a_signature(fg: ModuleType) -> None:
    assert fg.compile(fg.tanh)([0.0]).tolist() == [0.0]
    assert fg.compile(fg.dot, signature="(n),(n)->()")([1.0, 2.0], [3.0, 4.0]) == 11.0


def test_it_looks_like_the_function(fg: ModuleType) -> None:
    @fg.compile
    def area(width: float, height: float = 2.0) -> Any:
        """Width times height."""
        return width * height

    assert area.__name__ == "area" and area.__doc__ == "Width times height." and area.__module__ == __name__
    assert list(inspect.signature(area).parameters) == ["width", "height"]
    assert area.__wrapped__(2.0, 3.0) == 6.0


def test_compiling_what_is_compiled(fg: ModuleType) -> None:
    once = fg.compile(lambda x: fg.sum(x), signature="(n)->()")
    twice = fg.compile(once, fastmath=True)
    assert twice.signature == "(n)->()" and twice([1.0, 2.0]) == 3.0


def test_a_method_is_compiled_for_each_instance(fg: ModuleType) -> None:
    class Line:
        def __init__(self, slope: float) -> None:
            self.slope = fg.Value(slope)

        @fg.compile
        def at(self, x: Any) -> Any:
            return self.slope * x

        @fg.compile(signature="(n)->()")
        def __call__(self, x: Any) -> Any:
            return self.slope * fg.sum(x)

    two, three = Line(2.0), Line(3.0)
    assert [line.at(10.0) for line in (two, three)] == [20.0, 30.0]
    assert two.at.parameters == (two.slope,) and two.at is two.at
    assert three.at.backward([1.0, 3.0]) == 6.0 and (two.slope.grad, three.slope.grad) == (0.0, 2.0)
    assert [line([1.0, 2.0]) for line in (two, three)] == [6.0, 9.0]
    assert isinstance(Line.at, fg.Compiled)


# -------------------------------------------------------------------------------------------------------- out


def test_out_is_filled_and_returned(fg: ModuleType) -> None:
    f = fg.compile(lambda x, y: x * y)
    x, y = np.arange(6.0).reshape(2, 3), 3.0
    out = np.full((2, 3), 99.0)
    assert f(x, y, out=out) is out and agree(fg, out, x * y)
    into = (np.empty((2, 3)), np.empty((2, 3)))
    assert f.grad(x, y, out=into) is into
    assert agree(fg, into[0], np.full((2, 3), 3.0)) and agree(fg, into[1], x)


@pytest.mark.parametrize("view", ["Fortran", "strided", "input", "reversed input", "unaligned"])
def test_out_may_be_any_array(fg: ModuleType, view: str) -> None:
    x = np.arange(12.0).reshape(3, 4)
    expected = np.sin(x[::-1]) if view == "reversed input" else np.sin(x)
    outs = {
        "Fortran": np.empty((3, 4), order="F"),
        "strided": np.empty((6, 8))[::2, ::2],
        "input": x,
        "reversed input": x[::-1],
        "unaligned": np.empty(97, np.uint8)[1:].view(float).reshape(3, 4),
    }
    out = outs[view]
    source = x
    expected = np.array([[math.sin(v) for v in row] for row in source.tolist()])
    assert fg.compile(fg.sin)(source, out=out) is out
    assert np.allclose(out, expected, rtol=1e-15, atol=0)


def test_the_same_array_twice_in_out(fg: ModuleType) -> None:
    """The last one wins, as if each were copied there in turn."""
    a = np.empty(3)
    fg.compile(lambda x: (x, 2.0 * x))([1.0, 2.0, 3.0], out=(a, a))
    assert a.tolist() == [2.0, 4.0, 6.0]


# ------------------------------------------------------------------------------------------- inf, nan, threads


def test_inf_and_nan_are_results_as_in_numpy(fg: ModuleType) -> None:
    f = fg.compile(lambda x: (1.0 / x, fg.log(x), fg.sqrt(x), fg.exp(x), x**-1.5))
    with np.errstate(all="raise"):
        inverse, log, root, exp, power = f([0.0, -1.0, math.inf, 1000.0, math.nan])
    assert inverse.tolist()[:4] == [math.inf, -1.0, 0.0, 0.001]
    assert log[0] == -math.inf and math.isnan(log[1]) and math.isnan(root[1]) and exp[3] == math.inf
    assert power[0] == math.inf and all(math.isnan(r[4]) for r in (inverse, log, root, exp, power))


def test_results_do_not_depend_on_threads(fg: ModuleType) -> None:
    f = fg.compile(lambda x, y: fg.tanh(x * y) + fg.exp(-x) if x > y else fg.log(y))
    x, y = np.random.default_rng(2).random((2, 20_001))
    before = fg.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 7):
            fg.set_num_threads(threads)
            assert fg.get_num_threads() == threads
            total, gradients = f.sum_grad(x, y)
            results.append([f(x, y), *f.grad(x, y), total, *gradients])
    finally:
        fg.set_num_threads(before)
    for others in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(others, results[0], strict=True))
