"""Predictions as a table: a row for each video, for its windows where it has several, and for each labelled frame."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from pipeline.training.data.dataset import windows_of
from pipeline.training.data.windows import WindowSpec
from pipeline.training.evaluation.predictions import predictions_of, write_predictions


@pytest.fixture
def predicted(data):
    windows = windows_of(data, np.arange(6), WindowSpec(2, 1))
    logits = np.random.default_rng(0).normal(size=(len(windows), len(data.classes))).astype(np.float32)
    return predictions_of("test", data, windows, logits)


def test_a_row_for_each_video_and_each_window(predicted, data):
    frame = predicted.to_frame()
    names = [f"p({name})" for name in data.classes]
    assert list(frame)[8:] == names
    videos = frame[frame["level"] == "video"]
    assert videos["video"].tolist() == data.names[:6]
    assert videos["start"].isna().all()
    np.testing.assert_array_equal(videos[names], predicted.probabilities)
    windows = frame[frame["level"] == "window"]
    assert windows["start"].tolist() == predicted.windows.start.tolist()
    right = [data.classes[label] for label in predicted.windows.labels] == windows["prediction"]
    assert windows["right"].tolist() == right.astype(int).tolist()


def test_the_table_has_six_decimals_and_whole_numbers(predicted, tmp_path):
    write_predictions([predicted, replace(predicted, split="val")], tmp_path / "predictions.csv")
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(predicted.to_frame())
    assert {row["split"] for row in rows} == {"test", "val"}
    first, window = rows[0], next(row for row in rows if row["level"] == "window")
    assert (first["start"], window["start"]) == ("", "0")
    assert first["probability"] == f"{predicted.confidences[0]:.6f}"
