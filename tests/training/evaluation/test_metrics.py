"""Figures of each class, against scikit-learn's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.training.evaluation.metrics import confusion, per_class, report_text


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
