"""Rows that are added to a table while work goes on, each on the disk as soon as it is known."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.files.system import lock
from pipeline.files.tables import covered_row, quoting

_TAIL = 1 << 16  # bytes, in which the last line is looked for


def append_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Add rows to the end of a CSV file; a new one gets a header. Several processes may do it at a time.

    What a full disk did not take as a whole is taken back, and half a line that a power cut left behind goes too.

    Args:
        path: the file.
        columns: its columns.
        rows: a value for each of them.

    Raises:
        OSError: it cannot be written.
    """
    with open(path, "ab+", buffering=0) as table:
        lock(table.fileno(), wait=True)
        half = _last_line(table)
        whole = len(next(csv.reader([half.decode("utf-8", "replace")]), [])) >= len(columns)
        if half and not whole:
            table.truncate(table.seek(0, os.SEEK_END) - len(half))
        size = table.seek(0, os.SEEK_END)
        lines = [covered_row(row) for row in rows]
        if not size:
            lines.insert(0, {name: name for name in columns})
        # An editor may have left out the end of the last line.
        data = b"\n" * bool(half and whole) + _text(lines, columns).encode("utf-8", errors="surrogateescape")
        written = 0
        try:
            while written < len(data):
                written += table.write(data[written:]) or 0
            os.fsync(table.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                table.truncate(size)
            raise


def ends_with_a_line(path: Path) -> bool:
    """Whether the last line of a file has its end; so has an empty file."""
    with open(path, "rb", buffering=0) as table:
        return not _last_line(table)


def _text(rows: Sequence[dict], columns: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns, lineterminator="\n", quoting=quoting(rows)).writerows(rows)
    return text.getvalue()


def _last_line(table: io.FileIO) -> bytes:
    """What stands after the last end of a line."""
    size = table.seek(0, os.SEEK_END)
    table.seek(max(0, size - _TAIL))
    return table.read(_TAIL).rpartition(b"\n")[2]
