"""Sums of a function and its gradient over partitioned rows, in the one order that `fastgrad.Compiled.sum_grad` has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._chunks import CHUNK
from .._derivatives import Space
from .._derived import Argnums
from .._signature import Floats
from . import _errors
from ._arguments import Spread, Template, check_compiled, check_core_chunks, spread
from ._shipping import Shipped, Unpacked, client_of, dask, once, shipment
from ._sums import Node, Piece, aligned, join, total

_FAN_IN = 8  # pieces that one task joins


class _Call(NamedTuple):
    """What is the same for all partitions, in one step; it travels."""

    template: Template
    names: list[str]  # of the Dask arrays
    shapes: list[tuple[int, ...]]  # their core shapes
    argnums: Argnums
    parameters: list[int]  # which arrays of the derivative are of the parameters
    data: Floats  # of the Values that the function uses


class _Place(NamedTuple):
    """Where a partition lies."""

    number: int
    first: int  # row
    rows: int
    leaf: int | None  # its number as a leaf of the tree; None if its chunks are the leaves


# ------------------------------------------------------------------------------------------------- on a worker


def _sum_partition(shipped: Shipped, call: _Call, place: _Place, *blocks: Any) -> Piece:
    """Sum value and gradients over the rows of a partition."""
    for name, core, block in zip(call.names, call.shapes, blocks, strict=True):
        if np.shape(block) != (place.rows, *core):
            raise _errors.wrong_partition(name, place.number, np.shape(block), (place.rows, *core))
    unpacked = shipped.unpacked()
    unpacked.set(call.data)
    if place.leaf is not None:
        nodes = [Node(0, place.leaf, _sums(unpacked, call, blocks))]
    else:
        nodes = []
        for level, number in aligned(place.first // CHUNK, -(-(place.first + place.rows) // CHUNK)):
            start = (number << level) * CHUNK - place.first
            rows = slice(start, start + (CHUNK << level))
            nodes.append(Node(level, number, _sums(unpacked, call, [block[rows] for block in blocks])))
    if any(np.isnan(node.sums).any() for node in nodes):
        _look_for_nan(shipped.name, call, place, blocks)
    used = unpacked.used()
    return Piece(tuple(nodes), frozenset(used if call.parameters else ()))


def _sums(unpacked: Unpacked, call: _Call, blocks: Sequence[Any]) -> Floats:
    """Value and gradients of some rows in one array, with a place for each Value that was sent."""
    args, kwargs = call.template.filled(blocks)
    _, _, (value, *gradients) = unpacked.function._total("value_and_grad", args, kwargs, call.argnums)
    for leaf in call.parameters:
        spread_out = np.zeros((1, len(unpacked.values)))
        spread_out[0, unpacked.used()] = gradients[leaf][0]
        gradients[leaf] = spread_out
    sums: Floats = np.concatenate([value, *gradients], axis=1)[0]
    return sums


def _look_for_nan(function: str, call: _Call, place: _Place, blocks: Sequence[Any]) -> None:
    """Name the row that made a sum nan, if it is the data that is to blame, and nothing that all rows share."""
    shared = [call.data, *[leaf for leaf in call.template.leaves if leaf is not None]]
    if not all(np.isfinite(np.asarray(numbers, float)).all() for numbers in shared):
        return
    for name, block in zip(call.names, blocks, strict=True):
        bad = ~np.isfinite(np.asarray(block, float).reshape(place.rows, -1)).all(axis=1)
        if bad.any():
            row = int(bad.argmax())
            numbers = np.ravel(block[row])
            got = numbers[~np.isfinite(numbers)][0]
            raise _errors.nan_in_data(name, function, place.number, row, place.first + row, got)


def _join(*pieces: Piece) -> Piece:
    return join(pieces)


# --------------------------------------------------------------------------------------------- where it is asked


def value_and_grad(f: Any, *args: Any, argnums: Argnums = None, client: Any = None, **kwargs: Any) -> Any:
    """Sum a compiled function and its gradient over the rows of Dask arrays, partition by partition.

    The sums are made in an order that depends on the rows alone. It is that of `fastgrad.Compiled.sum_grad`, and the
    result the same to the last bit, wherever partitions begin at multiples of 1024 rows; else the partitions are
    added as a binary tree. In no case does it matter how many workers there are, what they do, and which of them are
    lost.

    Parameters
    ----------
    f : Compiled
        A function with one number as its result.
    *args, **kwargs
        Its arguments. Those with rows are Dask arrays with one batch dimension, cut in the same places; all others are
        sent to all partitions.
    argnums : int or str, or tuple of int and str, optional
        The arguments to take the gradient with respect to; ``"parameters"`` are the Values that the function uses
        besides. Without it, these are all numbers and arrays that are not Dask's, or the parameters if there are none.
    client : dask.distributed.Client, optional
        The cluster that computes. Without it, this is the current client's; or, if there is none, this process.

    Returns
    -------
    tuple
        The sum, and the gradient, as from `fastgrad.Compiled.sum_grad`.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If no argument is a Dask array, the function is not compiled, or it cannot be pickled.
    ValueError
        If shapes or partitions do not fit; or if a row with nan made the sum nan: it is named.

    Notes
    -----
    Partitions of ``1024 * 2**k`` rows are best: each is one node of the tree, so that as many bytes are sent as there
    are in one gradient.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> from fastgrad import distributed
    >>> f = fg.compile(lambda w, x: (w * x - 1.0) ** 2)
    >>> x = np.linspace(0.0, 1.0, 5000)
    >>> distributed.value_and_grad(f, 2.0, da.from_array(x, chunks=1024)) == f.sum_grad(2.0, x, argnums="w")
    True
    """
    _, space, sums = _total("value_and_grad", f, args, kwargs, argnums, client)
    return space.structure.build(iter([array if array.ndim else array.item() for array in sums]))


def backward(f: Any, *args: Any, reduction: str = "mean", client: Any = None, **kwargs: Any) -> float:
    """Add to the ``grad`` of all Values that a compiled function uses, as its method ``backward`` does for arrays.

    Parameters
    ----------
    f : Compiled
        A function with one number as its result, which uses Values that are not its arguments.
    *args, **kwargs
        Its arguments, as for `value_and_grad`, whose order of additions this has.
    reduction : {"mean", "sum"}
        What to take of the results of all rows.
    client : dask.distributed.Client, optional
        As for `value_and_grad`.

    Returns
    -------
    float
        The mean or the sum.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> from fastgrad import distributed
    >>> w = fg.Value(1.0)
    >>> loss = fg.compile(lambda x, y: (w * x - y) ** 2)
    >>> x = da.from_array(np.array([1.0, 2.0]), chunks=1)
    >>> distributed.backward(loss, x, 2.0 * x)
    2.5
    >>> w.grad
    -5.0
    """
    check_compiled("backward", f)
    total: float = f._backward(reduction, lambda: _total("backward", f, args, kwargs, "parameters", client))
    return total


def _total(
    where: str, f: Any, args: Sequence[Any], kwargs: dict[str, Any], argnums: Argnums, client: Any
) -> tuple[int, Space, list[Any]]:
    """The number of rows, what is in the answer, and the sums as its arrays."""
    found = spread(where, f, args, kwargs)
    cuts = _cuts(found)
    argnums = _others(found) if argnums is None else argnums
    empty_args, empty_kwargs = found.empty()
    if not sum(cuts):
        _, space, sums = f._total("value_and_grad", empty_args, empty_kwargs, argnums)
        return 0, space, [array.reshape(shape) for array, shape in zip(sums, space.shapes, strict=True)]
    question = f.question("value_and_grad", empty_args, empty_kwargs, argnums)
    client = client_of(client)
    packed = shipment(f)
    shapes = [array.shape[1:] for array in found.arrays]
    leaves = question.parameter_leaves
    call = _Call(found.template, found.names, shapes, argnums, leaves, packed.data())
    root = _graph(packed.delivered(client), once(call, "call"), found.arrays, cuts)
    piece: Piece = root.compute() if client is None else client.compute(root).result()
    f.subject.learn(packed.values[i] for i in sorted(piece.used))
    space = f.question("value_and_grad", empty_args, empty_kwargs, argnums).answer
    numbers = {value: i for i, value in enumerate(packed.values)}
    places = [numbers[parameter] for parameter in f.parameters] if leaves else []
    return sum(cuts), space, _split(total(piece), space, [leaf + 1 for leaf in leaves], places, len(numbers))


def _split(sums: Floats, space: Space, leaves: list[int], places: list[int], count: int) -> list[Any]:
    """The arrays of the answer; of the Values that were sent, those that the function uses."""
    arrays: list[Any] = []
    for i, shape in enumerate(space.shapes):
        size = count if i in leaves else math.prod(shape)
        array, sums = sums[:size], sums[size:]
        arrays.append(array[places] if i in leaves else array.reshape(shape))
    return arrays


def _graph(shipped: Any, call: Any, arrays: Sequence[Any], cuts: Sequence[int]) -> Any:
    """A task for each partition that has rows, and a tree of tasks that join what these give."""
    delayed = dask("dask").delayed
    sum_partition, joined = delayed(_sum_partition, pure=False), delayed(_join, pure=False)
    starts = np.cumsum([0, *cuts]).tolist()
    whole_chunks = all(start % CHUNK == 0 for start, rows in zip(starts, cuts, strict=False) if rows)
    columns = [array.to_delayed().ravel() for array in arrays]
    pieces: list[Any] = []
    for number, (first, rows) in enumerate(zip(starts, cuts, strict=False)):
        if rows:
            place = _Place(number, first, rows, None if whole_chunks else len(pieces))
            pieces.append(sum_partition(shipped, call, place, *[column[number] for column in columns]))
    while len(pieces) > 1:
        pieces = [joined(*pieces[i : i + _FAN_IN]) for i in range(0, len(pieces), _FAN_IN)]
    return pieces[0]


def _cuts(found: Spread) -> tuple[int, ...]:
    """The rows of each partition."""
    cuts: tuple[int, ...] | None = None
    for name, core, array in zip(found.names, found.cores, found.arrays, strict=True):
        if array.ndim != len(core) + 1:
            raise _errors.not_one_batch_dimension(name, array.shape, core)
        if any(map(math.isnan, array.shape)):
            raise _errors.unknown_size(name, array.shape)
        check_core_chunks(name, core, array)
        cuts = array.chunks[0] if cuts is None else cuts
        if array.chunks[0] != cuts:
            raise _errors.partitions_differ(name, array.chunks[0], found.names[0], cuts)
    _check_others(found)
    assert cuts is not None
    return cuts


def _check_others(found: Spread) -> None:
    """Only Dask arrays have rows."""
    for i, (name, core) in enumerate(zip(found.layout.leaf_names, found.layout.cores, strict=True)):
        if i not in found.template.places and np.ndim(found.template.leaves[i]) > len(core):
            raise _errors.not_partitioned(name, np.shape(found.template.leaves[i]), core)


def _others(found: Spread) -> Argnums:
    """The arguments without rows; the parameters, if there are none."""
    places = set(found.template.places)
    numbers = tuple(
        i
        for i, argument in enumerate(found.layout.arguments)
        if argument.given
        and argument.leaves.start < argument.leaves.stop
        and places.isdisjoint(range(argument.leaves.start, argument.leaves.stop))
    )
    return (numbers if len(numbers) > 1 else numbers[0]) if numbers else "parameters"
