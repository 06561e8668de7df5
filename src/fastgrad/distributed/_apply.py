"""A compiled function applied to Dask arrays, lazily: what it does to rows, done to blocks of rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _compile_errors
from .._arguments import matched
from .._derivatives import KINDS
from .._derived import Argnums
from .._signature import Core, Floats
from .._structure import Structure
from . import _errors
from ._arguments import Template, check_array, check_core_chunks, spread
from ._shipping import Shipped, dask, once, shipment


class _Call(NamedTuple):
    """What a block needs besides the function and its rows; it travels."""

    method: str
    template: Template
    extra: Structure | None  # of the tangents, cotangents or vectors, whose blocks come behind the others
    argnums: Argnums
    result: Structure
    data: Floats  # of the Values that the function uses
    parameters: int | None  # how many it uses, if the derivative is to these


def _apply_to_block(*blocks: Any, shipped: Shipped, call: _Call) -> Any:
    """Run on a worker: compute the arrays of the result for blocks of the arguments."""
    unpacked = shipped.unpacked()
    unpacked.set(call.data)
    count = len(call.template.places)
    blocks = tuple(map(_only, blocks))
    args, kwargs = call.template.filled(blocks[:count])
    if call.extra is not None:
        args.append(call.extra.build(iter(blocks[count:])))
    if call.method == "value":
        result = unpacked.function(*args, **kwargs)
    else:
        result = getattr(unpacked.function, call.method)(*args, argnums=call.argnums, **kwargs)
    used = unpacked.used()
    if call.parameters is not None and len(used) != call.parameters:
        raise _errors.parameters_unknown(shipped.name)
    return list(map(np.asarray, matched("result", call.result, result)))


def _only(block: Any) -> Any:
    """Take a block out of the lists, one in another, in which Dask gives core dimensions in chunks."""
    while isinstance(block, list):
        (block,) = block
    return block


def apply(
    f: Any, *args: Any, method: str = "value", argnums: Argnums = None, allow_rechunk: bool = False, **kwargs: Any
) -> Any:
    """Apply a compiled function, or one of its derivatives, to Dask arrays.

    Nothing is computed but what the function returns for no rows. Blocks are not copied on the way; what the function
    was seen to do is sent to each worker once.

    Parameters
    ----------
    f : Compiled
        The function. Values that it captured have the numbers that they have at this call.
    *args, **kwargs
        Its arguments, of which one at least is a Dask array. Batch dimensions may be in chunks, and broadcast; core
        dimensions are in one chunk. For ``hvp``, ``jvp`` and ``vjp`` vectors, tangents or cotangents stand behind them.
    method : str
        What to compute: ``"value"``, ``"grad"``, ``"value_and_grad"``, ``"jacobian"``, ``"hessian"``, ``"hvp"``,
        ``"jvp"`` or ``"vjp"``, as the methods of `fastgrad.Compiled`.
    argnums : int or str, or tuple of int and str, optional
        The arguments to take derivatives with respect to.
    allow_rechunk : bool
        Whether Dask may bring core dimensions into one chunk, and arguments into the same chunks, which copies.

    Returns
    -------
    dask.array.Array, or a structure of them
        What the method gives for NumPy arrays: the same bits, in the same shapes, batch dimensions first.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If no argument is a Dask array, the function is not compiled, or it cannot be pickled.
    ValueError
        If shapes or chunks do not fit.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> from fastgrad import distributed
    >>> f = fg.compile(lambda x: fg.dot(x, x), signature="(n)->()")
    >>> x = da.from_array(np.arange(6.0).reshape(3, 2), chunks=(2, 2))
    >>> gradient = distributed.apply(f, x, method="grad")
    >>> gradient
    dask.array<fastgrad-grad, shape=(3, 2), dtype=float64, chunksize=(2, 2), chunktype=numpy.ndarray>
    >>> gradient.compute()
    array([[ 0.,  2.],
           [ 4.,  6.],
           [ 8., 10.]])
    """
    if method not in KINDS:
        raise _errors.unknown_method(method, KINDS)
    kind = KINDS[method]
    given: Any = None
    if kind.extra and hasattr(f, "_split"):
        args, given = f._split(method, args, kwargs)
    where = f"apply(method={method!r})"
    found = spread(where, f, args, kwargs, more=True)
    empty_args, empty_kwargs = found.empty()
    question = f.question(method, empty_args, empty_kwargs, argnums)
    arrays, names, cores = list(found.arrays), found.names, list(found.cores)
    extra = None
    if question.extra is not None:
        extra = question.extra.structure
        arrays += matched(kind.extra, extra, given)
        names += extra.names(kind.extra)
        cores += question.extra.shapes
    packed = shipment(f)
    parameters = len(f.parameters) if method != "value" and question.parameter_leaves else None
    call = _Call(method, found.template, extra, argnums, question.answer.structure, packed.data(), parameters)
    blocks = _in_same_chunks(names, cores, arrays, allow_rechunk)
    results = _map(
        method, blocks, cores, question.answer.shapes, shipped=packed.delivered(None), call=once(call, "call")
    )
    return question.answer.structure.build(iter(results))


def _in_same_chunks(names: Sequence[str], cores: Sequence[Core], arrays: list[Any], rechunk: bool) -> list[Any]:
    """Check all chunks, and cut NumPy arrays as the first Dask array with these rows is cut."""
    da = dask("dask.array")
    cut: dict[int, tuple[str, tuple[int, ...]]] = {}  # by batch dimension, counted from the last: whose, and chunks
    made = list(arrays)
    for i, (name, core, array) in enumerate(zip(names, cores, arrays, strict=True)):
        if isinstance(array, da.Array):
            check_array(name, core, array)
            if rechunk:
                made[i] = array = array.rechunk(dict.fromkeys(range(array.ndim - len(core), array.ndim), -1))
            check_core_chunks(name, core, array)
            for axis, chunks in enumerate(reversed(array.chunks[: array.ndim - len(core)])):
                whose, expected = cut.setdefault(axis, (name, chunks))
                if sum(expected) == 1:
                    cut[axis] = name, chunks
                elif chunks != expected and sum(chunks) == sum(expected) and not rechunk:
                    raise _errors.partitions_differ(name, chunks, whose, expected)
    for i, (core, array) in enumerate(zip(cores, arrays, strict=True)):
        if not isinstance(array, da.Array):
            array, batch = np.asarray(array), np.ndim(array) - len(core)
            sizes = enumerate(reversed(array.shape[:batch]))
            chunks = [cut[axis][1] if axis in cut and sum(cut[axis][1]) == n else n for axis, n in sizes]
            made[i] = da.from_array(array, chunks=(*reversed(chunks), *array.shape[batch:]))
    _check_broadcast(names, cores, made)
    return made


def _check_broadcast(names: Sequence[str], cores: Sequence[Core], arrays: list[Any]) -> None:
    outer = [array.shape[: array.ndim - len(core)] for core, array in zip(cores, arrays, strict=True)]
    rank = max(map(len, outer))
    for sizes in zip(*[(1,) * (rank - len(shape)) + shape for shape in outer], strict=True):
        unknown = [i for i, size in enumerate(sizes) if math.isnan(size)]
        if unknown and any(size != 1 for i, size in enumerate(sizes) if i not in unknown):
            raise _errors.unknown_size(names[unknown[0]], arrays[unknown[0]].shape)
    try:
        np.broadcast_shapes(*[tuple(1 if math.isnan(size) else size for size in shape) for shape in outer])
    except ValueError:
        raise _compile_errors.no_broadcast(names, [array.shape for array in arrays], outer) from None


def _map(
    method: str, arrays: list[Any], cores: Sequence[Core], results: Sequence[tuple[int, ...]], **shared: Any
) -> list[Any]:
    """Apply `_apply_to_block`, as dask.array.apply_gufunc does, but for a copy that it makes of each block."""
    blockwise = dask("dask.array").blockwise
    counts = [array.ndim - len(core) for array, core in zip(arrays, cores, strict=True)]
    batch, new = tuple(range(max(counts))), itertools.count(max(counts))  # numbers of dimensions
    operands: list[Any] = []
    for array, count in zip(arrays, counts, strict=True):
        operands += [array, (*batch[len(batch) - count :], *itertools.islice(new, array.ndim - count))]
    name = f"fastgrad-{method}"
    meta = np.empty((0,) * len(batch))
    whole = blockwise(_apply_to_block, batch, *operands, concatenate=None, meta=meta, token=name, **shared)
    made = []
    for i, shape in enumerate(results):
        sizes = dict(zip(itertools.islice(new, len(shape)), shape, strict=True))
        meta = np.empty((0,) * (len(batch) + len(shape)))
        made.append(blockwise(_part, (*batch, *sizes), whole, batch, number=i, new_axes=sizes, meta=meta, token=name))
    return made


def _part(parts: Sequence[Any], number: int) -> Any:
    return parts[number]
