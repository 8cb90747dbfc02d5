"""Labels of single frames: a CSV with the columns ``video,frame,label`` and optionally ``split``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.store.store import FeatureStore
from pipeline.videos.labels.frame_labels import names_of, one_split, read_frame_labels


@dataclass
class FrameLabels:
    """What is labelled of one video."""

    of_frame: dict[int, str] = field(default_factory=dict)
    """The class by frame number."""
    split: str = ""

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
