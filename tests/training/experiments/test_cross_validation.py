"""Every video is tested once for each seed, figures are those of the folds, and a stopped fold stops all of them."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.data.dataset import windows_of
from pipeline.training.data.windows import WindowSpec
from pipeline.training.evaluation.metrics import measure
from pipeline.training.evaluation.predictions import predictions_of
from pipeline.training.experiments.cross_validation import check_folder, cross_validate, write_folds
from pipeline.videos.catalog.splits import groups_of


def trainer(data, *, interrupted_in: int = 0):
    """A training that says of each video that it is of the first class; with seed 1 it is always right."""

    def train(split, seed, number):
        windows = windows_of(data, split.test, WindowSpec(2))
        said = np.eye(3, dtype=np.float32)[windows.labels if seed == 1 else np.zeros(len(windows), int)]
        tested = predictions_of("test", data, windows, said)
        figures = measure(tested, data.names)
        results = {
            "accuracy": {"test": figures["accuracy"], "val": 0.5},
            "log_loss": {"test": figures["log_loss"]},
            "measured": {"test": figures},
            "interrupted": number == interrupted_in,
            "baseline": {"linear": {"test": 0.25 * number}, "majority": {"test": 0.2}},
            "members": {"each": [{"epochs": 3}, {"epochs": 4}]},
            "temperature": 1.0,
            "seconds": 1.0,
            "head": {"name": "drawn"},
            "training": {"members": 2},
            "window": {"length": 2, "stride": 2},
            "command": "video-pipeline train",
        }
        return SimpleNamespace(split=split, results=results, predictions={"test": tested}, plain={"test": tested})

    return train


def test_each_video_is_tested_once(data):
    groups, _ = groups_of(data.videos, r"g\d")
    numbers = []
    found = cross_validate(data, groups, 3, trainer(data), on_fold=lambda seed, number, run: numbers.append(number))
    assert numbers == [1, 2, 3]
    assert sorted(np.concatenate([fold.tested.videos for fold in found.folds])) == list(range(len(data)))
    assert found.mean == pytest.approx(1 / 3)
    assert found.lowest == (min(fold.accuracy for fold in found.folds), 12)
    assert str(found).startswith("3 folds: test accuracy 0.333 (95 % ")
    assert "; logistic regression on the mean features 0.500, always the most frequent class 0.200; " in str(found)


def test_seeds_draw_folds_anew_and_the_interval_is_over_groups(data):
    groups, _ = groups_of(data.videos, r"g\d")
    found = cross_validate(data, groups, 3, trainer(data), seeds=[0, 1])
    assert found.seeds == [0, 1]
    assert found.means == [pytest.approx(1 / 3), 1.0]
    assert found.mean == pytest.approx(2 / 3)
    assert (found.confusion.sum(axis=1) == 2 * np.bincount(data.labels)).all()
    assert found.confusion[0, 0] == 24, "of the first class all are right, twice"
    low, high = found.interval
    assert low <= found.mean <= high
    folds = [[set(fold.tested.videos) for fold in found.folds if fold.seed == seed] for seed in (0, 1)]
    assert folds[0] != folds[1]


def test_the_folder_has_tables_figures_and_a_page(data, tmp_path):
    found = cross_validate(data, data.names, 3, trainer(data), seeds=[0, 1])
    write_folds(found, tmp_path / "cv")
    with open(tmp_path / "cv" / "folds.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["fold"]) for row in rows] == [(str(s), str(f)) for s in (0, 1) for f in (1, 2, 3)]
    assert np.mean([float(row["accuracy"]) for row in rows]) == pytest.approx(found.mean)
    with open(tmp_path / "cv" / "predictions.csv", newline="") as file:
        videos = [(row["seed"], row["video"]) for row in csv.DictReader(file) if row["level"] == "video"]
    assert sorted(videos) == sorted((seed, name) for seed in "01" for name in data.names)
    results = json.loads((tmp_path / "cv" / "results.json").read_text())
    assert results["accuracy"] == found.mean
    assert [float(row["linear_accuracy"]) for row in rows] == [0.25, 0.5, 0.75] * 2
    assert (results["linear_accuracy"], results["majority_accuracy"]) == (pytest.approx(0.5), pytest.approx(0.2))
    assert np.sum(results["confusion"]) == 2 * len(data)
    page = (tmp_path / "cv" / "report.html").read_text()
    assert f"{found.mean:.3f}" in page
    assert "lowest fold" in page
    assert (tmp_path / "cv" / "confusion_matrix.png").stat().st_size > 1000


def test_a_folder_of_something_else_is_not_replaced(data, tmp_path):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError, match="overwrite"):
        check_folder(tmp_path, overwrite=False)
    with pytest.raises(UserError, match="is not a cross-validation"):
        check_folder(tmp_path, overwrite=True)
    (tmp_path / "folds.csv").write_text("")
    check_folder(tmp_path, overwrite=True)


def test_an_interrupted_fold_ends_it(data):
    told = []
    with pytest.raises(KeyboardInterrupt):
        cross_validate(data, data.names, 3, trainer(data, interrupted_in=2), on_fold=lambda *fold: told.append(fold))
    assert len(told) == 1
