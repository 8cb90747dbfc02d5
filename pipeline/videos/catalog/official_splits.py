"""The official lists of public data sets, read as they are published.

UCF101      trainlist01.txt, testlist01.txt (and classInd.txt beside them)
HMDB51      brush_hair_test_split1.txt, ... (1 train, 2 test, 0 unused)
Kinetics    train.csv, validate.csv, test.csv with label,youtube_id,time_start,time_end,split
others      train.csv, val.csv, test.csv with video_name,tag (or path,label), the split in the file's name
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError
from pipeline.files.tables import read_numbered, read_text
from pipeline.videos.catalog.catalog import SPLIT_FOLDERS, Video

# v_ApplyEyeMakeup_g08_c01.avi: clips of one group are cut from one recording (UCF101).
# Source: https://www.crcv.ucf.edu/data/UCF101.php
UCF101_GROUP = re.compile(r"(?:\bv_)?(\w+_g\d+)_c\d+")
_HMDB_NAME = re.compile(r"^(?P<label>.+)_test_split\d+\.txt$")


@dataclass(frozen=True)
class SplitEntry:
    """One line of a list."""

    name: str
    """The video's name without extension; with its folder where the list gives one."""
    label: str
    split: str
    group: str = ""


def read_list(path: str | Path) -> list[SplitEntry]:
    """Read one official list.

    Raises:
        UserError: of no known kind, or a line that does not fit; the message names file and line.
    """
    path = Path(path)
    hmdb = _HMDB_NAME.match(path.name)
    if hmdb is not None:
        return _hmdb(path, hmdb["label"])
    if path.suffix.lower() == ".csv":
        return _csv(path)
    return _ucf(path)


def _split_in_name(path: Path) -> str:
    found = re.match(r"(training|train|validation|validate|valid|val|testing|test)", path.stem.lower())
    if found is None:
        raise UserError(
            f"{path.name} does not say which split it lists; expected a name that begins with train, val or test"
        )
    return SPLIT_FOLDERS.get(found[1], "val")


def _stem(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")).with_suffix(""))


def _ucf(path: Path) -> list[SplitEntry]:
    split = _split_in_name(path)
    numbered: dict[str, str] = {}
    index = path.parent / "classInd.txt"
    if index.is_file():
        for line in read_text(index).splitlines():
            number, _, label = line.strip().partition(" ")
            numbered[number] = label.strip()
    entries = []
    for line_number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name, _, number = line.strip().partition(" ")
        folder = PurePosixPath(name).parent.name
        if not folder:
            raise UserError(
                f"{path}, line {line_number}: {line.strip()!r} is not a line of a UCF101 list (Class/video.avi 1)"
            )
        label = numbered.get(number.strip(), folder) if number else folder
        if label != folder:
            raise UserError(f"{path}, line {line_number}: {name} has the number of the class {label!r} in {index.name}")
        group = UCF101_GROUP.match(PurePosixPath(name).name)
        entries.append(SplitEntry(_stem(name), label, split, group[1] if group else ""))
    return entries


def _hmdb(path: Path, label: str) -> list[SplitEntry]:
    entries = []
    for line_number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name, _, number = line.strip().rpartition(" ")
        if number not in ("0", "1", "2") or not name:
            raise UserError(
                f"{path}, line {line_number}: {line.strip()!r} is not a line of an HMDB51 list (video.avi 0|1|2)"
            )
        if number != "0":
            entries.append(SplitEntry(f"{label}/{_stem(name.strip())}", label, "train" if number == "1" else "test"))
    return entries


def _csv(path: Path) -> list[SplitEntry]:
    rows = read_numbered(path)
    names = rows[0][1] if rows else {}
    if {"youtube_id", "time_start", "time_end"} <= set(names):
        return [_kinetics(row, path, line) for line, row in rows]
    column = next((name for name in ("video_name", "path", "video", "file") if name in names), None)
    label = next((name for name in ("tag", "label", "class") if name in names), None)
    if column is None or label is None:
        raise UserError(
            f"{path} has the columns {', '.join(names) or '(none)'}; expected video_name,tag or Kinetics' own"
        )
    entries = []
    for line, row in rows:
        split = SPLIT_FOLDERS.get(row.get("split", "").lower()) or _split_in_name(path)
        if not row[column]:
            raise UserError(f"{path}, line {line}: the column {column!r} is empty")
        entries.append(SplitEntry(_stem(row[column]), row[label], split, row.get("group", "")))
    return entries


def _kinetics(row: dict[str, str], path: Path, line: int) -> SplitEntry:
    try:
        start, end = int(float(row["time_start"])), int(float(row["time_end"]))
    except ValueError:
        raise UserError(f"{path}, line {line}: time_start and time_end must be seconds") from None
    split = {"validate": "val"}.get(row.get("split", ""), SPLIT_FOLDERS.get(row.get("split", ""), ""))
    # All clips of one film are one group.
    name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
    return SplitEntry(name, row.get("label", ""), split or _split_in_name(path), row["youtube_id"])


@dataclass(frozen=True)
class AppliedSplits:
    """A catalog after the lists were applied."""

    videos: list[Video]
    """Those that are listed, with the list's split and label, and its group where it gives one."""
    missing: list[str]
    """Names that are listed, and of which there is no file."""
    unlisted: list[str]
    """Files that no list names."""


def apply_lists(videos: Sequence[Video], entries: Iterable[SplitEntry]) -> AppliedSplits:
    """Give videos the splits that lists say.

    A listed name without a folder means the file of that name wherever it is.

    Raises:
        UserError: a video that is listed for two splits, or a name that several files have.
    """
    by_name: dict[str, list[Video]] = {}
    for video in videos:
        parts = PurePosixPath(_stem(video.name)).parts
        for length in range(1, len(parts) + 1):
            by_name.setdefault("/".join(parts[-length:]), []).append(video)
    listed: dict[str, Video] = {}
    missing = []
    for entry in entries:
        found = by_name.get(entry.name) or by_name.get(PurePosixPath(entry.name).name, [])
        if not found:
            missing.append(entry.name)
            continue
        if len(found) > 1:
            raise UserError(
                f"{entry.name} is listed, and {len(found)} files have that name: {found[0].name}, {found[1].name}"
            )
        video = replace(found[0], label=entry.label, split=entry.split, group=entry.group or found[0].group)
        if listed.setdefault(video.name, video) != video:
            raise UserError(f"{video.name} is listed for {listed[video.name].split} and for {video.split}")
    unlisted = [video.name for video in videos if video.name not in listed]
    return AppliedSplits([listed[video.name] for video in videos if video.name in listed], missing, unlisted)
