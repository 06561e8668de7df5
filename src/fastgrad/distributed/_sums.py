"""Sums in pieces: nodes of the binary tree in which fastgrad adds the totals of chunks of rows, and how they join.

A node of level k is the sum of 2**k neighbouring leaves. Pieces that stand side by side join to the same nodes in
whatever order and company they do so: it is the numbers of the leaves that say which sums are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .._signature import Floats


class Node(NamedTuple):
    """The sum of the leaves from ``number * 2**level`` on."""

    level: int
    number: int
    sums: Floats


class Piece(NamedTuple):
    """The sums of neighbouring leaves, in as few nodes as there can be; and which parameters were seen in use."""

    nodes: tuple[Node, ...]
    used: frozenset[int]


def aligned(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Level and number of the fewest nodes that are the leaves from first to last, that one excluded."""
    while first < last:
        level = (last - first).bit_length() - 1
        while first % 2**level:
            level -= 1
        yield level, first >> level
        first += 2**level


def join(pieces: Iterable[Piece]) -> Piece:
    """Make one piece of neighbours, given from left to right."""
    nodes: list[Node] = []
    used: frozenset[int] = frozenset()
    for piece in pieces:
        used |= piece.used
        for node in piece.nodes:
            while nodes and node.number % 2 and nodes[-1][:2] == (node.level, node.number - 1):
                node = Node(node.level + 1, node.number // 2, nodes.pop().sums + node.sums)
            nodes.append(node)
    return Piece(tuple(nodes), used)


def total(piece: Piece) -> Floats:
    """The sum of all leaves: the last nodes have no right neighbours, and count as if they had."""
    sums = piece.nodes[-1].sums
    for node in reversed(piece.nodes[:-1]):
        sums = node.sums + sums
    return np.asarray(sums)
