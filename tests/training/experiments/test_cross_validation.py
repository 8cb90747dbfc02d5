"""Every video is tested once, figures are those of the folds, and a stopped fold stops all of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.training.data.dataset import windows_of
from pipeline.training.data.windows import WindowSpec
from pipeline.training.evaluation.predictions import predictions_of
from pipeline.training.experiments.cross_validation import cross_validate
from pipeline.videos.catalog.splits import groups_of


def trainer(data, *, interrupted_in: int = 0):
    """A training that says of each video that it is of the first class."""

    def train(split, number):
        windows = windows_of(data, split.test, WindowSpec(2))
        logits = np.tile(np.array([[1, 0, 0]], np.float32), (len(windows), 1))
        tested = predictions_of("test", data, windows, logits)
        accuracy = float((tested.predicted == tested.labels).mean())
        results = {"accuracy": {"test": accuracy}, "log_loss": {"test": 1.0}, "interrupted": number == interrupted_in}
        return SimpleNamespace(split=split, results=results, predictions={"test": tested})

    return train


def test_each_video_is_tested_once(data):
    groups, _ = groups_of(data.videos, r"g\d")
    numbers = []
    found = cross_validate(data, groups, 3, trainer(data), on_fold=lambda number, run: numbers.append(number))
    assert numbers == [1, 2, 3]
    assert sorted(np.concatenate([part.videos for part in found.tested])) == list(range(len(data)))
    assert found.mean == pytest.approx(1 / 3)
    assert found.lowest == (min(found.accuracies), 12)
    assert str(found).startswith("3 folds: test accuracy 0.333 ± 0.000, lowest 0.333, log loss 1.000, ECE ")


def test_an_interrupted_fold_ends_it(data):
    told = []
    with pytest.raises(KeyboardInterrupt):
        cross_validate(data, data.names, 3, trainer(data, interrupted_in=2), on_fold=lambda *fold: told.append(fold))
    assert len(told) == 1
