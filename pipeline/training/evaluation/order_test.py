"""Whether a head uses time: the same clips with their steps shuffled, and with their first step alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.training.data.dataset import Windows
from pipeline.training.evaluation.predictions import Predictions, predictions_of

Change = Literal["shuffled", "first"]


@dataclass(frozen=True)
class OrderTest:
    """Accuracy of a head on clips that are changed in time."""

    accuracy: float
    """Of the clips as they are."""
    shuffled: float
    """With the real steps of each window in random order."""
    first: float
    """With the first step of each window in the place of all its steps."""


@dataclass(frozen=True)
class _ChangedWindows(Windows):
    """Windows whose steps are changed when they are gathered; their masks stay."""

    change: Change = "shuffled"

    def gather(self, rows: np.ndarray, starts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See `Windows.gather`."""
        features, mask = super().gather(rows, starts)
        if self.change == "first":
            features[:] = features[:, :1]
            features[~mask] = 0
            return features, mask
        # The order of a window depends on nothing but its number, so not on how windows come in blocks.
        drawn = np.stack([np.random.default_rng([0, row]).random(mask.shape[1]) for row in rows.tolist()])
        order = np.argsort(np.where(mask, drawn, 2), axis=1)  # what only fills the window up stays at its end
        return features[np.arange(len(rows))[:, None], order], mask


def order_test(part: Predictions, logits: Callable[[Windows], np.ndarray]) -> OrderTest | None:
    """Apply a head to the windows of a split with their steps shuffled, and with the first one repeated.

    Args:
        part: what the head says of the split as it is.
        logits: the head: ``(m, C)`` of some windows.

    Returns:
        Accuracies; None where no window has two steps.
    """
    windows = part.windows
    if np.minimum(windows.length, windows.data.steps[windows.video] - windows.start).max() < 2:
        return None

    def accuracy(change: Change) -> float:
        changed = _ChangedWindows(**{name: getattr(windows, name) for name in Windows.__match_args__}, change=change)
        said = predictions_of(part.split, windows.data, changed, logits(changed), temperature=part.temperature)
        return float((said.predicted == said.labels).mean())

    return OrderTest(float((part.predicted == part.labels).mean()), accuracy("shuffled"), accuracy("first"))
