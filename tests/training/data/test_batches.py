"""Batches: every window once an epoch, and augmentation that keeps what must be kept."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.data.batches import balanced_weights, batches
from pipeline.training.data.dataset import windows_of
from pipeline.training.data.feature_augmentation import FeatureAugmentation
from pipeline.training.data.windows import WindowSpec


@pytest.fixture
def windows(data):
    return windows_of(data, np.arange(len(data)), WindowSpec(3, 2))


def epoch(windows, size=8, **options):
    moments = (np.full(12, 7, np.float32), np.ones(12, np.float32))
    return list(batches(windows, size=size, classes=3, random=np.random.default_rng(0), moments=moments, **options))


def test_each_window_weighs_one_once_and_every_batch_has_one_shape(windows):
    whole = epoch(windows)
    assert {features.shape for features, *_ in whole} == {(8, 3, 12)}
    assert sum(weights.sum() for *_, weights in whole) == len(windows)
    counted = np.zeros(3)
    for _, _, targets, weights in whole:
        counted += (targets * weights[:, None]).sum(axis=0)
    np.testing.assert_allclose(counted, np.bincount(windows.labels))


def test_smoothing_keeps_the_sum_of_a_target(windows):
    targets = epoch(windows, smoothing=0.3)[0][2]
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(targets.max(axis=1), 0.8, atol=1e-6)


def test_balanced_classes_weigh_the_same(windows):
    weights = balanced_weights(windows, 3)
    totals = np.bincount(windows.labels) * weights
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert totals.sum() == pytest.approx(len(windows), rel=1e-5)


@pytest.mark.parametrize("options", [{"random_windows": True}, {"noise": 0.5}, {"time_mask": 0.5}, {"mixup": 0.4}])
def test_augmentation_changes_features_but_never_touches_padding(windows, options):
    plain = epoch(windows, size=len(windows))[0]
    varied = epoch(windows, size=len(windows), augmentation=FeatureAugmentation(**options))[0]
    assert not np.array_equal(plain[0], varied[0])
    features, mask = varied[:2]
    assert not features[~mask].any()
    assert mask[:, 0].all(), "a window without a real step"
    assert (mask[:, 1:] <= mask[:, :-1]).all(), "padding must be on the right"
    np.testing.assert_allclose(varied[2].sum(axis=1), 1, atol=1e-5)


def test_a_hidden_stretch_is_the_mean_and_no_longer_than_asked(windows):
    features, mask, *_ = epoch(windows, size=len(windows), augmentation=FeatureAugmentation(time_mask=0.7))[0]
    hidden = (features == 7).all(axis=2)
    assert hidden.any()
    assert (hidden.sum(axis=1) <= 0.7 * mask.sum(axis=1)).all()


@pytest.mark.parametrize("options", [{"noise": -1}, {"time_mask": 1.5}, {"mixup": float("nan")}])
def test_impossible_augmentation_is_refused(options):
    with pytest.raises(UserError, match="expected"):
        FeatureAugmentation(**options)
