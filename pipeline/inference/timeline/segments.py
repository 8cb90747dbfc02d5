"""Segments: the stretches of a video that have one label, and the files that people read them from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.files.atomic import write_whole
from pipeline.files.tables import write_table
from pipeline.inference.timeline.smoothing import UNKNOWN, runs

UNKNOWN_NAME = "unknown"


@dataclass(frozen=True)
class Segment:
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


def find_segments(
    labels: np.ndarray, probabilities: np.ndarray, times: np.ndarray, end: float, classes: tuple[str, ...]
) -> list[Segment]:
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
            Segment(
                start=float(edges[first]),
                end=float(edges[stop]),
                label=UNKNOWN_NAME if label == UNKNOWN else classes[label],
                probability=float(mean.max() if label == UNKNOWN else mean[label]),
                first_frame=first,
                end_frame=stop,
            )
        )
    return segments


def write_segments(segments: list[Segment], path: Path) -> None:
    """Write a CSV file: start, end, label, probability, first_frame, end_frame."""
    columns = ("start", "end", "label", "probability", "first_frame", "end_frame")
    rows = [
        {
            "start": f"{item.start:.3f}",
            "end": f"{item.end:.3f}",
            "label": item.label,
            "probability": f"{item.probability:.4f}",
            "first_frame": item.first_frame,
            "end_frame": item.end_frame,
        }
        for item in segments
    ]
    write_table(rows, columns, path)


def write_srt(segments: list[Segment], path: Path) -> None:
    """Write SubRip subtitles, which every player shows: a number, the times, the label with its probability."""
    blocks = [
        f"{number}\n{_clock(item.start)} --> {_clock(item.end)}\n{_one_line(item.label)} {item.probability:.0%}\n"
        for number, item in enumerate(segments, 1)
    ]
    with write_whole(path) as temporary:
        temporary.write_text("\n".join(blocks), encoding="utf-8")


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


def _one_line(label: str) -> str:
    # Players read <...> as markup.
    return " ".join(label.replace("<", "(").replace(">", ")").split())
