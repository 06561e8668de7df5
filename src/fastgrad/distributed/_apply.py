"""A compiled function applied to Dask arrays, lazily: what it does to rows, done to blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._arguments import matched
from .._derivatives import KINDS
from .._derived import Argnums
from .._signature import Core, Floats
from .._structure import Structure
from . import _errors
from ._arguments import Spread, Template, check_array, check_core_chunks, spread
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
    arrays = tuple(map(np.asarray, matched("result", call.result, result)))
    return arrays if len(arrays) > 1 else arrays[0]


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
        ``"jvp"`` or ``"vjp"``, as the methods of `Compiled`.
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
    dask.array<transpose, shape=(3, 2), dtype=float64, chunksize=(2, 2), chunktype=numpy.ndarray>
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
        arrays += map(dask("dask.array").asarray, matched(kind.extra, extra, given))
        names += extra.names(kind.extra)
        cores += question.extra.shapes
    packed = shipment(f)
    parameters = len(f.parameters) if method != "value" and question.parameter_leaves else None
    call = _Call(method, found.template, extra, argnums, question.answer.structure, packed.data(), parameters)
    results = _gufunc(
        _in_same_chunks(names, cores, arrays, allow_rechunk),
        cores,
        list(question.answer.shapes),
        allow_rechunk,
        shipped=packed.delivered(None),
        call=once(call, "call"),
    )
    return question.answer.structure.build(iter(results))


def _in_same_chunks(names: Sequence[str], cores: Sequence[Core], arrays: list[Any], rechunk: bool) -> list[Any]:
    """Check all chunks, and cut NumPy arrays as the first Dask array with these rows is cut."""
    da = dask("dask.array")
    cut: dict[int, tuple[str, tuple[int, ...]]] = {}  # by batch dimension, counted from the last: whose, and chunks
    for name, core, array in zip(names, cores, arrays, strict=True):
        if isinstance(array, da.Array):
            check_array(name, core, array)
            if not rechunk:
                check_core_chunks(name, core, array)
            for axis, chunks in enumerate(reversed(array.chunks[: array.ndim - len(core)])):
                whose, expected = cut.setdefault(axis, (name, chunks))
                if chunks != expected and sum(chunks) != 1 and not rechunk:
                    if sum(expected) == 1:
                        cut[axis] = name, chunks
                    elif sum(chunks) == sum(expected):
                        raise _errors.partitions_differ(name, chunks, whose, expected)
    made = []
    for core, array in zip(cores, arrays, strict=True):
        if not isinstance(array, da.Array):
            array, batch = np.asarray(array), np.ndim(array) - len(core)
            sizes = reversed(array.shape[:batch])
            chunks = [cut[i][1] if i in cut and sum(cut[i][1]) == n else n for i, n in enumerate(sizes)]
            array = da.from_array(array, chunks=(*reversed(chunks), *array.shape[batch:]))
        made.append(array)
    return made


def _gufunc(
    arrays: list[Any], cores: Sequence[Core], results: list[tuple[int, ...]], allow_rechunk: bool, **shared: Any
) -> tuple[Any, ...]:
    """Apply `_apply_to_block`; core dimensions have been compared already, so each has a name of its own."""
    inputs = [tuple(f"input{i}_{k}" for k in range(len(core))) for i, core in enumerate(cores)]
    outputs = [tuple(f"output{i}_{k}" for k in range(len(shape))) for i, shape in enumerate(results)]
    sizes = {name: size for names, shape in zip(outputs, results, strict=True) for name, size in zip(names, shape)}
    one = len(results) == 1
    made = dask("dask.array").apply_gufunc(
        _apply_to_block,
        f"{_text(inputs)}->{_text(outputs)}",
        *arrays,
        output_sizes=sizes,
        meta=np.empty(0) if one else tuple(np.empty(0) for _ in results),
        allow_rechunk=allow_rechunk,
        **shared,
    )
    return (made,) if one else tuple(made)


def _text(cores: list[tuple[str, ...]]) -> str:
    return ",".join(f"({','.join(core)})" for core in cores)
