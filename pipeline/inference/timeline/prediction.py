"""What a checkpoint says of one video: of its windows, of every frame, and in segments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.inference.timeline.segments import UNKNOWN_NAME, PredictedSegment
from pipeline.inference.timeline.window_grid import WindowGrid
from pipeline.inference.timeline.window_runner import frame_means
from pipeline.videos.media.frame import VideoInfo


@dataclass(frozen=True)
class VideoPrediction:
    """What a checkpoint says of a video."""

    video: Path
    classes: tuple[str, ...]
    info: VideoInfo
    grid: WindowGrid
    times: np.ndarray
    """``(n,)`` float64: seconds of every frame after the first one."""
    windows: np.ndarray
    """``(w, C)`` float32: probabilities of each window, as the head gave them."""
    probabilities: np.ndarray
    """``(n, C)`` float32: probabilities of each frame, smoothed."""
    labels: np.ndarray
    """``(n,)`` int64: class of each frame, -1 where it is unknown."""
    segments: list[PredictedSegment]
    abstain_below: float = 0.0
    """The probability below which a label is "unknown"."""

    def __repr__(self) -> str:
        return (
            f"VideoPrediction({str(self.video)!r}, {self.label!r} {self.mean.max():.2f}, {len(self.times)} frames, "
            f"{len(self.windows)} windows, {len(self.segments)} segments)"
        )

    @property
    def mean(self) -> np.ndarray:
        """``(C,)`` float32: probabilities of the whole video, the mean over its frames as they were before smoothing.

        A video that is one window has that window's probabilities.
        """
        spans = self.grid.spans()
        return frame_means(self.windows, spans, len(self.times)).mean(axis=0, dtype=np.float64).astype(np.float32)

    def window_lines(self) -> list[str]:
        """What each window says of its frames, a line for each: ``frames 0 to 74: Football 0.93, Ads 0.07``."""
        lines = []
        for (first, end), shares in zip(self.grid.spans().tolist(), self.windows, strict=True):
            order = np.argsort(-shares, kind="stable")
            said = ", ".join(f"{self.classes[place]} {shares[place]:.2f}" for place in order)
            lines.append(f"  frames {first} to {end - 1}: {said}")
        return lines

    @property
    def label(self) -> str:
        """The most probable class of the whole video, or "unknown" where it is not probable enough."""
        return self.best if self.mean.max() >= self.abstain_below else UNKNOWN_NAME

    @property
    def best(self) -> str:
        """The most probable class of the whole video, however probable."""
        return self.classes[int(self.mean.argmax())]
