"""What a head must be better than: logistic regression on the mean features, and the most frequent class."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.training.evaluation.predictions import Predictions

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

_WORK = 3e8  # videos x features x classes that are fitted in a second or two
_ROUNDS = 100
_FOLDS = 5


@dataclass(frozen=True)
class Baseline:
    """How right simple rules are that learn from the same videos as a head."""

    linear: dict[str, float]
    """Accuracy of logistic regression by split."""
    majority: dict[str, float]
    """Accuracy by split of always saying the class that is the most frequent in training."""
    fitted: int
    """Videos that logistic regression was fitted on."""
    seconds: float


def baseline(predictions: Mapping[str, Predictions], groups: Sequence[str], *, seed: int = 0) -> Baseline:
    """Fit the simple rules on the training videos, and measure them on the others.

    Features are brought to mean 0 and variance 1. Of very many videos a sample is fitted, so that it takes seconds.
    Where the training videos validate in turn, as those of several members do, so they do here, in folds by group.

    Args:
        predictions: of a head by split: they know the videos, or the windows where single frames are labelled.
        groups: a group for each video of the data set.
        seed: of the sample.
    """
    from sklearn.preprocessing import StandardScaler

    since = time.perf_counter()
    train = predictions["train"]
    features, labels = _means_of(train), train.labels
    most = int(_WORK / features.shape[1] / len(train.classes))
    drawn = np.random.default_rng(seed).permutation(len(labels))[:most]
    kept = np.union1d(drawn, np.unique(labels, return_index=True)[1])  # each class has a video
    scaler = StandardScaler().fit(features[kept])
    scaled = scaler.transform(features[kept])
    # The penalty is the same in every rotation: the rows' own directions lose nothing, and may be fewer.
    turn = np.linalg.svd(scaled, full_matrices=False)[2].T if len(scaled) < scaled.shape[1] else None
    seen = scaled if turn is None else scaled @ turn
    rule = _fitted(seen, labels[kept])
    right = {}
    for name, part in predictions.items():
        if name == "val" and np.isin(part.videos, train.videos).any():
            right[name] = _right_in_turn(seen, labels[kept], [groups[row] for row in train.videos[kept]])
        elif name != "train":
            means = scaler.transform(_means_of(part))
            right[name] = rule.predict(means if turn is None else means @ turn) == part.labels
    common = np.bincount(labels).argmax()
    return Baseline(
        {name: float(np.mean(of_part)) for name, of_part in right.items()},
        {name: float((predictions[name].labels == common).mean()) for name in right},
        len(kept),
        time.perf_counter() - since,
    )


def _fitted(features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after so many rounds it is as right as it gets
        return LogisticRegression(max_iter=_ROUNDS).fit(features, labels)


def _right_in_turn(features: np.ndarray, labels: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """``(n,)`` bool, whether each video is told rightly by a rule that has not seen its group."""
    from sklearn.model_selection import GroupKFold

    right = np.zeros(len(labels), bool)
    folds = min(_FOLDS, len(set(groups)))
    if folds < 2:
        return right
    for train, held in GroupKFold(folds).split(features, groups=groups):
        if len(set(labels[train])) > 1:
            right[held] = _fitted(features[train], labels[train]).predict(features[held]) == labels[held]
    return right


def _means_of(part: Predictions) -> np.ndarray:
    """``(n, D)`` float32, the mean of the steps of each video, or of each window where single frames are labelled."""
    windows = part.windows
    if windows.data.step_labels is None:
        return windows.data.means[part.videos].astype(np.float32)
    counts = np.minimum(windows.length, windows.data.steps[windows.video] - windows.start)
    blocks = list(windows.sums())
    sums = np.concatenate([sums for _, sums in blocks])
    order = np.argsort(np.concatenate([rows for rows, _ in blocks]))
    return sums[order] / counts[:, None]
