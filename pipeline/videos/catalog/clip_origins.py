"""Where clips come from: a ``clips.csv`` beside them, by which all clips of one recording form one group.

A row is written before its clip is cut, and a clip that is to be cut anew is removed before its new row is
written. So a clip that exists was made as its last row says, whenever a run was stopped.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipeline.errors import UserError, VideoError
from pipeline.files.appending import append_rows, ends_with_a_line
from pipeline.files.guard.regular_file import stat_regular
from pipeline.files.tables import read_as_written

TABLE = "clips.csv"
_SAMPLE = 65536


@dataclass(frozen=True)
class ClipOrigin:
    """One row of ``clips.csv``: what a clip was cut from, and how."""

    clip: str
    """The name of the clip's file."""
    source: str
    """The recording's full path when it was cut."""
    source_id: str
    """The recording's name and a digest of its content, which stay the same when it is moved."""
    start: str
    end: str
    """Seconds of the recording, as text: the first frame's time, and the time up to which the last one is shown."""
    first_frame: str
    end_frame: str
    """Numbers of frames in the recording: the clip holds ``first_frame`` up to the one before ``end_frame``."""
    group: str
    """The same for all clips of one recording, in whatever folder they are."""
    settings: str
    """How the clip was encoded."""

    def made_like(self, other: ClipOrigin) -> bool:
        """Whether this is the same stretch of the same recording, encoded in the same way."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("source_id", "first_frame", "end_frame", "settings")
        )


def recording_id(path: Path) -> str:
    """``Match-1f3c5a7b``: the name of a recording and a digest of its size, beginning and end.

    It stays the same when the file is moved, and differs between two recordings of one name.

    Raises:
        VideoError: the file cannot be read.
    """
    stat_regular(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.sha256(str(size).encode())
            for place in (0, max(0, size - _SAMPLE)):
                file.seek(place)
                digest.update(file.read(_SAMPLE))
    except OSError as error:
        raise VideoError("open", (error.strerror or str(error)).lower()) from None
    return f"{path.stem}-{digest.hexdigest()[:8]}"


def read_origins(folder: Path) -> dict[str, ClipOrigin]:
    """The last row of each clip in ``folder/clips.csv``, by file name; empty where there is no such table.

    Raises:
        UserError: there is one and it cannot be read.
    """
    path = folder / TABLE
    if not path.is_file():
        return {}
    names = [item.name for item in fields(ClipOrigin)]
    _, found = read_as_written(path)
    rows = [ClipOrigin(**{name: row.get(name, "") for name in names}) for row in found]
    if rows and not rows[-1].settings and not ends_with_a_line(path):
        rows.pop()  # half of it, which a power cut left
    return {origin.clip: origin for origin in rows if origin.clip}


def groups_in(folder: Path) -> dict[str, str]:
    """The group of each clip of a folder, by file name.

    A ``clips.csv`` that is something else, or cannot be read, says nothing about groups.
    """
    try:
        return {name: origin.group for name, origin in read_origins(folder).items() if origin.group}
    except UserError:
        return {}


def record_origins(folder: Path, origins: Iterable[ClipOrigin]) -> None:
    """Add rows to ``folder/clips.csv``, each row once.

    Several runs may write into one folder: the table is only ever appended to.

    Raises:
        UserError: the folder cannot be written.
    """
    known = read_origins(folder)
    news = [origin for origin in origins if known.get(origin.clip) != origin]
    if not news:
        return
    path = folder / TABLE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        append_rows(path, [item.name for item in fields(ClipOrigin)], [asdict(origin) for origin in news])
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
