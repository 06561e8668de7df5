"""NumPy's generalised-ufunc signatures: core dimensions, and the broadcasting of what stands before them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _compile_errors as _errors

Core = tuple[str | int, ...]  # names of dimensions, or their sizes
Shape = tuple[int, ...]
Floats = NDArray[np.float64]

_SPACE = re.compile(r"\s*([(),]|->)\s*")  # around what separates
_CORE = re.compile(r"\(([^()]*)\)")


class Signature(NamedTuple):
    """A parsed signature; ``outputs`` is None if it says nothing of them."""

    text: str
    inputs: tuple[Core, ...]
    outputs: tuple[Core, ...] | None


def parse(text: str) -> Signature:
    """Read ``"(n),()->()"``; the part from the arrow on may be missing."""
    if not isinstance(text, str):
        raise _errors.signature_type(text)
    before, arrow, after = _SPACE.sub(r"\1", text.strip()).partition("->")
    return Signature(text, _cores(text, before), _cores(text, after) if arrow else None)


def _cores(text: str, part: str) -> tuple[Core, ...]:
    cores = _CORE.findall(part)
    if not cores or ",".join(f"({core})" for core in cores) != part:
        raise _errors.bad_signature(text, part)
    return tuple(tuple(_dimension(text, word) for word in core.split(",")) if core else () for core in cores)


def _dimension(text: str, word: str) -> str | int:
    if word.isdecimal():
        return int(word)
    if not word.isidentifier():
        raise _errors.bad_signature(text, word)
    return word


# ------------------------------------------------------------------------------------------------- dimensions


def sizes(names: Sequence[str], cores: Sequence[Core], shapes: Sequence[Shape]) -> dict[str, tuple[int, str]]:
    """Return the size of each named core dimension and the argument that it was first seen in."""
    found: dict[str, tuple[int, str]] = {}
    for name, core, shape in zip(names, cores, shapes, strict=True):
        check_core(name, core, shape, found)
    return found


def check_core(name: str, core: Core, shape: Shape, found: dict[str, tuple[int, str]]) -> None:
    """Compare a core shape with its dimensions, and note the sizes of those that are new."""
    if len(core) != len(shape):
        raise _errors.core_dimensions(name, core, shape)
    for dimension, size in zip(core, shape, strict=True):
        if isinstance(dimension, int):
            expected, where = dimension, "the signature"
        else:
            expected, where = found.setdefault(dimension, (size, name))
        if size != expected:
            raise _errors.core_conflict(name, dimension, shape, expected, where)


# ----------------------------------------------------------------------------------------------- broadcasting


class Batch(NamedTuple):
    """Arguments as rows: for each array a matrix with one row for each row of the batch, or one for all."""

    shape: Shape
    rows: int
    matrices: list[Floats]
    batched: tuple[bool, ...]


def as_rows(
    names: Sequence[str], arrays: Sequence[NDArray[Any]], cores: Sequence[Shape], sizes: Sequence[int]
) -> Batch:
    """Broadcast the batch dimensions of the arrays, and make one dimension of them, without copying where possible."""
    outer = [array.shape[: array.ndim - len(core)] for array, core in zip(arrays, cores, strict=True)]
    shape = _broadcast(names, arrays, outer)
    rows = math.prod(shape)
    matrices: list[Floats] = []
    batched: list[bool] = []
    for array, core, size, own in zip(arrays, cores, sizes, outer, strict=True):
        if not own or math.prod(own) == 1:
            matrices.append(array.reshape(1, size))
            batched.append(False)
        else:
            whole = array if own == shape else np.broadcast_to(array, shape + core)
            matrices.append(whole.reshape(rows, size))
            batched.append(True)
    return Batch(shape, rows, matrices, tuple(batched))


def _broadcast(names: Sequence[str], arrays: Sequence[NDArray[Any]], outer: list[Shape]) -> Shape:
    """The batch dimensions of the result."""
    different = {own for own in outer if own}
    if len(different) < 2:
        return different.pop() if different else ()
    try:
        return np.broadcast_shapes(*outer)
    except ValueError:
        raise _errors.no_broadcast(names, [array.shape for array in arrays], outer) from None


# ---------------------------------------------------------------------------------------------------- numbers


def as_array(name: str, given: Any, value_type: type) -> NDArray[Any]:
    """Return an argument as an aligned array of float64, or of objects if there are Values in it; else raise."""
    if type(given) is np.ndarray and given.dtype == np.float64 and given.flags.aligned:
        return given
    if type(given) is float:
        return np.array(given)
    if isinstance(given, value_type):
        return _holding(given)
    if _errors.is_real(given) and not isinstance(given, np.generic):
        try:
            return np.array(float(given))
        except OverflowError as error:
            raise _errors.too_large(name, given) from error
    if isinstance(given, np.ndarray) and hasattr(given, "mask"):
        raise _errors.masked(name)
    try:
        array = np.asarray(given)
    except ValueError as error:  # a ragged list
        raise _errors.not_an_array(name, given, error) from error
    if array.dtype == object and any(isinstance(element, value_type) for element in array.flat):
        for element in array.flat:
            if not isinstance(element, value_type) and not _errors.is_real(element):
                raise _errors.wrong_element(name, element)
        return array
    if array.dtype.kind not in "biuf":
        raise _errors.wrong_dtype(name, array.dtype, given)
    return np.require(array, np.float64, "A")


def _holding(value: Any) -> NDArray[Any]:
    array = np.empty((), object)
    array[()] = value
    return array
