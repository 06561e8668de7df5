"""fastgrad.show: a graph as one HTML file, in which one can step through the backward pass and change the leaves."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from .._backend import Value
from .._rules import Reduction
from .._walk import Node, outline, walk
from . import errors
from .layout import Layout, layered
from .symbols import as_text, partial

_SCRIPTS = ("functions.js", "operations.js", "engine.js", "page.js")
_GAP = (96.0, 28.0)  # pixels between layers and between nodes
_HEIGHT, _NUMBER_HEIGHT = 78.0, 34.0
_LETTER, _SMALL_LETTER, _LEAST = 8.4, 7.3, 118.0  # pixels: of a name, of a derivative; the least width of a node
_DIGITS = 9  # of the numbers that nodes show, with sign and point
_LONGEST = 22  # letters of a name that are shown
_CLOSE = 1e-9  # relative: how near a node has to be to what its operation gives


def show(value: Value, path: str | os.PathLike[str] = "graph.html", *, title: str = "", max_nodes: int = 300) -> Path:
    """Write a page that steps through the backward pass of a Value, one chain-rule product after the other.

    The page is one HTML file that needs no network and no server: open it in a browser. It draws the graph, which can
    be moved and zoomed; it plays the backward pass, or goes through it step by step, forwards and back, and says the
    arithmetic of each step; it shows each node's local derivatives and the paths from it to the output; and the leaves'
    values can be changed, whereupon all else is computed again. It works by mouse, touch, keyboard and screen reader.

    Parameters
    ----------
    value : Value
        The output, whose derivatives with respect to everything it was computed from are shown. No ``grad`` changes.
    path : str or path
        The file; it is replaced.
    title : str
        The heading; if empty, it says which backward pass it is.
    max_nodes : int
        A graph with more nodes is refused: for those there is `draw`.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    TypeError
        If ``value`` is no Value.
    ValueError
        If the graph has more than ``max_nodes`` nodes.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import fastgrad as fg, os, tempfile
    >>> a, b = fg.Value(2.0, label="a"), fg.Value(-3.0, label="b")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = fg.show(a * b, os.path.join(folder, "product.html"))
    ...     "http:" in page.read_text(encoding="utf-8")
    False
    """
    if not isinstance(value, Value):
        raise errors.not_drawable("show", value)
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int) or max_nodes < 2:
        raise errors.bad_limit("show", max_nodes)
    count = len(outline(value))
    if count > max_nodes:
        raise errors.too_large_to_show(count, max_nodes)
    nodes = walk(value)
    written = Path(path)
    written.write_text(_html(nodes, title or f"Backpropagation from {nodes[-1].name}"), encoding="utf-8", newline="\n")
    return written


def _html(nodes: Sequence[Node], title: str) -> str:
    graph = json.dumps(_graph(nodes), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    scripts = "\n".join(map(_asset, _SCRIPTS))
    page = Template(_asset("page.html"))
    return page.substitute(title=escape(title), css=_asset("page.css"), graph=graph, scripts=scripts)


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _graph(nodes: Sequence[Node]) -> dict[str, Any]:
    """What the page is given: the nodes with their places, and whether it can compute them by itself."""
    sizes = [_size(node, nodes[-1].name) for node in nodes]
    edges = [(edge.operand, node.index) for node in nodes for edge in node.edges]
    layout = layered(sizes, edges, _GAP)
    reason = _why_fixed(nodes)
    return {
        "root": len(nodes) - 1,
        "width": layout.width,
        "height": layout.height,
        "fixed": reason,
        "nodes": [_node(nodes, node, sizes[node.index], layout) for node in nodes],
        "bends": [[[round(x, 1), round(y, 1)] for x, y in bends] for bends in layout.bends],
    }


def _node(nodes: Sequence[Node], node: Node, size: tuple[float, float], layout: Layout) -> dict[str, Any]:
    x, y = layout.places[node.index]
    return {
        "name": node.name,
        "kind": node.kind,
        "op": node.op,
        "row": node.row.name if node.row is not None else None,
        "data": _number(node.data),
        "operands": [edge.operand for edge in node.edges],
        "numbers": [_number(number) for number in _hidden(node)],
        "locals": [_number(edge.local) if edge.passes else None for edge in node.edges],
        "rules": [as_text(partial(nodes, node, k)) for k in range(len(node.edges))],
        "size": [round(length, 1) for length in size],
        "place": [round(x, 1), round(y, 1)],
    }


def _number(number: float) -> float | str:
    """JSON has no infinities and no nan."""
    return number if math.isfinite(number) else str(number)


def _size(node: Node, output: str) -> tuple[float, float]:
    if node.kind == "number":
        return max(46.0, 26.0 + _LETTER * min(_DIGITS, len(node.name))), _NUMBER_HEIGHT
    head = min(_LONGEST, len(node.name)) + max(4, len(node.op)) + 2
    derivative = min(2 * _LONGEST, len(f"d{output}/d{node.name} = ")) + _DIGITS
    return max(_LEAST, 26.0 + _LETTER * head, 20.0 + _SMALL_LETTER * derivative), _HEIGHT


# ------------------------------------------------------------------------------------------- what can be recomputed


def _why_fixed(nodes: Sequence[Node]) -> str:
    """Why the page cannot compute these nodes from other leaves; "" where it can."""
    for node in nodes:
        if not node.edges:
            continue
        if node.row is None or node.is_closure:
            return f"{node.name} has a rule that is not in the table of operations ({node.op or 'made by hand'})"
        if not _is_as_computed(node, [nodes[edge.operand].data for edge in node.edges]):
            return f"{node.name} is not what its operation gives now: a leaf was changed since; compute it again"
    return ""


def _is_as_computed(node: Node, operands: Sequence[float]) -> bool:
    row = node.row
    assert row is not None
    if isinstance(row, Reduction):
        width = len(operands) // len(row.operands)
        m = max(operands[:width])
        s = math.fsum(row.term(*operands[k::width], m) for k in range(width)) if _all_finite(operands) else math.nan
        result = row.finish(s, m, float(width))
    else:
        given = [*operands, *_hidden(node)]
        if len(given) != len(row.operands):
            return False
        result = row.forward(*given)
    return not _all_finite([node.data, result]) or math.isclose(node.data, result, rel_tol=_CLOSE, abs_tol=_CLOSE)


def _all_finite(numbers: Sequence[float]) -> bool:
    return all(map(math.isfinite, numbers))


def _hidden(node: Node) -> list[float]:
    """The operands that are no nodes: a number as exponent is part of the symbol, as in micrograd."""
    return [] if node.exponent is None else [node.exponent]
