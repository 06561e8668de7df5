"""Memory for large results, used again when nobody needs it any more.

Fresh memory has to be cleared by the operating system page by page, which takes as long as computing a cheap result.
"""

from __future__ import annotations

import math
import weakref

import numpy as np
from numpy.typing import NDArray

#: Smaller results than this many bytes come from the allocator, which keeps such pieces itself.
LARGE = 1 << 20

#: At most this many bytes are kept while nobody uses them.
MOST_KEPT = 1 << 29

_kept: dict[int, NDArray[np.float64]] = {}


def empty(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an array like ``numpy.empty``.

    Its memory comes back when the array, and every view of it, is gone.

    Examples
    --------
    >>> empty((2, 3)).shape
    (2, 3)
    """
    count = math.prod(shape)
    if 8 * count < LARGE:
        return np.empty(shape)
    memory = _take(count)
    # NumPy makes the array that owns memory the base of every view. The memoryview hides the owner, so that the base is
    # the lease, which lives as long as anything that shares its memory.
    lease = np.frombuffer(memory.data, count=count)
    weakref.finalize(lease, _give_back, memory).atexit = False
    return lease.reshape(shape)


def _take(count: int) -> NDArray[np.float64]:
    """Take memory that is large enough, but not twice as large, from what is kept."""
    for key, memory in list(_kept.items()):
        if count <= memory.size <= 2 * count and _kept.pop(key, None) is not None:
            return memory
    return np.empty(count)


def _give_back(memory: NDArray[np.float64]) -> None:
    if memory.nbytes <= MOST_KEPT:
        _kept[id(memory)] = memory
    while sum(kept.nbytes for kept in list(_kept.values())) > MOST_KEPT:
        _kept.pop(next(iter(_kept)), None)
