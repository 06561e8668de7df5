"""value.explain: the chain rule along paths, which agrees with backward() and never walks all paths."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import pytest


def small_graph(fg: ModuleType) -> dict[str, Any]:
    a, b, c, f = (fg.Value(x, label=name) for name, x in {"a": 2.0, "b": -3.0, "c": 10.0, "f": -2.0}.items())
    e = a * b
    d = e + c
    loss = d * f
    e.label, d.label, loss.label = "e", "d", "L"
    return {"a": a, "b": b, "c": c, "f": f, "e": e, "d": d, "L": loss}


def cube(fg: ModuleType, v: Any) -> Any:
    out = fg.Value(v.data**3, (v, v), "cube")

    def backward() -> None:
        v.grad += 3.0 * v.data**2 * out.grad

    out._backward = backward
    return out


def everything(fg: ModuleType, a: Any, b: Any) -> Any:
    """Numbers, repeated operands, choices, closures, given gradients, n-ary nodes."""
    given = fg.Value(a.data * 5.0, (a, b), (5.0, 0.5))
    terms = [cube(fg, a) * 2.0, a**2, a**3.0, -b, fg.tanh(a) * 2, fg.where(a > 0, a, b), fg.where(a, b, 2.0), a / b]
    terms += [2**a, a**b, fg.relu(a), a * a, fg.maximum(a, b), fg.floor(a), given, fg.dot([a, b], [b, 3.0]), abs(b)]
    return fg.sum(terms) * fg.mean([a, b, a]) - fg.logsumexp([a, b])


def test_paths_of_the_small_graph_are_those_of_the_chain_rule(fg: ModuleType) -> None:
    v = small_graph(fg)
    (dc,) = v["L"].explain("c")
    assert (dc.value, dc.count, dc.paths[0].names) == (-2.0, 1, ("L", "d", "c"))
    assert [factor.value for factor in dc.paths[0].factors] == [-2.0, 1.0]
    (da,) = v["L"].explain(v["a"])
    assert da.paths[0].names == ("L", "d", "e", "a")
    assert [(f.of, f.by, f.operation, f.formula, f.symbol, f.value) for f in da.paths[0].factors] == [
        ("L", "d", "*", "d * f", "f", -2.0),
        ("d", "e", "+", "e + c", "1", 1.0),
        ("e", "a", "*", "a * b", "b", -3.0),
    ]
    assert da.paths[0].product == da.value == 6.0


def test_without_wrt_all_leaves_are_explained(fg: ModuleType) -> None:
    labelled = small_graph(fg)["L"].explain()
    assert {derivative.wrt: derivative.value for derivative in labelled} == {"a": 6.0, "b": -4.0, "c": -2.0, "f": 4.0}
    x, y = fg.Value(2.0), fg.Value(3.0)
    assert [derivative.value for derivative in (x * y + 1.0).explain()] == [3.0, 2.0]


def test_derivatives_are_those_of_backward_to_the_last_bit(fg: ModuleType) -> None:
    a, b = fg.Value(1.7, label="a"), fg.Value(-0.3, label="b")
    y = everything(fg, a, a + b)
    explained = y.explain([a, b], max_paths=1000)
    assert a.grad == b.grad == 0.0
    y.backward()
    for derivative, leaf in zip(explained, (a, b), strict=True):
        assert (derivative.value == leaf.grad) or (math.isnan(derivative.value) and math.isnan(leaf.grad))


def test_products_of_all_paths_add_up_to_the_derivative(fg: ModuleType) -> None:
    a, b = fg.Value(1.7, label="a"), fg.Value(0.3, label="b")
    for derivative in everything(fg, a, b).explain(max_paths=1000):
        assert len(derivative.paths) == derivative.count > 10
        sizes = [abs(path.product) for path in derivative.paths]
        assert sizes == pytest.approx(sorted(sizes, reverse=True))
        assert math.fsum(path.product for path in derivative.paths) == pytest.approx(derivative.value)


def test_shown_paths_are_the_largest_and_the_rest_is_summed_up(fg: ModuleType) -> None:
    a, b = fg.Value(1.7, label="a"), fg.Value(0.3, label="b")
    y = everything(fg, a, b)
    every, some = y.explain(a, max_paths=1000)["a"], y.explain(a, max_paths=3)["a"]
    assert [path.product for path in some.paths] == pytest.approx([path.product for path in every.paths[:3]])
    assert sum(path.product for path in some.paths) + some.rest == pytest.approx(some.value)
    assert "3 largest" in repr(some) and "all other paths" in repr(some)


@pytest.mark.parametrize("depth", [3, 5_000])
def test_exponentially_many_paths_are_counted_and_not_walked(fg: ModuleType, depth: int) -> None:
    x = fg.Value(1.0, label="x")
    y = x
    for _ in range(depth):
        y = y * 0.5 + fg.sin(y) * 0.25
    explained = y.explain("x", max_paths=2)
    assert explained["x"].count == 2**depth
    assert len(explained["x"].paths) == 2
    y.backward()
    assert explained["x"].value == x.grad
    assert len(repr(explained)) < 5_000


def test_paths_that_tie_are_each_found_once(fg: ModuleType) -> None:
    x = fg.Value(1.0, label="x")
    y = x
    for _ in range(4):
        y = y + y
    paths = y.explain(x, max_paths=100)["x"].paths
    assert len(paths) == len({path.steps for path in paths}) == 16


def test_factors_may_be_too_small_for_their_product(fg: ModuleType) -> None:
    x = fg.Value(1.0, label="x")
    y = x
    for _ in range(300):
        y = y * 1e-5
    assert y.explain(x)["x"].paths[0].product == 0.0


def test_symbols_come_from_the_table(fg: ModuleType) -> None:
    x, n = fg.Value(0.5, label="x"), fg.Value(2.0, label="n")

    def symbols(y: Any) -> list[str]:
        y.label = "y"
        return [path.factors[-1].symbol for path in y.explain(x)["x"].paths]

    assert symbols(fg.tanh(x)) == ["1 - y * y"]
    assert symbols(x * x) == ["x", "x"]
    assert symbols(x**2) == ["2 * x"]
    assert symbols(x**3) == ["3 * x ** 2"]
    assert symbols(x**n) == ["n * x ** (n - 1)"]
    assert symbols(fg.relu(x)) == ["1"]
    assert symbols(fg.sin(x)) == ["cos(x)"]
    assert symbols(x / n) == ["1 / n"]
    assert symbols(fg.dot([x, n], [n, n])) == ["n"]
    assert symbols(fg.mean([x, n])) == ["0.5"] or symbols(fg.mean([x, n])) == ["1 / 2"]
    assert symbols(cube(fg, x)) == [""]


def test_text_markdown_and_latex_say_the_same(fg: ModuleType) -> None:
    explained = small_graph(fg)["L"].explain("a")
    assert "∂L/∂d · ∂d/∂e · ∂e/∂a = f · 1 · b = (-2) · 1 · (-3) = 6" in repr(explained)
    assert "e = a * b = -6" in repr(explained)
    formula = (
        r"\frac{\partial L}{\partial d} \cdot \frac{\partial d}{\partial e} \cdot \frac{\partial e}{\partial a}"
        r" = f \cdot 1 \cdot b = (-2) \cdot 1 \cdot (-3) = 6"
    )
    assert formula in explained._repr_latex_() and explained._repr_latex_().startswith("$")
    assert f"${formula}$" in explained._repr_markdown_() and "**dL/da = 6**" in explained._repr_markdown_()


def test_labels_are_escaped(fg: ModuleType) -> None:
    x = fg.Value(2.0, label="my_x*%")
    explained = (x * 3.0).explain()
    assert r"my\_x\*%" in explained._repr_markdown_()
    assert r"\text{my\_x*\%}" in explained._repr_latex_()


def test_nodes_without_a_label_and_with_the_same_have_names(fg: ModuleType) -> None:
    first, second = fg.Value(2.0, label="x"), fg.Value(3.0, label="x")
    y = first * second + 1.0
    assert [derivative.wrt for derivative in y.explain()] == ["x#1", "x#2"]
    assert y.explain("x#2")[0].value == 2.0
    assert y.explain("v1")[0].value == 1.0


def test_output_and_what_gets_no_derivative_can_be_asked_for(fg: ModuleType) -> None:
    x = fg.Value(2.5, label="x")
    y = fg.floor(x)
    assert (y.explain(y)[0].value, y.explain(y)[0].count) == (1.0, 1)
    assert (y.explain(x)[0].value, y.explain(x)[0].count, y.explain(x)[0].paths) == (0.0, 0, ())
    assert "no path" in repr(y.explain(x))


def test_a_branch_not_taken_counts_as_zero_whatever_its_derivative(fg: ModuleType) -> None:
    x = fg.Value(0.0, label="x")
    y = fg.where(0.0, fg.sqrt(x), x)
    (derivative,) = y.explain(x)
    assert derivative.value == 1.0
    assert sorted(path.product for path in derivative.paths) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("wrt", "error", "says"),
    [
        (lambda fg, v: "q", ValueError, "'q'; its labels are"),
        (lambda fg, v: "LL", ValueError, "did you mean 'L'"),
        (lambda fg, v: fg.Value(1.0, label="alone"), ValueError, "'alone' is not in the graph of L"),
        (lambda fg, v: v["a"] * 2.0, ValueError, "is not in the graph"),
        (lambda fg, v: 3.0, TypeError, "expected a Value, a label, or a list"),
        (lambda fg, v: ["a", 3.0], TypeError, "expected a Value or a label, got float"),
    ],
)
def test_wrong_wrt_is_an_error_that_says_so(fg: ModuleType, wrt: Any, error: type[Exception], says: str) -> None:
    v = small_graph(fg)
    with pytest.raises(error, match="explain") as raised:
        v["L"].explain(wrt(fg, v))
    assert says in str(raised.value)


def test_ambiguous_label_is_an_error(fg: ModuleType) -> None:
    y = fg.Value(2.0, label="x") * fg.Value(3.0, label="x")
    with pytest.raises(ValueError, match=r"2 nodes in the graph .* labelled 'x'.*x#1, x#2"):
        y.explain("x")


@pytest.mark.parametrize("max_paths", [0, -1, 1.5, True, "3"])
def test_max_paths_has_to_be_a_positive_int(fg: ModuleType, max_paths: Any) -> None:
    with pytest.raises(ValueError, match="max_paths"):
        fg.Value(1.0).explain(max_paths=max_paths)


def test_explaining_while_recording_is_refused(fg: ModuleType) -> None:
    with pytest.raises(fg.TracingError, match="looking at the graph"):
        fg.compile(lambda x: x.explain() and x)(1.0)


def test_unknown_name_in_an_explanation_is_a_key_error(fg: ModuleType) -> None:
    with pytest.raises(KeyError, match="expected one of a"):
        small_graph(fg)["L"].explain("a")["q"]


def test_many_leaves_are_summed_up(fg: ModuleType) -> None:
    leaves = [fg.Value(float(k), label=f"x{k}") for k in range(100)]
    explained = fg.dot(leaves, [float(k) for k in range(100)]).explain()
    assert len(explained) == 100 and "and 88 smaller derivatives" in repr(explained)
    assert "x99" in repr(explained) and "dv1/dx5 " not in repr(explained)
