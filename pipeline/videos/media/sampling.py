"""Which frames of a video are used, and how they make steps: pure functions from frame times to frame indices.

    uniform:20   20 frames spread over the whole video, the first and the last among them
    inner:5      5 frames spread evenly between the first and the last, which are left out
    stepped:75   75 frames from the first on, every second one of a video of 150 to 224; of a shorter video none
    first:20     the first 20 frames
    every:5      frames 0, 5, 10, ...
    fps:2        two frames a second of the video's own time, whatever its frame rate
    all          every frame
    clips:16@8/1 clips of 16 frames at 8 frames a second of the video's own time, a clip every second

A step is one frame, and only of ``clips`` a clip of frames, for networks that take several at once. A video with fewer
frames than were asked for gives each of its frames once, but for ``stepped``, which leaves it out as one published
system does; nothing is repeated. Of ``clips`` a video slower than the rate repeats frames, and one that is shorter than
a clip gives one clip, in which its last frame is repeated.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from pipeline.errors import UserError
from pipeline.files.text import parse_rule
from pipeline.lazy import np
from pipeline.videos.media.frame import StepEnds, Steps, frames_at

Kind = Literal["uniform", "inner", "stepped", "first", "every", "fps", "all", "clips"]
_MOST = 1_000_000_000
FORMS = "uniform:N, inner:N, stepped:N, first:N, every:N, fps:F, all or clips:T@F/S"
MOST_IN_CLIP = 256  # frames; networks take up to 64
_LEAST_RATE, _MOST_RATE = 0.001, 1000.0  # frames a second of a clip
_LEAST_APART, _MOST_APART = 0.001, 86_400.0  # seconds from one clip's start to the next one's
_MOST_OVERLAP = 128  # clips that one moment may lie in: a decoder keeps the images of all of them
_EXACT = 1_000_000  # up to here numerators and denominators give the same times, whichever fraction they come from
_CLIPS = re.compile(r"clips:([^@/]*)@([^@/]*)/([^@/]*)")


def uniform(times: np.ndarray, count: int) -> np.ndarray:
    """``count`` indices spread evenly, first and last included: 5 of 9 frames are 0 2 4 6 8."""
    if len(times) <= count:
        return np.arange(len(times))
    if count == 1:
        return np.array([(len(times) - 1) // 2])
    # count < len(times), so neighbours are more than one apart before rounding and stay distinct.
    return np.round(np.linspace(0, len(times) - 1, count)).astype(np.int64)


def inner(times: np.ndarray, count: int) -> np.ndarray:
    """``count`` indices spread evenly between the first and the last one: 3 of 9 frames are 2 4 6.

    The first frame is used only where there are no more than ``count``, and the last one where there is one more.
    """
    if len(times) < count + 2:
        return np.arange(max(0, len(times) - count), len(times))
    return np.round(np.linspace(0, len(times) - 1, count + 2)).astype(np.int64)[1:-1]


def stepped(times: np.ndarray, count: int) -> np.ndarray:
    """``count`` indices from 0 at whole steps: 3 of 8 frames are 0 2 4. None where there are fewer frames.

    Source: https://github.com/harvitronix/five-video-classification-methods
    """
    step = len(times) // count
    return np.arange(count) * step if step else np.arange(0)


def first(times: np.ndarray, count: int) -> np.ndarray:
    """The indices 0, 1, ... of the first ``count`` frames."""
    return np.arange(min(count, len(times)))


def every(times: np.ndarray, step: int) -> np.ndarray:
    """Each ``step``-th index, from 0."""
    return np.arange(0, len(times), step)


def at_rate(times: np.ndarray, rate: float) -> np.ndarray:
    """The frames on screen at 0, 1/rate, 2/rate, ... seconds after the first frame, each once.

    ``times`` are seconds and need not be evenly spaced. A frame is on screen from its own time until
    the next frame's, so the last frame at or before each tick is taken.
    """
    if len(times) == 0:
        return np.arange(0)
    elapsed = np.asarray(times, np.float64) - times[0]
    # A rounding error of a stored time must not hand a tick to the frame before; Matroska rounds to milliseconds.
    slack = min(1e-3, 0.1 / rate)
    # Ticks are counted and never made, so that a video of hours costs no more than its frames.
    count = math.floor((elapsed[-1] + slack) * rate) + 1
    before = np.append(_ticks_before(elapsed, rate, slack), count)
    return np.flatnonzero(np.diff(np.minimum(before, count)) > 0)


def _ticks_before(elapsed: np.ndarray, rate: float, slack: float, by: float = 1.0) -> np.ndarray:
    """``(n,)`` int64: how many of 0, by/rate, 2by/rate, ..., each with ``slack``, are less than each of ``elapsed``."""
    found = np.maximum(np.floor((elapsed - slack) * rate / by), 0).astype(np.int64)
    # The quotient is rounded, so the neighbours are tried as the ticks themselves would be compared.
    for _ in range(2):
        found -= (found > 0) & ((found - 1) * by / rate + slack >= elapsed)
        found += found * by / rate + slack < elapsed
    return found


class ClipRule:
    """Clips of frames: where they lie in time, and which they are of a video.

    Args:
        count: frames in a clip.
        rate: frames a second.
        apart: seconds from the start of a clip to that of the next one.

    Attributes:
        ticks: ``(count,)`` float64: seconds after the start of a clip at which its frames are taken.
        lasts: seconds of a clip, the showing of its last frame included.
        slack: seconds by which a frame may be later than the tick that takes it; see `at_rate`.
    """

    def __init__(self, count: int, rate: Fraction, apart: Fraction) -> None:
        self._apart = float(apart.numerator), float(apart.denominator)
        self.ticks = np.arange(count) * rate.denominator / rate.numerator
        self.lasts = count * rate.denominator / rate.numerator
        self.slack = min(1e-3, 0.1 / float(rate))

    def start(self, number: Any) -> Any:
        """Seconds of the start of a clip, or of ``(k,)`` clips, from their numbers."""
        return number * self._apart[0] / self._apart[1]

    def starts_before(self, seconds: np.ndarray) -> np.ndarray:
        """``(n,)`` int64: how many clips begin, by more than the slack, before each of ``seconds``."""
        return _ticks_before(seconds, self._apart[1], self.slack, self._apart[0])

    def steps(self, times: np.ndarray) -> Steps:
        """The clips of a video, from the seconds ``(n,)`` of its frames, which need not be evenly spaced.

            4 frames at 5 a second, every 0.4 s, of 14 frames at 10 a second: 0 2 4 6, 4 6 8 10

        A clip takes the frames on screen at its ticks, and counts only if the last frame of the video is still on
        screen at its last tick; a video without any such clip gives the one at 0, in which the last frame is repeated.
        No clip begins when its first frame has been on screen for as long as a clip lasts, so that a jump in time gives
        no more than a few clips of one image.
        """
        if len(times) == 0:
            return Steps(np.zeros(0, np.int64), np.zeros(0), StepEnds(np.zeros(0), np.zeros(0, np.int64)))
        elapsed = np.asarray(times, np.float64) - times[0]
        begin = self.starts_before(elapsed)
        # A start is judged by its own time alone, whatever the distance of starts, so that clips can be thinned.
        end = self.starts_before(elapsed + self.lasts)
        end[:-1] = np.minimum(end[:-1], begin[1:])
        counts = np.maximum(end - begin, 0)
        # Starts are counted and not made where no clip begins: 128 for a frame at most, mostly one for many frames.
        starts = self.start(np.repeat(begin - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum()))
        period = float(np.median(np.diff(elapsed))) if len(elapsed) > 1 else 0.0
        whole = starts + self.ticks[-1] <= elapsed[-1] + max(self.slack, period - self.slack)
        starts = starts[whole] if whole.any() else starts[:1]
        later = elapsed - self.slack
        ends = StepEnds(starts + self.lasts, frames_at(later, starts + self.ticks[-1]))
        return Steps(frames_at(later, starts + self.ticks[0]), starts, ends, self.ticks, later)


_PICK: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "uniform": lambda times, n: uniform(times, int(n)),
    "inner": lambda times, n: inner(times, int(n)),
    "stepped": lambda times, n: stepped(times, int(n)),
    "first": lambda times, n: first(times, int(n)),
    "every": lambda times, n: every(times, int(n)),
    "fps": at_rate,
    "all": lambda times, _: np.arange(len(times)),
}
_KINDS = (*_PICK, "clips")


@dataclass(frozen=True)
class Sampling:
    """A rule that picks frames; written and read as text such as ``uniform:20``."""

    kind: Kind
    """One of uniform, inner, stepped, first, every, fps, all, clips."""
    amount: float = 0
    """A number of frames (uniform, inner, stepped, first, clips), a step in frames (every), a rate (fps); 0 for all."""
    rate: float = 0
    """Frames a second of the video's own time in a clip of frames; 0 for other kinds."""
    apart: float = 0
    """Seconds from the start of a clip of frames to that of the next one; 0 for other kinds."""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise UserError(f"sampling {self.kind!r} is unknown; expected {FORMS}")
        if self.kind == "clips":
            self._check_clips()
            return
        if self.rate or self.apart:
            raise UserError(f"sampling '{self.kind}' takes no rate and no distance; those are of clips:T@F/S")
        if self.kind == "all":
            if self.amount:
                raise UserError(f"sampling 'all' takes no number; expected {FORMS}")
            return
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise UserError(f"sampling '{self.kind}' needs a number above 0; expected {FORMS}")
        if self.amount > _MOST:
            raise UserError(f"sampling '{self.kind}' needs a number up to {_MOST:,}; expected {FORMS}")
        if self.kind != "fps" and self.amount != int(self.amount):
            raise UserError(f"sampling '{self.kind}' needs a whole number of frames, not {self.amount:g}")

    def _check_clips(self) -> None:
        if not (1 <= self.amount <= MOST_IN_CLIP and self.amount == int(self.amount)):
            raise UserError(f"sampling 'clips:T@F/S' needs 1 to {MOST_IN_CLIP} frames in a clip, not T={self.amount:g}")
        if not _LEAST_RATE <= self.rate <= _MOST_RATE:
            raise UserError(
                f"sampling 'clips:T@F/S' needs {_LEAST_RATE:g} to {_MOST_RATE:g} frames a second, not F={self.rate:g}"
            )
        if not _LEAST_APART <= self.apart <= _MOST_APART:
            raise UserError(
                f"sampling 'clips:T@F/S' needs {_LEAST_APART:g} to {_MOST_APART:g} s from clip to clip, not "
                f"S={self.apart:g}"
            )
        # What is written is what counts.
        for name in ("rate", "apart"):
            object.__setattr__(self, name, float(f"{getattr(self, name):.12g}"))
        overlap = Fraction(int(self.amount)) / (self._rate * self._apart)
        if overlap > _MOST_OVERLAP:
            raise UserError(
                f"sampling '{self}': each moment would lie in {float(overlap):,.0f} clips; expected at most "
                f"{_MOST_OVERLAP}, so a larger S"
            )

    @functools.cached_property
    def _rate(self) -> Fraction:
        return Fraction(f"{self.rate:.12g}")

    @functools.cached_property
    def _apart(self) -> Fraction:
        return Fraction(f"{self.apart:.12g}")

    @classmethod
    def parse(cls, text: str) -> Sampling:
        """Read ``uniform:20``, ``first:20``, ``every:5``, ``fps:2.5``, ``all`` or ``clips:16@8/1``.

        Raises:
            UserError: the text is none of these.
        """
        if text.strip().lower().partition(":")[0] == "clips":
            return cls("clips", *_numbers_of_clips(text))
        kind, amount = parse_rule(text, "sampling", FORMS)
        return cls(kind, amount or 0.0)  # type: ignore[arg-type]

    def __str__(self) -> str:
        if self.kind == "clips":
            return f"clips:{self.amount:.12g}@{self.rate:.12g}/{self.apart:.12g}"
        return self.kind if self.kind == "all" else f"{self.kind}:{self.amount:.12g}"

    @property
    def clip(self) -> int:
        """How many frames a network takes at once for a step, T; 0 where it takes a single image."""
        return int(self.amount) if self.kind == "clips" else 0

    @functools.cached_property
    def clip_rule(self) -> ClipRule:
        """Where clips of frames lie in time."""
        return ClipRule(self.clip, self._rate, self._apart)

    @property
    def by_count(self) -> bool:
        """Whether the time between two picked frames depends on the length of the video."""
        return self.kind in ("uniform", "inner", "stepped")

    def contains(self, other: Sampling) -> bool:
        """Whether the steps that ``other`` picks are among those this one picks, for every video.

        Then `thin` finds them without the video: ``all`` contains everything but clips, ``every:2`` contains
        ``every:6``, ``first:20`` contains ``first:5``, ``clips:16@8/0.5`` contains ``clips:16@8/1.5``.
        """
        if self == other:
            return True
        if "clips" in (self.kind, other.kind):
            return self.kind == other.kind and self._every_nth(other) > 0
        # Two rates share their ticks at best: where the video ends is lost after the first thinning.
        if self.kind == "all":
            return True
        if (self.kind, other.kind) == ("first", "first"):
            return other.amount <= self.amount
        return (self.kind, other.kind) == ("every", "every") and other.amount % self.amount == 0

    def _every_nth(self, other: Sampling) -> int:
        """Which of these clips those of ``other`` are: each n-th one; 0 where they do not begin at the same times."""
        times = other._apart / self._apart
        parts = (self._apart.numerator, self._apart.denominator, other._apart.numerator, other._apart.denominator)
        same = (self.amount, self.rate) == (other.amount, other.rate)
        return times.numerator if same and times.denominator == 1 and max(parts) <= _EXACT else 0

    def thin(self, times: np.ndarray, frames: np.ndarray, dense: Sampling) -> np.ndarray:
        """Which of the steps that ``dense`` picked this sampling picks; ``dense`` must contain it.

        Args:
            times: ``(n,)`` seconds of the steps that ``dense`` picked.
            frames: ``(n,)`` their frame numbers; of clips those of their first frames.
            dense: the sampling they were picked by.

        Returns:
            ``(k,)`` places among them, rising.
        """
        if self == dense:
            return np.arange(len(times))
        if self.kind == "clips":
            numbers = np.rint(np.asarray(times) * dense._apart.denominator / dense._apart.numerator).astype(np.int64)
            return np.flatnonzero(numbers % dense._every_nth(self) == 0)
        if self.kind == "every":
            return np.flatnonzero(np.asarray(frames) % int(self.amount) == 0)
        return self.indices(times)

    def __call__(self, times: np.ndarray, duration: float) -> Steps:
        """The same as `steps`, for whoever takes any rule; the duration of the video does not count."""
        return self.steps(times)

    def steps(self, times: np.ndarray) -> Steps:
        """The steps of a video.

        Args:
            times: ``(n,)`` seconds of every frame of the video, in the order they are shown.

        Returns:
            No steps only where there are no times, or too few for ``stepped``.
        """
        times = np.asarray(times)
        if self.kind == "clips":
            return self.clip_rule.steps(times)
        return Steps.of_frames(_PICK[self.kind](times, self.amount), times)

    def indices(self, times: np.ndarray) -> np.ndarray:
        """Indices of the frames that steps begin with.

        Args:
            times: ``(n,)`` seconds of every frame of the video, in the order they are shown.

        Returns:
            ``(k,)`` int64: rising, each at most once, ``k <= n``; of clips never falling.
        """
        return self.steps(times).frames


def _numbers_of_clips(text: str) -> tuple[float, float, float]:
    """T, F and S of ``clips:T@F/S``.

    Raises:
        UserError: it is none.
    """
    found = _CLIPS.fullmatch(text.strip().lower())
    try:
        if found is None:
            raise ValueError
        count, rate, apart = map(float, found.groups())
    except ValueError:
        raise UserError(
            f"sampling {text!r}: expected clips:T@F/S, clips of T frames at F frames a second and one every S seconds, "
            "such as clips:16@8/1"
        ) from None
    return count, rate, apart
