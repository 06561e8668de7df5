"""Branches on Values: guards, paths, and batches that are split among them."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from compiled import agree, row_by_row


def by_if(fg: ModuleType, x: Any, y: Any) -> Any:
    if x > 0.0:
        return x * y
    if y <= x:
        return y - x
    return -x


def by_while(fg: ModuleType, x: Any, y: Any) -> Any:
    while x > 1.0:
        x = x * 0.5 - y * 0.01
    return x


def by_max(fg: ModuleType, x: Any, y: Any) -> Any:
    return max(x, y, 0.5) + 2.0 * min(x * x, y)


def by_sorted(fg: ModuleType, x: Any, y: Any) -> Any:
    low, middle, high = sorted([x, y, x * y])
    return low + 10.0 * middle + 100.0 * high


def by_abs(fg: ModuleType, x: Any, y: Any) -> Any:
    return abs(x) * (2.0 if abs(y) >= 1.0 else 3.0)


def by_truth(fg: ModuleType, x: Any, y: Any) -> Any:
    return x if x and y else 7.0


def by_chain(fg: ModuleType, x: Any, y: Any) -> Any:
    return x if -1.0 < x <= y < 2.0 else y


def by_any(fg: ModuleType, x: Any, y: Any) -> Any:
    return fg.exp(y) if any(v > 1.0 for v in (x, y)) and not all(v > 0.0 for v in (x, y)) else x


def by_bisection(fg: ModuleType, x: Any, y: Any) -> Any:
    low, high = -4.0 + 0.0 * x, 4.0 + 0.0 * x
    for _ in range(4):
        middle = 0.5 * (low + high)
        if middle**3 < x:
            low = middle
        else:
            high = middle
    return low + y


BRANCHING = [by_if, by_while, by_max, by_sorted, by_abs, by_truth, by_chain, by_any, by_bisection]
each_kind = pytest.mark.parametrize("f", BRANCHING, ids=lambda f: f.__name__)


@each_kind
def test_each_row_takes_its_own_way(fg: ModuleType, f: Callable[..., Any]) -> None:
    numbers = [-3.0, -1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 6.0]
    x, y = (column.ravel() for column in np.meshgrid(numbers, numbers))
    compiled = fg.compile(lambda x, y: f(fg, x, y), max_paths=100)
    values, gradients = row_by_row(fg, lambda x, y: f(fg, x, y), x, y)
    assert agree(fg, compiled(x, y), values)
    for got, expected in zip(compiled.grad(x, y), gradients, strict=True):
        assert agree(fg, got, expected)
    count = len(compiled.paths)
    assert count > 1 and sum(path.rows for path in compiled.paths) == 2 * len(x)
    # The order of rows does not matter, nor does it matter which paths are known already.
    order = np.random.default_rng(1).permutation(len(x))
    again = fg.compile(lambda x, y: f(fg, x, y), max_paths=100)
    assert agree(fg, again(x[order], y[order]), values[order])
    assert [again(a, b) for a, b in zip(x, y, strict=True)] == compiled(x, y).tolist()
    assert len(again.paths) == count == len(compiled.paths)


def test_where_and_maximum_need_no_paths(fg: ModuleType) -> None:
    f = fg.compile(lambda x: fg.where(x > 0.0, fg.maximum(x, 1.0), -x) + fg.relu(x) + fg.abs(x))
    assert f([-2.0, 0.5, 3.0]).tolist() == [4.0, 2.0, 9.0]
    assert len(f.paths) == 1 and f.paths[0].guards == ()


def test_paths_say_what_they_are(fg: ModuleType) -> None:
    @fg.compile
    def f(x: Any) -> Any:
        if x > 1.0:
            return x
        return -x

    f([0.0, 2.0, 3.0, math.nan])
    below, above = f.paths
    assert (below.rows, above.rows) == (2, 2)
    line = f.__wrapped__.__code__.co_firstlineno + 2
    assert below.guards == (f"test_compile_paths.py:{line} in f: if x > 1.0: -> False",)
    assert above.guards == (f"test_compile_paths.py:{line} in f: if x > 1.0: -> True",)
    assert "if x > 1.0: -> True" in str(f) and "2 paths" in repr(f)


def test_too_many_paths_name_the_line_that_splits(fg: ModuleType) -> None:
    @fg.compile(max_paths=5)
    def f(x: Any, limit: Any) -> Any:
        for _ in range(3):
            if limit < 0.0:
                return x
        while x > 1.0:  # here
            x = x - 1.0
        return x

    line = f.__wrapped__.__code__.co_firstlineno + 5
    x = np.arange(0.5, 10.0)
    with pytest.raises(
        RuntimeError, match=rf"max_paths=5 .*test_compile_paths\.py:{line} in f: while x > 1\.0.*fg\.where"
    ):
        f(x, 1.0)
    assert len(f.paths) == 5
    assert f(x[:5], 1.0).tolist() == [0.5] * 5  # nothing is lost
    with pytest.raises(RuntimeError):
        f(7.5, 1.0)


def test_one_path_at_most(fg: ModuleType) -> None:
    f = fg.compile(lambda x: x if x > 0.0 else -x, max_paths=1)
    assert f([1.0, 2.0]).tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="max_paths=1 "):
        f([1.0, -2.0])
    assert f(3.0) == 3.0


def test_paths_may_use_different_parameters(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    f = fg.compile(lambda x: a * x if x > 0.0 else b * x * x)
    assert f([1.0, -1.0, 2.0]).tolist() == [2.0, 3.0, 4.0]
    assert f.parameters == (a, b)
    assert f.grad([1.0, -1.0, 2.0], argnums="parameters").tolist() == [[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]
    fresh = fg.compile(f.__wrapped__)
    to_x, to_all = fresh.grad([1.0, -1.0], argnums=("x", "parameters"))  # b turns up on the way
    assert to_x.tolist() == [2.0, -6.0] and to_all.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    hessian = fresh.hessian([1.0, -1.0], argnums=("x", "parameters"))
    assert hessian[0][1].tolist() == [[1.0, 0.0], [0.0, -2.0]] and hessian[1][1].shape == (2, 2, 2)
    assert fresh.hvp([1.0, -1.0], [5.0, 7.0], argnums="parameters").tolist() == [[0.0, 0.0]] * 2
    assert fresh.jvp([1.0, -1.0], [5.0, 7.0], argnums="parameters").tolist() == [5.0, 7.0]
    assert fresh.backward([1.0, -1.0, 2.0], reduction="sum") == 9.0
    assert (a.grad, b.grad) == (3.0, 1.0)


def test_all_paths_return_the_same_structure(fg: ModuleType) -> None:
    f = fg.compile(lambda x: (x, x) if x > 0.0 else x)
    f(1.0)
    with pytest.raises(TypeError, match=r"one path.*another"):
        f(-1.0)
    assert f(2.0) == (2.0, 2.0)


def test_take_is_recorded_without_a_branch(fg: ModuleType) -> None:
    table = [fg.Value(x) for x in (10.0, 20.0, 30.0)]
    f = fg.compile(lambda i, x: fg.take(table, i) * x)
    assert f([0, 2, 1, 2], 2.0).tolist() == [20.0, 60.0, 40.0, 60.0]
    assert len(f.paths) == 1
    assert f.backward([0, 2, 2], [1.0, 2.0, 4.0], reduction="sum") == 10 + 60 + 120
    assert [entry.grad for entry in table] == [1.0, 0.0, 6.0]
    with pytest.raises(IndexError, match="3"):
        f([0, 3], 1.0)


def test_a_guard_that_is_decided_by_rounding(fg: ModuleType) -> None:
    """In Python a guard is computed by NumPy, and math, which recorded it, may say otherwise by an ulp."""
    points = [x for x in np.random.default_rng(3).uniform(0.0, 5.0, 20_000) if np.exp(x) != math.exp(x)][:50]
    for x in [*points, 1.0]:
        limit = fg.exp(x)
        g = fg.compile(lambda x, limit=limit: x if fg.exp(x) > limit else -x, max_paths=2)
        assert [g(x), *g([x, x, 9.0, x])] == [-x, -x, -x, 9.0, -x]
        assert len(g.paths) == 2


def test_a_function_that_draws_lots(fg: ModuleType) -> None:
    """What depends on anything but its arguments stays as it was recorded; it is no endless loop."""
    coins = iter([True, False] * 100)
    f = fg.compile(lambda x: x if (x > 0.0 if next(coins) else x < 0.0) else -x)
    assert np.abs(f([1.0, -1.0, 2.0, 0.0, math.nan])).tolist()[:4] == [1.0, 1.0, 2.0, 0.0]
    assert len(f.paths) <= 4


def test_functions_that_nobody_needs_are_freed(fg: ModuleType) -> None:
    f = fg.compile(lambda x: x if x > 0.0 else -x)
    f(1.0), f.grad([-1.0, 2.0]), f.value_and_grad(3.0)
    alive = weakref.ref(f)
    del f
    gc.collect()
    assert alive() is None


def test_threads_share_a_function(fg: ModuleType) -> None:
    f = fg.compile(lambda x: by_bisection(fg, x, x), max_paths=100)
    x = np.linspace(-60.0, 60.0, 301)
    alone = fg.compile(f.__wrapped__, max_paths=100)
    expected = alone(x)
    results: list[Any] = []

    def work(seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(x))
        results.append((order, f(x[order])))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [f(v) for v in x.tolist()] == expected.tolist()
    assert len(results) == 8 and all(np.array_equal(got, expected[order]) for order, got in results)
    assert len(f.paths) == len(alone.paths)


@pytest.mark.parametrize("first", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize(
    "ask",
    [
        lambda f, x: f.sum_grad(x),
        lambda f, x: f.sum_grad(np.array([x])),
        lambda f, x: f.value_and_grad(x, argnums=0),
        lambda f, x: f.value_and_grad(np.array([x]), argnums=0),
    ],
    ids=["sum_grad", "sum_grad of a batch", "value_and_grad", "value_and_grad of a batch"],
)
def test_a_single_row_takes_its_own_path_in_every_kind_of_call(
    fg: ModuleType, first: float, ask: Callable[[Any, Any], Any]
) -> None:
    f = fg.compile(lambda x: x * x if x > 1.0 else 5.0 * x if x > -1.0 else -x)
    ask(f, first)
    for x, value, slope in [(3.0, 9.0, 6.0), (0.5, 2.5, 5.0), (-2.0, 2.0, -1.0)] * 2:
        found = ask(f, x)
        assert [np.asarray(number).item() for number in found] == [value, slope]
    assert len(f.paths) == 3
