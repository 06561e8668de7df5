"""Drawings: what stands in them, that large graphs become small ones, and what is said where Graphviz is absent."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from browser import require
from hypothesis import given
from hypothesis import strategies as st

from fastgrad.viz.layout import layered

pytest.importorskip("graphviz")


@pytest.fixture
def dot() -> None:
    if shutil.which("dot") is None:
        require("there is no program dot on the PATH")


def small_graph(fg: ModuleType) -> Any:
    a, b, c, f = (fg.Value(x, label=name) for x, name in zip((2.0, -3.0, 10.0, -2.0), "abcf", strict=True))
    e = a * b
    d = e + c
    result = d * f
    e.label, d.label, result.label = "e", "d", "L"
    result.backward()
    return result


def nodes_of(source: str) -> dict[str, str]:
    """The label of each node, by its name."""
    found = re.findall(r'^\s*(\w+) \[(?:.*?\s)?label=("(?:[^"\\]|\\.)*"|[^\s\]]+)', source, re.MULTILINE)
    return {name: label.strip('"') for name, label in found if name not in ("edge", "node", "graph")}


def edges_of(source: str) -> list[tuple[str, str]]:
    return re.findall(r"^\s*(\w+) -> (\w+)", source, re.MULTILINE)


# ---------------------------------------------------------------------------------------------------- what is drawn


def test_each_node_shows_label_data_grad_and_its_operation(fg: ModuleType) -> None:
    drawing = fg.draw(small_graph(fg))
    labels = nodes_of(drawing.source)
    assert labels["n0"] == "{ a | data 2.0000 | grad 6.0000 }"
    assert sorted(labels.values()) == sorted(
        [
            *("{ a | data 2.0000 | grad 6.0000 }", "{ b | data -3.0000 | grad -4.0000 }", "*"),
            *("{ e | data -6.0000 | grad -2.0000 }", "{ c | data 10.0000 | grad -2.0000 }", "+"),
            *("{ d | data 4.0000 | grad -2.0000 }", "{ f | data -2.0000 | grad 4.0000 }", "*"),
            "{ L | data -8.0000 | grad 1.0000 }",
        ]
    )
    names = {label[2]: name for name, label in labels.items() if label.startswith("{")}
    expected = [("a", "e"), ("b", "e"), ("e", "d"), ("c", "d"), ("d", "L"), ("f", "L")]
    wanted = {(names[x], names[y] + "op") for x, y in expected} | {(names[y] + "op", names[y]) for _, y in expected}
    assert set(edges_of(drawing.source)) == wanted
    assert "rankdir=LR" in drawing.source


def test_edges_carry_local_derivatives_on_request(fg: ModuleType) -> None:
    value = small_graph(fg)
    assert not re.search(r"-> \w+ \[label=[\"\w-]*\d", fg.draw(value).source)
    labels = re.findall(r"-> \w+ \[label=\"?(-?[\d.]+)", fg.draw(value, derivatives=True).source)
    assert sorted(map(float, labels)) == [-3.0, -2.0, 1.0, 1.0, 2.0, 4.0]


def test_numbers_are_drawn_without_a_gradient(fg: ModuleType) -> None:
    labels = nodes_of(fg.draw(fg.Value(2.0) * 3.0 + 1e-5).source)
    assert {"3", "1e-05", "{ data 2.0000 | grad 0.0000 }"} <= set(labels.values())


def test_labels_may_hold_what_means_something_to_graphviz(fg: ModuleType, dot: None) -> None:
    label = r'{a|b} <c> \N "q" ü'
    svg = fg.draw(fg.Value(1.0, label=label) + 1.0).pipe(format="svg", encoding="utf-8")
    text = re.sub(r"&#160;", " ", svg)
    assert r"{a|b} &lt;c&gt; \N &quot;q&quot; ü" in text


def test_draw_dot_takes_what_the_notebook_gives_it(fg: ModuleType) -> None:
    drawing = fg.draw_dot(small_graph(fg), format="png", rankdir="TB")
    assert drawing.format == "png"
    assert "rankdir=TB" in drawing.source
    assert sum(label in "*+" for label in nodes_of(drawing.source).values()) == 3


def test_drawing_shows_by_itself_in_a_notebook(fg: ModuleType, dot: None) -> None:
    drawing = fg.draw(small_graph(fg))
    assert "<svg" in drawing._repr_svg_()
    assert "<svg" in drawing._repr_mimebundle_()["image/svg+xml"]


@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_pictures_are_saved_by_suffix(suffix: str, start: bytes, fg: ModuleType, tmp_path: Path, dot: None) -> None:
    fg.draw(small_graph(fg), tmp_path / f"graph.{suffix}")
    assert tmp_path.joinpath(f"graph.{suffix}").read_bytes().startswith(start)
    rendered = fg.draw_dot(small_graph(fg), format="svg").render(tmp_path / "again", cleanup=True)
    assert Path(rendered).read_bytes().startswith(b"<?xml")


# ------------------------------------------------------------------------------------------------------ large graphs


def total(source: str) -> int:
    """How many nodes the groups of a drawing stand for, by the counts in their labels."""
    counts = [re.findall(r"\N{MULTIPLICATION SIGN}([\d,]+)", label) for label in nodes_of(source).values()]
    return sum(sum(int(count.replace(",", "")) for count in found) or 1 for found in counts)


def test_a_hundred_thousand_nodes_become_a_few_groups(fg: ModuleType) -> None:
    value = fg.Value(1.0, label="x")
    for _ in range(25_000):
        value = value * 0.999 + 0.001
    source = fg.draw(value).source
    assert len(nodes_of(source)) < 30
    assert total(source) == 50_001  # the numbers are not counted


def test_equal_operations_of_one_depth_are_one_group(fg: ModuleType) -> None:
    values = [fg.Value(float(i), label=f"x{i}") for i in range(50)]
    labels = nodes_of(fg.draw(fg.sum([(v * v).tanh() for v in values]), max_nodes=20).source).values()
    times = "\N{MULTIPLICATION SIGN}"
    assert sorted(labels) == sorted(
        [f"x {times}50", f"* {times}50\\ndepth 1", f"tanh {times}50\\ndepth 2", "sum\\ndepth 3"]
    )


def test_source_lines_are_groups_where_they_were_noted(fg: ModuleType) -> None:
    with fg.detect_anomaly():
        value = fg.Value(1.0, label="x")
        for _ in range(300):
            value = value * 0.5 + 1.0
            value = value.tanh()
    labels = list(nodes_of(fg.draw(value).source).values())
    times = "\N{MULTIPLICATION SIGN}"
    assert labels[0] == "x"
    assert re.fullmatch(rf"test_draw.py:\d+\\nvalue = value \* 0.5 \+ 1.0\\n\* {times}300  \+ {times}300", labels[1])
    assert re.fullmatch(rf"test_draw.py:\d+\\nvalue = value.tanh\(\)\\ntanh {times}300", labels[2])


def test_layers_of_a_model_are_groups(fg: ModuleType) -> None:
    nn = fg.nn
    model = nn.MLP(2, [4, 3, 1])
    loss = fg.mean([(model([0.1 * i, 1.0]) - 1.0) ** 2 for i in range(9)])
    source = fg.draw(loss, model=model, max_nodes=10).source
    titles = [label.split("\\n")[0].split(" \N{MULTIPLICATION SIGN}")[0] for label in nodes_of(source).values()]
    layers = [f"layers.{i}" for i in range(3)]
    assert sorted(titles) == sorted([*layers, *(f"parameters of {layer}" for layer in layers)])
    place = {title: name for title, name in zip(titles, nodes_of(source), strict=True)}
    flow = {(place["layers.0"], place["layers.1"]), (place["layers.1"], place["layers.2"])}
    assert flow <= set(edges_of(source))
    assert not {(b, a) for a, b in flow} & set(edges_of(source))


def test_small_graphs_are_drawn_whole_up_to_the_limit(fg: ModuleType) -> None:
    value = small_graph(fg)
    assert "data" in fg.draw(value, max_nodes=7).source
    assert "data" not in fg.draw(value, max_nodes=6).source


# ------------------------------------------------------------------------------------------------ compiled functions


def test_compiled_function_is_drawn_by_source_line_and_path(fg: ModuleType, dot: None) -> None:
    w = fg.Value(0.5, label="w")

    @fg.compile
    def f(x, y):
        t = w * x + fg.sin(y)
        if t < 0.0:
            t = -t
        return t**2, t

    f([1.0, -9.0], 0.0)
    source = fg.draw(f).source
    labels = list(nodes_of(source).values())
    assert labels.count("sin") == 2
    assert labels.count("neg") == 1
    assert {"x", "y", "w", "result[0]", "result[1]", "is True", "is False"} <= set(labels)
    assert source.count("t = w * x + fg.sin(y)") == 2
    assert "path 1: 1 row" in source
    assert "<svg" in fg.draw(f)._repr_svg_()


def test_large_compiled_function_is_grouped_by_source_line(fg: ModuleType) -> None:
    @fg.compile(signature="(n)->()")
    def f(x):
        total = 0.0
        for i in range(3000):
            total = total + fg.sin(x[i % 2] * i)
        return total

    f([1.0, 2.0])
    source = fg.draw(f).source
    assert "total = total + fg.sin(x[i % 2] * i)" in source
    assert "sin \N{MULTIPLICATION SIGN}3,000" in source
    assert len(nodes_of(source)) < 6


def test_compiled_function_has_to_be_recorded_first(fg: ModuleType) -> None:
    with pytest.raises(ValueError, match="f is not recorded yet; call it once"):

        @fg.compile
        def f(x):
            return x

        fg.draw(f)


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        ((3.0,), {}, TypeError, r"fg.draw\(value\): expected a Value or a compiled function, got float 3.0"),
        ((abs,), {}, TypeError, "got builtin_function_or_method"),
        (("small", "graph.bmp"), {}, ValueError, "expected one of the formats svg, png, pdf, dot, gv, got 'graph.bmp'"),
        (("small", "graph"), {}, ValueError, "got 'graph'"),
        (("small",), {"max_nodes": 1}, ValueError, r"max_nodes\): expected a whole number, 2 or more, got 1"),
        (("small",), {"rankdir": "up"}, ValueError, "expected one of LR, TB, RL, BT, got 'up'"),
        (("small",), {"model": 3}, TypeError, r"fg.draw\(model\): expected a Module"),
        (("small", "no/such/graph.dot"), {}, FileNotFoundError, "no/such"),
    ],
)
def test_bad_input_is_refused(
    arguments: Any, options: Any, error: Any, said: str, fg: ModuleType, tmp_path: Path
) -> None:
    given_ = [small_graph(fg) if argument == "small" else argument for argument in arguments]
    with pytest.raises(error, match=said):
        fg.draw(*given_, **options)


def test_unknown_format_of_draw_dot_is_refused(fg: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"svg, png, pdf.*got 'bmp'"):
        fg.draw_dot(fg.Value(1.0), format="bmp")


def test_absent_program_is_named_with_how_to_install_it(fg: ModuleType, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    drawing = fg.draw(small_graph(fg), tmp_path / "graph.dot")  # the text needs no program
    assert "digraph" in tmp_path.joinpath("graph.dot").read_text()
    saved = partial(fg.draw, small_graph(fg), tmp_path / "graph.svg")
    for ask in (drawing._repr_svg_, saved, partial(drawing.render, directory=tmp_path)):
        with pytest.raises(RuntimeError, match=r"apt-get install graphviz.*brew install graphviz.*fg.show"):
            ask()
    assert not tmp_path.joinpath("graph.svg").exists()


def test_absent_package_is_named_with_how_to_install_it(run_python: Callable[..., str]) -> None:
    said = run_python(
        "import sys; sys.modules['graphviz'] = None\n"
        "import fastgrad as fg\n"
        "try:\n    fg.draw(fg.Value(1.0))\nexcept ImportError as error:\n    print(error)"
    )
    assert "pip install 'fastgrad[viz]'" in said


def test_nothing_of_this_is_imported_with_fastgrad(run_python: Callable[..., str]) -> None:
    said = run_python("import sys, fastgrad\nprint([m for m in sys.modules if 'viz.' in m or m == 'graphviz'])")
    assert said.strip() == "[]"


# ------------------------------------------------------------------------------------------------------------- layout


@st.composite
def graphs(draw: Any) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    count = draw(st.integers(1, 24))
    sizes = [(draw(st.floats(10, 200)), draw(st.floats(10, 80))) for _ in range(count)]
    edges = [(draw(st.integers(0, b - 1)), b) for b in range(1, count) for _ in range(draw(st.integers(0, 3)))]
    return sizes, edges


@given(graphs())
def test_layout_puts_operands_before_users_and_nothing_on_another(graph: Any) -> None:
    sizes, edges = graph
    layout = layered(sizes, edges, (40.0, 10.0))
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(layout.places, sizes, strict=True)]
    for a, b in edges:
        assert boxes[a][2] <= boxes[b][0] - 40.0 + 1e-6
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= -1e-6 and top >= -1e-6
        assert right <= layout.width + 1e-6 and bottom <= layout.height + 1e-6
        for other in boxes[:i]:
            assert (
                right <= other[0] + 1e-6
                or other[2] <= left + 1e-6
                or bottom <= other[1] + 1e-6
                or other[3] <= top + 1e-6
            )
    assert [len(bends) for bends in layout.bends] == [
        sum(1 for x in {round(p[0], 6) for p in bends}) for bends in layout.bends
    ]


def test_layout_of_a_tree_crosses_nothing() -> None:
    edges = [(i, 8 + i // 2) for i in range(8)] + [(8 + i, 12 + i // 2) for i in range(4)] + [(12, 14), (13, 14)]
    shuffled = [3, 6, 0, 5, 1, 7, 2, 4]  # the order in which the leaves are given
    edges = [(shuffled[a] if a < 8 else a, b) for a, b in edges]
    layout = layered([(10.0, 10.0)] * 15, edges, (40.0, 10.0))
    for a, b in edges:
        for c, d in edges:
            same = layout.places[a][0] == layout.places[c][0] and layout.places[b][0] == layout.places[d][0]
            above = layout.places[a][1] < layout.places[c][1]
            assert not (same and above and layout.places[b][1] > layout.places[d][1])
