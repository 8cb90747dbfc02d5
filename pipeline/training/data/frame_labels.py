"""Labels of single frames: a CSV with the columns ``video,frame,label`` and optionally ``split``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.store.store import FeatureStore
from pipeline.videos.labels.frame_labels import names_of, one_split, read_frame_labels


@dataclass
class FrameLabels:
    """What is labelled of one video."""

    of_frame: dict[int, str] = field(default_factory=dict)
    """The class by frame number."""
    split: str = ""

    def within(self, firsts: np.ndarray, lasts: np.ndarray) -> list[str | None]:
        """The class of each step; None where no frame of it is labelled.

        A step that is one frame has that frame's. A clip of frames has that of most of its labelled frames, from the
        first to the last one in it, and of two that are as frequent the earlier one.

        Args:
            firsts: ``(k,)`` the numbers of the first frames of the steps.
            lasts: ``(k,)`` those of the last ones.
        """
        numbers = np.array(sorted(self.of_frame), np.int64)
        names = [self.of_frame[number] for number in numbers.tolist()]
        begins, ends = np.searchsorted(numbers, firsts), np.searchsorted(numbers, lasts, side="right")
        return [
            (names[begin] if end == begin + 1 else Counter(names[begin:end]).most_common(1)[0][0])
            if begin < end
            else None
            for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
        ]

    def most_common(self) -> str:
        """The class of most frames, by which videos are stratified."""
        return Counter(self.of_frame.values()).most_common(1)[0][0]


def read_step_labels(path: Path, store: FeatureStore) -> dict[str, FrameLabels]:
    """The labelled frames by name of the video; see `read_frame_labels` for the table.

    Raises:
        UserError: a wrong table, a video that is not in the store, or two splits for one.
    """
    names = names_of(store.entries)
    labels: dict[str, FrameLabels] = {}
    for video, rows in read_frame_labels(path).items():
        if video not in names:
            raise UserError(f"{rows[0].where}: {video!r} is not in {store.folder}; extract it first, or drop its rows")
        wrong = next((row for row in rows if not row.frame.isdecimal() or not row.label), None)
        if wrong is not None:
            raise UserError(f"{wrong.where}: expected a frame number and a label, not {wrong.frame!r}, {wrong.label!r}")
        labels[names[video]] = FrameLabels({int(row.frame): row.label for row in rows}, one_split(rows))
    return labels
