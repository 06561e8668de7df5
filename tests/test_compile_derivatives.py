"""The derivatives of compiled functions: against eager backward, differences, mpmath and each other; their shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import pytest
from compiled import agree, differences, row_by_row


def smooth(fg: ModuleType) -> Callable[[Any, Any, Any], Any]:
    def f(x: Any, y: Any, z: Any) -> Any:
        return fg.sin(x * y) * fg.exp(-z * z) + fg.log1p(x * x + y * y) / (2.0 + fg.tanh(z)) + x**3 * y

    return f


def exactly(x: Any, y: Any, z: Any) -> Any:
    """The same function in mpmath."""
    mp = mpmath
    return mp.sin(x * y) * mp.exp(-z * z) + mp.log(1 + x * x + y * y) / (2 + mp.tanh(z)) + x**3 * y


def points(rows: int = 7) -> Any:
    return np.random.default_rng(3).uniform(-1.5, 1.5, size=(3, rows))


def exact_derivative(orders: tuple[int, int, int], point: Any) -> float:
    with mpmath.workdps(40):
        return float(mpmath.diff(exactly, tuple(map(float, point)), orders))


# ------------------------------------------------------------------------------------------------ calls that come again

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("value", {}),
    *(
        (kind, {"argnums": n})
        for kind in ("grad", "value_and_grad", "hessian")
        for n in (None, 0, "x", (1, 0), (0,), [0])
    ),
    *((kind, {"argnums": 0}) for kind in ("hvp", "jvp", "sum_grad")),
    ("vjp", {"argnums": "y"}),
]


def asked(f: Any, request: tuple[str, dict[str, Any]], x: Any, y: Any) -> Any:
    kind, options = request
    extra = {"hvp": (np.cos(x),), "jvp": (np.sin(x),), "vjp": (np.tanh(y),)}.get(kind, ())
    return (f if kind == "value" else getattr(f, kind))(x, y, *extra, **options)


@pytest.mark.parametrize("rows", [(), (3,), (1,)])
def test_a_call_that_comes_again_gets_the_same_answer(rows: tuple[int, ...], fg: ModuleType) -> None:
    def f(x: Any, y: Any) -> Any:
        product = fg.sum([a * fg.exp(-a * y) for a in x])
        return product if product < 2.0 else y * product

    def together(answer: Any) -> list[float]:
        parts = answer if isinstance(answer, tuple) else (answer,)
        return [number for part in parts for number in (together(part) if isinstance(part, tuple) else np.ravel(part))]

    draw = np.random.default_rng(8)
    often = fg.compile(f, "(3),()->()")
    for _ in range(4):
        x, y = draw.uniform(-1.0, 1.5, (*rows, 3)), draw.uniform(0.1, 1.0, rows)
        y = y if rows else draw.choice([float, np.float64])(y)
        for request in REQUESTS * 2:
            once = asked(fg.compile(f, "(3),()->()"), request, x, y)
            assert together(asked(often, request, x, y)) == together(once), request


def test_argnums_that_change_between_calls_are_seen(fg: ModuleType) -> None:
    f = fg.compile(lambda x, y: x * y * y)
    which: list[Any] = [0]
    for _ in range(2):
        assert f.grad(2.0, 3.0, argnums=which) == (9.0,)
    which[0] = 1
    assert f.grad(2.0, 3.0, argnums=which) == (12.0,)
    assert [f.grad(2.0, 3.0, argnums=n) for n in (0, 1, "x", "y", 0, 0)] == [9.0, 12.0, 9.0, 12.0, 9.0, 9.0]
    with pytest.raises(ValueError, match="argnums"):
        f.grad(2.0, 3.0, argnums=2)


def test_parameters_that_turn_up_later_are_in_the_next_answer(fg: ModuleType) -> None:
    w = fg.Value(5.0)
    f = fg.compile(lambda x: x if x > 0.0 else w * x)
    for _ in range(3):
        assert [np.size(part) for part in f.grad(2.0, argnums=("x", "parameters"))] == [1, 0]
    f(-1.0)
    assert f.grad(2.0, argnums=("x", "parameters"))[1].tolist() == [0.0]


# ------------------------------------------------------------------------------------------------------ values


def test_gradient_is_that_of_backward(fg: ModuleType) -> None:
    f = fg.compile(smooth(fg))
    values, gradients = row_by_row(fg, smooth(fg), *points(50))
    value, gradient = f.value_and_grad(*points(50))
    assert agree(fg, value, values)
    for got, expected in zip(gradient, gradients, strict=True):
        assert agree(fg, got, expected)
    for got, expected in zip(f.grad(*points(50)), gradients, strict=True):
        assert agree(fg, got, expected)


def test_gradient_is_that_of_differences(fg: ModuleType) -> None:
    f = fg.compile(smooth(fg))
    for point in points().T:
        assert f.grad(*point) == pytest.approx(differences(f, *point), rel=1e-7)


def test_derivatives_to_the_fourth_order(fg: ModuleType) -> None:
    f = fg.compile(smooth(fg))
    x, y, z = points()
    dx = f.partial("x")
    checks = {
        (1, 0, 0): dx(x, y, z),
        (1, 1, 0): f.hessian(x, y, z)[0][1],
        (0, 0, 2): f.hessian(x, y, z, argnums="z"),
        (2, 1, 0): fg.hessian(dx)(x, y, z)[0][1],
        (1, 1, 1): fg.grad(fg.grad(dx, "y"), "z")(x, y, z),
        (2, 1, 1): fg.hessian(fg.grad(fg.grad(f, 0), 1))(x, y, z)[0][2],
    }
    for orders, got in checks.items():
        expected = [exact_derivative(orders, point) for point in zip(x, y, z, strict=True)]
        assert got == pytest.approx(expected, rel=1e-11, abs=1e-11), orders


def test_products_are_those_with_jacobian_and_hessian(fg: ModuleType) -> None:
    def f(x: Any, y: Any) -> Any:
        return fg.sum(x * x) * y + fg.exp(x[0] * y), [y * y, x[1] / y]

    f = fg.compile(f, "(3),()->(),(2)")
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0.5, 2.0, (5, 3)), rng.uniform(0.5, 2.0, 5)
    tx, ty, c0, c1 = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=5), rng.normal(size=(5, 2))
    (a_x, a_y), (b_x, b_y) = f.jacobian(x, y)
    a, b = f.jvp(x, y, (tx, ty))
    assert np.allclose(a, np.einsum("ri,ri->r", a_x, tx) + a_y * ty, rtol=1e-13)
    assert np.allclose(b, np.einsum("roi,ri->ro", b_x, tx) + b_y * ty[:, None], rtol=1e-13)
    gx, gy = f.vjp(x, y, (c0, c1))
    assert np.allclose(gx, a_x * c0[:, None] + np.einsum("roi,ro->ri", b_x, c1), rtol=1e-13)
    assert np.allclose(gy, a_y * c0 + np.einsum("ro,ro->r", b_y, c1), rtol=1e-13)


def test_hessian_products(fg: ModuleType) -> None:
    f = fg.compile(smooth(fg))
    x, y, z = points()
    vectors = tuple(np.random.default_rng(5).normal(size=(3, 7)))
    hessian, product = f.hessian(x, y, z), f.hvp(x, y, z, vectors)
    for row, got in zip(hessian, product, strict=True):
        assert np.allclose(got, sum(h * v for h, v in zip(row, vectors, strict=True)), rtol=1e-11, atol=1e-13)
    for i in range(3):
        for j in range(3):
            assert np.array_equal(hessian[i][j], hessian[j][i])


def test_forward_jacobian_of_many_results(fg: ModuleType) -> None:
    """With many more results than arguments there is a forward sweep for each argument."""
    f = fg.compile(lambda x, y: [fg.sin(x * k) * y**2 for k in range(20)])
    x, y = np.array([0.3, 1.2]), np.array([2.0, -1.0])
    for k, (to_x, to_y) in enumerate(f.jacobian(x, y)):
        assert np.allclose(to_x, k * np.cos(k * x) * y**2, rtol=1e-14)
        assert np.allclose(to_y, np.sin(k * x) * 2 * y, rtol=1e-14)


def test_no_nan_comes_out_of_a_branch_that_is_not_taken(fg: ModuleType) -> None:
    f = fg.compile(lambda x: fg.where(x > 0.0, fg.sqrt(x) * fg.log(x), 0.5 * x))
    x = np.array([-2.0, 0.0, 4.0])
    assert np.allclose(f.grad(x), [0.5, 0.5, math.log(4.0) / 4.0 + 0.5])
    assert np.allclose(f.hessian(x), [0.0, 0.0, -math.log(4.0) / 32.0])
    assert f.jvp(x, np.ones(3)) == pytest.approx(f.grad(x))


def test_stop_gradient(fg: ModuleType) -> None:
    f = fg.compile(lambda x: x * fg.stop_gradient(x * x))
    assert f.grad([1.0, 3.0]).tolist() == [1.0, 9.0] and f.hessian(3.0) == 0.0


def test_what_a_result_does_not_depend_on_has_derivative_zero(fg: ModuleType) -> None:
    f = fg.compile(lambda x, y: (x * x, 7.0))
    assert f.jacobian(3.0, 5.0) == ((6.0, 0.0), (0.0, 0.0))
    assert f.vjp(3.0, 5.0, (1.0, 1.0)) == (6.0, 0.0)
    assert f.jvp(3.0, 5.0, (1.0, 1.0)) == (6.0, 0.0)
    assert fg.compile(lambda x: 2.0).grad([1.0, 2.0]).tolist() == [0.0, 0.0]
    assert fg.compile(lambda x: x).hessian([1.0]).tolist() == [0.0]
    assert fg.compile(lambda x: x).grad([1.0]).tolist() == [1.0]
    assert math.copysign(1.0, fg.compile(lambda x: -0.0 * x).grad(1.0)) == 1.0  # .grad is never -0.0


# ------------------------------------------------------------------------------------------------------ shapes

# (signature, shapes of arguments, what is asked) -> shapes of the answer
N, B = (3,), (4, 2)
SCALAR = "(),()->()"
VECTOR = "(n),()->()"
MATRIX = "(n,m),(m)->(n)"
ANSWERS = [
    (SCALAR, [(), ()], "grad", ((), ())),
    (SCALAR, [(5,), ()], "grad", ((5,), (5,))),
    (SCALAR, [(5, 1), (2,)], "hessian", (((5, 2), (5, 2)), ((5, 2), (5, 2)))),
    (VECTOR, [N, ()], "grad", (N, ())),
    (VECTOR, [(4, 1, 3), (2,)], "grad", ((4, 2, 3), (4, 2))),
    (VECTOR, [(7, 3), ()], "hessian", (((7, 3, 3), (7, 3)), ((7, 3), (7,)))),
    (VECTOR, [(7, 3), ()], "jacobian", ((7, 3), (7,))),
    (MATRIX, [(2, 3), (3,)], "jacobian", ((2, 2, 3), (2, 3))),
    (MATRIX, [(5, 2, 3), (6, 1, 3)], "jacobian", ((6, 5, 2, 2, 3), (6, 5, 2, 3))),
    (MATRIX, [(0, 2, 3), (3,)], "jacobian", ((0, 2, 2, 3), (0, 2, 3))),
    (VECTOR, [(0, 3), ()], "hessian", (((0, 3, 3), (0, 3)), ((0, 3), (0,)))),
]


def shapes_of(answer: Any) -> Any:
    return tuple(map(shapes_of, answer)) if isinstance(answer, tuple) else np.shape(answer)


def summed(fg: ModuleType, signature: str) -> Any:
    if signature == MATRIX:
        return fg.compile(lambda a, x: [fg.dot(row, x) for row in a], signature)
    if signature == VECTOR:
        return fg.compile(lambda x, y: fg.dot(x, x) * y * y, signature)
    return fg.compile(lambda x, y: x * x * y * y, signature)


@pytest.mark.parametrize(("signature", "shapes", "kind", "expected"), ANSWERS)
def test_shapes(fg: ModuleType, signature: str, shapes: list[Any], kind: str, expected: Any) -> None:
    f = summed(fg, signature)
    arguments = [np.random.default_rng(6).normal(size=shape) for shape in shapes]
    method = getattr(f, kind)
    assert shapes_of(method(*arguments)) == expected
    first = expected[0][0] if kind == "hessian" else expected[0]
    assert shapes_of(method(*arguments, argnums=0)) == first
    assert shapes_of(method(*arguments, argnums=(0,))) == (((first,),) if kind == "hessian" else (first,))
    whole, swapped = method(*arguments), method(*arguments, argnums=(1, 0))
    for i in range(2):
        pairs = [(whole[i], swapped[1 - i])]
        if kind == "hessian":
            pairs = [(whole[i][j], swapped[1 - i][1 - j]) for j in range(2)]
        assert all(np.array_equal(a, b) for a, b in pairs)


def test_value_and_grad_is_a_pair(fg: ModuleType) -> None:
    f = fg.compile(lambda x: fg.dot(x, x), "(n)->()")
    value, gradient = f.value_and_grad(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert value.tolist() == [5.0, 25.0] and gradient.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert type(f.value_and_grad([1.0])[0]) is float


def test_further_arguments_broadcast_too(fg: ModuleType) -> None:
    f = fg.compile(lambda x: fg.dot(x, x) * x[0], "(2)->()")
    x = np.array([1.0, 2.0])
    assert f.hvp(x, np.eye(2)).tolist() == f.hessian(x).tolist()
    assert f.jvp(np.ones((3, 1, 2)), np.eye(2)).shape == (3, 2)
    assert f.vjp(x, np.ones((4, 1))).shape == (4, 1, 2)
    assert f.hvp(x, vectors=[1.0, 0.0]).tolist() == f.hvp(x, [1.0, 0.0]).tolist()
    assert f.jvp(x, tangents=[1.0, 0.0]) == f.grad(x)[0]
    assert f.vjp(x, cotangents=2.0).tolist() == (2.0 * f.grad(x)).tolist()


def test_argnums_of_further_arguments(fg: ModuleType) -> None:
    f = fg.compile(lambda x, a: a * x[0] * x[1], "(2),()->()")
    assert f.hvp([1.0, 2.0], 3.0, [1.0, 0.0], argnums=0).tolist() == [0.0, 3.0]
    assert f.hvp([1.0, 2.0], 3.0, (1.0,), argnums=("a",)) == (0.0,)
    assert f.jvp([1.0, 2.0], 3.0, 1.0, argnums="a") == 2.0


# ----------------------------------------------------------------------------------------- functions of functions


@pytest.mark.parametrize("kind", ["grad", "value_and_grad", "jacobian", "hessian", "hvp", "jvp", "vjp"])
def test_functional_forms_are_the_methods(fg: ModuleType, kind: str) -> None:
    def f(x: Any, y: Any) -> Any:
        return fg.dot(x, x) * y

    further = {"hvp": [([1.0, 0.0], 1.0)], "jvp": [([1.0, 0.0], 1.0)], "vjp": [2.0]}.get(kind, [])
    form = getattr(fg, kind)(f, signature="(n),()->()")
    method = getattr(fg.compile(f, "(n),()->()"), kind)
    assert repr(form([1.0, 2.0], 3.0, *further)) == repr(method([1.0, 2.0], 3.0, *further))
    further = {"hvp": [1.0], "jvp": [1.0], "vjp": [2.0]}.get(kind, [])
    form = getattr(fg, kind)(fg.compile(f, "(n),()->()"), "y")
    assert repr(form([1.0, 2.0], 3.0, *further)) == repr(method([1.0, 2.0], 3.0, *further, argnums="y"))


def test_a_plain_function_is_compiled_once(fg: ModuleType) -> None:
    runs = []

    def f(x: Any) -> Any:
        runs.append(1)
        return x * x

    assert [fg.grad(f)(2.0), fg.grad(f)(3.0), fg.value_and_grad(f)(4.0)] == [4.0, 6.0, (16.0, 8.0)]
    assert len(runs) == 1


def test_derivatives_inside_of_functions(fg: ModuleType) -> None:
    """A derivative can stand in a function that is compiled itself, with what it captures."""
    potential = fg.compile(lambda x, k: k * x**4)

    @fg.compile
    def residual(x: Any, k: Any) -> Any:
        force = potential.grad(x, k, argnums=0)
        return force * force + potential.hessian(x, k, argnums=0)

    x = np.array([0.5, -1.0, 2.0])
    assert np.allclose(residual(x, 3.0), (12.0 * x**3) ** 2 + 36.0 * x**2)
    assert np.allclose(residual.grad(x, 3.0)[0], 2 * 144 * 3 * x**5 + 72 * x)
    outer = fg.compile(lambda x: fg.grad(lambda y: x * y * y)(2.0))  # captures x
    assert outer([3.0, 4.0]).tolist() == [12.0, 16.0] and outer.grad([3.0, 4.0]).tolist() == [4.0, 4.0]


def test_vectors_inside_of_functions(fg: ModuleType) -> None:
    energy = fg.compile(lambda x: fg.dot(x, x) ** 2, "(n)->()")
    f = fg.compile(lambda x: fg.sum(energy.grad(x)) + energy.hvp(x, [1.0, 0.0])[0], "(n)->()")
    x = np.array([1.0, 2.0])
    assert f(x) == pytest.approx(4 * 5 * 3 + 4 * 5 + 8)
    assert f.grad(x) == pytest.approx(differences(lambda a, b: f([a, b]), *x), rel=1e-7)


def test_derivatives_inside_of_functions_follow_branches(fg: ModuleType) -> None:
    inner = fg.compile(lambda x: x**3 if x > 0.0 else -(x**2))
    outer = fg.compile(lambda x: inner.grad(x) * x)
    x = np.array([-2.0, 3.0, -1.0, 0.0])
    assert outer(x).tolist() == [-8.0, 81.0, -2.0, 0.0]
    assert outer.grad(x).tolist() == [8.0, 81.0, 4.0, 0.0]
    assert len(outer.paths) == 2


def test_derivatives_of_eager_values_are_nodes(fg: ModuleType) -> None:
    f = fg.compile(lambda x, y: x**3 * y)
    x, y = fg.Value(2.0), fg.Value(5.0)
    value, (to_x, to_y) = f.value_and_grad(x, y)
    assert (value.data, to_x.data, to_y.data) == (40.0, 60.0, 8.0)
    (to_x + 10.0 * to_y + 100.0 * value).backward()
    assert x.grad == 60.0 + 120.0 + 6000.0 and y.grad == 12.0 + 0.0 + 800.0
    rows = np.array([fg.Value(1.0), fg.Value(2.0)])
    slopes = f.grad(rows, 1.0, argnums=0)
    assert [v.data for v in slopes] == [3.0, 12.0]
    slopes[1].backward()
    assert rows[1].grad == 12.0 and rows[0].grad == 0.0


def test_a_compiled_function_of_values_is_the_function(fg: ModuleType) -> None:
    f = fg.compile(lambda x: fg.dot(x, x), "(n)->()")
    xs = [fg.Value(1.0), fg.Value(2.0)]
    y = f(xs)
    y.backward()
    assert y.data == 5.0 and [x.grad for x in xs] == [2.0, 4.0]
    table = np.array([[fg.Value(1.0), 2.0], [3.0, 4.0]], object)
    results = f(table)
    assert results.shape == (2,) and [v.data for v in results] == [5.0, 25.0]
    assert f([fg.Value(1.0), 2.0]).data == 5.0 and f.paths == ()


def test_recording_inside_recording(fg: ModuleType) -> None:
    inner = fg.compile(lambda y: y * y if y > 1.0 else y)

    @fg.compile
    def outer(x: Any) -> Any:
        steps = int(inner(2.0))  # numbers, of which nothing is recorded: they stay numbers
        for _ in range(steps):
            x = inner(x)
        return x * fg.compile(lambda z: z + 1.0)(x)

    x = np.array([0.5, 1.1, 2.0])
    fourth = np.where(x > 1.0, x**16, x)
    assert np.allclose(outer(x), fourth * (fourth + 1.0), rtol=1e-14)


# ---------------------------------------------------------------------------------------------------- sums of rows


def test_sum_grad(fg: ModuleType) -> None:
    f = fg.compile(lambda w, x: fg.tanh(fg.dot(w, x)), "(n),(n)->()")
    rng = np.random.default_rng(7)
    w, x = rng.normal(size=3), rng.normal(size=(5000, 3))
    total, (to_w, to_x) = f.sum_grad(w, x)
    values, (each_w, each_x) = f.value_and_grad(w, x)
    assert total == pytest.approx(values.sum()) and type(total) is float
    assert np.allclose(to_w, each_w.sum(axis=0)) and np.allclose(to_x, each_x.sum(axis=0))
    assert f.sum_grad(w, x, argnums=0)[1].tolist() == to_w.tolist()
    assert f.sum_grad(w, x[:0])[0] == 0.0 and f.sum_grad(w, x[:0], argnums=0)[1].tolist() == [0.0] * 3
    assert f.sum_grad(w, x[0], argnums=0)[1].tolist() == f.grad(w, x[0], argnums=0).tolist()


@pytest.mark.parametrize("rows", [1, 7, 1024, 1025, 70_000])
def test_sums_do_not_depend_on_paths(fg: ModuleType, rows: int) -> None:
    """The same function with branches that change nothing: the same bits."""
    x = np.random.default_rng(8).normal(size=rows)

    def plain(w: Any, x: Any) -> Any:
        return fg.exp(w * x) * x

    def branching(w: Any, x: Any) -> Any:
        if x > 0.5 or x > -0.5:
            return plain(w, x)
        return plain(w, x)

    assert fg.compile(plain).sum_grad(0.3, x) == fg.compile(branching).sum_grad(0.3, x)
    one = fg.compile(branching)
    one.sum_grad(0.3, x[x <= -0.5])
    assert one.sum_grad(0.3, x) == fg.compile(branching).sum_grad(0.3, x)
