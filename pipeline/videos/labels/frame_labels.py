"""Labels for every frame of a data set: read from a table of frames or of times, checked, and given splits.

video,frame,label[,split]        one row a frame; ``frame`` is a number from 0, or the file in a folder of frames
video,start,end,label            times; or one column ``time`` such as ``01:20:05 - 01:20:34`` for both
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.files.tables import natural_key, plural, read_numbered
from pipeline.files.timestamps import parse_time
from pipeline.parallel.workers import TIMEOUT
from pipeline.videos.catalog.catalog import SPLIT_FOLDERS, SPLITS, Catalog, Video
from pipeline.videos.catalog.splits import Shares, assign_splits
from pipeline.videos.catalog.times import read_times
from pipeline.videos.labels.segments import Interval, label_frames
from pipeline.videos.media.frame import VideoInfo
from pipeline.videos.media.image_folder import is_image

COLUMNS = ("video", "frame", "file", "label", "split")
_SPAN = re.compile(r"\s*(?P<start>[\d:.,]+)\s*(?:-|to)\s*(?P<end>[\d:.,]+)\s*")


@dataclass(frozen=True)
class FrameLabel:
    """One row of the table: what one frame shows."""

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


def label_data(
    catalog: Catalog, table: Path, *, background: str = "", workers: int = 2, timeout: float = TIMEOUT
) -> CheckedLabels:
    """Read a table of labels and check it against the frames that are there.

    Args:
        catalog: the videos, or folders of frames.
        table: one of the kinds above.
        background: the label of frames at no labelled time; without it they are reported.
        workers: videos that are opened at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.

    Raises:
        UserError: columns that are none of these, or a value that cannot be read; with file and line.
    """
    rows = read_numbered(table)
    columns = set(rows[0][1]) if rows else set()
    if {"video", "frame", "label"} <= columns:
        opened = _open([video for video in catalog if not _files(video.path)], workers, timeout)
        return _by_frame(catalog, table, rows, background, opened)
    if {"video", "label"} <= columns and ("time" in columns or {"start", "end"} <= columns):
        return _by_time(catalog, table, rows, background, _open(catalog.videos, workers, timeout))
    raise UserError(
        f"{table} has the columns {', '.join(sorted(columns)) or '(none)'}; expected video,frame,label or "
        "video,start,end,label or video,time,label with times such as 01:20:05 - 01:20:34"
    )


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


Opened = dict[str, tuple[VideoInfo, np.ndarray] | VideoError]
"""By name what opening each video told."""


def _open(videos: Sequence[Video], workers: int, timeout: float) -> Opened:
    named = [(video.name, video.path) for video in videos]
    return dict(read_times(named, workers=workers, timeout=timeout))


# -- the two kinds of table ------------------------------------------------------------------------


def _by_frame(
    catalog: Catalog, table: Path, rows: list[tuple[int, dict[str, str]]], background: str, opened: Opened
) -> CheckedLabels:
    names, found, reports = _names(catalog), [], []
    of_video: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for line, row in rows:
        of_video[names.get(row["video"], row["video"])].append((line, row))
    for name in of_video.keys() - {video.name for video in catalog}:
        line = of_video[name][0][0]
        reports.append(f"{table}, line {line}: there is no video {name!r}")
    for video in catalog:
        files = _files(video.path)
        read = opened.get(video.name)
        if isinstance(read, VideoError):
            reports.append(f"{video.name}: {read}")
            continue
        count = len(files) if read is None else read[0].frames
        numbers = {file: number for number, file in enumerate(files)}
        labels, splits = [background] * count, Counter[str]()
        for line, row in of_video[video.name]:
            where = f"{table}, line {line}"
            frame = numbers.get(Path(row["frame"]).name)
            if frame is None and row["frame"].isdecimal() and int(row["frame"]) < count:
                frame = int(row["frame"])
            if frame is None:
                reports.append(f"{where}: {video.name} has no frame {row['frame']!r}")
                continue
            if labels[frame] not in ("", background, row["label"]):
                raise UserError(f"{where}: frame {row['frame']} of {video.name} has two labels")
            labels[frame] = row["label"]
            splits[_split(row.get("split", ""), where)] += 1
        if len(splits) > 1:
            raise UserError(f"{table}: {video.name} has frames in {' and '.join(sorted(splits))}; expected one split")
        split = next(iter(splits), "")
        reports += [f"{video.name}: {report}" for report in _gaps(labels)]
        found += _labels(video.name, labels, files, split)
    return CheckedLabels(found, reports)


def _by_time(
    catalog: Catalog, table: Path, rows: list[tuple[int, dict[str, str]]], background: str, opened: Opened
) -> CheckedLabels:
    names, found, reports = _names(catalog), [], []
    intervals: dict[str, list[Interval]] = defaultdict(list)
    for line, row in rows:
        where = f"{table}, line {line}"
        start, end = _times(row, where)
        if names.get(row["video"], row["video"]) not in {video.name for video in catalog}:
            reports.append(f"{where}: there is no video {row['video']!r}")
            continue
        intervals[names.get(row["video"], row["video"])].append(Interval(start, end, row["label"], where))
    for video in catalog:
        read = opened[video.name]
        if isinstance(read, VideoError):
            reports.append(f"{video.name}: {read}")
            continue
        info, times = read
        labelled = label_frames(times, info.duration, intervals[video.name], background=background)
        reports += [f"{video.name}: {report}" for report in labelled.reports]
        found += _labels(video.name, labelled.labels, _files(video.path), "")
    return CheckedLabels(found, reports)


def _times(row: dict[str, str], where: str) -> tuple[float, float]:
    start, end = row.get("start", ""), row.get("end", "")
    if "time" in row:
        span = _SPAN.fullmatch(row["time"])
        if span is None:
            raise UserError(f"{where}: {row['time']!r} is no stretch of time; expected for example 01:20:05 - 01:20:34")
        start, end = span["start"], span["end"]
    first, last = parse_time(start, where), parse_time(end, where)
    if last <= first:
        raise UserError(f"{where}: the end {end} is not after the start {start}")
    return first, last


# -- parts -----------------------------------------------------------------------------------------


def _names(catalog: Catalog) -> dict[str, str]:
    """What a table may call a video: its name, or that without folder and ending where it is the only one."""
    short = Counter(Path(video.name).stem for video in catalog)
    names = {Path(video.name).stem: video.name for video in catalog if short[Path(video.name).stem] == 1}
    return names | {video.name: video.name for video in catalog}


def _files(path: Path) -> list[str]:
    """The frames of a folder in order; empty for a file."""
    if not path.is_dir():
        return []
    return sorted((entry.name for entry in path.iterdir() if is_image(entry.name)), key=natural_key)


def _split(text: str, where: str) -> str:
    split = SPLIT_FOLDERS.get(text.lower(), text)
    if split not in ("", *SPLITS):
        raise UserError(f"{where}: split {text!r} is unknown; expected train, val (or valid) or test")
    return split


def _gaps(labels: Sequence[str]) -> Iterable[str]:
    missing = np.flatnonzero([not label for label in labels])
    if len(missing):
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
            yield f"frame {run[0]} has no label" if len(run) == 1 else f"frames {run[0]} to {run[-1]} have no label"


def _labels(video: str, labels: Sequence[str], files: Sequence[str], split: str) -> list[FrameLabel]:
    return [
        FrameLabel(video, frame, files[frame] if files else "", label, split)
        for frame, label in enumerate(labels)
        if label
    ]
