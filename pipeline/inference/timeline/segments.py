"""Segments: the stretches of a video that have one label, in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.inference.timeline.smoothing import UNKNOWN, runs

UNKNOWN_NAME = "unknown"


@dataclass(frozen=True)
class PredictedSegment:
    """A stretch of a video with one label."""

    start: float
    """Seconds after the first frame."""
    end: float
    """Seconds at which its last frame's showing ends."""
    label: str
    """The class, or "unknown"."""
    probability: float
    """Mean probability of the class; of an unknown stretch, of its most probable class."""
    first_frame: int
    end_frame: int
    """It holds the frames ``first_frame`` to ``end_frame - 1``."""

    def __str__(self) -> str:
        """``Football 97%``; what is unknown has no probability of its own."""
        return self.label if self.label == UNKNOWN_NAME else f"{self.label} {self.probability:.0%}"


def find_segments(
    labels: np.ndarray, probabilities: np.ndarray, times: np.ndarray, end: float, classes: tuple[str, ...]
) -> list[PredictedSegment]:
    """Segments of a labelled video, in order; together they cover it.

    Args:
        labels: ``(n,)`` class of each frame, or `UNKNOWN`.
        probabilities: ``(n, C)``.
        times: ``(n,)`` seconds.
        end: seconds at which the last frame's showing ends.
        classes: names.
    """
    edges = np.append(times, end)
    segments = []
    for first, stop in runs(labels).tolist():
        label = int(labels[first])
        mean = probabilities[first:stop].mean(axis=0)
        segments.append(
            PredictedSegment(
                start=float(edges[first]),
                end=float(edges[stop]),
                label=UNKNOWN_NAME if label == UNKNOWN else classes[label],
                probability=float(mean.max() if label == UNKNOWN else mean[label]),
                first_frame=first,
                end_frame=stop,
            )
        )
    return segments
