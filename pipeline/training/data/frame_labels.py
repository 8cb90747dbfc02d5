"""Labels of single frames: a CSV with the columns ``video,frame,label`` and optionally ``split``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.store.store import FeatureStore
from pipeline.files.tables import read_table
from pipeline.videos.catalog.catalog import SPLITS


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
    """The labelled frames by name of the video. A name may leave out the folder and the extension if it is unique.

    Raises:
        UserError: columns are missing, a video is not in the store, a frame has two labels, or a video two splits.
    """
    names = {name: name for name in store.entries}
    short = Counter(Path(name).stem for name in names)
    names |= {Path(name).stem: name for name in store.entries if short[Path(name).stem] == 1}
    labels: dict[str, FrameLabels] = {}
    for line, row in enumerate(read_table(path), 2):
        here = f"{path}, row {line}"
        if not {"video", "frame", "label"} <= set(row):
            raise UserError(f"{path} needs the columns video, frame and label; found {', '.join(row)}")
        if row["video"] not in names:
            raise UserError(f"{here}: {row['video']!r} is not in {store.folder}; extract it first, or drop the row")
        if not row["frame"].isdecimal() or not row["label"]:
            raise UserError(f"{here}: expected a frame number and a label, found {row['frame']!r}, {row['label']!r}")
        of_video = labels.setdefault(names[row["video"]], FrameLabels())
        if of_video.of_frame.setdefault(int(row["frame"]), row["label"]) != row["label"]:
            raise UserError(f"{here}: frame {row['frame']} of {row['video']} has two labels")
        split = row.get("split", "")
        if split not in ("", *SPLITS) or (of_video.split and split and split != of_video.split):
            raise UserError(f"{here}: split {split!r}; expected one of {', '.join(SPLITS)} for all of a video")
        of_video.split = split or of_video.split
    if not labels:
        raise UserError(f"{path} has no rows; expected video,frame,label")
    return labels
