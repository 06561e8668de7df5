"""Functions that other processes import: for the tests of pickling."""

from __future__ import annotations

from typing import Any

import fastgrad as fg

runs: list[str] = []


@fg.compile(signature="(n)->()")
def decorated(x: Any) -> Any:
    """By reference to what the decorator made."""
    runs.append("decorated")
    return fg.dot(x, x) if x[0] > 0.0 else fg.sum(x)


def plain(x: Any, mode: str = "twice") -> Any:
    runs.append("plain")
    return 2.0 * x if mode == "twice" else 3.0 * x


compiled = fg.compile(plain)

WEIGHT = fg.Value(5.0)


@fg.compile
def weighted(x: Any) -> Any:
    return WEIGHT * x if x > 0.0 else x
