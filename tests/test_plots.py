"""What plots show: the data that is drawn, not how it looks."""

from __future__ import annotations

import math
import random
from types import ModuleType
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def ax() -> Any:
    from matplotlib.figure import Figure

    return Figure().subplots()


def parabola(x: Any) -> Any:
    return 3 * x**2 - 4 * x + 5


def lines(ax: Any) -> dict[str, Any]:
    return {line.get_label(): np.asarray(line.get_xydata()) for line in ax.lines}


PLOTS = {
    "plot_error_against_h": lambda fg, **on: fg.viz.plot_error_against_h(fg.sin, 1.0, **on),
    "plot_tangent": lambda fg, **on: fg.viz.plot_tangent(parabola, 3.0, **on),
    "plot_decision_boundary": lambda fg, **on: fg.viz.plot_decision_boundary(sum, [[0, 1], [2, 0]], [0, 1], **on),
    "plot_losses": lambda fg, **on: fg.viz.plot_losses([3.0, 2.0], **on),
    "plot_gradient_flow": lambda fg, **on: fg.viz.plot_gradient_flow(trained(fg), **on),
}
each_plot = pytest.mark.parametrize("name", PLOTS)


def trained(fg: ModuleType) -> Any:
    random.seed(4)
    model = fg.nn.MLP(2, [6, 5, 1], activation="tanh")
    ((model([0.5, -1.5]) - 1.0) ** 2).backward()
    return model


@each_plot
def test_plot_is_drawn_where_it_is_asked_for_or_on_a_new_figure(name: str, ax: Any, fg: ModuleType) -> None:
    import matplotlib.pyplot as plt

    assert PLOTS[name](fg, ax=ax) is ax
    assert ax.has_data() and ax.get_xlabel() and ax.get_ylabel()
    other = PLOTS[name](fg)
    assert other is not ax and other.has_data()
    plt.close("all")


@each_plot
def test_without_matplotlib_the_error_says_what_to_install(
    name: str, fg: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgrad\[viz\]'"):
        PLOTS[name](fg)


def test_all_plots_are_tested_and_found_by_dir(fg: ModuleType) -> None:
    assert sorted(PLOTS) == sorted(fg.viz.__all__)
    assert set(PLOTS) <= set(dir(fg.viz))


# ------------------------------------------------------------------------------------------------------ error against h


def test_error_falls_with_h_until_rounding_wins(ax: Any, fg: ModuleType) -> None:
    fg.viz.plot_error_against_h(parabola, 3.0, h=[1e-1, 1e-4, 1e-7, 1e-13], methods=["forward", "central"], ax=ax)
    forward = lines(ax)["forward"]
    assert forward[:, 0].tolist() == [1e-1, 1e-4, 1e-7, 1e-13]
    assert forward[:2, 1] == pytest.approx([3e-1, 3e-4], rel=1e-6)  # h f''/2
    assert forward[0, 1] > forward[1, 1] > forward[2, 1] < forward[3, 1]
    assert (lines(ax)["central"][:2, 1] < 1e-10).all()  # exact for a parabola, but for rounding
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_error_of_each_method_is_that_of_its_order(ax: Any, fg: ModuleType) -> None:
    fg.viz.plot_error_against_h(fg.exp, 0.5, h=[1e-2, 1e-3], ax=ax)
    drawn = lines(ax)
    assert list(drawn) == ["forward", "central", "richardson"]
    assert drawn["forward"][0, 1] / drawn["forward"][1, 1] == pytest.approx(10.0, rel=0.01)
    assert drawn["central"][0, 1] / drawn["central"][1, 1] == pytest.approx(100.0, rel=0.01)
    assert drawn["richardson"].max(axis=0)[1] < 1e-10


def test_an_error_of_nothing_is_drawn_at_half_an_ulp(ax: Any, fg: ModuleType) -> None:
    fg.viz.plot_error_against_h(lambda x: 2.0 * x, 1.0, h=[0.5], methods=["forward"], ax=ax)
    assert lines(ax)["forward"].tolist() == [[0.5, 0.5 * math.ulp(2.0)]]


def test_derivative_that_is_infinite_has_no_error_to_plot(ax: Any, fg: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"the derivative at 0.0 is inf"):
        fg.viz.plot_error_against_h(fg.sqrt, 0.0, ax=ax)


# -------------------------------------------------------------------------------------------------------------- tangent


def test_tangent_touches_with_the_slope_of_the_function(ax: Any, fg: ModuleType) -> None:
    fg.viz.plot_tangent(parabola, 3.0, width=2.0, points=5, ax=ax)
    curve, tangent = lines(ax)["function"], lines(ax)["tangent, slope 14"]
    assert curve.tolist() == [[x, parabola(x)] for x in (1.0, 2.0, 3.0, 4.0, 5.0)]
    assert tangent.tolist() == [[x, 20.0 + 14.0 * (x - 3.0)] for x in (1.0, 2.0, 3.0, 4.0, 5.0)]
    assert ax.collections[0].get_offsets().tolist() == [[3.0, 20.0]]


def test_curve_ends_where_the_function_does(ax: Any, fg: ModuleType) -> None:
    fg.viz.plot_tangent(fg.compile(lambda x: fg.log(x)), 0.5, points=3, ax=ax)
    assert np.isnan(lines(ax)["function"][0, 1])
    assert np.isfinite(lines(ax)["tangent, slope 2"]).all()


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (0.0, {}, "at 0.0 the function is 0.0, its derivative inf"),
        (-1.0, {}, "at -1.0 the function is nan"),
        (1.0, {"width": 0.0}, "width.*expected a positive number, got 0.0"),
    ],
)
def test_point_without_a_tangent_is_refused(
    x: float, options: dict[str, float], message: str, ax: Any, fg: ModuleType
) -> None:
    with pytest.raises(ValueError, match=message):
        fg.viz.plot_tangent(lambda x: fg.sqrt(x), x, **options, ax=ax)


# ---------------------------------------------------------------------------------------------------- decision boundary


def classes_at(ax: Any) -> np.ndarray[Any, Any]:
    return np.asarray(ax.collections[0].get_array())


def test_plane_is_parted_where_the_score_passes_the_threshold(ax: Any, fg: ModuleType) -> None:
    X, y = [[0.0, 0.0], [1.0, 1.0], [0.2, 0.4]], ["no", "yes", "no"]
    fg.viz.plot_decision_boundary(lambda x: x[0] + x[1], X, y, threshold=1.0, steps=21, ax=ax)
    side = np.linspace(-0.15, 1.15, 21)
    expected = side[np.newaxis, :] + side[:, np.newaxis] > 1.0
    agree = classes_at(ax) == expected
    assert agree[abs(side[np.newaxis, :] + side[:, np.newaxis] - 1.0) > 1e-9].all()
    assert {points.get_label(): points.get_offsets().tolist() for points in ax.collections[1:]} == {
        "no": [[0.0, 0.0], [0.2, 0.4]],
        "yes": [[1.0, 1.0]],
    }


def test_plane_shows_the_highest_of_several_scores(ax: Any, fg: ModuleType) -> None:
    X, y = [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 2]
    fg.viz.plot_decision_boundary(lambda x: [-x[0], x[0], 3.0 * x[1] - 1.0], X, y, steps=11, ax=ax)
    classes = classes_at(ax)
    assert (classes[0, 0], classes[0, -1], classes[-1, 5]) == (0, 1, 2)


def test_boundary_of_a_network_is_that_of_its_eager_scores(ax: Any, fg: ModuleType) -> None:
    model = trained(fg)
    fg.viz.plot_decision_boundary(model, [[-1.0, -1.0], [1.0, 1.0]], [-1, 1], steps=7, ax=ax)
    side = np.linspace(-1.3, 1.3, 7).tolist()
    assert classes_at(ax).tolist() == [[int(model([x, y]).data > 0.0) for x in side] for y in side]


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([1.0, 2.0], [0, 1], r"X.*expected rows of two numbers, got an array of shape \(2,\)"),
        ([[1.0, 2.0, 3.0]], [0], r"got an array of shape \(1, 3\)"),
        ([[1.0, 2.0]], [0, 1], r"y.*expected a label for each of 1 rows, got an array of shape \(2,\)"),
        ([[1.0, 2.0]] * 3, [0, 1, 2], "the model tells 2 classes apart, but there are 3 labels: 0, 1, 2"),
    ],
)
def test_data_that_does_not_fit_is_refused(X: Any, y: Any, message: str, ax: Any, fg: ModuleType) -> None:
    with pytest.raises(ValueError, match=message):
        fg.viz.plot_decision_boundary(sum, X, y, ax=ax)


# --------------------------------------------------------------------------------------------------------------- losses


def test_losses_are_drawn_pass_by_pass(ax: Any, fg: ModuleType) -> None:
    fg.viz.plot_losses([fg.Value(4.0), 2.0, 1.0], ax=ax)
    assert ax.lines[0].get_xydata().tolist() == [[1.0, 4.0], [2.0, 2.0], [3.0, 1.0]]
    assert ax.get_yscale() == "log"
    assert ax.get_legend() is None


def test_each_curve_has_its_name(ax: Any, fg: ModuleType) -> None:
    fg.viz.plot_losses({"training": [1.0, 0.0], "held out": [2.0, 1.0]}, ax=ax)
    assert {name: line[:, 1].tolist() for name, line in lines(ax).items()} == {
        "training": [1.0, 0.0],
        "held out": [2.0, 1.0],
    }
    assert ax.get_yscale() == "linear"  # a loss of 0 has no logarithm


def test_means_of_epochs_are_drawn_over_the_passes(ax: Any, fg: ModuleType) -> None:
    fg.viz.plot_losses([4.0, 2.0, 1.0, 1.0, 9.0], every=2, ax=ax)
    passes, means = (line.get_xydata().tolist() for line in ax.lines)
    assert passes == [[0.5, 4.0], [1.0, 2.0], [1.5, 1.0], [2.0, 1.0], [2.5, 9.0]]
    assert means == [[0.5, 3.0], [1.5, 1.0]]
    assert ax.get_xlabel() == "epoch"


@pytest.mark.parametrize(
    ("history", "every", "message"),
    [([], 1, "expected losses, got none"), ({"a": []}, 1, "none of 'a'"), ([1.0], 0, "1 or more, got 0")],
)
def test_history_without_losses_is_refused(history: Any, every: int, message: str, ax: Any, fg: ModuleType) -> None:
    with pytest.raises(ValueError, match=message):
        fg.viz.plot_losses(history, every=every, ax=ax)


# -------------------------------------------------------------------------------------------------------- gradient flow


def labels(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def heights(ax: Any) -> list[float]:
    return [sum(patch.get_height() for patch in bars) for bars in ax.containers]


def test_each_layer_has_a_histogram_of_all_its_gradients(ax: Any, fg: ModuleType) -> None:
    model = trained(fg)
    fg.viz.plot_gradient_flow(model, ax=ax)
    assert labels(ax) == ["layer 0: 18 gradients", "layer 1: 35 gradients", "layer 2: 6 gradients"]
    assert heights(ax) == [18.0, 35.0, 6.0]
    edges = [(bars[0].get_x(), bars[-1].get_x() + bars[-1].get_width()) for bars in ax.containers]
    sizes = [abs(p.grad) for p in model.parameters()]
    assert all(low <= min(sizes) and max(sizes) <= high for low, high in edges)


def test_gradients_of_nothing_are_counted_in_the_legend(ax: Any, fg: ModuleType) -> None:
    model = trained(fg)
    model.layers[0].neurons[0].b.grad = model.layers[0].neurons[1].b.grad = 0.0
    fg.viz.plot_gradient_flow(model, ax=ax)
    assert labels(ax)[0] == "layer 0: 18 gradients, 2 are 0"
    assert heights(ax)[0] == 16.0


def test_parameters_outside_of_layers_and_shared_ones_count_once(ax: Any, fg: ModuleType) -> None:
    alpha = fg.Value(2.0)

    class Scaled(fg.nn.MLP):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(2, [2, 2, 1], activation="sigmoid", alpha=alpha)
            self.scale = fg.Value(3.0)

        def parameters(self) -> Any:
            return [*super().parameters(), self.scale]

        def __call__(self, x: Any) -> Any:
            return super().__call__(x) * self.scale

    model = Scaled()
    model([1.0, 2.0]).backward()
    fg.viz.plot_gradient_flow(model, ax=ax)
    assert [label.split(",")[0] for label in labels(ax)] == [
        "layer 0: 7 gradients",
        "layer 1: 6 gradients",
        "layer 2: 3 gradients",
        "rest: 1 gradients",
    ]


@pytest.mark.parametrize(
    ("grad", "message"), [(0.0, "all gradients are 0; call backward"), (math.nan, "1 gradients are not finite")]
)
def test_gradients_that_show_nothing_are_refused(grad: float, message: str, ax: Any, fg: ModuleType) -> None:
    neuron = fg.nn.Neuron(2)
    neuron.b.grad = grad
    with pytest.raises(ValueError, match=message):
        fg.viz.plot_gradient_flow(neuron, ax=ax)


def test_what_has_no_parameters_is_refused(ax: Any, fg: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"expected a model with parameters\(\), got function"):
        fg.viz.plot_gradient_flow(parabola, ax=ax)
