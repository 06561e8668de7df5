"""Compiled functions on Dask arrays, in this process: what is computed, and in which order."""

from __future__ import annotations

import importlib
import itertools
import math
import pickle
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from partitions import CHUNK, MATRIX, ROWS, X, Y, cut, distributed, in_this_thread, line

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

__all__ = ["distributed", "in_this_thread"]  # fixtures


def part_of(distributed: Any, name: str) -> Any:
    return importlib.import_module(f"{distributed.__name__}.{name}")


def pairwise(totals: Any) -> Any:
    """The sum of leaves, which the tree splits at the largest power of two."""
    n = len(totals)
    half = 1 << (n - 1).bit_length() - 1 if n > 1 else 0
    return totals[0] if n == 1 else pairwise(totals[:half]) + pairwise(totals[half:])


def numbers(answer: Any) -> list[Any]:
    """All numbers of an answer, in order."""
    if isinstance(answer, (tuple, list)):
        return [number for part in answer for number in numbers(part)]
    return list(np.ravel(answer))


# ------------------------------------------------------------------------------------------------------------ the tree


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(2, 5))
def test_pieces_join_to_the_same_bits_however_they_are_cut_and_grouped(
    distributed: Any, sizes: list[int], fan_in: int
) -> None:
    sums = part_of(distributed, "_sums")
    edges = list(itertools.accumulate(sizes, initial=0))
    leaves = np.random.default_rng(sum(sizes)).standard_normal((max(edges[-1], 1), 2))
    edges[-1] = len(leaves)
    pieces = [
        sums.Piece(
            tuple(sums.Node(k, i, pairwise(leaves[i << k : (i + 1) << k])) for k, i in sums.aligned(*edge)),
            frozenset({n}),
        )
        for n, edge in enumerate(itertools.pairwise(edges))
    ]
    while len(pieces) > 1:
        pieces = [sums.join(pieces[i : i + fan_in]) for i in range(0, len(pieces), fan_in)]
    assert sums.total(pieces[0]).tobytes() == pairwise(leaves).tobytes()
    assert pieces[0].used == frozenset(range(len(sizes)))
    assert len(pieces[0].nodes) == len(leaves).bit_count()


@pytest.mark.parametrize("rows", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK, 7 * CHUNK + 5, 70 * CHUNK])
def test_halves_at_a_power_of_two_of_chunks_sum_to_the_whole(rows: int, fg: ModuleType) -> None:
    one = fg.compile(lambda w, x: fg.sin(w * x))
    several = fg.compile(lambda w, x: fg.sin(w * x) if x > 0.0 else fg.sin(w * x) * 1.0 + 0.0)
    x = np.random.default_rng(rows).standard_normal(rows)
    half = max(CHUNK, 1 << max(1, rows - 1).bit_length() - 1)
    for f in (one, several):
        left, right = (f.sum_grad(0.7, part, argnums="w") for part in (x[:half], x[half:]))
        assert f.sum_grad(0.7, x, argnums="w") == tuple(np.add(left, right))
    assert several.sum_grad(0.7, x, argnums="w")[0] == one.sum_grad(0.7, x, argnums="w")[0]


# --------------------------------------------------------------------------------------------------- value_and_grad


@pytest.mark.parametrize("chunks", [CHUNK, 2 * CHUNK, 3 * CHUNK, ROWS, (CHUNK, 0, 4 * CHUNK, 77, 0)])
def test_sum_has_the_bits_of_sum_grad_where_partitions_are_whole_chunks(
    chunks: Any, fg: ModuleType, distributed: Any
) -> None:
    f = fg.compile(lambda w, x, y, p: (fg.exp(w * x) - y) ** 2 * p["a"], signature="(),(),(),()->()")
    given = (0.3, cut(X, chunks), cut(Y, chunks), {"a": 1.7})
    assert distributed.value_and_grad(f, *given) == f.sum_grad(0.3, X, Y, {"a": 1.7}, argnums=("w", "p"))


def test_sum_depends_on_the_partitions_alone_where_they_are_not(fg: ModuleType, distributed: Any) -> None:
    f = fg.compile(lambda w, x: fg.sin(w * x))
    sizes = (1000, 300, 0, 2500, 1397)
    parts = np.split(X, np.cumsum(sizes)[:-1])
    leaves = [f.sum_grad(0.7, part, argnums="w") for part in parts if len(part)]
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            answer = distributed.value_and_grad(f, 0.7, cut(X, sizes))
        assert answer == tuple(pairwise(np.array(leaves)))
        assert answer == pytest.approx(f.sum_grad(0.7, X, argnums="w"), rel=1e-12)


def test_arrays_of_rows_and_arguments_with_core_dimensions(fg: ModuleType, distributed: Any) -> None:
    f = fg.compile(lambda w, x, kind="plain": fg.dot(w, x) ** 2 if kind == "plain" else w[0], signature="(n),(n)->()")
    w = np.array([1.0, -2.0, 0.5])
    value, gradient = distributed.value_and_grad(f, w, x=cut(MATRIX, CHUNK), kind="plain")
    expected = f.sum_grad(w, x=MATRIX, kind="plain", argnums="w")
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    by_row = distributed.value_and_grad(f, w, cut(MATRIX, CHUNK), argnums=("x", "w"))
    assert numbers(by_row) == numbers(f.sum_grad(w, MATRIX, argnums=("x", "w")))


def test_integers_are_cast_as_they_are_elsewhere(fg: ModuleType, distributed: Any) -> None:
    f = fg.compile(lambda w, x: w * x * x)
    assert distributed.value_and_grad(f, 2, cut(np.arange(5), 2)) == (60.0, 30.0)


@pytest.mark.parametrize("chunks", [(0,), (0, 0)])
def test_nothing_sums_to_zero(chunks: Any, fg: ModuleType, distributed: Any) -> None:
    f = fg.compile(lambda w, x: w * x)
    assert distributed.value_and_grad(f, 2.0, cut(np.zeros(0), chunks)) == (0.0, 0.0)


# ---------------------------------------------------------------------------------------------- captured parameters


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("called_before", [False, True])
def test_backward_adds_what_the_method_adds(
    reduction: str, called_before: bool, fg: ModuleType, distributed: Any
) -> None:
    (f, (a, b)), (g, (c, d)) = line(fg), line(fg)
    if called_before:
        f(X[:10], Y[:10])
    a.grad = c.grad = 3.0
    for step in range(3):
        for value in (a, c):
            value.data = 0.5 + step
        loss = distributed.backward(f, cut(X, 2 * CHUNK), cut(Y, 2 * CHUNK), reduction=reduction)
        assert loss == g.backward(X, Y, reduction=reduction)
        assert (a.grad, b.grad) == (c.grad, d.grad)
    assert set(f.parameters) == {a, b}


def test_gradient_by_parameters_is_in_the_order_of_the_parameters(fg: ModuleType, distributed: Any) -> None:
    f, (a, b) = line(fg)
    value, gradient = distributed.value_and_grad(f, cut(X, CHUNK), cut(Y, CHUNK))
    assert f.parameters == (a, b)
    expected = f.sum_grad(X, Y, argnums="parameters")
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])


def test_backward_is_refused_where_a_function_is_recorded(fg: ModuleType, distributed: Any) -> None:
    f, (a, _) = line(fg)
    outer = fg.compile(lambda x: x * distributed.backward(f, cut(X, CHUNK), cut(Y, CHUNK)))
    with pytest.raises(fg.TracingError, match="inside a function that is being recorded would change gradients once"):
        outer(2.0)
    assert a.grad == 0.0


def test_program_is_packed_once_and_numbers_travel_apart(fg: ModuleType, distributed: Any) -> None:
    model = fg.nn.MLP(3, [16, 16, 1])
    f = fg.compile(lambda x: model(list(x)) ** 2, signature="(3)->()")
    f.backward(MATRIX)
    shipping = part_of(distributed, "_shipping")
    first = shipping.shipment(f)
    before = first.data()
    for p in model.parameters():
        p.data += 1.0
    again = shipping.shipment(f)
    assert again is first
    np.testing.assert_array_equal(again.data(), before + 1.0)
    assert len(pickle.dumps(again.data())) < len(first.shipped.payload) / 5


def test_each_thread_has_values_of_its_own(fg: ModuleType, distributed: Any) -> None:
    w = fg.Value(1.0)
    f = fg.compile(lambda x: w * x)
    sums: dict[float, float] = {}

    def run(number: float) -> None:
        shipped = part_of(distributed, "_shipping").shipment(f).shipped
        for _ in range(50):
            unpacked = shipped.unpacked()
            unpacked.set(np.array([number]))
            sums[number] = unpacked.function.sum_grad(np.ones(10), argnums="x")[0]

    threads = [threading.Thread(target=run, args=(float(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == {float(number): 10.0 * number for number in range(4)}
    assert w.data == 1.0


def test_compiled_functions_inside_take_their_code_along(fg: ModuleType, distributed: Any) -> None:
    w = fg.Value(2.0)
    inner = fg.compile(lambda x: w * x if x > 0.0 else -x)
    inner(1.0)  # one path is known
    f = fg.compile(lambda x: inner(x) ** 2)
    assert distributed.backward(f, cut(X, CHUNK)) == f.backward(X)
    assert f.parameters == (w,)


@pytest.mark.parametrize("rows", [None, 1024, 3072])
@pytest.mark.parametrize("batch", [1, 1024, 5000])
def test_workers_sum_a_batch_as_the_function_does(
    rows: int | None, batch: int, fg: ModuleType, distributed: Any
) -> None:
    f, _ = line(fg)
    f(X[0], Y[0])
    total, gradient = distributed.Workers(rows=rows).sum_grad(f, X[:batch], Y[:batch])
    expected = f.sum_grad(X[:batch], Y[:batch], argnums="parameters")
    assert total == expected[0] and gradient.tobytes() == expected[1].tobytes()


# --------------------------------------------------------------------------------------------------------------- apply

BATCHES = [((ROWS,), CHUNK), ((7, 6), (3, 2)), ((4, 1), (2, 1))]


@pytest.mark.parametrize("method", ["value", "grad", "value_and_grad", "jacobian", "hessian", "hvp", "jvp", "vjp"])
@pytest.mark.parametrize(("batch", "chunks"), BATCHES)
def test_apply_gives_what_the_method_gives(
    method: str, batch: Any, chunks: Any, fg: ModuleType, distributed: Any
) -> None:
    f = fg.compile(lambda x, w: fg.sum([fg.sin(u * w) for u in x]) ** 2, signature="(3),()->()")
    chunks = chunks if isinstance(chunks, tuple) else (chunks,)
    draw = np.random.default_rng(1)
    x, w = draw.standard_normal((*batch, 3)), draw.standard_normal(batch[-1:])
    extra: tuple[Any, ...] = {
        "hvp": ((draw.standard_normal((*batch, 3)), 0.5),),
        "jvp": ((draw.standard_normal((*batch, 3)), 0.5),),
        "vjp": (draw.standard_normal(batch),),
    }.get(method, ())
    lazy = distributed.apply(f, cut(x, *chunks), w, *extra, method=method)
    expected = f(x, w) if method == "value" else getattr(f, method)(x, w, *extra)
    compare(dask.compute(lazy)[0], expected, lazy)


def compare(answer: Any, expected: Any, lazy: Any) -> None:
    if isinstance(expected, tuple):
        assert len(answer) == len(expected)
        for parts in zip(answer, expected, lazy, strict=True):
            compare(*parts)
    else:
        assert lazy.shape == answer.shape == expected.shape and lazy.dtype == answer.dtype == expected.dtype
        np.testing.assert_array_equal(answer, expected)


def test_apply_follows_structures_and_static_arguments(fg: ModuleType, distributed: Any) -> None:
    f = fg.compile(lambda p, kind: {"up": p["x"] * p["s"], "both": (p["x"], p["s"])}[kind])
    x = cut(X, CHUNK)
    up, both = (distributed.apply(f, {"x": x, "s": 2.0}, kind) for kind in ("up", "both"))
    np.testing.assert_array_equal(up.compute(), 2.0 * X)
    np.testing.assert_array_equal(both[0].compute(), X)
    gradient = distributed.apply(f, {"x": x, "s": 2.0}, "up", method="grad", argnums="p")
    np.testing.assert_array_equal(gradient["s"].compute(), X)


def test_apply_by_captured_parameters(fg: ModuleType, distributed: Any) -> None:
    f, (a, b) = line(fg)
    f(X[:100], Y[:100])
    lazy = distributed.apply(f, cut(X, CHUNK), cut(Y, CHUNK), method="grad", argnums="parameters")
    expected = f.grad(X, Y, argnums="parameters")
    a.data = 100.0  # comes too late
    np.testing.assert_array_equal(lazy.compute(), expected)

    g = fg.compile(lambda x: a * x if x > -0.5 else b * x)
    lazy = distributed.apply(g, cut(X, CHUNK), method="grad", argnums="parameters")
    with pytest.raises(RuntimeError, match=r"not seen to use before.*call it here once"):
        lazy.compute()


def test_apply_is_lazy_and_takes_unknown_batch_sizes(fg: ModuleType, distributed: Any) -> None:
    ran: list[int] = []
    x = cut(X, CHUNK).map_blocks(lambda block: ran.append(len(block)) or block, dtype=float, meta=np.empty(0))
    lazy = distributed.apply(fg.compile(lambda x: x * x), x[x > 0.0])
    assert not ran and math.isnan(lazy.shape[0])
    np.testing.assert_array_equal(lazy.compute(), X[X > 0.0] ** 2)


def test_apply_copies_no_block(fg: ModuleType, distributed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    engine = sys.modules[fg.__name__ + "._engine"]
    rows = engine.as_rows

    def watched(names: Any, arrays: Any, *rest: Any) -> Any:
        seen.extend(arrays)
        batch = rows(names, arrays, *rest)
        assert all(np.shares_memory(a, m) for a, m in zip(arrays, batch.matrices, strict=True))
        return batch

    whole = MATRIX.copy()
    f = fg.compile(lambda x: fg.dot(x, x), signature="(n)->()")
    lazy = distributed.apply(
        f, da.from_array(whole, chunks=(CHUNK, 3)).map_blocks(lambda _: whole[:CHUNK], dtype=float)
    )
    f(whole)
    monkeypatch.setattr(engine, "as_rows", watched)
    lazy.partitions[0].compute()
    assert seen and all(np.shares_memory(array, whole) for array in seen)
