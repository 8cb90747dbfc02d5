"""Cross-validation by groups: each video is tested once, by a head that never saw its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.training.data.dataset import Dataset
from pipeline.training.data.splits import Split, make_folds
from pipeline.training.evaluation.metrics import pooled_ece
from pipeline.training.evaluation.predictions import Predictions
from pipeline.training.experiments.experiment import Run


@dataclass(frozen=True)
class CrossValidation:
    """What came of all folds."""

    tested: tuple[Predictions, ...]
    """Of the test videos of each fold."""
    accuracies: tuple[float, ...]
    log_losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the accuracies of the folds."""
        return float(np.mean(self.accuracies))

    @property
    def lowest(self) -> tuple[float, int]:
        """The lowest accuracy of a fold, and how many videos that fold tested."""
        return min(zip(self.accuracies, (len(part.videos) for part in self.tested), strict=True))

    def __str__(self) -> str:
        return (
            f"{len(self.tested)} folds: test accuracy {self.mean:.3f} ± {np.std(self.accuracies):.3f}, "
            f"lowest {self.lowest[0]:.3f}, log loss {np.mean(self.log_losses):.3f}, "
            f"ECE {pooled_ece(self.tested, scaled=False):.3f} before and {pooled_ece(self.tested):.3f} "
            "after temperature scaling"
        )


def cross_validate(
    data: Dataset,
    groups: Sequence[str],
    folds: int,
    train: Callable[[Split, int], Run],
    *,
    seed: int = 0,
    val: float = 0.2,
    on_fold: Callable[[int, Run], None] = lambda number, run: None,
) -> CrossValidation:
    """Train on all folds but one, and test on that, for each of them.

    Args:
        data: the videos.
        groups: a group for each of them.
        folds: how many.
        train: trains on a split; it gets the number of the fold, from 1.
        seed: of the drawing.
        val: share of each fold's training videos for validation.
        on_fold: called with the number of each fold and its run.

    Raises:
        UserError: fewer groups than folds.
        KeyboardInterrupt: also where a training was interrupted that kept its best epoch.
    """
    tested, accuracies, losses = [], [], []
    for number, split in enumerate(make_folds(data, groups, folds, seed=seed, val=val), 1):
        run = train(split, number)
        if run.results["interrupted"]:
            raise KeyboardInterrupt
        tested.append(run.predictions["test"])
        accuracies.append(run.results["accuracy"]["test"])
        losses.append(run.results["log_loss"]["test"])
        on_fold(number, run)
    return CrossValidation(tuple(tested), tuple(accuracies), tuple(losses))
