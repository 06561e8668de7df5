"""Plots of functions, their derivatives, and models in training. Each returns the Axes that it has drawn on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _errors
from .._backend import Value, no_grad
from .._compile import compile as compiled
from .._compiled import Compiled
from ..calculus import derivative, numerical_derivative
from ._style import BLUE, INK, ORANGE, SHADES, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "plot_decision_boundary",
    "plot_error_against_h",
    "plot_gradient_flow",
    "plot_losses",
    "plot_tangent",
]

_METHODS = ("forward", "central", "richardson")


# ---------------------------------------------------------------------------------------------------------- functions


def plot_error_against_h(
    f: Callable[..., Any],
    x: float,
    *,
    h: Iterable[float] | None = None,
    methods: Sequence[str] = _METHODS,
    ax: Axes | None = None,
) -> Axes:
    """Plot how far difference quotients are from the derivative, against their step h.

    From the right each curve falls, as the secant becomes the tangent; on the left rounding wins. Both axes are
    logarithmic. An error of 0 is drawn at half the spacing of floats, which is as much as can be told.

    Parameters
    ----------
    f : callable
        A function of one number on Values.
    x : float
        Where.
    h : iterable of float, optional
        The steps; without them 1e-15 to 1, times the larger of 1 and abs(x). The function has to be defined so far from
        x.
    methods : sequence of str
        Methods of `fastgrad.calculus.numerical_derivative`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With one line a method, under its name.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    TypeError, ValueError
        As `fastgrad.calculus.numerical_derivative` does; if the derivative at x is not finite.

    Examples
    --------
    >>> import fastgrad as fg
    >>> ax = fg.viz.plot_error_against_h(fg.sin, 1.0, methods=["forward", "central"])
    >>> [line.get_label() for line in ax.lines]
    ['forward', 'central']
    """
    ax = axes(ax)
    at = _errors.real("plot_error_against_h(x)", x)
    steps = np.logspace(-15.0, 0.0, 91) * max(1.0, abs(at)) if h is None else np.asarray(list(h), float)
    exact = float(derivative(f, at))
    if not math.isfinite(exact):
        raise ValueError(
            f"plot_error_against_h(x): the derivative at {at!r} is {exact!r}, so there is no error to plot"
        )
    for method, colour in zip(methods, SHADES * len(methods), strict=False):
        found = numerical_derivative(f, at, steps.tolist(), method)
        errors = np.maximum(np.abs(np.array(found, float) - exact), 0.5 * np.spacing(abs(exact)))
        ax.loglog(steps, errors, color=colour, label=method, linewidth=1.6)
    style(ax, f"Difference quotients at x = {at:g}", "h", "error of the derivative")
    ax.legend(frameon=False)
    return ax


def plot_tangent(
    f: Callable[..., Any], x: float, *, width: float | None = None, points: int = 401, ax: Axes | None = None
) -> Axes:
    """Plot a function around a point, and its tangent there.

    Parameters
    ----------
    f : callable
        A function of one number on Values, or one that is compiled.
    x : float
        Where the tangent touches.
    width : float, optional
        How far to plot to each side; the larger of 1 and abs(x) if it is not given.
    points : int
        How many points the curve has. Where the function is not defined there is no curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With two lines, the function and its tangent, and a point where they touch.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If the function or its derivative is not finite at x, or the width is not positive.

    Examples
    --------
    >>> import fastgrad as fg
    >>> ax = fg.viz.plot_tangent(lambda x: 3 * x**2 - 4 * x + 5, 3.0)
    >>> ax.lines[1].get_label()
    'tangent, slope 14'
    """
    ax = axes(ax)
    at = _errors.real("plot_tangent(x)", x)
    wide = max(1.0, abs(at)) if width is None else _errors.real("plot_tangent(width)", width)
    if not 0.0 < wide < math.inf:
        raise ValueError(f"plot_tangent(width): expected a positive number, got {width!r}")
    function = f if isinstance(f, Compiled) else compiled(f)
    value, slope = function.value_and_grad(at)
    if not (math.isfinite(value) and math.isfinite(slope)):
        raise ValueError(
            f"plot_tangent(x): expected a point with a tangent; at {at!r} the function is {value!r}, "
            f"its derivative {slope!r}"
        )
    around = np.linspace(at - wide, at + wide, points)
    curve = function(around)
    ax.plot(around, curve, color=BLUE, linewidth=2.0, label="function")
    ax.plot(around, value + slope * (around - at), color=ORANGE, linewidth=1.6, label=f"tangent, slope {slope:g}")
    ax.scatter([at], [value], color=INK, zorder=3)
    style(ax, f"At x = {at:g}", "x", "f(x)")
    ax.legend(frameon=False)
    return ax


# ------------------------------------------------------------------------------------------------------------- models


def plot_decision_boundary(
    model: Callable[..., Any],
    X: ArrayLike,
    y: ArrayLike,
    *,
    threshold: float = 0.0,
    steps: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """Plot which class a model gives each point of the plane, and the data.

    The model is compiled, so that a grid of 200 x 200 points takes milliseconds.

    Parameters
    ----------
    model : callable
        From a row of two inputs to one score, or to one score for each class; such as an ``MLP``.
    X : array_like
        The data, with shape (points, 2).
    y : array_like
        The label of each point, with shape (points,). With one score there are two classes, in the order of their
        labels: up to the threshold, and above it. With several scores, labels in their order have the score of that
        number.
    threshold : float
        Where the boundary of a single score lies.
    steps : int
        Points of the grid in each direction.
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With a mesh of the numbers of the classes, and one scatter for each label.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If shapes do not fit, or there are more labels than classes.

    Examples
    --------
    >>> import fastgrad as fg
    >>> ax = fg.viz.plot_decision_boundary(lambda x: x[0] - x[1], [[0, 1], [1, 0]], [-1, 1])
    >>> [points.get_label() for points in ax.collections[1:]]
    ['-1', '1']
    """
    ax = axes(ax)
    rows, labels = _data(X, y)
    names = np.unique(labels)
    xs, ys = (np.linspace(*_margins(column), steps) for column in rows.T)
    plane = np.stack(np.meshgrid(xs, ys), axis=-1)
    scores = _scores(model, rows, plane)
    classes = (scores > threshold).astype(int) if scores.ndim == 2 else scores.argmax(axis=-1)
    possible = 2 if scores.ndim == 2 else scores.shape[-1]
    if len(names) > possible:
        raise ValueError(
            f"plot_decision_boundary(y): the model tells {possible} classes apart, but there are {len(names)} labels: "
            f"{', '.join(map(str, names[:10]))}"
        )
    _draw_classes(ax, xs, ys, classes, possible)
    for number, name in enumerate(names):
        x0, x1 = rows[labels == name].T
        ax.scatter(
            x0, x1, s=22, color=SHADES[number % len(SHADES)], edgecolors="white", linewidths=0.6, label=str(name)
        )
    style(ax, "Decision boundary", "x[0]", "x[1]")
    ax.grid(False)
    ax.legend(frameon=False)
    return ax


def _data(X: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[Any]]:
    rows, labels = np.asarray(X, float), np.asarray(y)
    if rows.ndim != 2 or rows.shape[1] != 2 or not len(rows):
        raise ValueError(f"plot_decision_boundary(X): expected rows of two numbers, got an array of shape {rows.shape}")
    if labels.shape != rows.shape[:1]:
        raise ValueError(
            f"plot_decision_boundary(y): expected a label for each of {len(rows)} rows, "
            f"got an array of shape {labels.shape}"
        )
    return rows, labels


def _margins(column: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(column.min()), float(column.max())
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin


def _scores(model: Any, rows: NDArray[np.float64], plane: NDArray[np.float64]) -> NDArray[np.float64]:
    if isinstance(model, Compiled):
        return np.asarray(model(plane))
    with no_grad():
        first = model(rows[0].tolist())
    signature = "(2)->(k)" if isinstance(first, (Sequence, np.ndarray)) else "(2)->()"
    return np.asarray(compiled(model, signature=signature)(plane))


def _draw_classes(
    ax: Axes, xs: NDArray[np.float64], ys: NDArray[np.float64], classes: NDArray[np.int_], possible: int
) -> None:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap([SHADES[i % len(SHADES)] for i in range(possible)])
    ax.pcolormesh(
        xs, ys, classes, cmap=colours, vmin=-0.5, vmax=possible - 0.5, alpha=0.25, shading="nearest", rasterized=True
    )


def plot_losses(
    history: Sequence[float] | Mapping[str, Sequence[float]], *, every: int = 1, ax: Axes | None = None
) -> Axes:
    """Plot losses as training goes on.

    The axis of losses is logarithmic if all of them are positive.

    Parameters
    ----------
    history : sequence of float, or dict of them
        The loss of each pass, Values or numbers; for several curves a dict with their names.
    every : int
        How many passes make an epoch. If there are several, the axis counts epochs, and the mean of each is drawn over
        the losses of the passes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With a line for each curve, and another for its means if there are epochs.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If there are no losses, or ``every`` is less than 1.

    Examples
    --------
    >>> import fastgrad as fg
    >>> ax = fg.viz.plot_losses({"training": [1.0, 0.5, 0.25], "held out": [1.0, 0.6, 0.4]})
    >>> ax.get_yscale(), len(ax.lines)
    ('log', 2)
    """
    ax = axes(ax)
    if every < 1:
        raise ValueError(f"plot_losses(every): expected the number of passes in an epoch, 1 or more, got {every!r}")
    curves = history if isinstance(history, Mapping) else {"": history}
    numbers = {name: np.array([float(loss) for loss in losses]) for name, losses in curves.items()}
    for name, losses in numbers.items():
        if not len(losses):
            raise ValueError(f"plot_losses(history): expected losses, got none{f' of {name!r}' if name else ''}")
    for (name, losses), colour in zip(numbers.items(), SHADES * len(numbers), strict=False):
        _draw_losses(ax, losses, every, colour, name)
    if all((losses > 0.0).all() for losses in numbers.values()):
        ax.set_yscale("log")
    style(ax, "Training", "epoch" if every > 1 else "pass", "loss")
    if isinstance(history, Mapping):
        ax.legend(frameon=False)
    return ax


def _draw_losses(ax: Axes, losses: NDArray[np.float64], every: int, colour: str, name: str) -> None:
    passes = np.arange(1, len(losses) + 1)
    if every == 1:
        ax.plot(passes, losses, color=colour, linewidth=1.8, label=name)
        return
    epochs = len(losses) // every
    means = losses[: epochs * every].reshape(epochs, every).mean(axis=1)
    ax.plot(passes / every, losses, color=colour, alpha=0.25, linewidth=0.8)
    ax.plot(np.arange(epochs) + 0.5, means, color=colour, linewidth=2.2, label=name)


def plot_gradient_flow(model: Any, *, bins: int = 40, ax: Axes | None = None) -> Axes:
    """Plot a histogram of the gradients' magnitudes for each layer of a model, after ``backward()``.

    Where gradients vanish, the layers' histograms move to the left from the last to the first; where they explode, to
    the right. Gradients that are 0 are counted in the legend: many of them are units that no data point reaches.

    Parameters
    ----------
    model : Module
        Something with ``parameters()``. Its layers are those in its attribute ``layers``; without it all is one.
    bins : int
        How many bins the histograms have, which they share.
    ax : matplotlib.axes.Axes, optional
        Where to draw; without it on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With a histogram for each layer, from the first to the last.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError
        If all gradients are 0, or one is not finite.

    Examples
    --------
    >>> import random
    >>> import fastgrad as fg
    >>> random.seed(0)
    >>> model = fg.nn.MLP(2, [8, 8, 1], activation="tanh")
    >>> model([0.5, -1.0]).backward()
    >>> ax = fg.viz.plot_gradient_flow(model)
    >>> ax.get_legend().get_texts()[0].get_text()
    'layer 0: 24 gradients'
    """
    ax = axes(ax)
    sizes = {name: np.array([abs(p.grad) for p in parameters]) for name, parameters in _layers(model).items()}
    every = np.concatenate(list(sizes.values()))
    if not np.isfinite(every).all():
        bad = int((~np.isfinite(every)).sum())
        raise ValueError(
            f"plot_gradient_flow(model): {bad} gradients are not finite; fg.detect_anomaly() finds the cause"
        )
    if not every.any():
        raise ValueError("plot_gradient_flow(model): all gradients are 0; call backward() on a loss first")
    low, high = every[every > 0.0].min(), every.max()
    edges = np.logspace(math.log10(low) - 0.05, math.log10(high) + 0.05, bins + 1)
    for (name, found), colour in zip(sizes.items(), SHADES * len(sizes), strict=False):
        zeros = int((found == 0.0).sum())
        label = f"{name}: {len(found)} gradients" + (f", {zeros} are 0" if zeros else "")
        ax.hist(found[found > 0.0], bins=edges.tolist(), color=colour, alpha=0.45, label=label)
    ax.set_xscale("log")
    style(ax, "Gradients by layer", "magnitude of the gradient", "parameters")
    ax.legend(frameon=False)
    return ax


def _layers(model: Any) -> dict[str, list[Value]]:
    """The parameters of each layer by its name; one that layers share belongs to the first."""
    if not callable(getattr(model, "parameters", None)):
        raise TypeError(f"plot_gradient_flow(model): expected a model with parameters(), got {type(model).__name__}")
    seen: set[Value] = set()
    groups: dict[str, list[Value]] = {}
    for i, layer in enumerate(getattr(model, "layers", [])):
        groups[f"layer {i}"] = [p for p in layer.parameters() if p not in seen]
        seen.update(groups[f"layer {i}"])
    groups["rest" if groups else "model"] = [p for p in model.parameters() if p not in seen]
    return {name: parameters for name, parameters in groups.items() if parameters}
