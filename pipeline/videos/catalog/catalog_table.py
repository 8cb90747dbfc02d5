"""``data_file.csv`` and the catalogs of stores: written anew without losing what their user wrote into them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.tables import read_as_written, read_text, write_table
from pipeline.files.text import plural
from pipeline.videos.catalog.catalog import COLUMN_NAMES, Video, read_rows

FACTS = ("frames", "fps", "width", "height", "duration")
CHOICES = ("label", "split", "group")
_COLUMNS = ("split", "label", "path", "video", "group", *FACTS)


@dataclass(frozen=True)
class TableChanges:
    """What writing a table changed in it."""

    added: int = 0
    gone: tuple[str, ...] = ()
    """Names of rows that are not among the videos; they stay in the table."""
    changed: Mapping[str, int] | None = None
    """How many rows got another label, split or group than they had."""

    def lines(self, table: Path, source: str | Path) -> list[str]:
        """What a user should know, a line each."""
        lines = []
        if self.gone:
            stay = "it stays" if len(self.gone) == 1 else "they stay"
            verb = "is" if len(self.gone) == 1 else "are"
            lines.append(f"{plural(len(self.gone), 'video')} of {table} {verb} not in {source}; {stay}")
        counts = [plural(count, what) for what, count in (self.changed or {}).items() if count]
        if counts:
            lines.append(f"{table}: {', '.join(counts)} changed")
        return lines


def write_catalog(videos: Sequence[Video], path: str | Path) -> None:
    """Write a table of these videos and no others, in place of one that may be there.

    Files below its folder are named relative to it, others by their full path.
    """
    path = Path(path)
    write_table((_row(video, path.parent) for video in videos), _COLUMNS, path)


def update_catalog(
    videos: Sequence[Video],
    path: str | Path,
    replace: Collection[str] = FACTS,
    *,
    renamed: Mapping[str, str] | None = None,
    keep_others: bool = True,
) -> TableChanges:
    """Write videos into a table that may be there already.

    A row of the same name, or else of the same file, is brought up to date: the fields named in ``replace`` are written
    where the video has a value, the others where the row has none. Columns that this program does not know and
    the order of the rows stay; new videos come last. A table that would not change is not written.

    Args:
        videos: rows to write.
        path: the table.
        replace: fields of `Video` whose value counts more than that of the table.
        renamed: names that videos had before, by their new ones. A row of the old name whose file is gone becomes the
            row of the new one, with the label of the new place.
        keep_others: keep the rows of other videos.

    Raises:
        UserError: there is a file of this name that is not a table of videos.
    """
    path = Path(path)
    if not path.exists() or read_text(path).strip() == ",".join(_COLUMNS):  # ours, and no video could be read then
        write_catalog(videos, path)
        return TableChanges(added=len(videos))
    if _says(path, videos):
        return TableChanges(changed=dict.fromkeys(CHOICES, 0))
    there = _Rows(path)
    changed = dict.fromkeys(CHOICES, 0)
    fresh: list[dict[str, str]] = []
    met: set[str] = set()
    for video in videos:
        number, moved = there.find(video, renamed or {})
        if number is None:
            fresh.append(there.cells(video))
            continue
        met.add(there.videos[number].name)
        for field in there.update(number, video, replace, moved=moved):
            changed[field] += 1
    kept = [row for row, video in zip(there.rows, there.videos, strict=True) if keep_others or video.name in met]
    there.write([*kept, *fresh])
    gone = tuple(dict.fromkeys(video.name for video in there.videos if video.name not in met))
    return TableChanges(len(fresh), gone if keep_others else (), changed)


class _Rows:
    """The rows of a table that is there, as they become.

    Raises:
        UserError: it is not a table of videos.
    """

    def __init__(self, path: Path) -> None:
        try:
            known = read_rows(path)
        except UserError as error:
            raise UserError(f"{error}; it is not replaced, so choose another `out`") from None
        self._path = path
        self._before = [row for row, _ in known]
        self.rows = [dict(row) for row in self._before]
        self.videos = [video for _, video in known]
        """What each row means, as it was."""
        self._columns = list(dict.fromkeys(column for row in self._before for column in row))
        # The table may call the columns of choices by other names than ours.
        self._names = {
            field: next((name for name in COLUMN_NAMES[field] if name in self._columns), field) for field in CHOICES
        }
        self._by_name = {video.name: number for number, video in enumerate(self.videos)}
        self._by_path = {video.path: number for number, video in enumerate(self.videos)}

    def find(self, video: Video, renamed: Mapping[str, str]) -> tuple[int | None, bool]:
        """Which row is a video's, and whether it is one of another name that the video had before."""
        if (number := self._by_name.get(video.name)) is not None:
            return number, False
        number = self._by_name.get(renamed.get(video.name, ""))
        if number is not None and not os.path.lexists(self.videos[number].path):
            return number, True
        return self._by_path.get(video.path), False

    def cells(self, video: Video) -> dict[str, str]:
        """A new row."""
        return {self._names.get(key, key): value for key, value in _row(video, self._path.parent).items()}

    def update(self, number: int, video: Video, replace: Collection[str], *, moved: bool) -> list[str]:
        """Bring a row up to date; returns the choices that were another one before."""
        row, was, new = self.rows[number], self.videos[number], self.cells(video)
        changed = []
        for field in CHOICES:
            old, value = row.get(self._names[field], ""), getattr(video, field)
            wanted = field in replace or not old or (moved and field == "label")
            if value and value != getattr(was, field) and wanted:
                changed += [field] if old else []
                row[self._names[field]] = value
        row |= {field: new[field] for field in FACTS if new[field] and (field in replace or not row.get(field))}
        if video.path != was.path or moved:
            row |= {key: new[key] for key in ("path", "video")}
        return changed

    def write(self, rows: Sequence[dict[str, str]]) -> None:
        """Write the table with these rows, where that changes it."""
        ours = (self._names.get(key, key) for key in _COLUMNS)
        columns = list(dict.fromkeys([*self._columns, *ours]))
        result = [{column: row.get(column, "") for column in columns} for row in rows]
        if result != [{column: row.get(column, "") for column in columns} for row in self._before]:
            write_table(result, columns, self._path)


def _says(path: Path, videos: Sequence[Video]) -> bool:
    """Whether a table has just these videos, as they would be written: seen sooner than what the table means."""
    try:
        columns, rows = read_as_written(path)
        return columns == list(_COLUMNS) and all(
            video is not None and row == _row(video, path.parent) for row, video in zip_longest(rows, videos)
        )
    except UserError:
        return False


def _row(video: Video, folder: Path) -> dict[str, str]:
    """The cells of a video; empty where nothing is known."""
    place, inside = str(video.path), os.path.join(folder.absolute(), "")
    if place.startswith(inside):
        place = place[len(inside) :].replace(os.sep, "/")
    values = {name: getattr(video, name) for name in _COLUMNS if name not in ("path", "video")}
    for key in ("fps", "duration"):
        if values[key] is not None:
            values[key] = f"{values[key]:.6g}"
    values |= {"path": place, "video": video.name}
    return {name: "" if values[name] is None else str(values[name]) for name in _COLUMNS}
