"""Rows in partitions, a function of theirs, and fixtures, for the tests of fastgrad.distributed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

CHUNK = 1024  # rows: partitions of which have the bits of the whole
ROWS = 5 * CHUNK + 77
DRAW = np.random.default_rng(5)
X, Y, MATRIX = DRAW.standard_normal(ROWS), DRAW.standard_normal(ROWS), DRAW.standard_normal((ROWS, 3))


@pytest.fixture(autouse=True)
def in_this_thread() -> Iterator[None]:
    with pytest.importorskip("dask").config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def distributed(fg: ModuleType) -> Any:
    return importlib.import_module("fastgrad.distributed")


def cut(array: Any, *chunks: Any) -> Any:
    return pytest.importorskip("dask.array").from_array(array, chunks=(*chunks, *array.shape[len(chunks) :]))


def line(fg: ModuleType) -> tuple[Any, list[Any]]:
    """A function that uses a Value on some rows only."""
    a, b, unused = fg.Value(0.5), fg.Value(-1.0), fg.Value(9.0)
    held = [b, unused, a]
    return fg.compile(lambda x, y: (held[2] * x - y) ** 2 if x < 0.5 else (held[2] * x + held[0] - y) ** 2), [a, b]
