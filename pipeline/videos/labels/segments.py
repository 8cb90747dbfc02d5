"""Labels of stretches and labels of frames: from one to the other and back.

segments     video,start,end,label          a label from start up to, not including, end
labels.csv   video,frame,time,label         one row for each frame
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.files.tables import natural_key, read_numbered
from pipeline.files.timestamps import format_time, parse_time
from pipeline.videos.catalog.catalog import SPLIT_FOLDERS, SPLITS

COLUMNS = ("video", "frame", "time", "label")
_SLACK = 1e-3  # seconds; people and containers round to milliseconds


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording that somebody wants as a clip."""

    video: Path
    start: float
    """Seconds after the first frame."""
    end: float
    label: str = ""
    split: str = ""
    group: str = ""
    """Empty: the recording is the group."""
    where: str = ""
    """Where it was asked for, such as ``segments.csv, line 3``."""


@dataclass(frozen=True)
class Interval:
    """A label from one time to another, in seconds."""

    start: float
    end: float
    label: str
    where: str = ""
    """Where it was written, such as ``segments.csv, line 3``."""


@dataclass(frozen=True)
class FrameLabelling:
    """A label for each frame, and what was odd on the way."""

    labels: list[str]
    """One for each frame; empty where there is none."""
    reports: list[str]
    """Gaps and times out of range, one line each, with frame numbers and times."""


def read_segments(path: str | Path) -> list[Segment]:
    """Read a CSV with the columns ``video,start,end,label`` and optionally ``split`` and ``group``.

    Videos are looked for beside the CSV file, then in the current folder.

    Raises:
        UserError: a column is missing, a time cannot be read, an end is not after its start, a segment is
            listed twice; the message names file and line.
    """
    path = Path(path)
    rows = read_numbered(path)
    needed = ("video", "start", "end", "label")
    missing = [name for name in needed if not rows or name not in rows[0][1]]
    if missing:
        there = "has no rows" if not rows else f"has the columns {', '.join(rows[0][1])}"
        raise UserError(f"{path} {there}; expected {', '.join(needed)} and optionally split, group")
    segments: list[Segment] = []
    seen: dict[tuple, int] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        for name in needed:
            if not row[name]:
                raise UserError(f"{where}: the column '{name}' is empty")
        label, split = row["label"], row.get("split", "")
        split = SPLIT_FOLDERS.get(split.lower(), split)
        if split not in ("", *SPLITS):
            raise UserError(f"{where}: split {split!r} is unknown; expected train, val or test")
        check_label(label, where)
        start, end = parse_time(row["start"], where), parse_time(row["end"], where)
        if end <= start:
            raise UserError(f"{where}: the end {row['end']} is not after the start {row['start']}")
        beside = path.parent / row["video"]
        video = beside if beside.exists() or not Path(row["video"]).exists() else Path(row["video"])
        if (key := (video, start, end, label)) in seen:
            raise UserError(f"{where}: the same segment stands in line {seen[key]}; remove one of them")
        seen[key] = line
        segments.append(Segment(video, start, end, label, split, row.get("group", ""), where))
    return segments


def check_label(label: str, where: str) -> None:
    """Refuse a label that cannot be a folder.

    Raises:
        UserError: it has slashes, a leading dot or signs that cannot be printed.
    """
    if label in (".", "..") or label.startswith(".") or any(sign in label for sign in "/\\\0"):
        raise UserError(f"{where}: the label {label!r} cannot name a folder; leave out slashes and leading dots")
    if not label.isprintable():
        raise UserError(f"{where}: the label {label!r} is no plain UTF-8 text; save the file as UTF-8")


def label_frames(
    times: np.ndarray, duration: float, intervals: Sequence[Interval], *, background: str = ""
) -> FrameLabelling:
    """Give each frame the label of the interval that holds its time.

    Args:
        times: ``(n,)`` seconds of every frame.
        duration: seconds of the video.
        intervals: in any order.
        background: the label of frames in no interval; without it they are reported.

    Raises:
        UserError: two different labels for one frame; the message names both places.
    """
    labels = [""] * len(times)
    owner: list[Interval | None] = [None] * len(times)
    reports = []
    for interval in sorted(intervals, key=lambda interval: (interval.start, interval.end)):
        first, end = (int(np.searchsorted(times, time - _SLACK)) for time in (interval.start, interval.end))
        here = f"{interval.where}: " if interval.where else ""
        stretch = f"{format_time(interval.start)} to {format_time(interval.end)} ({interval.label})"
        if interval.end > duration + 0.1 or interval.start > duration:
            reports.append(f"{here}{stretch} reaches past the end of the video at {format_time(duration)}")
        elif first == end:
            reports.append(f"{here}{stretch} holds no frame")
        for frame in range(first, end):
            other = owner[frame]
            if other is not None and other.label != interval.label:
                before = f" ({other.where})" if other.where else ""
                raise UserError(
                    f"{here}frame {frame} at {format_time(float(times[frame]))} has two labels, "
                    f"{other.label!r}{before} and {interval.label!r}"
                )
            owner[frame], labels[frame] = interval, interval.label
    missing = np.flatnonzero([not label for label in labels])
    if background:
        for frame in missing.tolist():
            labels[frame] = background
    else:
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1) if len(missing) else []:
            first, last = int(run[0]), int(run[-1])
            until = float(times[last + 1]) if last + 1 < len(times) else duration
            what = f"frame {first} has" if first == last else f"frames {first} to {last} have"
            reports.append(f"{what} no label ({format_time(float(times[first]))} to {format_time(until)})")
    return FrameLabelling(labels, reports)


def find_intervals(times: np.ndarray, duration: float, labels: Sequence[str]) -> list[Interval]:
    """Put frames of one label that follow each other together; frames without a label are left out.

    The inverse of `label_frames` for intervals that begin and end at frames and do not touch others of their label.

    Args:
        times: ``(n,)`` seconds of every frame.
        duration: where the last frame's showing ends.
        labels: ``n`` labels.

    Raises:
        UserError: another number of labels than of frames.
    """
    if len(labels) != len(times):
        raise UserError(f"{len(labels)} labels were given for {len(times)} frames; expected one for each")
    borders = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1]), len(labels)]
    ends = np.append(times, duration)
    return [
        Interval(float(times[first]), float(ends[end]), labels[first])
        for first, end in itertools.pairwise(borders)
        if first < end and labels[first]
    ]


def intervals_by_video(segments: Sequence[Segment]) -> dict[Path, list[Interval]]:
    """Segments as intervals of their videos, in the order of the videos' first mention."""
    result: dict[Path, list[Interval]] = {}
    for segment in segments:
        interval = Interval(segment.start, segment.end, segment.label, segment.where)
        result.setdefault(segment.video, []).append(interval)
    return result


def read_labels(path: str | Path) -> dict[str, dict[int, str]]:
    """Read the labels of frames.

    Columns: ``video`` and ``frame`` (a number from 0), or one of ``file``, ``image``, ``path`` with the frame's file,
    such as ``video_1/video_1_00001.jpg``; and ``label``.

    Returns:
        For each video the labels by frame; files are numbered in natural order.

    Raises:
        UserError: wrong columns, or two labels for one frame; the message names file and line.
    """
    path = Path(path)
    rows = read_numbered(path)
    names = set(rows[0][1]) if rows else set()
    file_column = next((name for name in ("file", "image", "path") if name in names), None)
    label_column = next((name for name in ("label", "tag", "class") if name in names), None)
    by_number = {"video", "frame"} <= names
    if label_column is None or not (by_number or file_column):
        raise UserError(
            f"{path} has the columns {', '.join(sorted(names)) or '(none)'}; expected video,frame,label or file,label"
        )
    seen: dict[str, dict[str, tuple[str, int]]] = {}
    for line, row in rows:
        if by_number:
            video, frame = row["video"], row["frame"]
            if not frame.isdecimal():
                raise UserError(f"{path}, line {line}: the frame {frame!r} is no number from 0")
        else:
            file = Path(row[file_column or ""].replace("\\", "/"))
            video, frame = file.parent.as_posix(), file.name
        there = seen.setdefault(video, {})
        if frame in there and there[frame][0] != row[label_column]:
            before, at = there[frame]
            raise UserError(
                f"{path}, line {line}: frame {frame} of {video} has two labels, {before!r} (line {at}) "
                f"and {row[label_column]!r}"
            )
        there[frame] = (row[label_column], line)
    result = {}
    for video, frames in seen.items():
        if by_number:
            result[video] = {int(frame): label for frame, (label, _) in frames.items()}
        else:
            order = sorted(frames, key=natural_key)
            result[video] = {place: frames[frame][0] for place, frame in enumerate(order)}
    return result
