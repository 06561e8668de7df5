"""Recordings of functions, for what asks about the operations themselves."""

from __future__ import annotations

from typing import Any

from .._compiled import Compiled
from .._derivatives import Space
from .._engine import prepare
from .._paths import Path


def recorded(f: Compiled, *point: Any) -> tuple[Path, Space]:
    """The path that a function takes at a point, numbers and arrays, and what it returns."""
    read = f._read(point, {})
    prepare(read)
    numbers = [number for array in read.numeric().arrays for number in array.ravel().tolist()]
    path = read.case.path_of(numbers, read.refill)
    space = read.case.results.space
    assert space is not None  # prepare() saw to it
    return path, space
