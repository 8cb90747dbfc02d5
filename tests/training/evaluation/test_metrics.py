"""Figures of each class, against scikit-learn's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.evaluation.metrics import confusion, measure, per_class, report_text


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("known", [5, 3])  # the classes of which there are videos
def test_figures_and_table_are_those_of_scikit_learn(seed, known):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(0, known, 60), rng.integers(1, 5, 60)
    classes = ("a", "Commercials and all that", "Ünï", "d", "e")
    said = SimpleNamespace(labels=labels, predicted=predicted, classes=classes)
    numbers = list(range(5))
    np.testing.assert_array_equal(confusion(said), metrics.confusion_matrix(labels, predicted, labels=numbers))
    expected = metrics.precision_recall_fscore_support(labels, predicted, labels=numbers, zero_division=0.0)
    found = [(row["precision"], row["recall"], row["f1"], row["videos"]) for row in per_class(said)]
    np.testing.assert_allclose(np.array(found).T, np.array(expected))
    table = metrics.classification_report(
        labels, predicted, labels=numbers, target_names=classes, zero_division=0.0, digits=3
    )
    assert report_text(said).split() == table.split()
    assert [len(line) for line in report_text(said).splitlines()] == [len(line) for line in table.rstrip().splitlines()]


SHARES = np.array(
    [[0.70, 0.20, 0.06, 0.04], [0.30, 0.45, 0.15, 0.10], [0.05, 0.90, 0.03, 0.02], [0.10, 0.20, 0.60, 0.10]]
    + [[0.40, 0.30, 0.20, 0.10]]
)
LABELS = np.array([0, 0, 1, 2, 2])


def said_of(shares: np.ndarray, labels: np.ndarray) -> SimpleNamespace:
    names = tuple(f"video{number}" for number in range(10))

    class Windows:
        data = SimpleNamespace(names=names)

        def __len__(self) -> int:
            return 7

    return SimpleNamespace(
        split="test",
        classes=("a", "b", "c", "d"),
        windows=Windows(),
        labels=labels,
        probabilities=shares,
        predicted=shares.argmax(axis=1),
        videos=np.arange(len(labels)) + 3,
    )


def test_figures_by_value():
    figures = measure(said_of(SHARES, LABELS), list("aabbccddee"))
    assert (figures["videos"], figures["windows"]) == (5, 7)
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3), "of the classes that occur"
    assert figures["log_loss"] == pytest.approx(-np.log([0.7, 0.3, 0.9, 0.6, 0.2]).mean(), rel=1e-5)
    # The class of the second video is its second, that of the last one its third.
    assert figures["top_k"] == pytest.approx({"1": 3 / 5, "2": 4 / 5, "3": 1.0})
    low, high = figures["interval"]
    assert 0 <= low < 3 / 5 < high <= 1
    assert [round(row["threshold"], 2) for row in figures["coverage"]] == [round(0.05 * step, 2) for step in range(19)]
    coverage = {round(row["threshold"], 2): (row["coverage"], row["accuracy"]) for row in figures["coverage"]}
    assert coverage[0.0] == pytest.approx((1, 3 / 5))
    assert coverage[0.4] == pytest.approx((1, 3 / 5))
    assert coverage[0.45] == pytest.approx((4 / 5, 3 / 4)), "as sure as the threshold is sure enough"
    assert coverage[0.5] == pytest.approx((3 / 5, 1))
    assert coverage[0.9] == pytest.approx((1 / 5, 1))


def test_the_most_confident_mistakes_and_a_success_of_each_class_are_named():
    figures = measure(said_of(SHARES, LABELS), list("abcdefghij"))
    wrong = [(row["video"], row["label"], row["prediction"], row["probability"]) for row in figures["mistakes"]]
    assert wrong == [("video4", "a", "b", pytest.approx(0.45)), ("video7", "c", "a", pytest.approx(0.4))]
    right = [(row["video"], row["label"], row["prediction"]) for row in figures["successes"]]
    assert right == [("video5", "b", "b"), ("video3", "a", "a"), ("video6", "c", "c")]
    # Of 20 of one class there are 12 mistakes, or the surest success alone.
    shares = np.full((20, 4), 0.1, np.float32)
    shares[:, 1] = np.linspace(0.5, 0.7, 20)
    for label, mistakes, successes in ((0, 12, 0), (1, 0, 1)):
        many = said_of(shares, np.full(20, label))
        many.windows.data.names = [f"v{number}" for number in range(23)]
        figures = measure(many, ["g"] * 23)
        assert (len(figures["mistakes"]), len(figures["successes"])) == (mistakes, successes)
        assert (figures["mistakes"] or figures["successes"])[0]["video"] == "v22"


def test_a_split_without_videos_is_refused():
    with pytest.raises(UserError, match="there are no test videos to evaluate"):
        measure(said_of(SHARES[:0], LABELS[:0]), [])
