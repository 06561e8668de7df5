"""Where the nodes of a drawing lie: a layered layout (K. Sugiyama, S. Tagawa, M. Toda 1981), from left to right.

Layers by longest path, dummy nodes where an edge passes through a layer, an order in each layer by barycentres, and
coordinates as near to the neighbours' mean as the order allows.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_SWEEPS = 12  # over the layers, there and back; more change next to nothing
_ROUNDS = 24

Edge = tuple[int, int]  # from an operand to its user


class Layout(NamedTuple):
    """Centres of the nodes, and for each edge the points that it passes on its way, in layers between."""

    places: list[tuple[float, float]]
    bends: list[list[tuple[float, float]]]
    width: float
    height: float


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], gap: tuple[float, float]) -> Layout:
    """Lay out a graph whose operands come before their users.

    Parameters
    ----------
    sizes : sequence of (float, float)
        Width and height of each node, in pixels.
    edges : sequence of (int, int)
        From a node to one behind it.
    gap : (float, float)
        The least distance of layers, and of nodes in a layer, in pixels.
    """
    layer = _layers(len(sizes), edges)
    heights = [height for _, height in sizes]
    chains: list[list[int]] = []  # of each edge: where it begins, the dummies on its way, where it ends
    for a, b in edges:
        dummies = range(len(layer), len(layer) + layer[b] - layer[a] - 1)
        chains.append([a, *dummies, b])
        layer += range(layer[a] + 1, layer[b])
        heights += [gap[1]] * len(dummies)
    before: list[list[int]] = [[] for _ in layer]
    after: list[list[int]] = [[] for _ in layer]
    for chain in chains:
        for a, b in pairwise(chain):
            before[b].append(a)
            after[a].append(b)
    rows = _ordered(layer, before, after)
    y = _heights(rows, before, after, heights, gap[1])
    x = _columns(rows, sizes, gap[0])
    points = [(x[layer[i]], y[i]) for i in range(len(layer))]
    bends = [[points[i] for i in chain[1:-1]] for chain in chains]
    bottom = max((y[i] + heights[i] / 2 for i in range(len(layer))), default=0.0)
    right = max((x[layer[i]] + width / 2 for i, (width, _) in enumerate(sizes)), default=0.0)
    return Layout(points[: len(sizes)], bends, right, bottom)


def _layers(count: int, edges: Sequence[Edge]) -> list[int]:
    """The longest path to each node; what nothing leads to stands just before its first user."""
    layer = [0] * count
    sources = set(range(count)) - {b for _, b in edges}
    for a, b in sorted(edges, key=lambda edge: edge[1]):  # all edges into a node come before those out of it
        layer[b] = max(layer[b], layer[a] + 1)
    first: dict[int, int] = {}
    for a, b in edges:
        if a in sources:
            first[a] = min(first.get(a, layer[b]), layer[b])
    for a, user in first.items():
        layer[a] = user - 1
    return layer


# ------------------------------------------------------------------------------------------------- order in a layer


def _ordered(layer: Sequence[int], before: Sequence[list[int]], after: Sequence[list[int]]) -> list[list[int]]:
    """The nodes of each layer from top to bottom, with few crossings: each in turn by the mean place of neighbours."""
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for i, row in enumerate(layer):
        rows[row].append(i)
    best, fewest = rows, _crossings(rows, after)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        forwards = sweep % 2 == 0
        for k in range(1, len(rows)) if forwards else range(len(rows) - 2, -1, -1):
            neighbours = before if forwards else after
            place = {i: j for j, i in enumerate(rows[k - 1 if forwards else k + 1])}
            rows[k] = _by_barycentre(rows[k], neighbours, place)
        crossings = _crossings(rows, after)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _by_barycentre(row: list[int], neighbours: Sequence[list[int]], place: dict[int, int]) -> list[int]:
    """Sorted by the mean place of the neighbours; a node without any keeps its place."""
    keys = {
        i: sum(place[j] for j in neighbours[i]) / len(neighbours[i]) if neighbours[i] else float(at)
        for at, i in enumerate(row)
    }
    return sorted(row, key=lambda i: keys[i])


def _crossings(rows: Sequence[list[int]], after: Sequence[list[int]]) -> int:
    """How many pairs of edges cross: the inversions of their ends, taken in the order of their beginnings."""
    total = 0
    for row, following in pairwise(rows):
        place = {i: j for j, i in enumerate(following)}
        seen: list[int] = []
        for i in row:
            ends = sorted(place[j] for j in after[i])
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


# ------------------------------------------------------------------------------------------------------- coordinates


def _columns(rows: Sequence[list[int]], sizes: Sequence[tuple[float, float]], gap: float) -> list[float]:
    """The centre of each layer."""
    x, right = [], -gap
    for row in rows:
        width = max((sizes[i][0] for i in row if i < len(sizes)), default=0.0)
        x.append(right + gap + width / 2)
        right += gap + width
    return x


def _heights(
    rows: Sequence[list[int]],
    before: Sequence[list[int]],
    after: Sequence[list[int]],
    heights: Sequence[float],
    gap: float,
) -> list[float]:
    """The centre of each node: layer by layer, as near to the mean of its neighbours as the order allows."""
    y = [0.0] * len(heights)
    for row in rows:
        _place(row, y, heights, gap)
    for turn in range(_ROUNDS):
        for k in range(len(rows)) if turn % 2 == 0 else range(len(rows) - 1, -1, -1):
            for i in rows[k]:
                neighbours = (before[i] + after[i]) if turn > 2 else (before[i] if turn % 2 == 0 else after[i])
                if neighbours:
                    y[i] = sum(y[j] for j in neighbours) / len(neighbours)
            _place(rows[k], y, heights, gap)
    top = min((y[i] - heights[i] / 2 for i in range(len(y))), default=0.0)
    return [height - top for height in y]


def _place(row: Sequence[int], y: list[float], heights: Sequence[float], gap: float) -> None:
    """Move nodes apart that are too near, all together as little as can be: least squares, by pooling neighbours."""
    offset, offsets = 0.0, []
    pools: list[tuple[float, int]] = []  # the mean of what the members want, less their offsets; how many they are
    for at, i in enumerate(row):
        offset += (heights[row[at - 1]] + heights[i]) / 2 + gap if at else 0.0
        offsets.append(offset)
        mean, count = y[i] - offset, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    means = (mean for mean, count in pools for _ in range(count))
    for i, mean, apart in zip(row, means, offsets, strict=True):
        y[i] = mean + apart
