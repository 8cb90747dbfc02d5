"""Labels of frames: read from a table of frames or of times, checked against the frames that are there, given splits.

video,frame,label[,split]        one row a frame; ``frame`` is a number from 0, or the file in a folder of frames
file,label[,split]               the same for folders of frames: ``video_1/video_1_00001.jpg``
video,start,end,label[,split]    times; or one column ``time`` such as ``01:20:05 - 01:20:34`` for both
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, VideoError
from pipeline.files.tables import read_numbered
from pipeline.files.text import natural_key, parse_time, plural
from pipeline.lazy import np
from pipeline.parallel.workers import TIMEOUT
from pipeline.videos.catalog.catalog import Catalog, Video, read_split
from pipeline.videos.catalog.splits import Shares, assign_splits
from pipeline.videos.catalog.times import read_times
from pipeline.videos.labels.segments import FrameLabelling, Segment, fill_gaps, label_frames
from pipeline.videos.media.image_folder import image_names

COLUMNS = ("video", "frame", "file", "label", "split")
_SPAN = re.compile(r"\s*(?P<start>[\d:.,]+)\s*(?:-|to)\s*(?P<end>[\d:.,]+)\s*")
Rows = list[tuple[int, dict[str, str]]]


@dataclass(frozen=True)
class LabelRow:
    """A row of a table of frames, as it is written."""

    frame: str
    """Its number from 0, or the name of its file."""
    label: str
    split: str
    where: str
    """Such as ``labels.csv, line 3``."""


@dataclass(frozen=True)
class FrameLabel:
    """What one frame shows."""

    video: str
    frame: int
    file: str
    """The frame's file; empty in a video that is a file itself."""
    label: str
    split: str = ""

    def row(self) -> dict[str, str | int]:
        """The values by column."""
        return {name: getattr(self, name) for name in COLUMNS}


@dataclass(frozen=True)
class CheckedLabels:
    """The labels that fit, and what did not."""

    labels: list[FrameLabel]
    reports: list[str]
    """Frames without a label, labels without a frame, videos without any or that cannot be read: one line each."""


# -- reading ---------------------------------------------------------------------------------------


def read_frame_labels(table: str | Path) -> dict[str, list[LabelRow]]:
    """The rows of a table of frames by what it calls each video, in the order of the first mention.

    Raises:
        UserError: wrong columns, an unknown split, or two labels for a frame; with file and line.
    """
    return _rows_of_frames(Path(table), read_numbered(Path(table)))


def _rows_of_frames(table: Path, rows: Rows) -> dict[str, list[LabelRow]]:
    names = set(rows[0][1]) if rows else set()
    file_column = next((name for name in ("file", "image", "path") if name in names), "")
    label_column = next((name for name in ("label", "tag", "class") if name in names), "")
    by_number = {"video", "frame"} <= names
    if not label_column or not (by_number or file_column):
        there = f"the columns {', '.join(sorted(names))}" if rows else "no rows"
        raise UserError(
            f"{table} has {there}; expected video,frame,label or file,label (or, where times are read, "
            "video,start,end,label or video,time,label with 01:20:05 - 01:20:34)"
        )
    found: dict[str, dict[str, LabelRow]] = defaultdict(dict)
    for line, row in rows:
        where = f"{table}, line {line}"
        file = Path(row["frame" if by_number else file_column].replace("\\", "/"))
        video = row["video"] if by_number else file.parent.as_posix()
        new = LabelRow(file.name, row[label_column], read_split(row.get("split", ""), where), where)
        known = found[video].setdefault(file.name, new)
        if known.label != new.label:
            raise UserError(
                f"{where}: frame {new.frame} of {video} has two labels, {known.label!r} ({known.where}) "
                f"and {new.label!r}"
            )
    return {video: list(frames.values()) for video, frames in found.items()}


def _rows_of_times(table: Path, rows: Rows) -> dict[str, list[Segment]]:
    found: dict[str, list[Segment]] = defaultdict(list)
    for line, row in rows:
        where = f"{table}, line {line}"
        start, end = _times(row, where)
        split = read_split(row.get("split", ""), where)
        found[row["video"]].append(Segment(Path(row["video"]), start, end, row["label"], split, where=where))
    return found


def _times(row: dict[str, str], where: str) -> tuple[float, float]:
    start, end = row.get("start", ""), row.get("end", "")
    if "time" in row:
        span = _SPAN.fullmatch(row["time"])
        if span is None:
            raise UserError(
                f"{where}: {row['time']!r} is not a stretch of time; expected for example 01:20:05 - 01:20:34"
            )
        start, end = span["start"], span["end"]
    first, last = parse_time(start, where), parse_time(end, where)
    if last <= first:
        raise UserError(f"{where}: the end {end} is not after the start {start}")
    return first, last


def one_split(rows: Iterable[LabelRow | Segment]) -> str:
    """The split that all rows of a video name.

    Raises:
        UserError: they name several, or only some of them name one.
    """
    split: str | None = None
    for row in rows:
        if row.split != (split := row.split if split is None else split):
            found = " and ".join(sorted(name or "none" for name in (split, row.split)))
            raise UserError(f"{row.where}: rows of one video name the splits {found}; expected one for all of a video")
    return split or ""


def names_of(videos: Iterable[str]) -> dict[str, str]:
    """What a table may call each video: its name, or that without folder and ending where it is the only one."""
    videos = list(videos)
    short = Counter(Path(video).stem for video in videos)
    names = {Path(video).stem: video for video in videos if short[Path(video).stem] == 1}
    return names | {video: video for video in videos}


# -- checking --------------------------------------------------------------------------------------


def place_labels(
    rows: Sequence[LabelRow], files: Sequence[str], times: np.ndarray, duration: float, *, background: str = ""
) -> FrameLabelling:
    """Put the rows of one video at its frames.

    Args:
        rows: of this video.
        files: the frames of a folder in order; empty for a file.
        times: ``(n,)`` seconds of every frame.
        duration: seconds of the video.
        background: the label of frames that no row names; without it they are reported.

    Raises:
        UserError: a frame that is named twice, by its number and by its file, with two labels.
    """
    numbers = {file: number for number, file in enumerate(files)}
    labels, reports = [""] * len(times), []
    for row in rows:
        frame = numbers.get(row.frame, int(row.frame) if row.frame.isdecimal() else len(times))
        if frame >= len(times):
            reports.append(f"{row.where}: there is no frame {row.frame!r}; the last is {len(times) - 1}")
            continue
        if labels[frame] not in ("", row.label):
            raise UserError(f"{row.where}: frame {row.frame} has two labels")
        labels[frame] = row.label
    return fill_gaps(labels, times, duration, background, reports)


def label_data(
    catalog: Catalog, table: Path, *, background: str = "", workers: int = 2, timeout: float = TIMEOUT
) -> CheckedLabels:
    """Read a table of labels and check it against the frames that are there.

    Args:
        catalog: the videos, or folders of frames.
        table: one of the kinds above.
        background: the label of frames without one; without it they are reported.
        workers: videos that are opened at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.

    Raises:
        UserError: columns that are none of these, or a value that cannot be read; with file and line.
    """
    rows = read_numbered(table)
    columns = set(rows[0][1]) if rows else set()
    by_time = "frame" not in columns and {"video", "label"} <= columns and columns & {"time", "start"}
    given: Mapping[str, list[Any]] = _rows_of_times(table, rows) if by_time else _rows_of_frames(table, rows)
    names, reports, found = names_of(video.name for video in catalog), list[str](), list[FrameLabel]()
    of_video: dict[str, list[Any]] = defaultdict(list)
    for said, items in given.items():
        if said in names:
            of_video[names[said]] += items
        else:
            reports.append(f"{items[0].where}: there is no video {said!r}")
    named = [(video, video.path) for video in catalog]
    for video, read in read_times(named, workers=workers, timeout=timeout):
        if isinstance(read, VideoError):
            reports.append(f"{video.name}: {read}")
            continue
        items, times, duration = of_video[video.name], read[1], read[0].duration
        files = image_names(video.path) if video.path.is_dir() else []
        if by_time:
            labelled = label_frames(times, duration, items, background=background)
        else:
            labelled = place_labels(items, files, times, duration, background=background)
        reports += [f"{video.name}: {report}" for report in labelled.reports]
        split = one_split(items)
        found += [
            FrameLabel(video.name, frame, files[frame] if files else "", label, split)
            for frame, label in enumerate(labelled.labels)
            if label
        ]
    return CheckedLabels(found, reports)


def add_splits(labels: Sequence[FrameLabel], shares: Shares, *, seed: int = 0) -> list[FrameLabel]:
    """Give whole videos a split where none has one; each counts as the class of most of its frames.

    Raises:
        UserError: some videos have a split and others none.
    """
    of_video: dict[str, Counter[str]] = defaultdict(Counter)
    for label in labels:
        of_video[label.video][label.label] += 1
    given = {label.video for label in labels if label.split}
    if given == of_video.keys():
        return list(labels)
    if given:
        lone = sorted(of_video.keys() - given, key=natural_key)
        raise UserError(f"{plural(len(lone), 'video')} without a split, such as {lone[0]}; give all a split, or none")
    videos = [Video(name, Path(name), counts.most_common(1)[0][0]) for name, counts in of_video.items()]
    split = {video.name: video.split for video in assign_splits(videos, shares, seed=seed)}
    return [replace(label, split=split[label.video]) for label in labels]
