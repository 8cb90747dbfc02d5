"""Segments: a label of a video from one time up to another; to labels of its frames, and back.

segments.csv   video,start,end,label[,split][,group]     a frame at ``end`` does not belong to the segment
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.system import unfit_name
from pipeline.files.tables import read_numbered
from pipeline.files.text import format_time, parse_time
from pipeline.lazy import np
from pipeline.videos.catalog.catalog import read_split

COLUMNS = ("video", "start", "end", "label")
_SLACK = 1e-3  # seconds; people and containers round to milliseconds


@dataclass(frozen=True)
class Segment:
    """What a video shows from one time to another."""

    video: Path
    start: float
    """Seconds after the first frame."""
    end: float
    label: str = ""
    split: str = ""
    group: str = ""
    """Empty: the recording is the group."""
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
    missing = [name for name in COLUMNS if not rows or name not in rows[0][1]]
    if missing:
        there = "has no rows" if not rows else f"has the columns {', '.join(rows[0][1])}"
        raise UserError(f"{path} {there}; expected {', '.join(COLUMNS)} and optionally split, group")
    segments: list[Segment] = []
    seen: dict[tuple, int] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        for name in COLUMNS:
            if not row[name]:
                raise UserError(f"{where}: the column '{name}' is empty")
        label, split = row["label"], read_split(row.get("split", ""), where)
        check_label(label, where)
        start, end = parse_time(row["start"], where), parse_time(row["end"], where)
        if end <= start:
            raise UserError(f"{where}: the end {row['end']} is not after the start {row['start']}")
        beside = path.parent / row["video"]
        video = beside if beside.exists() or not Path(row["video"]).exists() else Path(row["video"])
        if (key := (video, start, end, label)) in seen:
            raise UserError(f"{where}: the same segment is in line {seen[key]}; remove one of them")
        seen[key] = line
        segments.append(Segment(video, start, end, label, split, row.get("group", ""), where))
    return segments


def check_label(label: str, where: str) -> None:
    """Refuse a label that cannot be a folder.

    Raises:
        UserError: it has slashes, a leading dot, signs that cannot be printed or that this system has no names of.
    """
    if reason := unfit_name(label):
        raise UserError(f"{where}: the label {label!r} cannot name a folder; {reason}")
    if not label.isprintable():
        raise UserError(f"{where}: the label {label!r} is not plain UTF-8 text; save the file as UTF-8")


def label_frames(
    times: np.ndarray, duration: float, segments: Sequence[Segment], *, background: str = ""
) -> FrameLabelling:
    """Give each frame the label of the segment that holds its time.

    Args:
        times: ``(n,)`` seconds of every frame.
        duration: seconds of the video.
        segments: of this video, in any order.
        background: the label of frames in no segment; without it they are reported.

    Raises:
        UserError: two different labels for one frame; the message names both places.
    """
    labels = [""] * len(times)
    owner: list[Segment | None] = [None] * len(times)
    reports = []
    for segment in sorted(segments, key=lambda segment: (segment.start, segment.end)):
        first, end = (int(np.searchsorted(times, time - _SLACK)) for time in (segment.start, segment.end))
        here = f"{segment.where}: " if segment.where else ""
        stretch = f"{format_time(segment.start)} to {format_time(segment.end)} ({segment.label})"
        if segment.end > duration + 0.1 or segment.start > duration:
            reports.append(f"{here}{stretch} reaches past the end of the video at {format_time(duration)}")
        elif first == end:
            reports.append(f"{here}{stretch} holds no frame")
        for frame in range(first, end):
            other = owner[frame]
            if other is not None and other.label != segment.label:
                before = f" ({other.where})" if other.where else ""
                raise UserError(
                    f"{here}frame {frame} at {format_time(float(times[frame]))} has two labels, "
                    f"{other.label!r}{before} and {segment.label!r}"
                )
            owner[frame], labels[frame] = segment, segment.label
    return fill_gaps(labels, times, duration, background, reports)


def fill_gaps(
    labels: list[str], times: np.ndarray, duration: float, background: str, reports: Sequence[str] = ()
) -> FrameLabelling:
    """Give frames without a label the background's, or report them where there is none."""
    missing = np.flatnonzero([not label for label in labels])
    if background or not len(missing):
        return FrameLabelling([label or background for label in labels], [*reports])
    gaps = []
    for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
        first, last = int(run[0]), int(run[-1])
        until = float(times[last + 1]) if last + 1 < len(times) else duration
        what = f"frame {first} has" if first == last else f"frames {first} to {last} have"
        gaps.append(f"{what} no label ({format_time(float(times[first]))} to {format_time(until)})")
    return FrameLabelling(labels, [*reports, *gaps])


def find_segments(video: Path, times: np.ndarray, duration: float, labels: Sequence[str]) -> list[Segment]:
    """Put frames of one label that follow each other together; frames without a label are left out.

    The inverse of `label_frames` for segments that begin and end at frames and do not touch others of their label.

    Args:
        video: the file.
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
        Segment(video, float(times[first]), float(ends[end]), labels[first])
        for first, end in itertools.pairwise(borders)
        if first < end and labels[first]
    ]
