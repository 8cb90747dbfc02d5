"""Cross-validation by groups: each video is tested once for each seed, by heads that never saw its group."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.replacing import refuse_used_folder
from pipeline.files.tables import keeps_any_text, write_frame
from pipeline.training.checkpoint import RESULTS_FILE
from pipeline.training.data.dataset import Dataset
from pipeline.training.data.splits import Split, make_folds
from pipeline.training.evaluation.calibration import accuracy_interval
from pipeline.training.evaluation.metrics import confusion, pooled_ece
from pipeline.training.evaluation.predictions import Predictions
from pipeline.training.experiments.experiment import Run
from pipeline.training.experiments.save import CONFUSION_FILE, PREDICTIONS_FILE, REPORT_FILE
from pipeline.training.reports import plots
from pipeline.training.reports.fold_report import render_fold_report

if TYPE_CHECKING:
    import pandas as pd

FOLDS_FILE = "folds.csv"


@dataclass(frozen=True)
class Fold:
    """What came of one fold."""

    seed: int
    number: int
    """From 1."""
    tested: Predictions
    plain: Predictions
    """The same before temperature scaling."""
    results: dict[str, Any]
    """Of the training, as in its ``results.json``."""

    @property
    def accuracy(self) -> float:
        """Of the test videos."""
        return float(self.results["accuracy"]["test"])


@dataclass(frozen=True)
class CrossValidation:
    """What came of all folds of all seeds."""

    data: Dataset
    groups: tuple[str, ...]
    """Of each video."""
    folds: tuple[Fold, ...]

    @property
    def seeds(self) -> list[int]:
        """In the order in which they were done."""
        return list(dict.fromkeys(fold.seed for fold in self.folds))

    @property
    def means(self) -> list[float]:
        """The mean accuracy over the folds of each seed."""
        return [float(np.mean([fold.accuracy for fold in self.folds if fold.seed == seed])) for seed in self.seeds]

    @property
    def mean(self) -> float:
        """Of the accuracies of all folds."""
        return float(np.mean([fold.accuracy for fold in self.folds]))

    def baseline(self, rule: str) -> float:
        """The mean test accuracy of a simple rule on the same folds: ``linear`` or ``majority``."""
        return float(np.mean([fold.results["baseline"][rule]["test"] for fold in self.folds]))

    @property
    def lowest(self) -> tuple[float, int]:
        """The lowest accuracy of a fold, and how many videos that fold tested."""
        return min((fold.accuracy, len(fold.tested.videos)) for fold in self.folds)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy if groups were drawn anew; a video counts by its share over the seeds."""
        right, count = np.zeros(len(self.data)), np.zeros(len(self.data))
        for fold in self.folds:
            np.add.at(right, fold.tested.videos, fold.tested.predicted == fold.tested.labels)
            np.add.at(count, fold.tested.videos, 1)
        tested = np.flatnonzero(count)
        return accuracy_interval(right[tested] / count[tested], [self.groups[row] for row in tested])

    @property
    def confusion(self) -> np.ndarray:
        """``(C, C)`` int64, over all folds and seeds."""
        return np.sum([confusion(fold.tested) for fold in self.folds], axis=0)

    def ece(self, *, scaled: bool = True) -> float:
        """The calibration error of the videos of all folds together, as the mean over the seeds."""
        return float(
            np.mean(
                [
                    pooled_ece([fold.tested if scaled else fold.plain for fold in self.folds if fold.seed == seed])
                    for seed in self.seeds
                ]
            )
        )

    def __str__(self) -> str:
        seeds = f" of {len(self.seeds)} seeds" if len(self.seeds) > 1 else ""
        low, high = self.interval
        spread = f", ± {np.std(self.means):.3f} over seeds" if len(self.seeds) > 1 else ""
        losses = [fold.results["log_loss"]["test"] for fold in self.folds]
        return (
            f"{len(self.folds)} folds{seeds}: test accuracy {self.mean:.3f} (95 % {low:.3f} to {high:.3f}{spread}), "
            f"± {np.std([fold.accuracy for fold in self.folds]):.3f} over folds, lowest {self.lowest[0]:.3f}; "
            f"logistic regression on the mean features {self.baseline('linear'):.3f}, always the most frequent class "
            f"{self.baseline('majority'):.3f}; log loss {np.mean(losses):.3f}, ECE {self.ece(scaled=False):.3f} before "
            f"and {self.ece():.3f} after temperature scaling"
        )

    def to_json(self) -> dict[str, Any]:
        """The figures, as ``results.json`` has them."""
        return {
            "accuracy": self.mean,
            "interval": list(self.interval),
            "seeds": self.seeds,
            "accuracy_of_seeds": self.means,
            "linear_accuracy": self.baseline("linear"),
            "majority_accuracy": self.baseline("majority"),
            "spread_over_seeds": float(np.std(self.means)),
            "spread_over_folds": float(np.std([fold.accuracy for fold in self.folds])),
            "lowest_fold": dict(zip(("accuracy", "videos"), self.lowest, strict=True)),
            "log_loss": float(np.mean([fold.results["log_loss"]["test"] for fold in self.folds])),
            "ece": self.ece(),
            "ece_uncalibrated": self.ece(scaled=False),
            "confusion": self.confusion.tolist(),
            "classes": list(self.data.classes),
            "head": self.folds[0].results["head"],
            "training": self.folds[0].results["training"],
            "window": self.folds[0].results["window"],
            "store": str(self.data.folder),
            "command": self.folds[0].results["command"],
        }

    @keeps_any_text
    def to_frame(self) -> pd.DataFrame:
        """A row per fold: what it tested, how right it was and how the training went."""
        import pandas as pd

        return pd.DataFrame([self._row(fold) for fold in self.folds])

    def _row(self, fold: Fold) -> dict[str, Any]:
        figures = fold.results["measured"]["test"]
        members = fold.results["members"]["each"]
        return {
            "seed": fold.seed,
            "fold": fold.number,
            "videos": len(fold.tested.videos),
            "groups": len({self.groups[row] for row in fold.tested.videos}),
            "accuracy": fold.accuracy,
            "linear_accuracy": fold.results["baseline"]["linear"]["test"],
            "majority_accuracy": fold.results["baseline"]["majority"]["test"],
            "balanced_accuracy": figures["balanced_accuracy"],
            "log_loss": figures["log_loss"],
            "ece": figures["ece"],
            "val_accuracy": fold.results["accuracy"]["val"],
            "temperature": fold.results["temperature"],
            "members": len(members),
            "epochs": sum(member["epochs"] for member in members),
            "seconds": fold.results["seconds"],
        }

    @keeps_any_text
    def predictions(self) -> pd.DataFrame:
        """What heads that never saw its group say of each video, once for each seed; see `Predictions.to_frame`."""
        import pandas as pd

        frames = []
        for fold in self.folds:
            frame = fold.tested.to_frame()
            frame.insert(0, "fold", fold.number)
            frame.insert(0, "seed", fold.seed)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)


def cross_validate(
    data: Dataset,
    groups: Sequence[str],
    folds: int,
    train: Callable[[Split, int, int], Run],
    *,
    seeds: Sequence[int] = (0,),
    val: float = 0.2,
    on_fold: Callable[[int, int, Run], None] = lambda seed, number, run: None,
) -> CrossValidation:
    """Train on all folds but one, and test on that, for each of them and each seed.

    Args:
        data: the videos.
        groups: a group for each of them.
        folds: how many.
        train: trains on a split; it gets the seed and the number of the fold, from 1.
        seeds: of the drawing of folds and of the trainings.
        val: share of each fold's training videos for the validation of a single head.
        on_fold: called with the seed, the number of each fold and its run.

    Raises:
        UserError: fewer groups than folds.
        KeyboardInterrupt: also where a training was interrupted that kept its best epoch.
    """
    found = []
    for seed in seeds:
        for number, split in enumerate(make_folds(data, groups, folds, seed=seed, val=val), 1):
            run = train(split, seed, number)
            if run.results["interrupted"]:
                raise KeyboardInterrupt
            found.append(Fold(seed, number, run.predictions["test"], run.plain["test"], run.results))
            on_fold(seed, number, run)
    return CrossValidation(data, tuple(groups), tuple(found))


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is in use, before anything is computed.

    Raises:
        UserError: it exists and ``overwrite`` is False, or it holds something other than a cross-validation.
    """
    refuse_used_folder(folder, overwrite=overwrite)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if names and FOLDS_FILE not in names and not all(name.startswith(("fold", "seed", ".")) for name in names):
        raise UserError(f"{folder} exists and is not a cross-validation; it is not replaced, choose another `out`")


def write_folds(found: CrossValidation, folder: Path) -> None:
    """Write the tables, the confusion matrix over all folds and the report into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = found.to_frame()
    write_frame(frame, folder / FOLDS_FILE)
    write_frame(found.predictions(), folder / PREDICTIONS_FILE)
    results = found.to_json()
    text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_write(folder / RESULTS_FILE) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
    title = f"{len(found.folds)} folds: accuracy {found.mean:.3f}"
    figure = plots.confusion_matrix(found.confusion, found.data.classes, title)
    plots.save_figure(figure, folder / CONFUSION_FILE)
    page = render_fold_report(results, frame.to_dict("records"), title=folder.name)
    with atomic_write(folder / REPORT_FILE) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
