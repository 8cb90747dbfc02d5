"""Where a video's steps and windows lie: pure functions from frame times to frame numbers.

A video is laid on a grid of steps, and windows start on that grid, so that windows which overlap share their
frames and no frame goes through the network twice. The grid is the one of training:

    fps:F, every:N, all   the frames that the recipe picks, whatever the video's length
    clips:T@F/S           the clips of frames that it picks, likewise
    uniform:N, inner:N,   a video no longer than the training clips is one clip, and its frames are those that the
    stepped:N, first:N    recipe picks; a longer one is read in windows as long as the median training clip,
                          at the same step, or frame by frame (first)

A step owns the frames from its own one, or the first one of its clip, up to the next step's, and the last step those up
to the end of the video, so that all frames belong to some window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.training.data.time_scale import TimeScale
from pipeline.videos.media.frame import Steps
from pipeline.videos.media.sampling import Sampling

_SLACK = 0.02  # a video longer by this fraction than the longest training clip is still one clip
_MOST_TICKS = 20_000_000
_CLEARLY = 0.25  # steps that differ by more than this fraction from those of training are worth a line


@dataclass(frozen=True)
class WindowGrid:
    """The steps of a video and the windows on them."""

    frames: np.ndarray
    """``(s,)`` int64: the frame number of each step, rising; of clips of frames that of the first, never falling."""
    starts: np.ndarray
    """``(w,)`` int64: first step of each window, rising."""
    ends: np.ndarray
    """``(w,)`` int64: the step after its last one."""
    total: int
    """Frames of the whole video."""
    note: str = ""
    """What a user should know of how the video is read; empty where it is read as in training."""

    def __post_init__(self) -> None:
        if len(self.starts) != len(self.ends) or np.any(self.ends <= self.starts):
            raise ValueError("every window needs a start and a later end")

    def __len__(self) -> int:
        return len(self.starts)

    def __repr__(self) -> str:
        return f"WindowGrid({len(self.frames)} steps of {self.total} frames, {len(self)} windows)"

    def spans(self) -> np.ndarray:
        """``(w, 2)`` int64: the first frame that each window covers, and the frame after its last."""
        owned = np.append(self.frames, self.total)
        owned[0] = 0  # what lies before the first step belongs to it
        return np.stack([owned[self.starts], owned[self.ends]], axis=1)


def aligned_starts(steps: int, length: int, stride: int) -> np.ndarray:
    """First steps of windows that cover all of ``steps``, the last one moved back to end with the video.

        10 steps, length 4, stride 4: 0 4 6
        3 steps, length 4: 0 (one window that is not full)

    Args:
        steps: how many there are, 0 or more.
        length: steps in a window, 1 or more.
        stride: steps from one start to the next, 1 to ``length``.

    Returns:
        ``(n,)`` int64, rising; empty only for 0 steps.
    """
    if not 1 <= stride <= length:
        raise UserError(f"`stride={stride}`: expected 1 to {length} steps, so that windows leave no gap")
    if steps < 1:
        return np.arange(0)
    last = max(0, steps - length)
    starts = np.arange(0, last + 1, stride)
    return (starts if starts[-1] == last else np.append(starts, last)).astype(np.int64)


def nearest_frames(times: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """For each tick the number of the frame whose time is nearest; ``times`` are ``(n,)`` rising seconds."""
    return np.searchsorted((times[1:] + times[:-1]) / 2, ticks, side="right").astype(np.int64)


def clip_step(duration: float, period: float, count: int) -> float:
    """Seconds between the ``count`` frames that ``uniform`` picks of a clip, the first and the last among them.

    Args:
        duration: seconds of the clip, the showing of its last frame included.
        period: seconds that one frame is shown.
        count: frames that are picked.
    """
    return max(duration - period, period) / (count - 1) if count > 1 else duration


def step_seconds(sampling: Sampling, duration: float, period: float) -> float:
    """Seconds between the frames that a sampling by count picks of a clip.

    Args:
        sampling: uniform, inner or stepped.
        duration: seconds of the clip, the showing of its last frame included.
        period: seconds that one frame is shown.
    """
    count = int(sampling.amount)
    if sampling.kind == "stepped":
        return period * max(1, round(duration / period) // count)
    if sampling.kind == "inner":
        return max(duration - period, period) / (count + 1)
    return clip_step(duration, period, count)


def plan_windows(
    times: np.ndarray,
    duration: float,
    sampling: Sampling,
    *,
    length: int,
    time_scale: TimeScale,
    stride: int | None = None,
    clip_seconds: float | None = None,
) -> WindowGrid:
    """Decide which frames of a video are used and which windows they form.

    Args:
        times: ``(n,)`` seconds of every frame after the first one.
        duration: seconds of the video, the showing of the last frame included.
        sampling: the recipe's.
        length: steps in a window.
        time_scale: durations of the training clips.
        stride: steps from one window to the next; a quarter of a window if None.
        clip_seconds: for recipes by count: read the video as clips of this length, not of the median one.

    Returns:
        The grid; without windows only where the video has no frames.

    Raises:
        UserError: a stride that leaves gaps, or ``clip_seconds`` for a recipe with a step of its own.
    """
    times = np.asarray(times, np.float64)
    stride = max(1, length // 4) if stride is None else stride
    per_clip = sampling.by_count or sampling.kind == "first"
    if clip_seconds is not None:
        if not per_clip:
            raise UserError(f"`clip_seconds` has no meaning with sampling {sampling}: its step is the same everywhere")
        if not (math.isfinite(clip_seconds) and clip_seconds > 0):
            raise UserError(f"`clip_seconds={clip_seconds:g}`: expected more than 0 seconds")
    if not per_clip:
        steps = sampling.steps(times)
        note = _rate_note(steps.times, time_scale)
        return _windows(steps.frames, np.arange(len(steps)), length, stride, len(times), note)
    longest, median = (clip_seconds or time_scale.longest), (clip_seconds or time_scale.median)
    if median <= 0 or duration <= longest * (1 + _SLACK) or len(times) < 2:
        short = sampling.kind == "stepped" and len(times) < sampling.amount
        frames = np.arange(len(times)) if short else sampling.indices(times)
        note = ""
        if clip_seconds is None and median > 0 and duration < time_scale.shortest * (1 - _SLACK):
            note = f"{duration:.3g} s are shorter than any training clip (from {time_scale.shortest:.3g} s); "
            note += "read as one clip"
        return _windows(frames, np.arange(len(frames)), length, stride, len(times), note)
    if sampling.kind == "first":
        every = np.arange(len(times))
        note = f"longer than the training clips: read frame by frame, {length} frames to a window"
        return _windows(every, every, length, stride, len(times), note)
    period = float(np.median(np.diff(times)))
    count = int(sampling.amount)
    step = step_seconds(sampling, median, period)
    begin = step / 2 if (sampling.kind, count) == ("uniform", 1) else step if sampling.kind == "inner" else 0.0
    ticks_in_all = max(1, math.floor((times[-1] - begin) / step + 1e-6) + 1)
    if ticks_in_all > _MOST_TICKS:
        raise UserError(f"a video of {duration:,.0f} s would be read in {ticks_in_all:,} steps; use `clip_seconds`")
    ticks = begin + step * np.arange(ticks_in_all)
    frames, positions = np.unique(nearest_frames(times, ticks), return_inverse=True)
    origin = "asked for" if clip_seconds else "the median of training"
    note = f"longer than the training clips: read in windows of {median:.3g} s ({origin}), steps of {step:.3g} s"
    return _windows(frames, positions, length, stride, len(times), note)


@dataclass(frozen=True)
class GridRule:
    """`plan_windows` of a checkpoint for any video; as a rule of `decode_videos` it runs in the worker."""

    sampling: Sampling
    length: int
    time_scale: TimeScale
    stride: int | None = None
    clip_seconds: float | None = None

    def lay(self, times: np.ndarray, duration: float) -> WindowGrid:
        """The grid of a video, from the seconds of its frames ``(n,)`` and its duration in seconds."""
        return plan_windows(
            times,
            duration,
            self.sampling,
            length=self.length,
            time_scale=self.time_scale,
            stride=self.stride,
            clip_seconds=self.clip_seconds,
        )

    def __call__(self, times: np.ndarray, duration: float) -> Steps:
        """The steps that are used."""
        if self.sampling.clip:
            return self.sampling.steps(times)
        return Steps.of_frames(self.lay(times, duration).frames, times)


@dataclass(frozen=True)
class UnlessKnown:
    """A rule that chooses no step where the features of all that would be chosen are known."""

    rule: GridRule
    known: np.ndarray
    """``(k,)`` int64: numbers of the frames whose features somebody has; of clips of frames those of the first ones."""

    def __call__(self, times: np.ndarray, duration: float) -> Steps:
        steps = self.rule(times, duration)
        return Steps.of_frames(steps.frames[:0], times) if np.array_equal(steps.frames, self.known) else steps


def _windows(frames: np.ndarray, positions: np.ndarray, length: int, stride: int, total: int, note: str) -> WindowGrid:
    """Windows of ``length`` ticks; several ticks may fall on one frame, which a window then holds once.

    Args:
        frames: ``(s,)`` the frame of each step.
        positions: ``(t,)`` the step that each tick of the grid falls on, never falling.
        length: ticks in a window.
        stride: ticks from one window to the next.
        total: frames of the video.
        note: goes into the grid.
    """
    starts = aligned_starts(len(positions), length, stride)
    last = np.minimum(starts + length, len(positions)) - 1
    return WindowGrid(np.asarray(frames, np.int64), positions[starts], positions[last] + 1, total, note)


def _rate_note(times: np.ndarray, time_scale: TimeScale) -> str:
    if len(times) < 2 or not time_scale.step:
        return ""
    step = float(np.median(np.diff(times)))
    if abs(step - time_scale.step) <= _CLEARLY * time_scale.step:
        return ""
    return f"steps are {step:.3g} s apart here and were {time_scale.step:.3g} s in training"
