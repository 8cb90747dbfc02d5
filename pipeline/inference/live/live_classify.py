"""A checkpoint applied to frames that come one by one: the last window is what counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.inputs.two_stream import ImageBatch, InputMakers
from pipeline.inference.timeline.smoothing import UNKNOWN, LiveSmoother, Smoothing
from pipeline.inference.timeline.window_grid import step_seconds
from pipeline.inference.timeline.window_runner import WindowHead
from pipeline.training.data.time_scale import TimeScale
from pipeline.videos.media.reader import Frame
from pipeline.videos.media.sampling import Sampling


@dataclass(frozen=True)
class LivePrediction:
    """What is known when a frame has been seen."""

    frame: Frame
    probabilities: np.ndarray
    """``(C,)`` float32 of the last window, smoothed."""
    label: int
    """The class, -1 where it is unknown."""
    fresh: bool
    """Whether a window ended with this frame; if not, the prediction is that of an earlier frame."""
    steps: int
    """Real steps of the last window: fewer than its length only at the beginning."""


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


def stream(
    frames: Iterable[Frame],
    *,
    network: Callable[[ImageBatch], np.ndarray],
    inputs: InputMakers,
    head: WindowHead,
    picker: StepPicker,
    stride: int | None = None,
    smoothing: Smoothing | None = None,
    abstain_below: float = 0.0,
) -> Iterator[LivePrediction]:
    """Yield a `LivePrediction` for every frame.

    Frames between steps are not sent through the network. Until the first window is full, the steps that have
    come are a window that is padded, as short clips were in training.

    Args:
        frames: in order; an index or a time that falls back starts anew.
        network: from the images of one step to ``(1, D)`` float32.
        inputs: from frames to the network's images. A step whose motion cannot be told, because the frame before
            it was passed over, is the next frame.
        head: the trained head.
        picker: which frames are steps.
        stride: steps from one window to the next; a quarter of a window if None.
        smoothing: over the windows' probabilities; K counts windows.
        abstain_below: below this probability the label is unknown.
    """
    length = head.window.length
    stride = max(1, length // 4) if stride is None else stride
    if not 1 <= stride <= length:
        raise UserError(f"`stride={stride}`: expected 1 to {length} steps")
    smoother = LiveSmoother(smoothing or Smoothing())
    features: deque[np.ndarray] = deque(maxlen=length)
    probabilities = np.full(len(head.classes), 1 / len(head.classes), np.float32)
    since, label, steps, last, due = 0, UNKNOWN, 0, -1, False
    for frame in frames:
        if frame.index <= last:
            features.clear()
            smoother = LiveSmoother(smoothing or Smoothing())
            since, due = 0, False
        last = frame.index
        fresh = False
        due = picker(frame) or due
        pictures = inputs.live(frame, wanted=due)
        if pictures is not None:
            due = False
            features.append(network(pictures)[0])
            fresh = since % stride == 0
            since += 1
        if fresh:
            window = np.zeros((1, length, *features[0].shape), features[0].dtype)
            window[0, : len(features)] = np.stack(list(features))
            mask = np.arange(length)[None] < len(features)
            steps = len(features)
            probabilities = smoother(head.predict(window, mask)[0])
            label = int(probabilities.argmax()) if probabilities.max() >= abstain_below else UNKNOWN
        yield LivePrediction(frame, probabilities, label, fresh, steps)
