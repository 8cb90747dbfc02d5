"""A checkpoint applied to frames that come one by one: the last window is what counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.inputs.two_stream import ImageBatch
from pipeline.inference.live.live_steps import LiveSteps
from pipeline.inference.timeline.smoothing import UNKNOWN, LiveSmoother, Smoothing
from pipeline.inference.timeline.window_runner import WindowHead
from pipeline.videos.media.reader import Frame


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


def stream(
    frames: Iterable[Frame],
    *,
    steps: LiveSteps,
    network: Callable[[ImageBatch], np.ndarray],
    head: WindowHead,
    stride: int | None = None,
    smoothing: Smoothing | None = None,
    abstain_below: float = 0.0,
) -> Iterator[LivePrediction]:
    """Yield a `LivePrediction` for every frame.

    Frames between steps are not sent through the network, and a step that is a clip of frames is when its last one has
    come. Until the first window is full, the steps that have
    come are a window that is padded, as short clips were in training.

    Args:
        frames: in order; an index or a time that falls back starts anew.
        steps: which frames are steps, or clips of frames that are.
        network: from the images of one step to ``(1, D)`` float32.
        head: the trained head.
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
    since, label, real, last = 0, UNKNOWN, 0, -1
    for frame in frames:
        if frame.index <= last:
            features.clear()
            smoother = LiveSmoother(smoothing or Smoothing())
            since = 0
        last = frame.index
        fresh = False
        for images in steps(frame):
            features.append(network(images)[0])
            fresh = fresh or since % stride == 0
            since += 1
        if fresh:
            window = np.zeros((1, length, *features[0].shape), features[0].dtype)
            window[0, : len(features)] = np.stack(list(features))
            mask = np.arange(length)[None] < len(features)
            real = len(features)
            probabilities = smoother(head.predict(window, mask)[0])
            label = int(probabilities.argmax()) if probabilities.max() >= abstain_below else UNKNOWN
        yield LivePrediction(frame, probabilities, label, fresh, real)
