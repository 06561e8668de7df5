"""The operations in JavaScript, and what the page computes with them, are those of the table."""

from __future__ import annotations

import math
import random
from types import ModuleType
from typing import Any

import pytest
from browser import Script, browser, script  # noqa: F401

from fastgrad._rules import REDUCTIONS, ROWS

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, 1e-300, 1e300, -1e300, math.inf, -math.inf, math.nan]
POINTS = 120
FIRST, THEN = (0.75, 1.25, 2.0), (0.3125, 0.875, 1.5)  # the leaves of the page, and what they are changed to


def points(count: int, seed: str) -> list[list[float]]:
    draw = random.Random(seed)
    ranges = [lambda: draw.uniform(-3, 3), lambda: draw.uniform(-30, 30), lambda: float(draw.randint(-4, 6))]
    return [[draw.choice(ranges)() for _ in range(count)] for _ in range(POINTS)]


def corners(count: int) -> list[list[float]]:
    if count == 1:
        return [[x] for x in SPECIAL]
    draw = random.Random(count)
    return [[draw.choice(SPECIAL) for _ in range(count)] for _ in range(POINTS)]


def close(a: float, b: float, tolerance: float = 1e-12) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-14)


def as_json(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


@pytest.mark.parametrize("where", ["ordinary", "special"])
def test_operations_are_those_of_the_table(where: str, script: Script) -> None:  # noqa: F811
    asked = [
        (row, point)
        for row in ROWS
        for point in (points(len(row.operands), row.name) if where == "ordinary" else corners(len(row.operands)))
    ]
    answers = script(
        """const operations = tableOfOperations(functionsOfRules);
        return given[0].map(([name, cells]) => {
          const operands = cells.map(numberOf);
          const z = operations[name].forward(...operands);
          return [z, operations[name].partials(...operands, z), operations[name].domain(...operands)];
        });""",
        [(row.name, [as_json(x) for x in point]) for row, point in asked],
    )
    wrong = []
    for (row, point), (z, partials, domain) in zip(asked, answers, strict=True):
        expected = row.forward(*point)
        both = zip(row.partial_texts, row.partials(*point, expected), strict=True)
        wanted = [None if text == "0.0" else partial for text, partial in both]
        same = close(z, expected) and domain == row.domain(*point)
        same = same and all(q is None if p is None else close(q, p) for p, q in zip(wanted, partials, strict=True))
        if not same:
            wrong.append((row.name, point, (z, partials, domain), (expected, wanted)))
    assert wrong == []


def programs(fg: ModuleType) -> dict[str, Any]:
    """Functions of three Values, in which every row of the table occurs."""

    def of_row(row: Any) -> Any:
        count = len(row.operands)
        fits = [a for a in (0.0, 1.0) if all(row.domain(*[p[0] + a, *p[1:]][:count]) for p in (FIRST, THEN))]
        return lambda x, y, w: getattr(fg, row.method)(*(x + fits[0], y, w)[:count]) * y

    found: dict[str, Any] = {row.name: of_row(row) for row in ROWS if row.name != "polygamma"}
    found["polygamma"] = lambda x, y, w: fg.polygamma(2.0, x) * y  # the order has to be whole

    def of_reduction(row: Any) -> Any:
        reduction = getattr(fg, row.name)
        if len(row.operands) == 1:
            return lambda x, y, w: reduction([x, y * y, w, 3.0, x] * 3) * w
        return lambda x, y, w: reduction([x, y * y, w] * 4, [y, 2.0, x] * 4)

    found |= {row.name: of_reduction(row) for row in REDUCTIONS}
    return found | {
        "square": lambda x, y, w: (x**2 + y**-1 - 2.0**w + w**y) / (1.0 + x),
        "shared": lambda x, y, w: (x * x + x * y) * (x + x),
        "constant": lambda x, y, w: fg.stop_gradient(x * y) * w,
    }


def test_page_computes_what_python_does_when_leaves_change(fg: ModuleType, script: Script) -> None:  # noqa: F811
    from fastgrad._walk import walk
    from fastgrad.viz.page import _graph

    functions = programs(fg)
    graphs, expected = [], []
    for function in functions.values():
        nodes = walk(function(*(fg.Value(x, label=name) for x, name in zip(FIRST, "xyw", strict=True))))
        graphs.append(_graph(nodes))
        assert graphs[-1]["fixed"] == ""
        again = walk(function(*(fg.Value(x, label=name) for x, name in zip(THEN, "xyw", strict=True))))
        expected.append([[node.data for node in again], [node.adjoint for node in again]])
    answers = script(
        """return given[0].map((graph) => {
          const engine = new Engine(graph, tableOfOperations(functionsOfRules));
          graph.nodes.forEach((node, i) => {
            if (node.kind === "leaf") engine.set(i, { x: given[1][0], y: given[1][1], w: given[1][2] }[node.name]);
          });
          return [engine.data, engine.adjoint];
        });""",
        graphs,
        THEN,
    )
    for name, (data, adjoints), (wanted_data, wanted_adjoints), graph in zip(
        functions, answers, expected, graphs, strict=True
    ):
        assert all(close(a, b) for a, b in zip(data, wanted_data, strict=True)), name
        reached = [node["kind"] != "number" for node in graph["nodes"]]
        same = [close(a, b) or not does for a, b, does in zip(adjoints, wanted_adjoints, reached, strict=True)]
        assert all(same), name


def test_paths_of_the_page_sum_to_the_derivative(fg: ModuleType, script: Script) -> None:  # noqa: F811
    from fastgrad._walk import walk
    from fastgrad.viz.page import _graph

    x, y = fg.Value(0.5, label="x"), fg.Value(-1.5, label="y")
    z = x * y
    for _ in range(3):
        z = (z * z + x).tanh() - z * y
    nodes = walk(z)
    answers = script(
        """const engine = new Engine(given[0], tableOfOperations(functionsOfRules));
        return given[0].nodes.map((_, i) => engine.paths(i, Infinity, Infinity));""",
        _graph(nodes),
    )
    for node, paths in zip(nodes, answers, strict=True):
        if node.kind != "number":
            assert paths["count"] == len(paths["shown"]) > 0
            assert close(math.fsum(path["product"] for path in paths["shown"]), node.adjoint, 1e-9)
            sizes = [abs(path["product"]) for path in paths["shown"]]
            assert sizes == sorted(sizes, reverse=True)
