"""Small versions of the programs that people write on micrograd-like engines, with the numbers they print.

Numbers are micrograd 0.1.0's for the same text (`from micrograd.engine import Value`), run on CPython 3.11, unless a
test says otherwise. Where micrograd sums in the order of a set of addresses they agree to rounding, else exactly.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

# --------------------------------------------------------------------------------------------- micrograd's own programs


def test_readme_example(fg: ModuleType) -> None:
    a, b = fg.Value(-4.0), fg.Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert f"{g.data:.4f} {a.grad:.4f} {b.grad:.4f}" == "24.7041 138.8338 645.5773"
    expected = (24.70408163265306, 138.83381924198252, 645.5772594752186)
    assert (g.data, a.grad, b.grad) == pytest.approx(expected, rel=1e-14)


def test_sanity_check_of_its_test_suite(fg: ModuleType) -> None:
    x = fg.Value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    assert (y.data, x.grad) == (-20.0, 46.0)


class Neuron:
    """Micrograd's neuron, as people copy it."""

    def __init__(self, fg: ModuleType, nin: int, nonlin: bool) -> None:
        self.w = [fg.Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = fg.Value(0)
        self.nonlin = nonlin

    def __call__(self, x: list[Any]) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return act.relu() if self.nonlin else act


def moons(n: int) -> tuple[list[tuple[float, float]], list[int]]:
    """Two interleaved half circles with noise, in plain Python so that no other library's generator matters."""
    draw = random.Random(7)
    points, labels = [], []
    for i in range(n):
        t, upper = math.pi * draw.random(), i % 2 == 0
        x, y = (math.cos(t), math.sin(t)) if upper else (1 - math.cos(t), 0.5 - math.sin(t))
        points.append((x + 0.1 * draw.gauss(0, 1), y + 0.1 * draw.gauss(0, 1)))
        labels.append(1 if upper else -1)
    return points, labels


def train_on_moons(fg: ModuleType, steps: int) -> list[tuple[float, float]]:
    """The demo notebook of micrograd: max-margin loss and an L2 penalty; returns loss and accuracy of each step."""
    points, labels = moons(20)
    random.seed(1337)
    shapes = [(2, 4, True), (4, 4, True), (4, 1, False)]
    layers = [[Neuron(fg, nin, nonlin) for _ in range(nout)] for nin, nout, nonlin in shapes]
    parameters = [p for layer in layers for neuron in layer for p in [*neuron.w, neuron.b]]
    history = []
    for k in range(steps):
        scores = []
        for x in (list(map(fg.Value, row)) for row in points):
            for layer in layers:
                x = [neuron(x) for neuron in layer]
            scores.append(x[0])
        losses = [(1 + -yi * score).relu() for yi, score in zip(labels, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        total = data_loss + 1e-4 * sum(p * p for p in parameters)
        accuracy = sum((yi > 0) == (score.data > 0) for yi, score in zip(labels, scores, strict=True)) / len(labels)
        history.append((total.data, accuracy))
        for p in parameters:
            p.grad = 0
        total.backward()
        for p in parameters:
            p.data -= (1.0 - 0.9 * k / 100) * p.grad
    return history


def test_moons_training_gives_micrograds_losses(fg: ModuleType) -> None:
    history = train_on_moons(fg, 20)
    assert [history[k][0] for k in (0, 1, 2, 5, 19)] == pytest.approx(
        [0.7729024280043623, 0.7483005766258499, 0.802322161519351, 0.4511362622612171, 0.19882173932199945], rel=1e-12
    )
    assert [history[k][1] for k in (0, 19)] == [0.55, 0.95]


# ---------------------------------------------------------------------------------------------------------- the lecture


def lecture_neuron(fg: ModuleType) -> tuple[Any, dict[str, Any]]:
    x1, x2 = fg.Value(2.0, label="x1"), fg.Value(0.0, label="x2")
    w1, w2 = fg.Value(-3.0, label="w1"), fg.Value(1.0, label="w2")
    b = fg.Value(6.8813735870195432, label="b")
    x1w1 = x1 * w1
    x1w1.label = "x1*w1"
    x2w2 = x2 * w2
    x2w2.label = "x2*w2"
    x1w1x2w2 = x1w1 + x2w2
    x1w1x2w2.label = "x1*w1 + x2*w2"
    n = x1w1x2w2 + b
    n.label = "n"
    return n, {"x1": x1, "x2": x2, "w1": w1, "w2": w2, "x1w1": x1w1, "x2w2": x2w2, "sum": x1w1x2w2}


def broken_up_tanh(n: Any) -> Any:
    e = (2 * n).exp()
    return (e - 1) / (e + 1)


@pytest.mark.parametrize("activation", [lambda n: n.tanh(), broken_up_tanh], ids=["tanh", "from exp"])
def test_lecture_neuron(activation: Callable[[Any], Any], fg: ModuleType) -> None:
    """Numbers: the lecture's; the same in one node or broken into elementary operations."""
    n, leaves = lecture_neuron(fg)
    o = activation(n)
    o.backward()
    assert o.data == pytest.approx(0.7071067811865476, rel=1e-15)
    assert [leaves[name].grad for name in ("x1", "w1", "x2", "w2")] == pytest.approx([-1.5, 1.0, 0.5, 0.0], rel=1e-14)


def test_backpropagation_by_hand_in_the_order_of_the_lecture(fg: ModuleType) -> None:
    n, v = lecture_neuron(fg)
    o = n.tanh()
    o.grad = 1.0
    for node in (o, n, v["sum"], v["x1w1"], v["x2w2"]):
        node._backward()
    assert [v[name].grad for name in ("x1", "w1", "x2", "w2")] == pytest.approx([-1.5, 1.0, 0.5, 0.0], rel=1e-14)


def test_backpropagation_over_a_topological_order_of_ones_own(fg: ModuleType) -> None:
    n, v = lecture_neuron(fg)
    o = n.tanh()
    topo, visited = [], set()

    def build_topo(node: Any) -> None:
        if node not in visited:
            visited.add(node)
            for child in node._prev:
                build_topo(child)
            topo.append(node)

    build_topo(o)
    o.grad = 1.0
    for node in reversed(topo):
        node._backward()
    assert len(topo) == 10
    assert [v[name].grad for name in ("x1", "w1", "x2", "w2")] == pytest.approx([-1.5, 1.0, 0.5, 0.0], rel=1e-14)


def trace(root: Any) -> tuple[set[Any], set[tuple[Any, Any]]]:
    """The lecture's graph walk."""
    nodes, edges = set(), set()

    def build(v: Any) -> None:
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(root)
    return nodes, edges


def test_trace_sees_every_node_edge_and_label(fg: ModuleType) -> None:
    n, v = lecture_neuron(fg)
    nodes, edges = trace(n)
    assert (len(nodes), len(edges)) == (9, 8)
    assert {node.label for node in nodes} == {"x1", "x2", "w1", "w2", "b", "x1*w1", "x2*w2", "x1*w1 + x2*w2", "n"}
    assert sorted(node._op for node in nodes) == ["", "", "", "", "", "*", "*", "+", "+"]
    assert (v["x1"], v["x1w1"]) in edges
    assert {id(node) for node in nodes} == {id(node) for node in trace(n)[0]}


def test_drawing_by_id_after_a_trace(fg: ModuleType) -> None:
    """draw_dot keys its nodes by id() and joins edges to the operation's own box."""
    n, _ = lecture_neuron(fg)
    out = n.relu() + 1  # the relu node has no name of its own
    nodes, edges = trace(out)
    boxes = {str(id(node)): f"{{ {node.label} | data {node.data:.4f} | grad {node.grad:.4f} }}" for node in nodes}
    assert len(boxes) == len(nodes) == 12
    assert all(str(id(a)) in boxes and str(id(b)) in boxes for a, b in edges)


def lecture_value(fg: ModuleType) -> Any:
    """The lecture's first operations, written outside the class: a node by hand, then its closure."""

    def multiply(a: Any, b: Any) -> Any:
        out = fg.Value(a.data * b.data, (a, b), "*")

        def _backward() -> None:
            a.grad += b.data * out.grad
            b.grad += a.data * out.grad

        out._backward = _backward
        return out

    def tanh(x: Any) -> Any:
        t = (math.exp(2 * x.data) - 1) / (math.exp(2 * x.data) + 1)
        out = fg.Value(t, (x,), "tanh")

        def _backward() -> None:
            x.grad += (1 - t**2) * out.grad

        out._backward = _backward
        return out

    x1, w1, b = fg.Value(2.0), fg.Value(-3.0), fg.Value(6.8813735870195432)
    return x1, w1, tanh(multiply(x1, w1) + b)


def test_operations_made_by_hand_with_closures_mix_with_built_in_ones(fg: ModuleType) -> None:
    x1, w1, out = lecture_value(fg)
    out.backward()
    assert (x1.grad, w1.grad) == pytest.approx((-1.5, 1.0), rel=1e-14)


def test_sigmoid_patched_onto_the_class(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    Value = fg.Value

    def sigmoid(self: Any) -> Any:
        s = 1 / (1 + math.exp(-self.data))
        out = Value(s, (self,), "sigmoid")

        def _backward() -> None:
            self.grad += s * (1 - s) * out.grad

        out._backward = _backward
        return out

    monkeypatch.setattr(Value, "sigmoid", sigmoid)
    x = Value(0.5)
    y = (x * 2).sigmoid()
    y.backward()
    s = 1 / (1 + math.exp(-1.0))
    assert (y._op, y.data, x.grad) == ("sigmoid", s, 2 * (s * (1 - s)))


def test_total_ordering_patched_onto_the_class(fg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    Value = fg.Value
    monkeypatch.setattr(Value, "__eq__", lambda self, other: self.data == getattr(other, "data", other))
    monkeypatch.setattr(Value, "__hash__", lambda self: id(self))
    monkeypatch.setattr(Value, "__ge__", lambda self, other: self.data >= getattr(other, "data", other))
    for name in ("__lt__", "__le__", "__gt__"):
        monkeypatch.setattr(Value, name, getattr(object, name))
    ordered = functools.total_ordering(Value)
    assert ordered is Value
    for name in ("__lt__", "__le__", "__gt__"):
        monkeypatch.setattr(Value, name, Value.__dict__[name])
    assert Value(1.0) == Value(1.0)
    assert Value(1.0) < Value(2.0)


# ------------------------------------------------------------------------------------------------------------- microgpt


def test_nodes_with_given_local_gradients(fg: ModuleType) -> None:
    """microgpt builds every operation as Value(data, children, local_grads); numbers by hand."""

    def power(x: Any, n: float) -> Any:
        return fg.Value(x.data**n, (x,), (n * x.data ** (n - 1),))

    def log(x: Any) -> Any:
        return fg.Value(math.log(x.data), (x,), (1 / x.data,))

    x = fg.Value(2.0)
    y = log(power(x, 3)) + power(x, -1) * x
    y.backward()
    assert y.data == pytest.approx(math.log(8.0) + 1.0)
    assert x.grad == pytest.approx(1.5)


def test_given_local_gradients_are_those_of_forward_time(fg: ModuleType) -> None:
    x = fg.Value(2.0)
    y = fg.Value(x.data**2, (x,), (2 * x.data,))
    x.data = 100.0
    y.backward()
    assert x.grad == 4.0


def test_walk_over_children_and_local_gradients(fg: ModuleType) -> None:
    """microgpt's own backward, on nodes of this engine."""
    a, b = fg.Value(2.0), fg.Value(3.0)
    loss = (a * b + a.exp()).log() * (a - b) ** 2
    expected = fg.Value(2.0), fg.Value(3.0)
    ((expected[0] * expected[1] + expected[0].exp()).log() * (expected[0] - expected[1]) ** 2).backward()
    topo, visited = [], set()

    def build_topo(v: Any) -> None:
        if v not in visited:
            visited.add(v)
            for child in v._children:
                build_topo(child)
            topo.append(v)

    build_topo(loss)
    loss.grad = 1
    for v in reversed(topo):
        for child, local_grad in zip(v._children, v._local_grads, strict=True):
            child.grad += local_grad * v.grad
    assert (a.grad, b.grad) == pytest.approx((expected[0].grad, expected[1].grad), rel=1e-14)


def softmax(logits: list[Any]) -> list[Any]:
    """microgpt's: the maximum is taken out as a number."""
    largest = max(v.data for v in logits)
    exps = [(v - largest).exp() for v in logits]
    total = sum(exps)
    return [e / total for e in exps]


def rmsnorm(x: list[Any]) -> list[Any]:
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def test_microgpt_shaped_step(fg: ModuleType) -> None:
    """Embedding, rmsnorm, a linear layer, softmax, cross entropy, Adam with m and v hung on the parameters.

    Numbers: micrograd's, with exp and log added to its class as closures.
    """
    draw = random.Random(42)
    table = [[fg.Value(draw.gauss(0, 0.5)) for _ in range(4)] for _ in range(5)]
    head = [[fg.Value(draw.gauss(0, 0.5)) for _ in range(4)] for _ in range(5)]
    parameters = [p for matrix in (table, head) for row in matrix for p in row]
    for p in parameters:
        p.m = p.v = 0.0
    tokens, losses = [0, 3, 1, 4, 2], []
    for step in range(30):
        terms = []
        for token, target in itertools.pairwise(tokens):
            x = rmsnorm(table[token])
            probabilities = softmax([sum(wi * xi for wi, xi in zip(row, x, strict=True)) for row in head])
            terms.append(-probabilities[target].log())
        loss = (1 / len(terms)) * sum(terms)
        loss.backward()
        for p in parameters:
            p.m = 0.9 * p.m + 0.1 * p.grad
            p.v = 0.95 * p.v + 0.05 * p.grad**2
            m_hat, v_hat = p.m / (1 - 0.9 ** (step + 1)), p.v / (1 - 0.95 ** (step + 1))
            p.data -= 0.1 * m_hat / (v_hat**0.5 + 1e-8)
            p.grad = 0
        losses.append(loss.data)
    assert [losses[k] for k in (0, 1, 29)] == pytest.approx(
        [1.3271631747340709, 0.8470669199548118, 0.003241415101174614], rel=1e-11
    )


# --------------------------------------------------------------------------------------------------------- other habits


def test_optimizer_state_keyed_by_value(fg: ModuleType) -> None:
    """Momentum in a dict whose keys are parameters; the parabola's path by hand."""
    x = fg.Value(1.0)
    velocity = {x: 0.0}
    for _ in range(3):
        x.zero_grad()
        (x**2).backward()
        for p in velocity:
            velocity[p] = 0.5 * velocity[p] + p.grad
            p.data -= 0.25 * velocity[p]
    assert (x.data, velocity[x]) == (-0.25, 1.0)


def test_gradient_descent_in_a_loop_that_rebinds_its_names(fg: ModuleType) -> None:
    w = fg.Value(0.0)
    for _ in range(200):
        loss = sum((w * x - 3 * x) ** 2 for x in (1.0, 2.0, 3.0)) / 3
        w.grad = 0
        loss.backward()
        w.data += -0.05 * w.grad
    assert w.data == pytest.approx(3.0, abs=1e-12)


def test_batch_gradient_accumulates_over_backward_calls(fg: ModuleType) -> None:
    w = fg.Value(2.0)
    for x in (1.0, 2.0, 3.0):
        (w * x).backward()
    assert w.grad == 6.0


def test_values_counted_by_operation(fg: ModuleType) -> None:
    a, b = fg.Value(2.0), fg.Value(3.0)
    nodes, _ = trace(((a + b) * (a - b) / b).tanh() ** 2)
    assert sorted(node._op for node in nodes if node._op) == ["*", "**2", "+", "-", "/", "tanh"]


def test_number_operands_are_leaves_with_gradients_in_micrograd_mode(fg: ModuleType) -> None:
    """What `python -m fastgrad run` switches on, for programs that draw or read the leaves micrograd makes."""
    from fastgrad import _backend

    a = fg.Value(2.0)
    _backend.set_micrograd_mode(True)
    try:
        y = a * 5.0
        y.backward()
    finally:
        _backend.set_micrograd_mode(False)
    five = next(child for child in y._children if child is not a)
    assert (five.data, five.grad, a.grad) == (5.0, 2.0, 5.0)
