"""value.steps and the walk behind it: what the engine's sweep does, as data."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from types import ModuleType
from typing import Any

import pytest
from test_explain import cube, everything, small_graph


def walk(fg: ModuleType, value: Any) -> Any:
    return importlib.import_module("fastgrad._walk").walk(value)


def test_steps_of_the_small_graph(fg: ModuleType) -> None:
    steps = small_graph(fg)["L"].steps()
    assert [(step.number, step.name, step.operation, step.data, step.adjoint) for step in steps] == [
        (1, "L", "d * f", -8.0, 1.0),
        (2, "d", "e + c", 4.0, -2.0),
        (3, "e", "a * b", -6.0, -2.0),
        (4, "f", "", -2.0, 4.0),
        (5, "c", "", 10.0, -2.0),
        (6, "b", "", -3.0, -4.0),
        (7, "a", "", 2.0, 6.0),
    ]
    assert [tuple(passed) for passed in steps[0].passed] == [("d", "f", -2.0, 1.0, -2.0), ("f", "d", 4.0, 1.0, 4.0)]
    assert steps[2].words == (
        "e = a * b has the adjoint -2. It passes on b · adjoint = -3 · -2 = 6 to a, a · adjoint = 2 · -2 = -4 to b."
    )
    assert steps[6].words == "a is a leaf: its grad grows by 6."


def test_adjoints_are_the_grads_that_backward_adds_and_none_is_changed(fg: ModuleType) -> None:
    a, b = fg.Value(1.7), fg.Value(0.3)
    y = everything(fg, a, b)
    steps = y.steps()
    assert all(step.node.value.grad == 0.0 for step in steps)
    y.backward()
    assert [step.adjoint for step in steps] == [step.node.value.grad for step in steps]


def test_what_arrives_is_what_was_passed_on(fg: ModuleType) -> None:
    arrived: dict[str, float] = {}
    steps = everything(fg, fg.Value(1.7), fg.Value(0.3)).steps()
    arrived[steps[0].name] = 1.0
    for step in steps:
        assert arrived.get(step.name, 0.0) == step.adjoint
        for passed in step.passed:
            arrived[passed.to] = arrived.get(passed.to, 0.0) + passed.amount


WALKED = """
import fastgrad as fg
a, b = fg.Value(1.5, label="a"), fg.Value(-2.0, label="b")
own = fg.Value(8.0, (a, a), "own")
def backward():
    a.grad += 3.0 * out.grad
out = own
own._backward = backward
y = 2.0 * a + fg.sum([1.0, a * 3, b / 4.0, own, a**2, fg.floor(b) - a])
for n in y.steps().nodes:
    print(n.index, n.label, n.name, n.kind, n.op, n.row and n.row.name, n.data, n.adjoint, n.edges, n.exponent)
"""


def test_both_backends_walk_alike(run_python: Callable[..., str]) -> None:
    c, python = (run_python(WALKED, backend) for backend in ("c", "python"))
    assert c == python and len(c.splitlines()) == 15


def test_operands_lie_before_their_users(fg: ModuleType) -> None:
    nodes = walk(fg, everything(fg, fg.Value(1.7), fg.Value(0.3)))
    assert all(edge.operand < node.index for node in nodes for edge in node.edges)
    assert [node.index for node in nodes] == list(range(len(nodes)))


def test_numbers_are_no_leaves_and_get_nothing(fg: ModuleType) -> None:
    nodes = walk(fg, fg.Value(3.0) * 2)
    assert [node.kind for node in nodes] == ["leaf", "number", "operation"]
    assert [edge.passes for edge in nodes[2].edges] == [True, False]
    assert nodes[1].adjoint == 0.0


def test_closure_of_the_user_is_followed_and_its_grads_set_back(fg: ModuleType) -> None:
    a = fg.Value(2.0, label="a")
    a.grad = 7.0
    y = cube(fg, a) * 2.0
    steps = y.steps()
    assert a.grad == 7.0 and y.grad == 0.0
    assert next(step for step in steps if step.name == "a").adjoint == 24.0
    assert "local derivative · adjoint = 12 · 2 = 24 to a" in repr(steps)


def test_grads_are_set_back_where_a_closure_raises(fg: ModuleType) -> None:
    a = fg.Value(2.0)
    a.grad = 7.0
    out = fg.Value(1.0, (a,), "bad")

    def backward() -> None:
        a.grad = 100.0
        raise RuntimeError("mine")

    out._backward = backward
    with pytest.raises(RuntimeError, match="mine"):
        out.steps()
    assert a.grad == 7.0


def test_node_that_nothing_arrives_at_passes_nothing_on(fg: ModuleType) -> None:
    x = fg.Value(0.0)
    steps = (fg.sqrt(x) * 0.0).steps()
    assert "Nothing arrives" in steps[1].words and steps[1].passed == ()


def test_deep_graph_is_walked_without_recursion(fg: ModuleType) -> None:
    x = y = fg.Value(1.0)
    for _ in range(20_000):
        y = y + x
    steps = y.steps()
    assert len(steps) == 20_001 and steps[-1].adjoint == 20_001.0
    assert "and 19941 more steps" in repr(steps)


def test_slices_and_wrong_numbers(fg: ModuleType) -> None:
    steps = small_graph(fg)["L"].steps()
    assert [step.name for step in steps[1:3]] == ["d", "e"] and steps[-1].name == "a"
    with pytest.raises(IndexError):
        steps[7]


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in ("td", "th"):
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data


def test_tables_hold_the_same_cells(fg: ModuleType) -> None:
    x = fg.Value(2.0, label="a|<b>")
    steps = (x * 3.0).steps()
    parser = Cells()
    parser.feed(steps._repr_html_())
    assert parser.texts[:6] == ["step", "node", "operation", "data", "adjoint", "passes on"]
    assert parser.texts[6:12] == ["1", "v1", "a|<b> * 3", "6", "1", "3 · adjoint = 3 · 1 = 3 to a|<b>"]
    lines = steps._repr_markdown_().splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {7}
    assert [line.split()[0] for line in repr(steps).splitlines()] == ["step", "1", "2"]


def test_steps_want_a_value_that_is_not_recorded(fg: ModuleType) -> None:
    with pytest.raises(fg.TracingError, match="looking at the graph"):
        fg.compile(lambda x: x.steps() and x)(1.0)
    with pytest.raises(TypeError, match="expected a Value, got float"):
        walk(fg, 1.0)
