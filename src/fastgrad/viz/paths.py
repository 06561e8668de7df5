"""The paths from an output to a node: how many there are, and those with the largest products first.

There can be exponentially many. They are counted without going along them, and found one by one: the best path from
each node on is known beforehand, and every other one leaves it, or one that was found before, at some edge.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import count
from math import inf, isfinite, isnan, log2
from typing import NamedTuple

from .._walk import Edge, Node


class Step(NamedTuple):
    """One edge of a path: operand k of a node."""

    node: int
    k: int


def edge_of(nodes: Sequence[Node], step: Step) -> Edge:
    return nodes[step.node].edges[step.k]


def count_paths(nodes: Sequence[Node], target: int) -> int:
    """Return how many paths lead from the last node to the target along which something is passed on."""
    users = [0] * len(nodes)
    for node in nodes[target:]:
        for edge in node.edges:
            users[edge.operand] += edge.passes
    counts = {target: 1}  # of what still has users to come: a count may have thousands of digits
    for node in nodes[target + 1 :]:
        total = 0
        for edge in node.edges:
            if edge.passes:
                total += counts.get(edge.operand, 0)
        for edge in node.edges:
            users[edge.operand] -= edge.passes
            if edge.passes and users[edge.operand] == 0:
                counts.pop(edge.operand, None)
        if total:
            counts[node.index] = total
    return counts.get(len(nodes) - 1, 0)


def largest_paths(nodes: Sequence[Node], target: int) -> Iterator[tuple[Step, ...]]:
    """Yield the paths from the last node to the target, those with the largest products first."""
    best = _best_from(nodes, target)
    if best[-1] is None:
        return
    ties = count()
    # Each waiting path: minus its size, a number that settles ties, the steps up to where it leaves a path that was
    # found before (as a linked list, last first), their size, and the node from which on it is the best one.
    waiting: list[tuple[float, int, _Steps | None, float, int]] = [
        (-best[-1][0], next(ties), None, 0.0, len(nodes) - 1)
    ]
    while waiting:
        _, _, steps, size, at = heapq.heappop(waiting)
        while at != target:
            way = best[at]
            assert way is not None
            for k, edge in enumerate(nodes[at].edges):
                beyond = best[edge.operand]
                if k != way[1] and edge.passes and beyond is not None:
                    so_far = _plus(size, _size(edge.local))
                    left = _Steps(Step(at, k), steps)
                    heapq.heappush(waiting, (-_plus(so_far, beyond[0]), next(ties), left, so_far, edge.operand))
            steps = _Steps(Step(at, way[1]), steps)
            edge = nodes[at].edges[way[1]]
            size = _plus(size, _size(edge.local))
            at = edge.operand
        yield _in_order(steps)


class _Steps(NamedTuple):
    """A linked list, the last step first."""

    last: Step
    before: _Steps | None


def _in_order(steps: _Steps | None) -> tuple[Step, ...]:
    found: list[Step] = []
    while steps is not None:
        found.append(steps.last)
        steps = steps.before
    return tuple(reversed(found))


def _best_from(nodes: Sequence[Node], target: int) -> list[tuple[float, int] | None]:
    """For each node the size of the best path to the target, and the operand that it begins with; None without one."""
    best: list[tuple[float, int] | None] = [None] * len(nodes)
    best[target] = (0.0, -1)
    for node in nodes[target + 1 :]:
        for k, edge in enumerate(node.edges):
            beyond = best[edge.operand]
            if edge.passes and beyond is not None:
                size = _plus(_size(edge.local), beyond[0])
                known = best[node.index]
                if known is None or size > known[0]:
                    best[node.index] = (size, k)
    return best


def _size(local: float) -> float:
    """The logarithm of a factor: the product of thousands of factors may be too large or too small for a float."""
    if not isfinite(local):
        return inf
    return log2(abs(local)) if local else -inf


def _plus(a: float, b: float) -> float:
    total = a + b
    return -inf if isnan(total) else total  # as in a sweep, 0 times inf is 0
