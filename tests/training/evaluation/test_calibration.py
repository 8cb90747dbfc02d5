"""Calibration: known predicted on made-up predictions."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.compute.apply_head import probabilities_of
from pipeline.training.evaluation.calibration import (
    accuracy_interval,
    coverage_curve,
    expected_calibration_error,
    find_temperature,
    mean_by_video,
    most_confident,
    threshold_for_accuracy,
)


def drawn(temperature: float, count: int = 4000):
    """Logits that are too large by a known factor, and labels drawn from the true probabilities."""
    random = np.random.default_rng(0)
    true = random.normal(size=(count, 3)) * 1.5
    labels = np.array([random.choice(3, p=p / p.sum()) for p in probabilities_of(true).astype(np.float64)])
    return (true * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_and_lowers_the_error(temperature):
    logits, labels = drawn(temperature)
    found = find_temperature(logits, np.arange(len(labels)), labels)
    assert found == pytest.approx(temperature, rel=0.1)
    before, after = (expected_calibration_error(probabilities_of(logits, t), labels) for t in (1.0, found))
    assert after < 0.02
    if temperature != 1.0:
        assert after < before / 3


def test_a_few_videos_that_are_all_right_do_not_ask_for_endless_confidence():
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]] * 5
    assert find_temperature(logits, np.arange(4), np.array([0, 1, 2, 0])) > 0.3


def test_calibration_error_of_known_cases():
    sure = np.array([[1.0, 0.0]] * 4, np.float32)
    assert expected_calibration_error(sure, np.array([0, 0, 0, 0])) == 0
    assert expected_calibration_error(sure, np.array([0, 0, 1, 1])) == pytest.approx(0.5)


def test_videos_are_the_mean_of_their_windows():
    logits = np.array([[0, 2], [0, -2], [1, 1]], np.float32)
    means = mean_by_video(logits, np.array([0, 0, 1]), 2, 1.0)
    np.testing.assert_allclose(means, 0.5, atol=1e-6)


def test_coverage_falls_with_the_threshold_and_begins_with_all():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]], np.float32)
    curve = coverage_curve(probabilities, np.array([1, 0, 1]))
    assert curve[0] == {"threshold": 0.0, "coverage": 1.0, "accuracy": pytest.approx(2 / 3)}
    coverages = [row["coverage"] for row in curve]
    assert coverages == sorted(coverages, reverse=True)
    assert curve[-1]["accuracy"] == 1.0


def test_the_interval_is_wider_where_whole_groups_are_right_or_wrong():
    right = np.repeat([True, True, True, False], 25)
    alone = accuracy_interval(right, [str(i) for i in range(100)])
    together = accuracy_interval(right, [str(i // 25) for i in range(100)])
    for low, high in (alone, together):
        assert low <= 0.75 <= high
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_the_interval_of_all_or_none_is_not_a_point():
    names = [str(number) for number in range(21)]
    assert accuracy_interval(np.ones(21, bool), names) == (pytest.approx(0.845, abs=1e-3), 1.0)
    assert accuracy_interval(np.zeros(6, bool), names[:6]) == (0.0, pytest.approx(0.390, abs=1e-3))
    low, high = accuracy_interval(np.array([True, False]), ["one", "one"])  # a single group says little
    assert (low, high) == (pytest.approx(0.054, abs=1e-3), pytest.approx(0.946, abs=1e-3))


def test_the_most_confident_mistake_comes_first():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)
    wrong = most_confident(probabilities, np.array([1, 1, 1, 0]), right=False, count=5)
    assert [row["row"] for row in wrong] == [1, 0]


def test_the_threshold_leaves_predictions_that_are_right_often_enough():
    confidence = np.array([0.95, 0.9, 0.8, 0.8, 0.7, 0.6])
    right = np.array([1, 1, 1, 0, 0, 1], bool)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.where(right, 0, 1)
    assert threshold_for_accuracy(probabilities, labels, 1.0) == 0.9, "of two equally sure ones one is wrong"
    assert threshold_for_accuracy(probabilities, labels, 0.75) == 0.8
    assert threshold_for_accuracy(probabilities, labels, 0.6) == 0.6
    assert threshold_for_accuracy(probabilities, 1 - labels, 0.9) == 0.95, "not even the surest is right"
