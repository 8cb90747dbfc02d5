"""Plots hold the figures that they are given, each at its place."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.loop.schedule import Epoch
from pipeline.training.reports import plots


def history(seed: int, epochs: int) -> list[Epoch]:
    """Epochs whose figures are all different."""
    draw = np.random.default_rng(seed)
    return [
        Epoch(number, *draw.random(len(Epoch.__dataclass_fields__) - 1).tolist()) for number in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("members", [1, 3])
def test_curves_are_those_of_the_epochs(members):
    given = [(history(seed, 4 + seed), 2 + seed) for seed in range(members)]
    figure = plots.curves(given)
    for axes, name in zip(figure.axes, ("loss", "accuracy"), strict=True):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", name)
        lines = iter(axes.lines)
        for epochs, best in given:
            for prefix, colour in (("", plots.BLUE), ("val_", plots.ORANGE)):
                line = next(lines)
                assert line.get_color() == colour
                assert line.get_xdata().tolist() == [epoch.epoch for epoch in epochs]
                assert line.get_ydata().tolist() == [getattr(epoch, prefix + name) for epoch in epochs]
            assert set(next(lines).get_xdata()) == {best}
        assert next(lines, None) is None
        kept = "kept: epoch 2" if members == 1 else "kept"
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "val", kept]


def test_a_confusion_matrix_has_its_counts_and_shares_each_at_its_place():
    counts = np.array([[7, 0, 3], [1, 11, 0], [0, 0, 0]])
    figure = plots.confusion_matrix(counts, ("a", "$b", "c" * 30), "test")
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("prediction", "true class", "test")
    # Rows are true classes: matplotlib puts the first one at the top, and the column is the x of a text.
    found = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert found == {(0, 0): "7", (0, 2): "3", (1, 0): "1", (1, 1): "11"}
    shares = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shares, [[0.7, 0, 0.3], [1 / 12, 11 / 12, 0], [0, 0, 0]])
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == ["a", r"\$b", "c" * 19 + "…"]
    assert axes.yaxis_inverted() or axes.get_ylim()[0] > axes.get_ylim()[1]
