"""The graph behind a Value, as its public surface shows it: the nodes in order, and what one of them passes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .._backend import Value
from . import _errors


def graph_of(root: Value) -> list[Value]:
    """Everything that a Value was computed from, operands before their users, and itself; always in the same order."""
    found: dict[Value, None] = {}
    stack: list[tuple[Value, bool]] = [(root, False)]
    seen = set()
    while stack:
        node, is_done = stack.pop()
        if is_done:
            found[node] = None
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(child, False) for child in reversed(node._children)]
    return list(found)


def find(what: str, nodes: Sequence[Value], wrt: Any) -> Value:
    """The node that is meant: the Value itself, or the one with that label."""
    if isinstance(wrt, str):
        labelled = [node for node in nodes if node.label == wrt]
        if not labelled:
            raise _errors.no_label(what, wrt, sorted({node.label for node in nodes if node.label}))
        if len(labelled) > 1:
            raise _errors.same_label(what, wrt, len(labelled))
        return labelled[0]
    if not isinstance(wrt, Value):
        raise _errors.wrong_wrt(what, wrt)
    if wrt not in set(nodes):
        raise _errors.not_in_graph(what, wrt, nodes[-1])
    return wrt


@contextmanager
def kept_grads(nodes: Sequence[Value]) -> Iterator[None]:
    """Let ``grad`` of these nodes be used, beginning with 0, and be afterwards as it was."""
    before = [node.grad for node in nodes]
    try:
        for node in nodes:
            node.grad = 0.0
        yield
    finally:
        for node, grad in zip(nodes, before, strict=True):
            node.grad = grad


def adjoints(nodes: Sequence[Value]) -> dict[Value, float]:
    """The derivatives of the last of the nodes of a graph with respect to each."""
    with kept_grads(nodes):
        nodes[-1].backward()
        return {node: node.grad for node in nodes}


def local_derivatives(node: Value) -> dict[Value, float]:
    """What a node adds to the ``grad`` of each operand for a ``grad`` of its own of 1."""
    operands = list(dict.fromkeys(node._children))
    with kept_grads([node, *operands]):
        node.grad = 1.0
        node._backward()
        return {operand: operand.grad for operand in operands}
