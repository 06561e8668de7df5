"""The look that all plots share, and where they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, BLUE, ORANGE, RED = "#1f2933", "#9aa5b1", "#3e7cb1", "#e08e0b", "#d64545"
SHADES = (BLUE, ORANGE, "#4c956c", RED, "#7d5ba6", "#6b7a8f")


def axes(given: Axes | None) -> Axes:
    """Return the axes that are given, or those of a new figure.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    """
    if given is not None:
        return given
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"plots are drawn with Matplotlib, which cannot be imported ({error}): pip install 'fastgrad[viz]'"
        ) from error
    return plt.subplots(layout="constrained")[1]


def style(ax: Axes, title: str, xlabel: str, ylabel: str) -> None:
    ax.set_title(title, loc="left", fontsize=12, color=INK)
    ax.set_xlabel(xlabel, color=INK)
    ax.set_ylabel(ylabel, color=INK)
    ax.tick_params(colors=INK, length=0)
    ax.tick_params(which="minor", length=0)
    ax.spines[:].set_visible(False)
    ax.grid(True, color="#e4e7eb", linewidth=0.8)
    ax.set_axisbelow(True)
