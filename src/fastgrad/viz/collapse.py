"""Large graphs as small ones: their nodes in groups, by what is known of them.

In this order, the first that makes few enough: the layer of a model that a node belongs to; the source line that it
was made on; the function; its operation and its depth, the longest way to it from a leaf; bands of depths.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from linecache import getline
from os.path import basename
from typing import NamedTuple

from .._frames import UNKNOWN, Line
from .items import Item

TIMES = "\N{MULTIPLICATION SIGN}"
_BANDS = 24  # of depths, where nothing else makes few enough groups
_LONGEST = 56  # letters of a source line that are shown
_SHOWN = 4  # operations that are counted by name

Key = Hashable


class Group(NamedTuple):
    """Items that are drawn as one."""

    title: str
    subtitle: str
    size: int
    operations: str  # which, and how many of each
    is_leaves: bool


class Collapsed(NamedTuple):
    """Groups, and how many edges lead from one to another."""

    groups: list[Group]
    edges: dict[tuple[int, int], int]


def collapse(items: Sequence[Item], limit: int, layers: Sequence[str]) -> Collapsed:
    """Group items so that there are no more groups than the limit, if that can be.

    Parameters
    ----------
    items : sequence of Item
        In an order in which operands come first.
    limit : int
        Of groups.
    layers : sequence of str
        For each item the layer of the model that it belongs to; empty where there is no model.
    """
    drawn = [i for i, item in enumerate(items) if item.kind != "number"]
    depths = _depths(items)
    keys: dict[int, Key] = {}
    for key_of in _ways(items, depths, layers):
        keys = {i: _leaf_key(items[i], layers[i : i + 1]) if items[i].kind == "leaf" else key_of(i) for i in drawn}
        if len(set(keys.values())) <= limit:
            break
    number = {key: at for at, key in enumerate(dict.fromkeys(keys.values()))}
    members: list[list[int]] = [[] for _ in number]
    for i, key in keys.items():
        members[number[key]].append(i)
    edges: Counter[tuple[int, int]] = Counter()
    for i, key in keys.items():
        for operand in items[i].operands:
            if operand in keys and keys[operand] != key:
                edges[number[keys[operand]], number[key]] += 1
    groups = [_group(key, [items[i] for i in part]) for key, part in zip(number, members, strict=True)]
    return Collapsed(groups, dict(edges))


def _ways(items: Sequence[Item], depths: Sequence[int], layers: Sequence[str]) -> Iterator[Callable[[int], Key]]:
    """Functions from the number of an item to its group, finer ones first."""
    if layers:
        yield lambda i: ("layer", layers[i])
    if any(item.line for item in items):
        lines = [item.line or _line_of_operand(items, item) or UNKNOWN for item in items]
        yield lambda i: ("line", lines[i])
        yield lambda i: ("function", lines[i]._replace(line=0))
    yield lambda i: ("depth", items[i].op, depths[i])
    per_band = max(1, -(-(max(depths, default=0) + 1) // _BANDS))
    yield lambda i: ("band", depths[i] // per_band * per_band, per_band)


def _line_of_operand(items: Sequence[Item], item: Item) -> Line | None:
    """What has no line of its own, a result for one, goes with what it is made of."""
    return items[item.operands[0]].line if item.operands else None


def _depths(items: Sequence[Item]) -> list[int]:
    depths: list[int] = []
    for item in items:
        depths.append(1 + max((depths[operand] for operand in item.operands), default=-1))
    return depths


def _leaf_key(item: Item, layer: Sequence[str]) -> Key:
    """Leaves of a layer belong together, and those whose labels differ by numbers alone: w1 and w2, x[0] and x[1]."""
    if any(layer):
        return "leaves", f"parameters of {layer[0]}"
    return "leaves", re.sub(r"[\d\[\].,#]+", "", item.label).strip(" _")


def _group(key: Key, members: Sequence[Item]) -> Group:
    title, subtitle = _titles(key)
    counts = Counter(item.op for item in members if item.op)
    most = [f"{op} {TIMES}{count:,}" for op, count in counts.most_common(_SHOWN)]
    more = [f"{len(counts) - _SHOWN} more"] if len(counts) > _SHOWN else []
    single = members[0].label if len(members) == 1 else ""
    operations = "" if title in counts else "  ".join(most + more)
    return Group(single or title, subtitle, len(members), operations, members[0].kind == "leaf")


def _titles(key: Key) -> tuple[str, str]:
    match key:
        case ("leaves" | "layer" as what, stem):
            return str(stem) or {"leaves": "leaves", "layer": "before the layers"}[what], ""
        case ("line" | "function", Line(file="")):
            return "unknown line", ""
        case ("line", Line(file=file, line=line)):
            return f"{basename(file)}:{line}", _clipped(getline(file, line).strip())
        case ("function", Line(file=file, function=function)):
            return function, basename(file)
        case ("depth", op, depth):
            return str(op) or "made by hand", f"depth {depth}"
        case ("band", int(first), int(count)):
            return f"depth {first} to {first + count - 1}", ""
    raise AssertionError(key)


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
