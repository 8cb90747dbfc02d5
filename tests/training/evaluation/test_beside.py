"""What stands beside the figures of a head: simple rules, clips that are changed in time, and remarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.extraction.store.timesteps import LoadedSteps
from pipeline.training.data.dataset import windows_of
from pipeline.training.data.splits import make_split
from pipeline.training.data.windows import WindowSpec
from pipeline.training.evaluation import baseline as module
from pipeline.training.evaluation.baseline import Baseline, baseline
from pipeline.training.evaluation.order_test import OrderTest, order_test
from pipeline.training.evaluation.predictions import predictions_of
from pipeline.training.evaluation.remarks import remarks
from pipeline.videos.catalog.splits import groups_of
from tests.training.stores import DIMENSIONS, STEPS


def said_of(data, rows, part="test", steps=STEPS, logits=None):
    """Predictions of a head that says the same of everything, or what ``logits`` says."""
    windows = windows_of(data, rows, WindowSpec(steps))
    every = np.zeros((len(windows), len(data.classes)), np.float32) if logits is None else logits(windows)
    return predictions_of(part, data, windows, every)


@pytest.fixture(scope="module")
def split(data):
    return make_split(data, groups_of(data.videos, r"g\d")[0])


@pytest.fixture(scope="module")
def predictions(data, split):
    return {name: said_of(data, rows, name) for name, rows in split.parts().items()}


@pytest.mark.parametrize("repeats", [1, 40])  # fewer features than videos, and more
def test_logistic_regression_is_that_of_scikit_learn(data, split, predictions, repeats):
    random = np.random.default_rng(0)
    turn = random.normal(size=(DIMENSIONS, DIMENSIONS * repeats)).astype(np.float32)
    wide = replace(data, features=LoadedSteps(data.features.array @ turn))
    found = baseline({name: said_of(wide, rows, name) for name, rows in split.parts().items()}, data.names)
    rule = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    rule.fit(wide.means[split.train].astype(np.float64), data.labels[split.train])
    for name in ("val", "test"):
        rows = getattr(split, name)
        assert found.linear[name] == pytest.approx(rule.score(wide.means[rows], data.labels[rows]), abs=1e-9)
        assert found.majority[name] == pytest.approx(1 / 3)
    assert found.fitted == len(split.train)


def test_training_videos_that_validate_in_turn_do_so_here(data, split, predictions):
    both = {"train": predictions["train"], "val": replace(predictions["train"], split="val")}
    shuffled = replace(data, labels=np.random.default_rng(1).permutation(data.labels))
    blind = {name: said_of(shuffled, split.train, name) for name in both}
    assert baseline(both, data.names).linear["val"] > 0.65
    assert baseline(blind, data.names).linear["val"] < 0.6, "what was fitted on was asked"
    # Copies that are in one group do not help each other.
    twice = replace(shuffled, offsets=np.repeat(data.offsets[::2], 2), steps=np.repeat(data.steps[::2], 2))
    twice = replace(twice, labels=np.repeat(shuffled.labels[::2], 2))
    copies = {name: said_of(twice, np.arange(len(data)), name) for name in both}
    pairs = [f"pair {row // 2}" for row in range(len(data))]
    assert baseline(copies, data.names).linear["val"] > baseline(copies, pairs).linear["val"] + 0.1


def test_of_very_many_videos_a_sample_with_every_class_is_fitted(predictions, data, monkeypatch):
    monkeypatch.setattr(module, "_WORK", 10 * DIMENSIONS * 3)
    assert 10 <= baseline(predictions, data.names).fitted <= 13
    monkeypatch.setattr(module, "_WORK", 0)
    assert baseline(predictions, data.names).fitted == 3


def test_windows_take_the_place_of_videos_where_frames_are_labelled(data, split):
    labelled = replace(data, step_labels=np.repeat(data.labels, data.steps))
    found = baseline({name: said_of(labelled, rows, name, 2) for name, rows in split.parts().items()}, data.names)
    assert found.fitted == sum(-(-int(steps) // 2) for steps in data.steps[split.train])
    assert found.linear["test"] > 0.6


# -- the order test --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rising(data):
    """Videos of one scene, whose classes differ in how the steps follow each other, and those of four steps or more."""
    features = np.zeros_like(data.features.array)
    for row, label in enumerate(data.labels):
        features[data.places_of(row), 0] = (label - 1) * np.arange(data.steps[row])
    return replace(data, features=LoadedSteps(features)), np.flatnonzero(data.steps >= 4)


def by_rise(windows):
    """A head that looks at how the first number changes from step to step, on average."""
    features, mask = windows.gather(np.arange(len(windows)))
    change = np.where(mask[:, 1:], np.diff(features[..., 0], axis=1), 0)
    rise = np.array([changes[here].mean() for changes, here in zip(change, mask[:, 1:], strict=True)])
    return -np.abs(rise[:, None] - np.array([-1, 0, 1])).astype(np.float32)


def test_a_head_that_uses_order_loses_without_it(rising):
    data, rows = rising
    found = order_test(said_of(data, rows, logits=by_rise), by_rise)
    assert found.accuracy == 1
    assert found.shuffled < 0.8
    assert found.first == pytest.approx((data.labels[rows] == 1).mean())


def test_a_head_that_averages_loses_nothing_by_shuffling(data):
    def by_mean(windows):
        features, mask = windows.gather(np.arange(len(windows)))
        means = features.sum(axis=1) / mask.sum(axis=1, keepdims=True)
        centres = np.stack([data.means[data.labels == label].mean(axis=0) for label in range(3)])
        return -((means[:, None] - centres) ** 2).sum(axis=2).astype(np.float32)

    rows = np.arange(len(data))
    found = order_test(said_of(data, rows, logits=by_mean), by_mean)
    assert found.shuffled == found.accuracy > 0.9
    assert order_test(said_of(data, rows, steps=1), by_mean) is None


def test_the_order_does_not_depend_on_the_blocks(data):
    asked = []

    def logits(windows):
        rows = np.arange(len(windows))
        whole, mask = windows.gather(rows)
        parts = [windows.gather(rows[start : start + 5]) for start in range(0, len(rows), 5)]
        np.testing.assert_array_equal(whole, np.concatenate([features for features, _ in parts]))
        plain, same = windows_of(data, np.arange(len(data)), WindowSpec(STEPS)).gather(rows)
        np.testing.assert_array_equal(mask, same)
        assert not whole[~mask].any()
        asked.append((whole, plain, mask))
        return np.zeros((len(windows), 3), np.float32)

    order_test(said_of(data, np.arange(len(data))), logits)
    (shuffled, plain, mask), (first, *_) = asked
    np.testing.assert_allclose(np.sort(shuffled, axis=1), np.sort(plain, axis=1))
    assert (shuffled != plain).any()
    np.testing.assert_array_equal(first[mask], np.repeat(plain[:, :1], STEPS, axis=1)[mask])


# -- remarks ---------------------------------------------------------------------------------------


def figures(accuracy=0.9, *, videos=100, low=0.8, ece=0.05, before=0.06):
    return {
        "accuracy": accuracy,
        "videos": videos,
        "interval": (low, 0.99),
        "ece": ece,
        "uncalibrated": {"ece": before},
    }


def remarked(test=None, val=None, linear=0.8, majority=0.3, order=None):
    measured = {"val": val or figures(), "test": test or figures()}
    simple = Baseline({"test": linear}, {"test": majority}, 80, 0.1)
    return remarks(measured, 1.5, simple, order)


def test_figures_that_need_no_word_get_none():
    assert remarked() == ()
    assert remarked(order=OrderTest(0.9, 0.8, 0.5)) == ()


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"linear": 0.9}, "logistic regression on the mean features is as good as the head (test: 0.900)"),
        ({"linear": 0.95}, "logistic regression on the mean features is better than the head (test: 0.950, 0.900)"),
        ({"majority": 0.95}, "not better than always saying the most frequent class (test: 0.900, 0.950)"),
        ({"order": OrderTest(0.9, 0.9, 0.895)}, "time is not used: the first step alone gives an accuracy of 0.895"),
        ({"order": OrderTest(0.9, 0.9, 0.5)}, "the order of the steps is not used: shuffled they give 0.900"),
        (
            {"test": figures(0.7), "linear": 0.5},
            "test accuracy 0.700 lies below the interval of validation's (0.800 to 0.990)",
        ),
        ({"test": figures(ece=0.09)}, "temperature 1.50, which suits validation, makes the confidence less true"),
    ],
)
def test_figures_that_promise_too_much_get_a_sentence(given, part):
    said = remarked(**given)
    assert len(said) == 1
    assert part in said[0]


def test_of_few_videos_one_more_or_less_says_nothing():
    few = figures(1.0, videos=10)
    assert "order" in remarked(test=few, order=OrderTest(1.0, 0.9, 0.5))[0]
    assert remarked(test=few, order=OrderTest(1.0, 0.8, 0.5)) == ()
