"""Clips of frames by property: against a search frame by frame, at jumps in time, and bounded by the video's frames."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.videos.media.frame import Steps
from pipeline.videos.media.sampling import Sampling

TIMES = st.lists(st.floats(0.002, 2.0), min_size=1, max_size=60).map(lambda gaps: np.cumsum([0.0, *gaps])[:-1])
COUNTS = st.integers(1, 20)
# Decimals as people write them; no moment lies in more than 128 clips.
RATES = st.sampled_from([0.5, 1, 2, 3.3, 8, 12.5, 25, 29.97, 60])
APART = st.sampled_from([0.16, 0.25, 0.3, 0.64, 1, 1.1, 7])


def members(steps: Steps) -> list[list[int]]:
    return [numbers.tolist() for numbers in steps.members()]


def searched(times: np.ndarray, count: int, rate: float, apart: float) -> tuple[list[float], list[list[int]]]:
    """What the rule says, tick by tick and frame by frame, and whether some comparison was as good as equal."""
    slack = min(1e-3, 0.1 / rate)
    shown = times - times[0]
    period = float(np.median(np.diff(shown))) if len(shown) > 1 else 0.0
    end = shown[-1] + max(slack, period - slack)

    def at(tick: float) -> int:
        return max([i for i, second in enumerate(shown) if second <= tick + slack], default=0)

    starts, frames, k = [], [], 0
    while k * apart + (count - 1) / rate <= end:
        start = k * apart
        if start + slack < shown[at(start)] + count / rate:
            starts.append(start)
            frames.append([at(start + i / rate) for i in range(count)])
        k += 1
    return (starts, frames) if starts else ([0.0], [[at(i / rate) for i in range(count)]])


@given(TIMES, COUNTS, RATES, APART)
def test_clips_are_those_that_a_search_finds(times, count, rate, apart):
    if count / rate / apart > 128:
        return
    times = np.round(times, 4) + 1e-5  # no time as near to a tick and its slack as a rounding error
    steps = Sampling("clips", count, rate, apart).steps(times)
    starts, frames = searched(times, count, rate, apart)
    np.testing.assert_allclose(steps.times, starts, atol=1e-9)
    assert members(steps) == frames
    assert steps.frames.tolist() == [numbers[0] for numbers in frames]
    assert steps.ends is not None
    assert steps.ends.frames.tolist() == [numbers[-1] for numbers in frames]
    np.testing.assert_allclose(steps.ends.times, np.array(starts) + count / rate, atol=1e-9)
    assert steps.needed.tolist() == sorted({number for numbers in frames for number in numbers})


@given(TIMES, COUNTS, RATES, APART)
def test_clips_rise_lie_in_the_video_and_are_bounded_by_its_frames(times, count, rate, apart):
    if count / rate / apart > 128:
        return
    steps = Sampling("clips", count, rate, apart).steps(times)
    assert 1 <= len(steps) <= len(times) * (1 + int(count / rate / apart) + 1)
    assert steps.times[0] == 0
    assert np.all(np.diff(steps.times) > 0)
    found = np.array(members(steps))
    assert found.shape == (len(steps), count)
    assert np.all(np.diff(found, axis=1) >= 0)
    assert np.all(np.diff(found, axis=0) >= 0)
    assert found.min() >= 0
    assert found.max() < len(times)
    assert (steps.frames.dtype, steps.times.dtype) == (np.int64, np.float64)


@pytest.mark.parametrize(
    ("rule", "frames", "fps", "expected"),
    [
        ("clips:4@5/0.4", 14, 10, [[0, 2, 4, 6], [4, 6, 8, 10]]),  # overlapping; at 0.8 the last would be frame 14
        ("clips:4@5/0.4", 15, 10, [[0, 2, 4, 6], [4, 6, 8, 10], [8, 10, 12, 14]]),
        ("clips:2@10/0.5", 13, 10, [[0, 1], [5, 6], [10, 11]]),  # with gaps between
        ("clips:4@20/1", 13, 10, [[0, 0, 1, 1], [10, 10, 11, 11]]),  # a video slower than the rate
        ("clips:8@8/1", 5, 10, [[0, 1, 2, 3, 4, 4, 4, 4]]),  # shorter than a clip: its last frame is repeated
        ("clips:3@10/0.1", 1, 10, [[0, 0, 0]]),
        ("clips:3@12.5/0.64", 40, 25, [[0, 2, 4], [16, 18, 20], [32, 34, 36]]),
        ("clips:16@25/0.64", 32, 25, [list(range(16)), list(range(16, 32))]),
        ("clips:16@25/0.64", 31, 25, [list(range(16))]),
        ("clips:2@12.5/10", 2, 25, [[0, 1]]),  # the tick at 0.08 s is after the showing of the last frame
    ],
)
def test_these_are_the_frames(rule, frames, fps, expected):
    assert members(Sampling.parse(rule).steps(np.arange(frames) / fps)) == expected


def test_the_last_frame_counts_as_long_as_it_is_shown():
    """3 frames at 10 a second are shown until 0.3 s: a tick at 0.25 s is in, one at 0.3 s is not."""
    times = np.arange(3) / 10
    assert Sampling.parse("clips:2@4/0.05").steps(times).times.tolist() == [0.0]
    assert Sampling.parse("clips:2@5/0.05").steps(times).times.tolist() == [0.0, 0.05]
    rounded = np.round(np.arange(60) * 1001 / 30000, 3)  # as Matroska rounds them
    assert len(Sampling.parse("clips:30@29.97002997/1.001").steps(rounded)) == 2


def test_no_frames_give_no_clips():
    steps = Sampling.parse("clips:16@8/1").steps(np.zeros(0))
    assert (len(steps), members(steps), steps.needed.tolist()) == (0, [], [])


@pytest.mark.parametrize("jump", [60.0, 3e9])
def test_a_jump_in_time_gives_no_clips_of_one_image_without_an_end(jump):
    times = np.concatenate([np.arange(20) / 10, jump + np.arange(20) / 10])
    sampling = Sampling.parse("clips:4@10/0.1")
    began = time.perf_counter()
    steps = sampling.steps(times)
    assert time.perf_counter() - began < 1
    still = [numbers for numbers in members(steps) if len(set(numbers)) == 1]
    assert still == [[19] * 4] * 4  # for as long as a clip lasts
    assert len(steps) <= 40
    after = steps.times[steps.times >= jump - 0.01]
    np.testing.assert_allclose(after, jump + np.arange(len(after)) / 10, atol=0.06)
    assert members(steps)[-1] == [36, 37, 38, 39]


def test_uneven_times_take_what_is_on_screen():
    times = np.array([0.0, 0.05, 0.5, 0.52, 0.9, 1.5])
    assert members(Sampling.parse("clips:3@4/0.5").steps(times)) == [[0, 1, 2], [2, 3, 4], [4, 4, 5]]


@given(TIMES, COUNTS, st.sampled_from([0.1, 0.25, 0.3, 0.64, 1.1]), st.integers(1, 9))
def test_thinning_finds_exactly_the_clips_of_the_sparser_rule(times, count, apart, nth):
    """To the bit, also where videos are slow, jump or end within a clip."""
    dense = Sampling("clips", count, 8, apart)
    sparse = Sampling("clips", count, 8, float(f"{nth * apart:.12g}"))
    assert dense.contains(sparse)
    stored, wanted = dense.steps(times), sparse.steps(times)
    places = sparse.thin(stored.times, stored.frames, dense)
    assert stored.times[places].tolist() == wanted.times.tolist()
    assert stored.frames[places].tolist() == wanted.frames.tolist()
    assert stored.ends is not None
    assert wanted.ends is not None
    assert stored.ends.at(places).times.tolist() == wanted.ends.times.tolist()
    assert stored.ends.at(places).frames.tolist() == wanted.ends.frames.tolist()
    assert [members(stored)[place] for place in places] == members(wanted)


@pytest.mark.parametrize(
    ("dense", "sparse", "contained"),
    [
        ("clips:16@8/0.5", "clips:16@8/1.5", True),
        ("clips:16@8/0.1", "clips:16@8/0.3", True),
        ("clips:16@8/1", "clips:16@8/1", True),
        ("clips:16@8/1", "clips:16@8/0.5", False),
        ("clips:16@8/1", "clips:16@8/1.5", False),
        ("clips:16@8/1", "clips:8@8/2", False),
        ("clips:16@8/1", "clips:16@4/2", False),
        ("clips:16@8/0.333333333", "clips:16@8/0.666666666", False),  # not the same to the bit everywhere
        ("all", "clips:16@8/1", False),
        ("clips:16@8/1", "fps:1", False),
        ("clips:1@25/0.04", "all", False),
    ],
)
def test_which_clips_contain_which(dense, sparse, contained):
    assert Sampling.parse(dense).contains(Sampling.parse(sparse)) is contained


@given(COUNTS, st.floats(0.01, 900), st.floats(0.1, 80000))
def test_text_is_read_back(count, rate, apart):
    if count / rate / apart > 120:
        return
    sampling = Sampling("clips", count, rate, apart)
    assert Sampling.parse(str(sampling)) == sampling
    assert (sampling.clip, sampling.by_count) == (count, False)


def test_other_samplings_have_no_clips():
    assert Sampling.parse("fps:2").clip == 0
    steps = Sampling.parse("every:4").steps(np.arange(10) / 10)
    assert (members(steps), steps.ends, steps.times.tolist()) == ([[0], [4], [8]], None, [0.0, 0.4, 0.8])


@pytest.mark.parametrize(
    "text",
    ["clips", "clips:", "clips:16", "clips:16@8", "clips:16/8@1", "clips:x@8/1", "clips:16@8/1/2", "clips:16@@8/1"]
    + ["clips:0@8/1", "clips:-4@8/1", "clips:2.5@8/1", "clips:257@8/1", "clips:1e9@8/1", "clips:nan@8/1"]
    + [f"clips:16@{bad}/1" for bad in ("0", "-1", "inf", "nan", "1e9")]
    + [f"clips:16@8/{bad}" for bad in ("0", "-1", "inf", "nan", "1e9")]
    + ["clips:256@1/0.001"],
)
def test_what_is_no_rule_is_one_line(text):
    with pytest.raises(UserError, match=r"sampling .*clips") as refused:
        Sampling.parse(text)
    assert "\n" not in str(refused.value)


def test_a_rate_is_of_clips_only():
    with pytest.raises(UserError, match="takes no rate"):
        Sampling("uniform", 20, 8.0, 1.0)
