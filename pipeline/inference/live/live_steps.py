"""From frames that come one by one to the steps of a recipe: single frames, or clips of frames as they are complete."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.inputs.two_stream import ImageBatch, InputMakers
from pipeline.inference.timeline.window_grid import step_seconds
from pipeline.training.data.time_scale import TimeScale
from pipeline.videos.media.reader import Frame
from pipeline.videos.media.sampling import Sampling

LiveSteps = Callable[[Frame], Sequence[ImageBatch]]
"""Called with every frame, in order; gives the images of the steps that are complete by now, each with a first side of
1. A number or a time that falls back begins anew."""


def live_steps(sampling: Sampling, time_scale: TimeScale, inputs: InputMakers) -> LiveSteps:
    """The steps of a stream, as a recipe's sampling makes them.

    Args:
        sampling: the recipe's; one by count takes steps at the distance they had in the median training clip.
        time_scale: of the training clips.
        inputs: from frames to the network's images.

    Raises:
        UserError: one by count, and the durations of the training clips are not known.
    """
    if sampling.clip:
        return LiveClips(sampling, inputs)
    return LiveFrames(StepPicker(sampling, time_scale), inputs)


class LiveFrames:
    """Steps that are single frames. One whose motion cannot be told, because the frame before it was passed over, is
    the next frame.

    Args:
        picker: which frames are steps.
        inputs: from frames to the network's images.
    """

    def __init__(self, picker: StepPicker, inputs: InputMakers) -> None:
        self._picker, self._inputs = picker, inputs
        self._due, self._last = False, -1

    def __call__(self, frame: Frame) -> Sequence[ImageBatch]:
        if frame.index <= self._last:
            self._due = False
        self._last = frame.index
        self._due = self._picker(frame) or self._due
        images = self._inputs.live(frame, wanted=self._due)
        if images is None:
            return ()
        self._due = False
        return (images,)


@dataclass
class _Clip:
    """A clip that is not complete."""

    start: float
    """Seconds after the first frame of the stream."""
    images: list[ImageBatch] = field(default_factory=list)
    """Of its frames so far."""


class LiveClips:
    """Steps that are clips of frames: those that the sampling makes of a file, each as soon as its last frame is there.

    Only frames are kept that a clip has taken, each made into an image once. Of a stream that jumps forward the frame
    before the jump stays on screen, as in a file. A stream that ends within a clip gives no part of it.

    Args:
        sampling: of clips of frames.
        inputs: from frames to the network's images.
    """

    def __init__(self, sampling: Sampling, inputs: InputMakers) -> None:
        self._sampling, self._inputs = sampling, inputs
        self._rule = sampling.clip_rule
        self._begin: Frame | None = None
        self._last: Frame | None = None
        self._images: ImageBatch | None = None
        """Of the last frame, where a clip has taken it."""
        self._next = 0
        """The number of the clip that begins next."""
        self._open: deque[_Clip] = deque()

    def __call__(self, frame: Frame) -> Sequence[ImageBatch]:
        last = self._last
        if self._begin is None or last is None or frame.index <= last.index or frame.time < last.time:
            self._begin, last, self._next = frame, None, 0
            self._open.clear()
        now = frame.time - self._begin.time
        if last is not None:
            # What was due before this frame came is what was on screen then.
            self._take(last, before=now)
        self._last, self._images = frame, None
        # The frame of a tick need not wait for the next one, which cannot be as near to the tick.
        self._take(frame, before=float(np.nextafter(now + 2 * self._rule.slack, np.inf)))
        complete = []
        while self._open and len(self._open[0].images) == len(self._rule.ticks):
            images = self._open.popleft().images
            complete.append(tuple(np.concatenate(parts)[None] for parts in zip(*images, strict=True)))
        return complete

    def _take(self, frame: Frame, *, before: float) -> None:
        """Let a frame be what is on screen at all ticks that have none yet and are, with the slack, before a moment."""
        assert self._begin is not None
        rule, shown = self._rule, frame.time - self._begin.time
        # As in a file no clip begins on a frame that has been there for as long as a clip lasts.
        number, most = rule.starts_before(np.array([before, shown + rule.lasts])).tolist()
        for k in range(self._next, min(number, most)):
            self._open.append(_Clip(rule.start(k)))
        self._next = max(self._next, number)
        for clip in self._open:
            while (
                len(clip.images) < len(rule.ticks) and clip.start + rule.ticks[len(clip.images)] + rule.slack < before
            ):
                clip.images.append(self._images_of(frame))

    def _images_of(self, frame: Frame) -> ImageBatch:
        if self._images is None:
            self._images = self._inputs.live(frame, wanted=True)
            assert self._images is not None  # colours need no other frame
        return self._images


class StepPicker:
    """Decides for each frame of a stream whether it is a step, as the recipe's sampling would.

    Args:
        sampling: the recipe's; one by count takes steps at the distance they had in the median training clip.
        time_scale: of the training clips.
    """

    def __init__(self, sampling: Sampling, time_scale: TimeScale) -> None:
        if sampling.by_count and time_scale.median <= 0:
            raise UserError(
                f"sampling {sampling} has no step of its own, and the durations of the training clips are not known"
            )
        self._sampling = sampling
        self._median = time_scale.median
        self._begun: Frame | None = None
        self._step = 0.0
        self._taken = 0

    def __call__(self, frame: Frame) -> bool:
        first = self._begun
        if first is None or frame.index <= first.index or frame.time < first.time:
            # The first frame, or a stream that began anew.
            self._begun, self._step, self._taken = frame, 0.0, 1
            return True
        if self._sampling.kind in ("all", "first", "every"):
            distance, step = float(frame.index - first.index), max(1.0, self._sampling.amount)
            step = step if self._sampling.kind == "every" else 1.0
        else:
            distance = frame.time - first.time
            if not self._step and distance > 0:
                self._step = self._seconds(distance / (frame.index - first.index))
            step = self._step or float("inf")
        # A frame on the tick counts; rounding must not hand the tick to the next one.
        due = int(distance / step + 1e-3) + 1
        if due <= self._taken:
            return False
        self._taken = due  # ticks that fell between two frames are past
        return True

    def _seconds(self, period: float) -> float:
        if self._sampling.kind == "fps":
            return 1 / self._sampling.amount
        return step_seconds(self._sampling, self._median, period)
