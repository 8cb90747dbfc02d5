"""Which frames of a video are used: pure functions from frame times to frame indices.

    uniform:20   20 frames spread over the whole video, the first and the last among them
    inner:5      5 frames spread evenly between the first and the last, which are left out
    stepped:75   75 frames from the first on, every second one of a video of 150 to 224; of a shorter video none
    first:20     the first 20 frames
    every:5      frames 0, 5, 10, ...
    fps:2        two frames a second of the video's own time, whatever its frame rate
    all          every frame

A video with fewer frames than were asked for gives each of its frames once, but for ``stepped``, which leaves it out as
one published system does; nothing is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.errors import UserError
from pipeline.files.text import parse_rule

Kind = Literal["uniform", "inner", "stepped", "first", "every", "fps", "all"]
_MOST = 1_000_000_000
FORMS = "uniform:N, inner:N, stepped:N, first:N, every:N, fps:F or all"


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


def _ticks_before(elapsed: np.ndarray, rate: float, slack: float) -> np.ndarray:
    """``(n,)`` int64: how many of 0, 1/rate, 2/rate, ..., each with ``slack``, are less than each of ``elapsed``."""
    found = np.maximum(np.floor((elapsed - slack) * rate), 0).astype(np.int64)
    # The quotient is rounded, so the neighbours are tried as the ticks themselves would be compared.
    for _ in range(2):
        found -= (found > 0) & ((found - 1) / rate + slack >= elapsed)
        found += found / rate + slack < elapsed
    return found


_PICK: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "uniform": lambda times, n: uniform(times, int(n)),
    "inner": lambda times, n: inner(times, int(n)),
    "stepped": lambda times, n: stepped(times, int(n)),
    "first": lambda times, n: first(times, int(n)),
    "every": lambda times, n: every(times, int(n)),
    "fps": at_rate,
    "all": lambda times, _: np.arange(len(times)),
}


@dataclass(frozen=True)
class Sampling:
    """A rule that picks frames; written and read as text such as ``uniform:20``."""

    kind: Kind
    """One of uniform, inner, stepped, first, every, fps, all."""
    amount: float = 0
    """A number of frames (uniform, inner, stepped, first), a step in frames (every), or a rate (fps); 0 for all."""

    def __post_init__(self) -> None:
        if self.kind not in _PICK:
            raise UserError(f"sampling {self.kind!r} is unknown; expected {FORMS}")
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

    @classmethod
    def parse(cls, text: str) -> Sampling:
        """Read ``uniform:20``, ``first:20``, ``every:5``, ``fps:2.5`` or ``all``.

        Raises:
            UserError: the text is none of these.
        """
        kind, amount = parse_rule(text, "sampling", FORMS)
        return cls(kind, amount or 0.0)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.kind if self.kind == "all" else f"{self.kind}:{self.amount:.12g}"

    @property
    def by_count(self) -> bool:
        """Whether the time between two picked frames depends on the length of the video."""
        return self.kind in ("uniform", "inner", "stepped")

    def contains(self, other: Sampling) -> bool:
        """Whether the frames that ``other`` picks are among those this one picks, for every video.

        Then ``other.indices`` of the picked frames' times finds them without the video: ``all`` contains
        everything, ``every:2`` contains ``every:6``, ``first:20`` contains ``first:5``.
        """
        if self.kind == "all" or self == other:
            return True
        # Two rates share their ticks at best: where the video ends is lost after the first thinning.
        if (self.kind, other.kind) == ("first", "first"):
            return other.amount <= self.amount
        return (self.kind, other.kind) == ("every", "every") and other.amount % self.amount == 0

    def thin(self, times: np.ndarray, frames: np.ndarray, dense: Sampling) -> np.ndarray:
        """Which of the frames that ``dense`` picked this sampling picks; ``dense`` must contain it.

        Args:
            times: ``(n,)`` seconds of the frames that ``dense`` picked.
            frames: ``(n,)`` their frame numbers.
            dense: the sampling they were picked by.

        Returns:
            ``(k,)`` places among them, rising.
        """
        if self == dense:
            return np.arange(len(times))
        if self.kind == "every":
            return np.flatnonzero(np.asarray(frames) % int(self.amount) == 0)
        return self.indices(times)

    def __call__(self, times: np.ndarray, duration: float) -> np.ndarray:
        """The same as `indices`, for whoever takes any rule; the duration of the video does not count."""
        return self.indices(times)

    def indices(self, times: np.ndarray) -> np.ndarray:
        """Indices of the frames to use, rising, each at most once.

        Args:
            times: ``(n,)`` seconds of every frame of the video, in the order they are shown.

        Returns:
            ``(k,)`` int64, ``k <= n``; empty only where ``times`` is, or too short for ``stepped``.
        """
        return _PICK[self.kind](np.asarray(times), self.amount).astype(np.int64)
