"""Drawings in the language of Graphviz; imported when something is drawn, for it needs the package graphviz."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from linecache import getline
from math import isfinite
from os.path import basename
from typing import Any

import graphviz  # type: ignore[import-untyped]

from .._walk import number_text
from . import errors
from .collapse import TIMES, Collapsed
from .items import Item

_FONT = {"fontname": "Helvetica,Arial,sans-serif", "fontsize": "11"}
_SMALL = {"width": "0.35", "height": "0.35", "margin": "0.03"}
_INK, _QUIET, _GRAD = "#1b2233", "#5d6880", "#b4430a"
_FILL = {"leaf": "#e8effc", "number": "#f3f4f7", "result": "#fff1e6", "guard": "#fdf6d8"}


class Drawing(graphviz.Digraph):  # type: ignore[misc]
    """A ``graphviz.Digraph`` that says how to get the program, where that is absent."""

    def pipe(self, *args: Any, **kwargs: Any) -> Any:
        with _explained():
            return super().pipe(*args, **kwargs)

    def render(self, *args: Any, **kwargs: Any) -> Any:
        with _explained():
            return super().render(*args, **kwargs)

    def _repr_svg_(self) -> str:
        """Jupyter asks for this."""
        return str(self.pipe(format="svg", encoding="utf-8"))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except graphviz.ExecutableNotFound as error:
        raise errors.no_program() from error


def new(format: str, rankdir: str) -> Drawing:
    """Return an empty drawing."""
    return Drawing(
        format=format,
        graph_attr={"rankdir": rankdir, "bgcolor": "transparent", **_FONT},
        node_attr={**_FONT, "color": _QUIET, "fontcolor": _INK, "style": "filled", "fillcolor": "white"},
        edge_attr={**_FONT, "color": _QUIET, "fontcolor": _GRAD, "arrowsize": "0.7"},
    )


# --------------------------------------------------------------------------------------------------------- all nodes


def add_items(dot: Any, items: Sequence[Item], derivatives: bool, prefix: str = "") -> None:
    """Draw each item: a record of label, data and grad, with the operation before it, as micrograd's notebook does."""
    by_line: dict[Any, list[int]] = defaultdict(list)
    for i, item in enumerate(items):
        recorded = item.kind == "operation" and item.data is None and item.line is not None
        by_line[item.line if recorded else None].append(i)
    for number, (line, members) in enumerate(by_line.items()):
        if line is None:
            for i in members:
                _add_item(dot, items[i], f"{prefix}n{i}")
            continue
        with dot.subgraph(name=f"cluster_{prefix}{number}") as cluster:
            source = getline(line.file, line.line).strip()
            cluster.attr(label=graphviz.escape(f"{basename(line.file)}:{line.line}  {source}"), style="rounded,dashed")
            cluster.attr(color=_QUIET, fontcolor=_QUIET, labeljust="l")
            for i in members:
                _add_item(cluster, items[i], f"{prefix}n{i}")
    for i, item in enumerate(items):
        target = f"{prefix}n{i}op" if _has_operation_node(item) else f"{prefix}n{i}"
        for k, operand in enumerate(item.operands):
            label = _decimals(item.locals[k]) if derivatives and item.locals else ""
            dot.edge(f"{prefix}n{operand}", target, label=label)


def _has_operation_node(item: Item) -> bool:
    return bool(item.operands) and bool(item.op or item.kind == "given") and item.data is not None


def _add_item(dot: Any, item: Item, name: str) -> None:
    fill = _FILL.get(item.kind, "white")
    if item.kind == "number" and item.data is not None:
        dot.node(name, label=number_text(item.data), shape="box", fillcolor=fill, **_SMALL)
        return
    if item.data is None:  # recorded: another number in each row
        shape = "ellipse" if item.kind == "operation" else "diamond" if item.kind == "guard" else "box"
        dot.node(
            name,
            label=graphviz.escape(item.op or item.label),
            shape=shape,
            fillcolor=fill,
            tooltip=_tooltip(item),
            **_SMALL,
        )
        return
    cells = [_cell(item.label)] if item.label else []
    cells.append(_cell(f"data {_decimals(item.data)}"))
    if item.grad is not None:
        cells.append(_cell(f"grad {_decimals(item.grad)}"))
    dot.node(name, label=f"{{ {' | '.join(cells)} }}", shape="record", fillcolor=fill, tooltip=_tooltip(item))
    if _has_operation_node(item):
        dot.node(name + "op", label=graphviz.escape(item.op or "by hand"), tooltip=_tooltip(item), **_SMALL)
        dot.edge(name + "op", name)


def _tooltip(item: Item) -> str:
    words = [item.label or item.op or item.kind]
    if item.line is not None:
        words.append(str(item.line))
    return str(graphviz.escape(", ".join(words)))


def _cell(text: str) -> str:
    r"""The text as a field of a record, in which \ { } | < > mean something."""
    plain = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\{}|<>" else letter for letter in plain)


def _decimals(number: float) -> str:
    """Four decimals, as in micrograd's drawings, or four digits where those say nothing."""
    plain = not isfinite(number) or number == 0.0 or 1e-3 <= abs(number) < 1e6
    return f"{number + 0.0:.4f}" if plain else f"{number:.3e}"


# ------------------------------------------------------------------------------------------------------------ groups


def add_groups(dot: Any, collapsed: Collapsed, prefix: str = "") -> None:
    """Draw groups as boxes, and how many edges lead from one to another."""
    for i, group in enumerate(collapsed.groups):
        size = f" {TIMES}{group.size:,}" if group.size > 1 else ""
        lines = [group.title + ("" if group.operations else size), group.subtitle, group.operations]
        label = "\\n".join(str(graphviz.escape(line)) for line in lines if line)
        fill = _FILL["leaf"] if group.is_leaves else "white"
        dot.node(f"{prefix}g{i}", label=label, shape="box", style="rounded,filled", fillcolor=fill)
    for (a, b), count in collapsed.edges.items():
        dot.edge(f"{prefix}g{a}", f"{prefix}g{b}", label=f"{TIMES}{count:,}" if count > 1 else "")
