"""Plots of a training: curves, confusion matrix, reliability. Each function returns a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.files.atomic import atomic_write
from pipeline.files.text import printable
from pipeline.training.loop.schedule import Epoch

if TYPE_CHECKING:  # and imported where it draws: evaluation without files needs none of it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#3b8bd0", "#e0812f", "#8a8f98"  # to be read on light and dark


Curve = tuple[Sequence[Epoch], int]
"""The epochs of a member, and the one that was kept."""


def curves(members: Sequence[Curve]) -> Figure:
    """Loss and accuracy of training and validation over the epochs, of each member; the kept epochs are marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4))
    # Fixed, since finding out how much room labels take is slower than drawing the plot.
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.15, top=0.96, wspace=0.22)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        draw_curve(axes, members, name)
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.25)
    return figure


def draw_curve(axes: Axes, members: Sequence[Curve], name: str) -> None:
    """Draw ``loss`` or ``accuracy`` of training and validation over the epochs, a line for each member."""
    from matplotlib.ticker import MaxNLocator

    alpha = 1 if len(members) == 1 else 0.55
    for number, (history, best_epoch) in enumerate(members):
        epochs = [epoch.epoch for epoch in history]
        marker = "o" if len(epochs) == 1 else None  # a single epoch has no line to draw
        for prefix, colour, label in (("", BLUE, "train"), ("val_", ORANGE, "val")):
            values = [getattr(epoch, prefix + name) for epoch in history]
            axes.plot(epochs, values, color=colour, marker=marker, alpha=alpha, label=None if number else label)
        kept = f"kept: epoch {best_epoch}" if len(members) == 1 else "kept"
        axes.axvline(best_epoch, color=GREY, linestyle=":", alpha=alpha, label=None if number else kept)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    if name == "accuracy":
        axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False)


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Counts with the share of each true class as colour.

    Args:
        counts: ``(C, C)``, row is the true class, column the prediction.
        classes: their names.
        title: what was counted.
    """
    from matplotlib.figure import Figure

    count = len(classes)
    side = min(24.0, max(4.2, 1.8 + 0.45 * count))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    shown = [printable(name) for name in classes]
    # A dollar sign would begin a formula.
    names = [(name if len(name) <= 20 else name[:19] + "…").replace("$", r"\$") for name in shown]
    axes.set_xticks(range(count), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), names)
    axes.set(xlabel="prediction", ylabel="true class", title=title)
    if count <= 30:
        for row, column in np.ndindex(count, count):
            if counts[row, column]:
                shade = "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    return figure


def save_figure(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write a PNG file whole or not at all."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")
