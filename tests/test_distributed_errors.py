"""What fastgrad.distributed refuses, and what it says then; nothing is lost."""

from __future__ import annotations

import importlib
import math
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from partitions import CHUNK, MATRIX, X, cut, distributed, in_this_thread, line

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

__all__ = ["distributed", "in_this_thread"]  # fixtures


def vector(fg: ModuleType) -> Any:
    return fg.compile(lambda w, x: w * fg.dot(x, x), signature="(),(n)->()")


X1 = cut(X, CHUNK)
M1 = cut(MATRIX, CHUNK)
BAD: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "core in chunks": (
        (1.0, cut(MATRIX, CHUNK, 2)),
        ValueError,
        r"argument x.*core dim.*one chunk.*rechunk\({1: -1}\)",
    ),
    "no Dask array": ((1.0, MATRIX), TypeError, "expected a Dask array.*call the function itself"),
    "cut elsewhere": ((cut(X, 999), M1), ValueError, "w and x are not cut in the same places"),
    "complex": ((1.0, M1 * 1j), TypeError, "argument x.*complex128"),
    "objects": ((1.0, cut(MATRIX.astype(object), CHUNK)), TypeError, "argument x.*object"),
    "no broadcast": ((1.0 + X1[:9], M1), ValueError, "w and x are not cut in the same|cannot broadcast.*w .*x "),
    "too few dimensions": ((1.0, da.ones((), chunks=())), ValueError, r"argument x.*core dimensions \(n\).*shape \(\)"),
    "unknown core size": ((1.0, M1.T[(M1.T > 0.0).all(axis=1)].T), ValueError, "x.compute_chunk_sizes"),
}
BAD_APPLIED: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "rows that are NumPy's with some of unknown number": ((X, M1[M1[:, 0] > 0.0]), ValueError, "x.compute_chunk_sizes"),
    "known and unknown numbers of rows": ((X1[X1 > 0.0], M1), ValueError, r"argument w.*known sizes.*\(nan,\)"),
}
BAD_SUMS: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "rows that are not Dask's": ((X, M1), ValueError, "argument w: it has rows.*from_array"),
    "two batch dimensions": ((1.0, cut(MATRIX, CHUNK)[None]), ValueError, "argument x: expected one batch dimension"),
    "unknown number of rows": ((1.0, M1[M1[:, 0] > 0.0]), ValueError, "argument x: expected known sizes"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("function", ["apply", "value_and_grad"])
def test_arguments_that_do_not_fit(case: str, function: str, fg: ModuleType, distributed: Any) -> None:
    args, kind, text = BAD[case]
    with pytest.raises(kind, match=text):
        getattr(distributed, function)(vector(fg), *args)


@pytest.mark.parametrize("case", BAD_APPLIED)
def test_rows_whose_number_is_not_known_do_not_fit_others(case: str, fg: ModuleType, distributed: Any) -> None:
    args, kind, text = BAD_APPLIED[case]
    with pytest.raises(kind, match=text):
        distributed.apply(vector(fg), *args)


@pytest.mark.parametrize("function", ["apply", "value_and_grad", "backward"])
@pytest.mark.parametrize("several", [False, True])
def test_values_are_no_arguments(several: bool, function: str, fg: ModuleType, distributed: Any) -> None:
    f = fg.compile(lambda p, x: p[0] * x, signature="(n),()->()")
    p = np.array([fg.Value(2.0)]) if several else fg.Value(2.0)
    f = f if several else fg.compile(lambda p, x: p * x)
    with pytest.raises(TypeError, match=r"argument p: expected numbers.*got Values; pass their data.*argnums='p'"):
        getattr(distributed, function)(f, p, X1)


@pytest.mark.parametrize("case", BAD_SUMS)
def test_partitions_that_do_not_fit(case: str, fg: ModuleType, distributed: Any) -> None:
    args, kind, text = BAD_SUMS[case]
    with pytest.raises(kind, match=text):
        distributed.value_and_grad(vector(fg), *args)


def test_rechunking_is_done_where_it_is_allowed(fg: ModuleType, distributed: Any) -> None:
    lazy = distributed.apply(vector(fg), cut(X, 999), cut(MATRIX, CHUNK, 2), allow_rechunk=True)
    np.testing.assert_allclose(lazy.compute(), X * (MATRIX**2).sum(axis=1))


def test_partition_that_is_not_what_its_array_says(fg: ModuleType, distributed: Any) -> None:
    x = M1.map_blocks(lambda block, block_id: block[block_id[0] == 2 :], dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match=r"partition 2 of argument x has the shape \(1023, 3\).*says \(1024, 3\)"):
        distributed.value_and_grad(vector(fg), 1.0, x)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_row_that_makes_the_sum_nan_is_named(bad: float, fg: ModuleType, distributed: Any) -> None:
    x = MATRIX.copy()
    x[2 * CHUNK + 5, 1] = bad
    f = fg.compile(lambda w, x: w * fg.sum([u - u for u in x]), signature="(),(n)->()")
    with pytest.raises(ValueError, match=f"there is {bad}.*argument x, partition 2, row 5 of it, row 2053 of all"):
        distributed.value_and_grad(f, 1.0, cut(x, CHUNK))
    where = fg.compile(lambda w, x: w * fg.where(x > 0.0, x, 0.0))
    assert distributed.value_and_grad(where, 1.0, cut(np.array([1.0, -math.inf]), 1)) == (1.0, 1.0)
    for x in (X1, cut(np.array([1.0, -math.inf]), 1)):
        assert np.isnan(distributed.value_and_grad(where, math.nan, x)[0])  # no row is to blame
    w = fg.Value(math.nan)
    where = fg.compile(lambda x: w * fg.where(x > 0.0, x, 0.0))
    assert np.isnan(distributed.backward(where, x))


def test_function_that_does_not_pickle_is_named_and_not_lost(fg: ModuleType, distributed: Any) -> None:
    lock = threading.Lock()
    w = fg.Value(2.0)

    def guarded(x: Any) -> Any:
        with lock:
            return w * x

    f = fg.compile(guarded)
    for call in (distributed.apply, distributed.value_and_grad, distributed.backward):
        with pytest.raises(TypeError, match=r"guarded cannot be sent.*'lock'.*Nothing was sent.*fg\.load"):
            call(f, X1)
    assert w.grad == 0.0 and f.backward(X) == f(X).mean()
    with pytest.raises(TypeError, match=r"argument kind:.*lock.*static arguments have to pickle"):
        distributed.value_and_grad(fg.compile(lambda x, kind: w * x), X1, lock)


def test_what_does_not_pickle_is_named_in_functions_that_are_used(fg: ModuleType, distributed: Any) -> None:
    lock = threading.Lock()

    def inner(x: Any) -> Any:
        return inner(-x) if x < 0.0 else x if lock else -x

    with pytest.raises(TypeError, match=r"it uses 'inner', function .*; it uses 'lock', lock <"):
        distributed.apply(fg.compile(lambda x: inner(x)), X1)


def test_recordings_go_alone_where_the_function_cannot(fg: ModuleType, distributed: Any, tmp_path: Path) -> None:
    lock = threading.Lock()
    f = fg.compile(lambda w, x: w * x if lock else x)
    f(2.0, 3.0)
    f.save(tmp_path / "f")
    assert distributed.value_and_grad(fg.load(tmp_path / "f"), 2.0, X1) == f.sum_grad(2.0, X, argnums="w")


def test_values_of_a_module_are_refused_rather_than_wrong(
    fg: ModuleType, backend: str, distributed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"values_of_{backend}"
    source = "import fastgrad as fg\nw = fg.Value(2.0)\n@fg.compile\ndef f(x): return w * x\n"
    tmp_path.joinpath(f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(name)
    here = fg.compile(lambda x: module.w * x)
    with pytest.raises(RuntimeError, match=f"workers import it from {name}.*Values of their own.*make these arguments"):
        distributed.backward(module.f, X1)
    with pytest.raises(RuntimeError, match=r"uses 1 Value.*a module that it imports.*Make them arguments"):
        distributed.backward(here, X1)
    assert module.w.grad == 0.0
    module.f(X[:1])  # a recording can be sent
    assert distributed.backward(module.f, X1) == module.f.backward(X)


@pytest.mark.parametrize("function", ["apply", "value_and_grad", "backward"])
def test_plain_functions_are_refused(function: str, distributed: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a compiled function, as fg.compile\(f\) makes it, got function"):
        getattr(distributed, function)(lambda x: x, X1)


def test_other_mistakes_are_named(fg: ModuleType, distributed: Any) -> None:
    f = fg.compile(lambda x: x * x)
    with pytest.raises(ValueError, match=r"method.*expected one of value, grad.*got 'gradient'"):
        distributed.apply(f, X1, method="gradient")
    for client in (2, X1, pytest.importorskip("distributed").Client):
        with pytest.raises(
            TypeError, match=r"client: expected a dask.distributed.Client.*None; got (int 2|Array|type)"
        ):
            distributed.value_and_grad(f, X1, argnums="x", client=client)
    with pytest.raises(TypeError, match="no Value that was made outside"):
        distributed.backward(f, X1)
    with pytest.raises(ValueError, match="mean over no rows"):
        distributed.backward(line(fg)[0], cut(X[:0], 0), cut(X[:0], 0))
    for rows in (0, 1000, 1024.0, True):
        with pytest.raises(ValueError, match=rf"Workers\(rows\): expected a multiple of 1024, or None, got {rows}"):
            distributed.Workers(rows=rows)
    with pytest.raises(ValueError, match="expected 'mean' or 'sum', got 'max'"):
        distributed.backward(f, X1, reduction="max")


@pytest.mark.parametrize("function", ["apply", "value_and_grad", "backward"])
def test_dask_is_named_where_it_is_absent(
    function: str, fg: ModuleType, distributed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dask", "dask.array"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'fastgrad\[dask\]'"):
        getattr(distributed, function)(fg.compile(lambda x: x), X)
