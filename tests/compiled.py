"""What the tests of compiled functions share: what eager gives row by row, and when two results are the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

#: How far the pure-Python backend may be from itself: compiled it calls NumPy where it calls math otherwise. Relative,
#: for a handful of operations; that is some 50 ulp.
CLOSE = 1e-14


def agree(fg: ModuleType, a: Any, b: Any, close: float = CLOSE) -> bool:
    """Whether two results are the same: to the last bit in C, but for the signs of nan; else nearly."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        return False
    if fg.backend().name == "c":
        return bool(np.all((a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))))
    return bool(np.allclose(a, b, rtol=close, atol=close, equal_nan=True))


def row_by_row(fg: ModuleType, f: Callable[..., Any], *columns: Any) -> tuple[Any, list[Any]]:
    """What eager gives for functions of numbers: the values, and the gradient with respect to each argument."""
    columns = np.broadcast_arrays(*map(np.asarray, columns))
    values = np.empty(columns[0].shape)
    gradients = [np.empty(values.shape) for _ in columns]
    for at in np.ndindex(values.shape):
        arguments = [fg.Value(float(column[at])) for column in columns]
        result = f(*arguments)
        if isinstance(result, fg.Value):
            result.backward()
        values[at] = float(result)
        for gradient, argument in zip(gradients, arguments, strict=True):
            gradient[at] = argument.grad
    return values, gradients


def differences(f: Callable[..., float], *numbers: float) -> list[float]:
    """The gradient by central differences, good to some eight digits for numbers around 1."""

    def slope(i: int) -> float:
        h = 1e-5 * max(1.0, abs(numbers[i]))
        right, left = ([*numbers[:i], numbers[i] + step, *numbers[i + 1 :]] for step in (h, -h))
        return (f(*right) - f(*left)) / (2.0 * h)

    slopes = [slope(i) for i in range(len(numbers))]
    assert all(map(math.isfinite, slopes))
    return slopes
