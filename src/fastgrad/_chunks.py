"""The order in which sums over rows are made, as csrc/run.c has it: chunks of rows, and a binary tree over these.

The tree stands on the numbers of the chunks alone. So 2**k chunks whose first number is a multiple of 2**k can be
summed anywhere, and be put in their place afterwards, to the same bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PARTS = 8  # interleaved sums in a chunk
CHUNK = 1024  # rows


def pairwise(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the rows of a matrix, one for each chunk: neighbours, then the sums of neighbours, to the last."""
    while len(totals) > 1:
        even = len(totals) // 2 * 2
        totals = np.concatenate([totals[0:even:2] + totals[1:even:2], totals[even:]])
    return totals[0] if len(totals) else np.zeros(totals.shape[1])
