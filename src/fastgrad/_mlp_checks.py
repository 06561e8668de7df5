"""What the estimators' parameters and data have to be, and what is said if they are not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._mlp import ACTIVATIONS

Floats = NDArray[np.float64]


def check_finite(name: str, array: Floats) -> None:
    """Raise, naming the first place, if there is a nan or an infinity."""
    wrong = ~np.isfinite(array)
    if wrong.any():
        row, *column = np.argwhere(wrong)[0].tolist()
        what = "NaN" if np.isnan(array[(row, *column)]) else "infinity"
        place = f"row {row}" + "".join(f", column {c}" for c in column)
        raise ValueError(
            f"Input {name} contains {what} in {place} ({int(wrong.sum())} such numbers in all); expected finite "
            "numbers: drop these rows, or fill them with sklearn.impute.SimpleImputer"
        )


def class_numbers(y: NDArray[Any], classes: NDArray[Any]) -> Floats:
    """Return the place of each label among the sorted classes, or raise, naming the row of one that is not there."""
    numbers = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    strange = classes[numbers] != y
    if strange.any():
        row = int(np.argmax(strange))
        raise ValueError(
            f"Input y has the label {y[row : row + 1].tolist()[0]!r} in row {row}; expected one of {classes.tolist()}"
        )
    return numbers.astype(np.float64)


def hidden_sizes(estimator: Any) -> tuple[int, ...]:
    given = estimator.hidden_layer_sizes
    sizes = (given,) if isinstance(given, Integral) else tuple(np.ravel(np.asarray(given, object)))
    for size in sizes:
        if not isinstance(size, Integral) or size < 1:
            raise _bad(estimator, "hidden_layer_sizes", "whole numbers, 1 or more")
    return tuple(int(size) for size in sizes)


def _limits() -> Iterator[tuple[str, Any, float, float, str]]:
    """The numeric parameters: name, type, smallest and largest, what is expected."""
    for name in ("max_iter", "n_iter_no_change"):
        yield name, Integral, 1, math.inf, "a whole number, 1 or more"
    for name in ("alpha", "tol"):
        yield name, Real, 0.0, math.inf, "a number, 0 or more"
    for name in ("learning_rate_init", "epsilon"):
        yield name, Real, math.ulp(0.0), math.inf, "a number above 0"
    for name in ("beta_1", "beta_2"):
        yield name, Real, 0.0, math.nextafter(1.0, 0.0), "a number from 0 to below 1"
    yield "validation_fraction", Real, math.ulp(0.0), math.nextafter(1.0, 0.0), "a number between 0 and 1"


def check_settings(estimator: Any) -> None:
    """Raise, saying what is expected, if a parameter is out of its range."""
    hidden_sizes(estimator)
    for name, kind, least, most, expected in _limits():
        given = getattr(estimator, name)
        if not isinstance(given, kind) or isinstance(given, bool) or not least <= given <= most:
            raise _bad(estimator, name, expected)
    if not isinstance(estimator.activation, str) or estimator.activation not in ACTIVATIONS:
        raise _bad(estimator, "activation", f"one of {', '.join(sorted(ACTIVATIONS))}")
    size = estimator.batch_size
    if size != "auto" and (not isinstance(size, Integral) or isinstance(size, bool) or int(size) < 1):
        raise _bad(estimator, "batch_size", "a whole number, 1 or more, or 'auto'")


def _bad(estimator: Any, name: str, expected: str) -> ValueError:
    return ValueError(f"{type(estimator).__name__}({name}): expected {expected}, got {getattr(estimator, name)!r}")
