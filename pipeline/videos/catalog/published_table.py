"""The ``data_file.csv`` of a published system: no header, and in each row split, class, file name and frames.

    train,Football,Match_0001,90

The file is ``<split>/<class>/<name>`` beside the table, with any extension. The split may be empty.

Source: https://github.com/harvitronix/five-video-classification-methods
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.tables import read_text, split_rows

COLUMNS = ("split", "label", "path", "frames")


def read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows by the names of `COLUMNS`, each with the number of its line; none where it is another kind of table."""
    text = read_text(path)
    first = split_rows(path, text, most=1)
    if not first or len(first[0]) != len(COLUMNS) or not first[0][-1].strip().isdecimal():
        return []
    found = []
    for line, row in enumerate(split_rows(path, text), 1):
        if not any(row):
            continue
        if len(row) != len(COLUMNS) or not row[-1].strip().isdecimal():
            raise UserError(f"{path}, line {line}: expected split, class, file name and number of frames, as in line 1")
        found.append((line, dict(zip(COLUMNS, map(str.strip, row), strict=True))))
    return found


def write_rows(rows: Iterable[tuple[str, str, str, int]], path: Path) -> None:
    """Write a table whole or not at all; a row is split, class, file name without extension, frames."""
    with (
        atomic_write(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(rows)
