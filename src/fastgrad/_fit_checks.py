"""What `fit` is given, checked: arrays of finite numbers, a path that can be written, an optimizer of the model."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import is_real
from .nn import Module
from .optim import Adam, Optimizer, Schedule

Arrays = tuple[NDArray[np.float64], ...]


def arrays(argument: str, given: Any, like: Arrays | None = None) -> Arrays:
    if not isinstance(given, tuple) or not given:
        raise TypeError(f"fit({argument}): expected a tuple of arrays such as (x, y), got {type(given).__name__}")
    arrays = tuple(_array(f"fit({argument})[{i}]", array) for i, array in enumerate(given))
    counts = [len(array) for array in arrays]
    if len(set(counts)) > 1:
        raise ValueError(f"fit({argument}): expected as many rows in each array, got {counts}")
    if like is not None and [a.shape[1:] for a in arrays] != [a.shape[1:] for a in like]:
        shapes, expected = [a.shape[1:] for a in arrays], [a.shape[1:] for a in like]
        raise ValueError(f"fit({argument}): expected rows of the shapes {expected}, as in data; got {shapes}")
    return arrays


def _array(argument: str, given: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise TypeError(f"{argument}: expected an array of real numbers: {error}") from error
    if array.dtype.kind == "O":
        array = _unboxed(array)
    if array.dtype.kind not in "biuf":
        shown = " ".join(repr(array).split())
        raise TypeError(f"{argument}: expected an array of real numbers, got {array.dtype} {shown:.60}")
    array = array.astype(np.float64, copy=False)
    if not array.ndim or not array.size:
        raise ValueError(f"{argument}: expected at least one row, got an array of shape {array.shape}")
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"{argument}: row {row} is not finite: {array[row].tolist()}")
    return np.ascontiguousarray(array)


def _unboxed(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of objects as one of numbers, if all are numbers: tables of mixed columns come so."""
    return array.astype(np.float64) if all(map(is_real, array.flat)) else array


def is_there(checkpoint: Any) -> bool:
    """Whether the file exists; raises where it cannot be written, rather than after an epoch."""
    if not isinstance(checkpoint, (str, os.PathLike)):
        raise TypeError(f"fit(checkpoint): expected the path of a file, got {checkpoint!r}")
    path = os.fspath(checkpoint)
    if os.path.isdir(path):
        raise IsADirectoryError(f"fit(checkpoint): expected the path of a file, and {path!r} is a folder")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"fit(checkpoint): there is no folder {folder!r} to write it in; make it before")
    return os.path.exists(path)


def checked_optimizer(model: Module, optimizer: Optimizer | None, schedule: Schedule | None) -> Optimizer:
    if not isinstance(model, Module):
        raise TypeError(f"fit(model): expected an nn.Module, got {type(model).__name__}")
    if schedule is not None and not isinstance(schedule, Schedule):
        raise TypeError(f"fit(schedule): expected a schedule such as optim.StepLR(...), got {schedule!r}")
    if optimizer is None:
        optimizer = Adam(model.parameters()) if schedule is None else schedule.optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit(optimizer): expected an optimizer such as optim.SGD(...), got {optimizer!r}")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("fit(schedule): it was made for another optimizer")
    strangers = len({*optimizer.parameters} - {*model.parameters()})
    if strangers:
        raise ValueError(
            f"fit(optimizer): {strangers} of its parameters are not among model.parameters(), and no checkpoint would "
            "hold them; make them part of the model"
        )
    return optimizer
