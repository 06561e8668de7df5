"""The figure of the demo: how training went, what is confused with what, and the digits themselves."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure

from .viz._style import BLUE, FAINT, INK, ORANGE, RED, style
from .viz.plots import plot_losses

LOSS, HELD_OUT, WRONG = BLUE, ORANGE, RED
BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#c6dbee", "#3e7cb1", "#12355b"])
SHOWN_ROWS, SHOWN_COLUMNS = 3, 14


def draw(
    path: str,
    rows: list[list[float]],
    labels: list[int],
    predictions: list[int],
    losses: list[float],
    accuracies: list[float],
) -> None:
    """Write the figure to ``path``: ``rows``, ``labels`` and ``predictions`` are those of the held-out digits."""
    figure = Figure(figsize=(12, 8.6), dpi=150, facecolor="white", layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.5, 1.0])
    top, bottom = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    curves, matrix = top.subplots(1, 2, width_ratios=[1.35, 1.0])
    right = sum(p == label for p, label in zip(predictions, labels, strict=True))
    reads = f"{right} of {len(labels)} held-out digits right ({right / len(labels):.1%})"
    figure.suptitle(f"A network of scalars reads handwritten digits: {reads}", fontsize=15, color=INK)
    _draw_curves(curves, losses, accuracies)
    _draw_confusion(matrix, labels, predictions)
    _draw_digits(bottom, rows, labels, predictions)
    figure.savefig(path, bbox_inches="tight", pad_inches=0.25)


def _draw_curves(axes: Axes, losses: list[float], accuracies: list[float]) -> None:
    per_epoch = len(losses) // len(accuracies)
    epochs = np.arange(1, len(accuracies) + 1)
    plot_losses(losses, every=per_epoch, ax=axes)
    axes.set_ylabel("cross-entropy, each pass and mean of the epoch", color=LOSS)

    percent = axes.twinx()
    percent.plot(epochs, np.multiply(accuracies, 100.0), color=HELD_OUT, linewidth=2.2, marker="o", markersize=4)
    percent.set_ylabel("held-out accuracy, %", color=HELD_OUT)
    percent.set_ylim(min(80.0, 100.0 * min(accuracies)), 100.0)
    percent.spines[:].set_visible(False)
    percent.tick_params(colors=INK, length=0)


def _draw_confusion(axes: Axes, labels: list[int], predictions: list[int]) -> None:
    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (labels, predictions), 1)
    axes.imshow(np.sqrt(counts), cmap=BLUES)  # the root lets single mistakes show beside dozens of right ones
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = WRONG if row != column else "white"
            weight = "bold" if row != column else "normal"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, weight=weight, fontsize=9)
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    style(axes, "Confusion matrix of the held-out digits", "predicted", "true")
    axes.grid(False)


def _draw_digits(figure: SubFigure, rows: list[list[float]], labels: list[int], predictions: list[int]) -> None:
    wrong = [i for i, (label, p) in enumerate(zip(labels, predictions, strict=True)) if label != p]
    right = [i for i, (label, p) in enumerate(zip(labels, predictions, strict=True)) if label == p]
    places = SHOWN_ROWS * SHOWN_COLUMNS
    shown = (wrong[: places // 2] + right)[:places]
    figure.suptitle("Held-out digits under their predictions, the wrong ones first", fontsize=12, color=INK)
    for axes, i in zip(figure.subplots(SHOWN_ROWS, SHOWN_COLUMNS).flat, shown, strict=False):
        _draw_digit(axes, rows[i], labels[i], predictions[i])


def _draw_digit(axes: Axes, row: list[float], label: int, prediction: int) -> None:
    correct = label == prediction
    axes.imshow(np.reshape(row, (8, 8)), cmap="Greys", vmin=0.0, vmax=1.0, interpolation="bilinear")
    title = str(prediction) if correct else f"{prediction}, not {label}"
    axes.set_title(title, fontsize=10, color=INK if correct else WRONG, weight="normal" if correct else "bold", pad=3)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(FAINT if correct else WRONG)
    axes.spines[:].set_linewidth(0.6 if correct else 2.2)
