"""The plots of the report, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from measure import Figures
from workloads import COLUMNS

plt.rcParams.update({"svg.hashsalt": "fastgrad", "svg.fonttype": "none", "font.size": 9, "axes.axisbelow": True})
COLOURS = dict(zip(COLUMNS, ("#555555", "#d62728", "#1f77b4", "#7fb3d9", "#2ca02c", "#8fd08f", "#9467bd"), strict=True))


def draw_relative(results: dict[str, Figures], folder: Path) -> None:
    """Draw each workload's time as a multiple of Python floats' forward run."""
    columns = [column for column in COLUMNS if any(column in figures for figures in results.values())]
    figure, axes = plt.subplots(figsize=(8, 0.9 * len(results) + 0.8), layout="constrained")
    height, middle = 0.85 / len(columns), (len(columns) - 1) / 2
    for i, column in enumerate(columns):
        places = [y + height * (i - middle) for y, f in enumerate(results.values()) if column in f]
        times = [f[column]["median"] / f["floats"]["median"] for f in results.values() if column in f]
        axes.barh(places, times, height, label=column, color=COLOURS[column])
        for place, multiple in zip(places, times, strict=True):
            axes.annotate(f" {multiple:.3g}", (multiple, place), va="center", fontsize=7)
    axes.set(xscale="log", xlabel="time, in multiples of the same program on Python floats, forward only")
    axes.set_yticks(range(len(results)), [label.replace("`", "") for label in results])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(columns), fontsize=8, frameon=False)
    save(figure, folder / "relative")


def draw_scaling(parts: dict[str, dict[str, Figures]], folder: Path) -> None:
    """Draw the time of an operation by the number of operations, forward and backward."""
    figure, panels = plt.subplots(1, len(parts), figsize=(8, 3.6), sharey=True, layout="constrained")
    for axes, (part, sizes) in zip(panels, parts.items(), strict=True):
        for column in COLUMNS:
            points = [(int(n.replace(",", "")), f[column]["median"]) for n, f in sizes.items() if column in f]
            if points:
                axes.plot(*zip(*points, strict=True), "o-", ms=4, label=column, color=COLOURS[column])
        axes.set(xscale="log", yscale="log", title=part, xlabel="operations, all in one chain")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("ns an operation")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(COLUMNS), frameon=False)
    save(figure, folder / "scaling")


def draw_compiled(results: dict[str, Figures], columns: Sequence[str], folder: Path) -> None:
    """Draw each library's time as a multiple of fastgrad's."""
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(results) + 1.0), layout="constrained")
    for column, marker, colour in zip(columns, "oP^s*vDXh", plt.get_cmap("tab10").colors, strict=False):
        rows = [(i, f) for i, f in enumerate(results.values()) if column in f and "fastgrad" in f]
        times = [f[column]["median"] / f["fastgrad"]["median"] for _, f in rows]
        axes.plot(times, [i for i, _ in rows], marker, color=colour, label=column, clip_on=False)
    axes.axvline(1.0, color="#555555", lw=0.8)
    axes.set(xscale="log", xlabel="time, in multiples of fastgrad's; to the right is slower")
    axes.set_yticks(range(len(results)), [label.replace("`", "") for label in results])
    axes.invert_yaxis()
    axes.grid(axis="both", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, fontsize=8, frameon=False)
    save(figure, folder / "compiled")


def draw_contests(times: dict[str, float], folder: Path) -> None:
    """Draw the rivals' times as multiples of fastgrad's."""
    figure, axes = plt.subplots(figsize=(8, 0.24 * len(times) + 1.0), layout="constrained")
    places = range(len(times))
    axes.barh(places, [time - 1.0 for time in times.values()], left=1.0, color="#1f77b4")
    for place, time in zip(places, times.values(), strict=True):
        axes.annotate(f" {time:.3g} ", (max(time, 1.0), place), va="center", fontsize=7)
    axes.axvline(1.0, color="#555555", lw=0.8)
    axes.set(xscale="log", xlabel="time, in multiples of fastgrad's; to the right is slower")
    axes.set_yticks(places, [label.replace("`", "") for label in times])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    save(figure, folder / "contests")


def save(figure: Figure, path: Path) -> None:
    """Save a figure in both formats, without the date, so that equal figures make equal files."""
    figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    plt.close(figure)
