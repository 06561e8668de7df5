"""Sums over rows, in the one order that the evaluator has: for batches whose rows took several paths.

Within a chunk of rows term i goes to part i % PARTS; the parts are added as a tree, and so are the chunks' totals. So
a sum does not depend on how the rows were computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._chunks import CHUNK, PARTS, pairwise
from ._signature import Floats

BLOCK = 64 * CHUNK  # rows: how many are computed before they are added up


class RowSums:
    """Adds blocks of rows; each but the last has a multiple of CHUNK rows."""

    def __init__(self, widths: Sequence[int]) -> None:
        self._totals: list[list[Floats]] = [[np.zeros((0, width))] for width in widths]

    def add(self, block: Sequence[Floats]) -> None:
        """Add the rows of a matrix for each sum."""
        for totals, matrix in zip(self._totals, block, strict=True):
            totals.append(_totals(matrix))

    def total(self) -> list[Floats]:
        """Return the sums, each a matrix with one row."""
        return [pairwise(np.concatenate(totals))[np.newaxis] for totals in self._totals]


def _totals(matrix: Floats) -> Floats:
    """One row for each chunk."""
    whole = len(matrix) // CHUNK * CHUNK
    chunks = matrix[:whole].reshape(whole // CHUNK, CHUNK, matrix.shape[1])
    totals = _tree(chunks)
    return totals if whole == len(matrix) else np.concatenate([totals, _tree(matrix[np.newaxis, whole:])])


def _tree(chunks: Floats) -> Floats:
    """Add up the rows of each chunk: chunks x rows x columns in, chunks x columns out."""
    parts = np.zeros((len(chunks), PARTS, chunks.shape[2]))
    for start in range(0, chunks.shape[1], PARTS):
        terms = chunks[:, start : start + PARTS]
        parts[:, : terms.shape[1]] += terms
    p = np.moveaxis(parts, 1, 0)
    total: Floats = ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))
    return total
