"""fastgrad.draw: graphs and compiled functions as pictures, through Graphviz."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .._backend import Value
from .._compiled import Compiled
from .._listing import path_info
from .._walk import Outline, outline, walk
from . import errors
from .collapse import collapse
from .items import of_graph, of_outline, of_path

if TYPE_CHECKING:
    from ..nn import Module
    from .dot import Drawing

_FORMATS = ("svg", "png", "pdf", "dot", "gv")
_TEXT = ("dot", "gv")  # the language of Graphviz, which needs no program to be written
_DIRECTIONS = ("LR", "TB", "RL", "BT")


def draw(
    value: Value | Compiled,
    path: str | os.PathLike[str] | None = None,
    *,
    derivatives: bool = False,
    max_nodes: int = 200,
    model: Module | None = None,
    rankdir: str = "LR",
) -> Drawing:
    """Draw what a Value was computed from, or what a compiled function recorded.

    Each node is a box with its label, ``data`` and ``grad``, and a small one with its operation before it, as in
    micrograd's notebook. A Jupyter notebook shows the drawing by itself. Of a compiled function the recorded paths are
    drawn, with the operations of one source line in one frame.

    A graph of more than ``max_nodes`` nodes is drawn as groups with the number of nodes in each: by layer if there is
    a ``model``, by source line if that is known (a compiled function knows), else by operation and depth, or by depth
    alone. Leaves are grouped by their labels, without the numbers in those.

    Parameters
    ----------
    value : Value or Compiled
        What to draw.
    path : str or path, optional
        A file to write: .svg, .png, .pdf, or .dot for the text, which needs no program.
    derivatives : bool
        Whether to write on each edge the derivative of the node to its operand.
    max_nodes : int
        The largest graph that is drawn node by node, and about the largest number of groups.
    model : Module, optional
        Whose parameters say which layer a node belongs to, where nodes are grouped: the last layer it depends on.
    rankdir : {"LR", "TB", "RL", "BT"}
        From left to right, from top to bottom, and the reverse.

    Returns
    -------
    graphviz.Digraph
        With ``.source``, ``.render(...)`` and ``.pipe(...)``.

    Raises
    ------
    TypeError
        If ``value`` is neither a Value nor a compiled function.
    ValueError
        If the path has another suffix, or the compiled function was never called.
    ImportError
        If the Python package graphviz is absent.
    RuntimeError
        If the program ``dot`` is absent, when it is needed: to write a picture, or to show it.

    Examples
    --------
    >>> import fastgrad as fg
    >>> a, b = fg.Value(2.0, label="a"), fg.Value(-3.0, label="b")
    >>> "data 2.0000" in fg.draw(a * b).source
    True
    """
    _check(value, max_nodes, model, rankdir)
    format = _format_of(path)
    drawing: Drawing = _dot().new(format, rankdir)
    if isinstance(value, Compiled):
        _add_compiled(drawing, value, max_nodes)
    else:
        _add_graph(drawing, value, derivatives, max_nodes, model)
    if path is not None:
        _write(drawing, Path(path), format)
    return drawing


def draw_dot(root: Value | Compiled, format: str = "svg", rankdir: str = "LR") -> Drawing:
    """Draw a graph under the name, and with the arguments, that micrograd's notebook gives to it; see `draw`.

    Examples
    --------
    >>> import fastgrad as fg
    >>> drawing = fg.draw_dot(fg.Value(1.0).tanh(), rankdir="TB")
    >>> "tanh" in drawing.source, drawing.format
    (True, 'svg')
    """
    if format not in _FORMATS:
        raise errors.unknown_format("draw_dot(format)", str(format), _FORMATS)
    drawing = draw(root, rankdir=rankdir)
    drawing.format = format
    return drawing


def _check(value: object, max_nodes: object, model: object, rankdir: str) -> None:
    if not isinstance(value, (Value, Compiled)):
        raise errors.not_drawable("draw", value)
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int) or max_nodes < 2:
        raise errors.bad_limit("draw", max_nodes)
    if model is not None and not hasattr(model, "_holders"):
        raise errors.unused_model(model)
    if rankdir not in _DIRECTIONS:
        raise errors.unknown_direction(rankdir, _DIRECTIONS)


def _format_of(path: str | os.PathLike[str] | None) -> str:
    if path is None:
        return "svg"
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        raise errors.unknown_format("draw(path)", os.fspath(path), _FORMATS)
    return suffix


def _dot() -> ModuleType:
    try:
        import_module("graphviz")
    except ImportError as error:
        raise errors.no_package(error) from error
    return import_module(".dot", __package__)


def _write(drawing: Drawing, path: Path, format: str) -> None:
    if format in _TEXT:
        path.write_text(drawing.source, encoding="utf-8")
    else:
        path.write_bytes(drawing.pipe(format=format))


def _add_graph(drawing: Any, value: Value, derivatives: bool, limit: int, model: Module | None) -> None:
    nodes = outline(value)
    if len(nodes) <= limit:
        _dot().add_items(drawing, of_graph(walk(value)), derivatives)
    else:
        _dot().add_groups(drawing, collapse(of_outline(nodes), limit, _layers(nodes, model)))


def _add_compiled(drawing: Any, function: Compiled, limit: int) -> None:
    paths = [(case, path) for case in function.cases for path in case.paths]
    if not paths:
        raise errors.not_recorded(function.__name__)
    each = max(2, limit // len(paths))
    for number, (case, path) in enumerate(paths):
        items, prefix = of_path(case, path), f"p{number}"
        rows = path_info(path).rows
        with drawing.subgraph(name=f"cluster_path{number}") as frame:
            frame.attr(label=f"path {number}: {rows:,} row{'s' * (rows != 1)}", style="rounded", labeljust="l")
            if len(items) <= each:
                _dot().add_items(frame, items, False, prefix)
            else:
                _dot().add_groups(frame, collapse(items, each, []), prefix)


def _layers(nodes: Sequence[Outline], model: Module | None) -> list[str]:
    """For each node the last layer of the model, in the model's order, that it depends on; "" before the first."""
    if model is None:
        return []
    names: list[str] = [""]
    layer_of: dict[int, int] = {}
    for name, held in model._holders().items():
        part = re.match(r"[^.]*(\.\d+)?", name)
        layer = part[0] if part else name
        if layer not in names:
            names.append(layer)
        for parameter in held if isinstance(held, list) else [held]:
            layer_of[id(parameter)] = names.index(layer)
    found: list[int] = []
    for node in nodes:
        own = layer_of.get(id(node.value), 0)
        found.append(max([own, *(found[operand] for operand in node.operands)]))
    return [names[layer] for layer in found]
