"""What a head says of windows, videos and frames, and the table of it.

Probabilities of a video are the mean over its windows. Where single frames are labelled, windows take the place
of videos, and probabilities of a frame are the mean over the windows it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.files.tables import keeps_any_text, write_frame
from pipeline.training.compute.apply_head import probabilities_of
from pipeline.training.data.dataset import Dataset, Windows
from pipeline.training.evaluation.calibration import (
    find_temperature,
    mean_by_video,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Predictions:
    """Probabilities of the videos of one split, and of their windows."""

    split: str
    """train, val or test."""
    classes: tuple[str, ...]
    windows: Windows
    window_logits: np.ndarray
    """``(m, C)`` float32."""
    temperature: float
    videos: np.ndarray
    """``(n,)`` int64, rows of the dataset, rising."""
    labels: np.ndarray
    """``(n,)`` int64."""
    probabilities: np.ndarray
    """``(n, C)`` float32, per video."""

    def __repr__(self) -> str:
        return f"Predictions({self.split}, {len(self.videos)} videos, {len(self.windows)} windows)"

    @property
    def window_probabilities(self) -> np.ndarray:
        """``(m, C)`` float32."""
        return probabilities_of(self.window_logits, self.temperature)

    @property
    def predicted(self) -> np.ndarray:
        """``(n,)`` the most probable class of each video."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidences(self) -> np.ndarray:
        """``(n,)`` the probability of the predicted."""
        return self.probabilities.max(axis=1)

    @keeps_any_text
    def to_frame(self) -> pd.DataFrame:
        """A row per video, per window where a video has several, and per labelled frame.

        Columns: level (video, window or frame), split, video, start (first step of a window, number of a frame), label,
        prediction, probability, right (1 or 0), and ``p(name)`` of each class.
        """
        import pandas as pd

        data, windows = self.windows.data, self.windows
        levels = []
        if data.step_labels is None:
            levels.append(self._level("video", self.videos, None, self.labels, self.probabilities))
        if data.step_labels is not None or len(windows) > len(self.videos):
            probabilities = self.window_probabilities
            levels.append(self._level("window", windows.video, windows.start, windows.labels, probabilities))
        if data.step_labels is not None and (frames := list(labelled_frame_means(self))):
            places, rows, means = (np.array(column) for column in zip(*frames, strict=True))
            levels.append(self._level("frame", rows, data.frames[places], data.step_labels[places], means))
        return pd.concat(levels, ignore_index=True)

    def _level(
        self, level: str, rows: np.ndarray, start: np.ndarray | None, labels: np.ndarray, probabilities: np.ndarray
    ) -> pd.DataFrame:
        import pandas as pd

        classes, best = np.array(self.classes, object), probabilities.argmax(axis=1)
        columns = {
            "level": level,
            "split": self.split,
            "video": np.array(self.windows.data.names, object)[rows],
            "start": pd.array([pd.NA] * len(rows) if start is None else start, dtype="Int64"),
            "label": classes[labels],
            "prediction": classes[best],
            "probability": probabilities.max(axis=1),
            "right": (best == labels).astype(int),
        }
        return pd.DataFrame(columns | {f"p({name})": probabilities[:, i] for i, name in enumerate(self.classes)})


def predictions_of(
    split: str, data: Dataset, windows: Windows, logits: np.ndarray, *, temperature: float = 1.0
) -> Predictions:
    """Bring the windows of a split together into videos.

    Args:
        split: its name.
        data: what the windows are over.
        windows: the windows of all videos of the split.
        logits: ``(m, C)`` of those windows.
        temperature: divides the logits.
    """
    videos, labels, of_window = _units(windows)
    return Predictions(
        split,
        data.classes,
        windows,
        logits,
        temperature,
        videos,
        labels,
        mean_by_video(logits, of_window, len(videos), temperature),
    )


def temperature_of(val: Predictions) -> float:
    """The temperature that suits validation videos best; see `calibration.find_temperature`."""
    return find_temperature(val.window_logits, _units(val.windows)[2], val.labels)


def _units(windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is counted as right or wrong: videos, or windows where single frames are labelled.

    Returns:
        The row of the dataset and the label of each unit, and the unit of each window.
    """
    if windows.data.step_labels is not None:
        return windows.video, windows.labels, np.arange(len(windows))
    videos, of_window = np.unique(windows.video, return_inverse=True)
    return videos, windows.data.labels[videos], of_window


@keeps_any_text
def write_predictions(parts: Sequence[Predictions], path: Path) -> None:
    """Write ``predictions.csv``; see `Predictions.to_frame`."""
    import pandas as pd

    write_frame(pd.concat([part.to_frame() for part in parts], ignore_index=True), path)


def labelled_frame_means(part: Predictions) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (place in the dataset's steps, row of the video, mean probabilities) of each labelled frame."""
    data, windows, probabilities = part.windows.data, part.windows, part.window_probabilities
    assert data.step_labels is not None
    for row in np.unique(windows.video):
        steps = int(data.steps[row])
        total, count = np.zeros((steps, len(part.classes))), np.zeros(steps)
        for window in np.flatnonzero(windows.video == row):
            here = slice(windows.start[window], min(windows.start[window] + windows.length, steps))
            total[here] += probabilities[window]
            count[here] += 1
        for step in range(steps):
            place = int(data.offsets[row]) + step
            if count[step] and data.step_labels[place] >= 0:
                yield place, int(row), total[step] / count[step]
