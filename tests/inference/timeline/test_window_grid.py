"""The grid: every frame is covered, windows are those of training, and no frame is used twice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.inference.timeline.window_grid import (
    GridRule,
    UnlessKnown,
    WindowGrid,
    aligned_starts,
    clip_step,
    nearest_frames,
    plan_windows,
)
from pipeline.inference.timeline.window_runner import frame_means
from pipeline.training.data.time_scale import TimeScale
from pipeline.videos.media.sampling import Sampling

CLIPS = TimeScale(median=3.0, shortest=2.0, longest=4.0)
samplings = st.sampled_from(
    ["uniform:1", "uniform:2", "uniform:20", "inner:5", "stepped:7", "first:7", "every:3", "fps:2", "fps:50", "all"]
)
gaps = st.lists(st.floats(0.004, 1.5), max_size=250)


def steady(seconds: float, fps: float) -> tuple[np.ndarray, float]:
    count = round(seconds * fps)
    return np.arange(count) / fps, count / fps


@given(st.integers(0, 500), st.integers(1, 40), st.data())
def test_starts_cover_all_steps_and_end_with_the_video(steps, length, data):
    stride = data.draw(st.integers(1, length))
    starts = aligned_starts(steps, length, stride)
    if steps == 0:
        assert len(starts) == 0
        return
    assert starts[0] == 0
    assert starts[-1] == max(0, steps - length)
    assert np.all(np.diff(starts) > 0)
    assert np.all(np.diff(starts) <= stride)
    assert np.all(np.diff(starts)[:-1] == stride)


@given(samplings, gaps, st.integers(1, 25), st.data())
def test_windows_cover_every_frame_once_or_more(sampling, gaps, length, data):
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    stride = data.draw(st.integers(1, length))
    scale = TimeScale(3.0, 2.0, 4.0, 0.1)
    grid = plan_windows(
        times, times[-1] + 0.04, Sampling.parse(sampling), length=length, time_scale=scale, stride=stride
    )
    assert np.all(np.diff(grid.frames) > 0)
    assert grid.frames[0] >= 0
    assert grid.frames[-1] < len(times)
    assert np.all(grid.ends - grid.starts <= length)
    spans = grid.spans()
    covered = np.zeros(len(times), int)
    for first, end in spans:
        covered[first:end] += 1
    assert covered.min() >= 1
    # Every step belongs to a window, so no frame went through the network for nothing.
    used = np.zeros(len(grid.frames), int)
    for start, end in zip(grid.starts, grid.ends, strict=True):
        used[start:end] += 1
    assert used.min() >= 1


@given(st.floats(2.0, 4.0), st.sampled_from([10.0, 25.0, 29.97]))
def test_a_video_like_the_training_clips_is_one_clip(seconds, fps):
    times, duration = steady(seconds, fps)
    sampling = Sampling.parse("uniform:20")
    grid = plan_windows(times, duration, sampling, length=20, time_scale=CLIPS)
    np.testing.assert_array_equal(grid.frames, sampling.indices(times))
    assert len(grid) == 1
    assert grid.note == ""


@pytest.mark.parametrize("rule", ["uniform:20", "inner:20", "stepped:20"])
@pytest.mark.parametrize("fps", [25.0, 29.97, 50.0])
def test_windows_of_a_long_video_are_sampled_as_clips_were(fps, rule):
    """Cut out a clip of the median length where a window begins: the rule picks the same frames there."""
    times, duration = steady(60, fps)
    sampling = Sampling.parse(rule)
    grid = plan_windows(times, duration, sampling, length=20, time_scale=CLIPS, stride=5)
    assert "3 s" in grid.note
    clip = round(3.0 * fps)
    for start, end in zip(grid.starts, grid.ends, strict=True):
        frames = grid.frames[start:end]
        begin = frames[0] - sampling.indices(times[:clip])[0]
        assert len(frames) == 20
        if rule != "uniform:20" and begin + clip > len(times):
            continue  # the last window is moved back until it is full; such a clip would be shorter
        expected = begin + sampling.indices(times[begin : begin + clip])
        assert np.abs(frames[: len(expected)] - expected).max() <= 1


def test_overlapping_windows_share_their_frames():
    times, duration = steady(60, 25)
    sampling = Sampling.parse("uniform:20")
    apart = plan_windows(times, duration, sampling, length=20, time_scale=CLIPS, stride=20)
    dense = plan_windows(times, duration, sampling, length=20, time_scale=CLIPS, stride=1)
    np.testing.assert_array_equal(apart.frames, dense.frames)
    assert len(dense) == len(dense.frames) - 19
    assert len(apart) == -(-len(apart.frames) // 20)


def test_few_frames_a_second_are_used_once_each():
    times, duration = steady(60, 2)  # a step of training would be 0.13 s, and frames are 0.5 s apart
    grid = plan_windows(times, duration, Sampling.parse("uniform:20"), length=20, time_scale=CLIPS)
    np.testing.assert_array_equal(grid.frames, np.arange(120))
    assert set((grid.ends - grid.starts).tolist()) <= {6, 7}


def test_a_gap_in_time_holds_fewer_frames():
    times = np.concatenate([np.arange(250) / 25, 30 + np.arange(250) / 25])  # 20 s are missing
    grid = plan_windows(times, 40.0, Sampling.parse("uniform:20"), length=20, time_scale=CLIPS)
    seconds = times[grid.frames]
    assert np.diff(seconds).max() > 15
    for start, end in zip(grid.starts, grid.ends, strict=True):
        # No window reaches across the gap as if it were not there.
        assert end - start < 20 or seconds[end - 1] - seconds[start] < 3.1


def test_a_recipe_by_rate_keeps_its_step():
    times, duration = steady(60, 25)
    for text in ("fps:5", "every:5"):
        grid = plan_windows(
            times, duration, Sampling.parse(text), length=10, time_scale=TimeScale(3, 2, 4, 0.2), stride=10
        )
        np.testing.assert_array_equal(grid.frames, np.arange(0, 1500, 5))
        assert grid.note == ""


def test_notes_say_what_differs_from_training():
    times, duration = steady(60, 50)
    note = plan_windows(times, duration, Sampling.parse("all"), length=8, time_scale=TimeScale(3, 2, 4, 0.04)).note
    assert note == "steps are 0.02 s apart here and were 0.04 s in training"
    times, duration = steady(1, 25)
    note = plan_windows(times, duration, Sampling.parse("uniform:20"), length=20, time_scale=CLIPS).note
    assert note == "1 s are shorter than any training clip (from 2 s); read as one clip"
    times, duration = steady(60, 25)
    note = plan_windows(times, duration, Sampling.parse("first:75"), length=75, time_scale=CLIPS).note
    assert "frame by frame" in note


def test_blocks_of_75_frames_are_read_on_and_on_where_clips_had_90():
    """As published: frame by frame, and the next block begins where the last one ended."""
    times, duration = steady(10, 30)
    clips = TimeScale(median=3.0, shortest=3.0, longest=3.0)
    grid = plan_windows(times, duration, Sampling.parse("stepped:75"), length=75, time_scale=clips, stride=75)
    assert grid.spans().tolist() == [[0, 75], [75, 150], [150, 225], [225, 300]]


def test_first_reads_a_long_video_frame_by_frame():
    times, duration = steady(60, 25)
    grid = plan_windows(times, duration, Sampling.parse("first:75"), length=75, time_scale=CLIPS, stride=75)
    np.testing.assert_array_equal(grid.frames, np.arange(1500))
    np.testing.assert_array_equal(grid.starts, np.arange(0, 1500, 75))


def test_clip_seconds_asks_for_another_length():
    times, duration = steady(60, 25)
    sampling = Sampling.parse("uniform:20")
    grid = plan_windows(times, duration, sampling, length=20, time_scale=CLIPS, clip_seconds=6, stride=20)
    assert np.median(np.diff(times[grid.frames])) == pytest.approx(clip_step(6, 1 / 25, 20), abs=0.03)
    assert "asked for" in grid.note
    whole = plan_windows(times, duration, sampling, length=20, time_scale=CLIPS, clip_seconds=60)
    assert len(whole) == 1
    with pytest.raises(UserError, match="no meaning"):
        plan_windows(times, duration, Sampling.parse("fps:5"), length=20, time_scale=CLIPS, clip_seconds=6)
    with pytest.raises(UserError, match="more than 0"):
        plan_windows(times, duration, sampling, length=20, time_scale=CLIPS, clip_seconds=0)


def test_a_stride_that_leaves_gaps_is_refused():
    with pytest.raises(UserError, match="`stride=9`: expected 1 to 8"):
        aligned_starts(100, 8, 9)


def test_a_window_needs_a_step():
    with pytest.raises(ValueError, match="later end"):
        WindowGrid(np.array([0]), np.array([0]), np.array([0]), 1)


def test_nearest_frames():
    times = np.array([0.0, 1.0, 1.5, 4.0])
    assert nearest_frames(times, np.array([0, 0.4, 0.6, 1.2, 1.3, 2.7, 2.8, 9])).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_clips_of_frames_own_the_frames_to_the_next_start():
    """With gaps, overlapping, and at the end of the video; the last step has all that is left."""
    times, duration = steady(4, 10)
    for rule, begins in (("clips:4@10/1", [0, 10, 20, 30]), ("clips:8@10/0.5", [0, 5, 10, 15, 20, 25, 30])):
        grid = plan_windows(times, duration, Sampling.parse(rule), length=1, time_scale=TimeScale(4, 4, 4, 1), stride=1)
        assert grid.frames.tolist() == begins
        assert grid.spans().tolist() == [[one, other] for one, other in itertools.pairwise([*begins, 40])]
    assert "steps are 0.5 s apart here and were 1 s in training" in grid.note


def test_clips_that_begin_with_one_frame_leave_no_frame_without_a_window():
    """A slow video: two frames a second, clips every 0.25 s."""
    times, duration = steady(5, 2)
    rule = Sampling.parse("clips:4@8/0.25")
    grid = plan_windows(times, duration, rule, length=2, time_scale=TimeScale(5, 5, 5, 0.25), stride=1)
    assert np.any(np.diff(grid.frames) == 0)
    spans = grid.spans()
    assert np.all(np.diff(spans, axis=0) >= 0)
    means = frame_means(np.ones((len(grid), 3), np.float32), spans, 10)
    np.testing.assert_array_equal(means, 1)


def test_rules_give_the_steps_of_the_grid():
    times, duration = steady(4, 10)
    for text in ("clips:4@10/1", "fps:2", "uniform:5"):
        rule = GridRule(Sampling.parse(text), 2, TimeScale(4, 4, 4, 1))
        steps = rule(times, duration)
        assert steps.frames.tolist() == rule.lay(times, duration).frames.tolist()
        assert (steps.ends is not None) == text.startswith("clips")
        assert len(UnlessKnown(rule, steps.frames)(times, duration)) == 0
        assert len(UnlessKnown(rule, steps.frames[1:])(times, duration)) == len(steps)
