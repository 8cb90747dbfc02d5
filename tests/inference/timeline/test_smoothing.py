from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.inference.timeline.smoothing import (
    UNKNOWN,
    LiveSmoother,
    Smoothing,
    centred_mean,
    choose_labels,
    drop_short,
    rolling_mean,
    rolling_median,
    runs,
)

kinds = st.sampled_from(["none", "mean:1", "mean:3", "mean:128", "median:4", "exponential:0.3", "exponential:1"])
shapes = st.tuples(st.integers(0, 60), st.integers(1, 5), st.integers(0, 1000))


def vectors(count: int, classes: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), count).astype(np.float32)


@given(st.one_of(kinds, st.sampled_from(["centred:1", "centred:4", "centred:99"])), shapes)
def test_what_comes_out_are_probabilities(kind, shape):
    values = vectors(*shape)
    smooth = Smoothing.parse(kind)(values)
    assert smooth.shape == values.shape
    assert np.all(smooth >= 0)
    np.testing.assert_allclose(smooth.sum(axis=1), 1, atol=1e-5)


@given(kinds, shapes)
def test_live_smoothing_is_the_same(kind, shape):
    values = vectors(*shape)
    live = LiveSmoother(Smoothing.parse(kind))
    expected = Smoothing.parse(kind)(values)
    for row, vector in zip(expected, values, strict=True):
        np.testing.assert_allclose(live(vector), row, atol=1e-5)


@given(shapes)
def test_a_constant_stays_and_one_vector_is_none(shape):
    values = vectors(*shape)
    for kind in ("mean", "centred", "median", "exponential"):
        np.testing.assert_allclose(Smoothing(kind, 1)(values), values, atol=1e-6)
    constant = np.repeat(values[:1], len(values), axis=0)
    for kind in ("mean:5", "centred:5", "median:5", "exponential:0.2"):
        np.testing.assert_allclose(Smoothing.parse(kind)(constant), constant, atol=1e-5)


def test_rolling_and_centred_means_by_hand():
    values = np.array([[0.0], [3.0], [6.0], [9.0]], np.float32)
    assert rolling_mean(values, 2).ravel().tolist() == [0, 1.5, 4.5, 7.5]
    assert centred_mean(values, 3).ravel().tolist() == [1.5, 3, 6, 7.5]
    assert centred_mean(values, 2).ravel().tolist() == [0, 1.5, 4.5, 7.5]


def test_the_rolling_mean_of_a_long_video_is_exact():
    values = vectors(20_000, 2, 0)
    expected = values[20_000 - 128 :].mean(axis=0)
    np.testing.assert_allclose(rolling_mean(values, 128)[-1], expected, atol=1e-6)


def test_the_rolling_median_of_a_long_video_is_exact():
    """So long that the windows are looked at in several blocks."""
    values = vectors(5_000, 2, 1)
    count = 2_000  # 8 million values of a window and class are one block, so 2,097 windows
    found = rolling_median(values, count)
    for row in (count - 1, count + 2_095, count + 2_096, count + 2_097, 4_999):
        median = np.median(values[row - count + 1 : row + 1], axis=0)
        np.testing.assert_allclose(found[row], median / median.sum(), atol=1e-6)


@pytest.mark.parametrize("text", ["mean", "mean:0", "mean:2.5", "mean:x", "exponential:0", "exponential:1.5", "box:3"])
def test_what_is_no_smoothing(text):
    with pytest.raises(UserError, match="smoothing"):
        Smoothing.parse(text)


def test_text_comes_back():
    for text in ("none", "mean:128", "centred:25", "median:9", "exponential:0.1"):
        assert str(Smoothing.parse(text)) == text
    assert Smoothing.parse("Centered:3") == Smoothing("centred", 3)


def test_live_cannot_look_ahead():
    with pytest.raises(UserError, match="looks ahead"):
        LiveSmoother(Smoothing.parse("centred:9"))


def test_abstaining():
    values = np.array([[0.6, 0.4], [0.45, 0.55], [0.9, 0.1]], np.float32)
    assert choose_labels(values).tolist() == [0, 1, 0]
    assert choose_labels(values, 0.6).tolist() == [0, UNKNOWN, 0]


@given(st.lists(st.integers(-1, 2), max_size=60))
def test_runs_are_maximal_and_cover(labels):
    labels = np.array(labels, np.int64)
    found = runs(labels)
    assert np.array_equal(np.concatenate([labels[a:b] for a, b in found]) if len(found) else labels[:0], labels)
    for first, end in found:
        assert len(set(labels[first:end].tolist())) == 1
    assert np.all(labels[found[1:, 0]] != labels[found[1:, 0] - 1])


@given(st.lists(st.integers(-1, 2), min_size=1, max_size=60), st.floats(0, 3), st.integers(0, 99))
def test_no_run_is_shorter_than_asked(labels, least, seed):
    labels = np.array(labels, np.int64)
    times = np.arange(len(labels)) * 0.1
    result = drop_short(labels, vectors(len(labels), 3, seed), times, len(labels) * 0.1, least)
    found = runs(result)
    assert len(found) == 1 or np.all(found[:, 1] - found[:, 0] >= least * 10 - 1e-3)
    assert set(result.tolist()) <= set(labels.tolist())


def test_a_short_run_goes_to_the_more_probable_neighbour():
    labels = np.array([0, 0, 0, 2, 1, 1, 1])
    values = np.full((7, 3), 1 / 3, np.float32)
    values[3] = (0.1, 0.3, 0.6)
    assert drop_short(labels, values, np.arange(7.0), 7.0, 2).tolist() == [0, 0, 0, 1, 1, 1, 1]
    values[3] = (0.3, 0.1, 0.6)
    assert drop_short(labels, values, np.arange(7.0), 7.0, 2).tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_a_run_that_is_just_long_enough_stays():
    times = np.arange(6) * 0.1
    labels, probabilities = np.array([0, 0, 1, 1, 1, 0]), np.tile([0.5, 0.5], (6, 1))
    assert drop_short(labels, probabilities, times, 0.9, 0.2).tolist() == labels.tolist()  # 0.2, 0.3 and 0.4 s
    assert drop_short(labels, probabilities, times, 0.9, 0.21).tolist() == [1, 1, 1, 1, 1, 0]
