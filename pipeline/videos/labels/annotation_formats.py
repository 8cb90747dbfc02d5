"""Segments from what annotation tools export: ELAN, VIA, BORIS, SubRip and WebVTT, besides our own CSV.

    .srt .vtt   SubRip, WebVTT: the text of a cue is the label
    .txt .tsv   ELAN, "Export as > Tab-delimited text": with or without a header, any choice of time columns
    .csv        VIA 3 ("# Exported using VGG Image Annotator ..."), BORIS (events, or aggregated events), or ours

Where a file does not name its video, the one given is meant, else the video of the same name beside it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from pipeline.errors import UserError
from pipeline.files.guard.reading import parse_json, shown
from pipeline.files.tables import read_numbered, read_text, split_rows
from pipeline.files.text import parse_time
from pipeline.videos.catalog.catalog import VIDEO_EXTENSIONS
from pipeline.videos.labels.segments import Segment, check_label, read_segments

_ARROW = re.compile(r"^\s*(\S+)\s+-->\s+(\S+)")
_CLOCK = re.compile(r"\d+:\d\d:\d\d[.,]\d+")
_DECIMAL = re.compile(r"\d+[.,]\d+")
_WHOLE = re.compile(r"\d+")
_PERCENT = re.compile(r" (100|\d?\d)%$")  # in subtitles of a classified video: how sure the model was


@dataclass(frozen=True)
class Annotations:
    """What was read of an annotation file."""

    segments: list[Segment]
    left_out: int = 0
    """Events without a duration: points in time and still frames, which cannot be cut."""


def read_annotations(path: str | Path, *, video: Path | None = None, tier: str = "") -> Annotations:
    """Read the segments of an annotation file of any kind that is known.

    Args:
        path: the file.
        video: the video that it is about, where the file does not say.
        tier: read this tier (ELAN) or attribute (VIA) only; empty reads all.

    Raises:
        UserError: an unknown format, a time that cannot be read, an end that is not after its start; with file
            and line.
    """
    path = Path(path)
    text = read_text(path)
    suffix = path.suffix.lower()
    if suffix in (".srt", ".vtt"):
        return _cues(path, text, _video_of(path, video))
    if suffix == ".csv" and text.startswith("#"):
        return _via(path, text, tier)
    if suffix in (".txt", ".tsv") and not _is_table(text):
        return _elan(path, text, _video_of(path, video), tier)
    if suffix in (".csv", ".tsv", ".txt"):
        columns = text.partition("\n")[0].lower()
        if "behavior" in columns:
            return _boris(path, video)
        return Annotations(read_segments(path))
    raise UserError(f"{path} is of an unknown kind; expected a file that ends in .csv, .tsv, .txt, .srt or .vtt")


def _is_table(text: str) -> bool:
    """Whether a text is a table of ours or of BORIS with a header, and not from ELAN."""
    header = re.split(r"[,;\t]", text.partition("\n")[0].lower().strip())
    return {"video", "start", "end"} <= {name.strip() for name in header} or "behavior" in header


def _video_of(path: Path, video: Path | None) -> Path:
    """The video given, else the one of the same name beside the file."""
    if video is not None:
        return video
    beside = [path.with_suffix(extension) for extension in sorted(VIDEO_EXTENSIONS)]
    found = [candidate for candidate in beside if candidate.is_file()]
    if len(found) != 1:
        raise UserError(
            f"{path} does not name its video, and {len(found) or 'no'} videos of that name lie beside it; name it first"
        )
    return found[0]


def _named(path: Path, name: str, video: Path | None) -> Path:
    """The video that an export names, often by its place on another computer."""
    if video is not None:
        return video
    name = name.removeprefix("file://")
    for candidate in (Path(name), path.parent / name, path.parent / PureWindowsPath(name).name):
        if candidate.is_file():
            return candidate
    return path.parent / PureWindowsPath(name).name


def _segment(video: Path, start: float, end: float, label: str, where: str) -> Segment:
    if end <= start:
        raise UserError(f"{where}: the end {end:g} is not after the start {start:g}")
    label = " ".join(label.split())
    if not label:
        raise UserError(f"{where}: there is no label")
    check_label(label, where)
    return Segment(video, start, end, label, where=where)


# -- subtitles -------------------------------------------------------------------------------------


def _cues(path: Path, text: str, video: Path) -> Annotations:
    segments: list[Segment] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        times = _ARROW.match(line)
        if times is None:
            if "-->" in line:
                raise UserError(f"{path}, line {number + 1}: {line.strip()!r} is not a pair of times")
            continue
        where = f"{path}, line {number + 1}"
        words = []
        for following in lines[number + 1 :]:
            if not following.strip():
                break
            words.append(re.sub(r"<[^>]*>|\{\\[^}]*\}", "", following))  # Marks of italics and the like.
        start, end = (parse_time(part, where) for part in times.groups())
        label = _PERCENT.sub("", " ".join(words))
        segments.append(_segment(video, start, end, label, where))
    if not segments:
        raise UserError(f"{path} holds no cues; expected lines such as 00:00:01,000 --> 00:00:02,500")
    return Annotations(segments)


# -- ELAN ------------------------------------------------------------------------------------------


def _elan(path: Path, text: str, video: Path, tier: str) -> Annotations:
    lines = split_rows(path, text, delimiter="\t", quoting=csv.QUOTE_NONE)
    rows = [
        (n, [cell.strip() for cell in row])
        for n, row in enumerate(lines, 1)
        if any(row) and row[0].lstrip('"')[:1] != "#"
    ]
    begin, end, last = _time_columns(rows[1:] or rows)
    if begin < 0:
        raise UserError(
            f"{path} holds no two columns of times; expected ELAN's tab-delimited text, or video,start,end,label"
        )
    first = rows[0][1]
    header = first if not _any_time(first[begin] if begin < len(first) else "") else []
    segments = []
    for line, row in rows[1 if header else 0 :]:
        where = f"{path}, line {line}"
        if len(row) <= max(begin, end):
            raise UserError(f"{where}: {len(row)} columns; expected at least {max(begin, end) + 1}")
        start, stop = (_elan_time(row[column], where) for column in (begin, end))
        for column in range(last + 1, len(row)):
            # Either the tier is in the first column, or each tier has a column of its own.
            name = header[column] if column < len(header) and begin == 0 else row[0] if begin > 0 else ""
            if row[column] and (not tier or tier == name):
                segments.append(_segment(video, start, stop, row[column], where))
    if not segments:
        raise UserError(f"{path} holds no annotations" + (f" of the tier {tier!r}" if tier else ""))
    return Annotations(segments)


def _time_columns(rows: list[tuple[int, list[str]]]) -> tuple[int, int, int]:
    """The columns of begin and end, and the last column of times; the clock is preferred to seconds, those to ms."""
    width = max((len(row) for _, row in rows), default=0)

    def all_match(column: int, pattern: re.Pattern) -> bool:
        return all(column < len(row) and pattern.fullmatch(row[column]) for _, row in rows)

    kinds = [[c for c in range(width) if all_match(c, pattern)] for pattern in (_CLOCK, _DECIMAL, _WHOLE)]
    last = max((column for columns in kinds for column in columns), default=-1)
    for columns in kinds:
        if len(columns) >= 2:
            return columns[0], columns[1], last
    return -1, -1, -1


def _any_time(text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in (_CLOCK, _DECIMAL, _WHOLE))


def _elan_time(text: str, where: str) -> float:
    # Whole numbers are milliseconds there.
    return int(text) / 1000 if _WHOLE.fullmatch(text) else parse_time(text, where)


# -- VIA -------------------------------------------------------------------------------------------


def _via(path: Path, text: str, tier: str) -> Annotations:
    names: dict[str, str] = {}
    options: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if line.startswith("#") and key.strip(" #") in ("ATTRIBUTE", "ATTRIBUTES"):
            for number, attribute in _json(value, path, "its attributes", dict).items():
                known = attribute if isinstance(attribute, dict) else {"aname": attribute}
                names[number] = str(known.get("aname", number))
                options[number] = known["options"] if isinstance(known.get("options"), dict) else {}
    segments: list[Segment] = []
    left_out = 0
    for line_number, row in enumerate(split_rows(path, text, skipinitialspace=True), 1):
        if not row or row[0].startswith("#"):
            continue
        where = f"{path}, line {line_number}"
        if len(row) < 6:
            raise UserError(f"{where}: {len(row)} columns; expected the 6 of VIA 3")
        times, values = _json(row[3], path, where, list), _json(row[5], path, where, dict)
        if len(times) != 2 or not all(isinstance(time, int | float) for time in times):
            left_out += 1
            continue
        files = _json(row[1], path, where, list)
        if not files:
            raise UserError(f"{where}: no file is named")
        for number, value in values.items():
            if tier and tier != names.get(number, number):
                continue
            label = options.get(number, {}).get(str(value), str(value))
            segments.append(_segment(_named(path, str(files[0]), None), float(times[0]), float(times[1]), label, where))
    if not segments:
        raise UserError(f"{path} holds no segments in time" + (f" with the attribute {tier!r}" if tier else ""))
    return Annotations(segments, left_out)


def _json(text: str, path: Path, what: str, kind: type) -> Any:
    where = what if str(path) in what else f"{path}: {what}"
    try:
        value = parse_json(text)
    except ValueError:
        raise UserError(f"{where}: {text.strip()[:60]!r} is not JSON") from None
    if not isinstance(value, kind):
        raise UserError(f"{where}: {shown(value)} stands where a {'list' if kind is list else 'mapping'} is expected")
    return value


# -- BORIS -----------------------------------------------------------------------------------------


def _boris(path: Path, video: Path | None) -> Annotations:
    rows = read_numbered(path)
    if not rows:
        raise UserError(f"{path} has no rows")
    names = rows[0][1]
    media = next((name for name in ("media file name", "media file path", "media file") if name in names), None)
    if media is None and video is None:
        video = _video_of(path, None)

    def video_of(row: dict[str, str]) -> Path:
        return _named(path, row[media].split(";")[0] if media else "", video)

    if {"behavior", "start (s)", "stop (s)"} <= set(names):
        return _aggregated(path, rows, video_of)
    kind = "behavior type" if "behavior type" in names else "status"
    if not {"behavior", "time", kind} <= set(names):
        raise UserError(
            f"{path} has the columns {', '.join(names)}; expected BORIS's Behavior with Start (s), Stop (s) or Time, "
            "Status"
        )
    open_events: dict[tuple, tuple[float, str]] = {}
    segments: list[Segment] = []
    left_out = 0
    for line, row in rows:
        where = f"{path}, line {line}"
        key = (row.get("observation id"), video_of(row), row.get("subject"), row["behavior"], row.get("modifiers"))
        if row[kind].upper() == "START":
            open_events[key] = (parse_time(row["time"], where), where)
        elif row[kind].upper() == "STOP":
            if key not in open_events:
                raise UserError(f"{where}: {row['behavior']} stops without having started")
            start, _ = open_events.pop(key)
            segments.append(_segment(key[1], start, parse_time(row["time"], where), row["behavior"], where))
        else:
            left_out += 1
    for key, (_, where) in open_events.items():
        raise UserError(f"{where}: {key[3]} starts and never stops")
    return Annotations(sorted(segments, key=lambda segment: (segment.video, segment.start)), left_out)


def _aggregated(
    path: Path, rows: list[tuple[int, dict[str, str]]], video_of: Callable[[dict[str, str]], Path]
) -> Annotations:
    segments, left_out = [], 0
    for line, row in rows:
        where = f"{path}, line {line}"
        if row.get("behavior type", "STATE").upper() == "POINT":
            left_out += 1
            continue
        start, end = parse_time(row["start (s)"], where), parse_time(row["stop (s)"], where)
        segments.append(_segment(video_of(row), start, end, row["behavior"], where))
    return Annotations(segments, left_out)
