"""Clips of frames of a stream are those of a file, as soon as they are complete, and no more frames are held for it."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.live.live_steps import LiveClips
from pipeline.videos.media.reader import Frame
from pipeline.videos.media.sampling import Sampling

GAPS = st.lists(st.floats(0.004, 0.9), min_size=1, max_size=80)


class Numbers:
    """Inputs whose image of a frame is its number; counts how often one is made."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def live(self, frame: Frame, *, wanted: bool) -> tuple[np.ndarray, ...]:
        assert wanted
        self.made.append(frame.index)
        return (np.full((1, 1, 1, 3), frame.index), np.full((1, 2, 2, 3), frame.index))


def frames_at(times) -> list[Frame]:
    return [Frame(number, float(time), np.zeros((1, 1, 3), np.uint8)) for number, time in enumerate(times)]


def clips_seen(clips: LiveClips, frames: list[Frame]) -> list[tuple[int, list[int]]]:
    """The frame that each clip came with, and the numbers of those in it."""
    seen = []
    for frame in frames:
        for small, large in clips(frame):
            assert (small.shape, large.shape) == ((1, small.shape[1], 1, 1, 3), (1, small.shape[1], 2, 2, 3))
            np.testing.assert_array_equal(small[0, :, 0, 0, 0], large[0, :, 1, 1, 2])
            seen.append((frame.index, small[0, :, 0, 0, 0].tolist()))
    return seen


@given(GAPS, st.integers(1, 10), st.sampled_from([1, 2.5, 8, 30]), st.sampled_from([0.16, 0.5, 1.1, 5]))
def test_clips_are_those_of_a_file(gaps, count, rate, apart):
    if count / rate / apart > 128:
        return
    # No time within a few milliseconds of a tick, where a stream cannot know whether a nearer frame follows.
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    ticks = np.unique(np.add.outer(np.arange(600) * apart, np.arange(count) / rate))
    near = np.abs(times[1:, None] - ticks).min(axis=1)
    times = np.concatenate([[0.0], times[1:][near > 3e-3]])
    sampling = Sampling("clips", count, rate, apart)
    inputs = Numbers()
    seen = clips_seen(LiveClips(sampling, inputs), frames_at(times))
    steps = sampling.steps(times)
    of_file = [numbers.tolist() for numbers in steps.members()]
    found = [numbers for _, numbers in seen]
    # What a file shows of its last frame is not known of a stream that goes on.
    assert found == of_file[: len(found)]
    last_ticks = steps.times + (count - 1) / rate
    assert len(found) == np.count_nonzero(last_ticks < times[-1] + 1e-3)
    for (came, _), tick in zip(seen, last_ticks, strict=False):
        assert came == np.flatnonzero(times + 1e-3 > tick)[0]
    assert len(inputs.made) == len(set(inputs.made))  # each image is made once


@pytest.mark.parametrize("fps", [10, 25, 29.97])
def test_even_times_give_the_clips_of_a_file_without_delay(fps):
    sampling = Sampling("clips", 4, fps, 2 / fps)
    times = np.round(np.arange(60) / fps, 3)  # as many streams have them
    seen = clips_seen(LiveClips(sampling, Numbers()), frames_at(times))
    assert [numbers for _, numbers in seen] == [numbers.tolist() for numbers in sampling.steps(times).members()]
    assert all(came == numbers[-1] for came, numbers in seen)


def test_a_stream_that_begins_anew():
    clips = LiveClips(Sampling.parse("clips:3@10/0.2"), Numbers())
    once = clips_seen(clips, frames_at(np.arange(8) / 10))
    assert [numbers for _, numbers in once] == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert clips_seen(clips, frames_at(np.arange(8) / 10)) == once


def test_a_jump_in_time_costs_nothing_and_gives_few_clips():
    times = np.concatenate([np.arange(20) / 10, 3e9 + np.arange(20) / 10])
    sampling = Sampling.parse("clips:4@10/0.1")
    seen = clips_seen(LiveClips(sampling, Numbers()), frames_at(times))
    assert [numbers for _, numbers in seen] == [numbers.tolist() for numbers in sampling.steps(times).members()][
        : len(seen)
    ]
    assert sum(len(set(numbers)) == 1 for _, numbers in seen) == 4


def test_no_more_images_are_held_than_clips_need():
    alive = most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    class Counted:
        def live(self, frame: Frame, *, wanted: bool) -> tuple[np.ndarray, ...]:
            nonlocal alive, most
            image = np.zeros((1, 1, 1, 3), np.uint8)
            weakref.finalize(image, gone)
            alive += 1
            most = max(most, alive)
            return (image,)

    clips = LiveClips(Sampling.parse("clips:8@10/0.2"), Counted())
    count = sum(len(clips(frame)) for frame in frames_at(np.arange(2000) / 10))
    assert count > 900
    assert 8 <= most <= 12
