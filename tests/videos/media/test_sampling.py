"""Sampling by property: sorted, in range, without repeats, and what each rule promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.videos.media.sampling import Sampling, _ticks_before

RULES = st.one_of(
    st.integers(1, 60).map(lambda n: f"uniform:{n}"),
    st.integers(1, 60).map(lambda n: f"inner:{n}"),
    st.integers(1, 60).map(lambda n: f"stepped:{n}"),
    st.integers(1, 60).map(lambda n: f"first:{n}"),
    st.integers(1, 60).map(lambda n: f"every:{n}"),
    st.floats(0.1, 120).map(lambda rate: f"fps:{rate:.3f}"),
    st.just("all"),
)
TIMES = st.lists(st.floats(0.002, 2.0), max_size=200).map(lambda gaps: np.cumsum([0.0, *gaps])[: len(gaps)])


@given(RULES, TIMES)
def test_indices_are_sorted_in_range_and_not_repeated(rule, times):
    indices = Sampling.parse(rule).indices(times)
    assert indices.dtype == np.int64
    assert np.all(np.diff(indices) > 0)
    assert np.all(indices >= 0)
    assert np.all(indices < len(times))
    least = int(rule.partition(":")[2]) if rule.startswith("stepped") else 1
    assert (len(indices) > 0) == (len(times) >= least)


@given(st.integers(0, 500), st.integers(1, 60))
def test_uniform_covers_first_and_last_evenly(frames, count):
    indices = Sampling("uniform", count).indices(np.arange(frames) / 25)
    assert len(indices) == min(frames, count)
    if frames > count > 1:
        assert (indices[0], indices[-1]) == (0, frames - 1)
        assert np.ptp(np.diff(indices)) <= 1
    elif frames <= count:
        assert indices.tolist() == list(range(frames))


@pytest.mark.parametrize(
    ("rule", "frames", "indices"),
    [
        ("uniform:5", 9, [0, 2, 4, 6, 8]),
        ("uniform:1", 9, [4]),
        ("uniform:1", 10, [4]),
        ("uniform:1", 2, [0]),
        ("inner:3", 9, [2, 4, 6]),
        ("inner:1", 9, [4]),
        ("inner:3", 4, [1, 2, 3]),
        ("inner:3", 3, [0, 1, 2]),
    ],
)
def test_these_are_the_frames(rule, frames, indices):
    assert Sampling.parse(rule).indices(np.arange(frames) / 25).tolist() == indices


@given(st.integers(0, 500), st.integers(1, 60))
def test_inner_leaves_out_first_and_last(frames, count):
    indices = Sampling("inner", count).indices(np.arange(frames) / 25)
    assert len(indices) == min(frames, count)
    if frames >= count + 2:
        assert (indices[0], indices[-1]) != (0, frames - 1)
        gaps = np.diff([0, *indices, frames - 1])
        assert gaps.min() >= 1
        assert np.ptp(gaps) <= 1


@given(st.integers(0, 500), st.integers(1, 60))
def test_stepped_takes_whole_steps_or_leaves_the_video_out(frames, count):
    indices = Sampling("stepped", count).indices(np.arange(frames) / 25)
    if frames < count:
        assert len(indices) == 0
    else:
        assert indices.tolist() == list(range(0, frames, frames // count))[:count]


def test_the_published_clip_of_90_frames_gives_its_first_75():
    assert Sampling.parse("stepped:75").indices(np.arange(90) / 30).tolist() == list(range(75))
    assert Sampling.parse("stepped:75").indices(np.arange(160) / 30).tolist() == list(range(0, 150, 2))


@given(st.integers(0, 500), st.integers(1, 60))
def test_first_and_every(frames, amount):
    times = np.arange(frames) / 25
    assert Sampling("first", amount).indices(times).tolist() == list(range(min(frames, amount)))
    assert Sampling("every", amount).indices(times).tolist() == list(range(0, frames, amount))
    assert Sampling("all").indices(times).tolist() == list(range(frames))


@given(st.floats(0.2, 60), TIMES.filter(lambda times: len(times) > 0), st.floats(-5, 5))
def test_rate_takes_the_frame_on_screen_at_each_tick(rate, times, shift):
    indices = Sampling("fps", rate).indices(times + shift)
    slack = min(1e-3, 0.1 / rate)
    tick, on_screen = 0, set()
    while tick / rate <= times[-1] + slack:
        on_screen.add(max(i for i, time in enumerate(times) if time <= tick / rate + slack))
        tick += 1
    # A tick that falls on the border of a rounding error may go either way.
    assert len(set(indices.tolist()) ^ on_screen) <= 2
    assert indices[0] == 0


@given(st.floats(0.2, 240), st.lists(st.integers(0, 100_000), min_size=1, max_size=20))
def test_ticks_are_counted_as_they_would_be_compared_one_by_one(rate, ticks):
    """Also where a time lies on a tick, or beside it by the least that a number can differ."""
    slack = min(1e-3, 0.1 / rate)
    on = np.array(sorted(ticks)) / rate + slack
    beside = np.concatenate([np.nextafter(on, -np.inf), on, np.nextafter(on, np.inf)])
    made = np.arange(100_010) / rate + slack
    assert _ticks_before(beside, rate, slack).tolist() == np.searchsorted(made, beside, side="left").tolist()


def test_rates_on_steady_videos():
    times = np.arange(100) / 25
    assert Sampling.parse("fps:5").indices(times).tolist() == list(range(0, 100, 5))
    assert Sampling.parse("fps:25").indices(times).tolist() == list(range(100))
    assert Sampling.parse("fps:100").indices(times).tolist() == list(range(100))
    ntsc = np.round(np.arange(300) * 1001 / 30000, 3)  # As Matroska rounds them.
    assert Sampling.parse("fps:29.97002997").indices(ntsc).tolist() == list(range(300))


@given(RULES)
def test_text_is_read_back(rule):
    sampling = Sampling.parse(rule)
    assert Sampling.parse(str(sampling)) == sampling


@pytest.mark.parametrize(
    "text", ["", "uniform", "uniform:0", "uniform:-3", "uniform:2.5", "fps:0", "fps:x", "fps:nan", "all:3", "middle:3"]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(UserError, match="sampling"):
        Sampling.parse(text)


@given(RULES, RULES, TIMES)
def test_thinning_picks_what_the_sparser_rule_would_have_picked(dense, sparse, times):
    dense, sparse = Sampling.parse(dense), Sampling.parse(sparse)
    if not dense.contains(sparse):
        return
    picked = dense.indices(times)
    thinned = picked[sparse.thin(times[picked], picked, dense)]
    assert thinned.tolist() == sparse.indices(times).tolist()


@pytest.mark.parametrize(
    ("dense", "sparse", "contained"),
    [
        ("all", "uniform:7", True),
        ("all", "fps:3", True),
        ("every:2", "every:6", True),
        ("every:2", "every:3", False),
        ("first:9", "first:4", True),
        ("first:4", "first:9", False),
        ("uniform:20", "uniform:10", False),
        ("uniform:20", "uniform:20", True),
        ("fps:10", "fps:2", False),
    ],
)
def test_which_samplings_contain_which(dense, sparse, contained):
    assert Sampling.parse(dense).contains(Sampling.parse(sparse)) is contained


@pytest.mark.parametrize(
    ("rule", "by_count"),
    [("uniform:3", True), ("inner:3", True), ("stepped:3", True), ("first:3", False), ("every:3", False)]
    + [("fps:3", False), ("all", False)],
)
def test_by_count_the_time_between_frames_depends_on_the_length(rule, by_count):
    """A video twice as long has its first frames further apart."""
    sampling = Sampling.parse(rule)
    assert sampling.by_count is by_count
    short, long = (sampling.indices(np.arange(frames) / 25)[:2] for frames in (100, 200))
    assert (np.diff(short) < np.diff(long)).all() == by_count
