"""CSV files as people make them, written whole or not at all, and the order and wording that people expect."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write


def plural(count: int, one: str, many: str = "") -> str:
    """``3 videos``, ``1 video``, ``1,200 classes``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def natural_key(text: str) -> list[tuple[int, int | str]]:
    """Sort key by which ``clip2`` comes before ``clip10``."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts] + [(1, text)]


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file; commas, semicolons or tabs, with or without a byte order mark, any line ends.

    Raises:
        UserError: not UTF-8 text, or no header line.
    """
    return [row for _, row in read_numbered(path)]


def read_numbered(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file as `read_table` gives them, each with the number of the line on which it ends."""
    text = read_text(path)
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    if not reader.fieldnames:
        raise UserError(f"{path} is empty; expected a CSV file with a header line")
    reader.fieldnames = [(name or "").strip().lower() for name in reader.fieldnames]
    try:
        return [
            (reader.line_num, {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)})
            for row in reader
        ]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; expected CSV text") from None


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 or UTF-16; bytes that are no UTF-8 are kept as surrogates.

    Raises:
        UserError: the file cannot be read or is no text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    try:
        # Spreadsheets save "Unicode text" as UTF-16. Names of files may be any bytes, and those are kept.
        text = data.decode("utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else _utf8(data)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"{path} is no CSV text (UTF-8 with a header line is expected)")
    return text


def _utf8(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="surrogateescape")


def quoting(rows: Iterable[dict]) -> Literal[0, 1]:
    """How to quote: Python 3.11 leaves a lone carriage return bare, and readers would break the line there."""
    return csv.QUOTE_ALL if any("\r" in str(value) for row in rows for value in row.values()) else csv.QUOTE_MINIMAL


def refuse_foreign_table(path: Path, columns: Sequence[str]) -> None:
    """Refuse to write a table in place of one that this program did not write.

    Raises:
        UserError: the file is there and its columns are others.
    """
    if not path.exists():
        return
    found = read_text(path).split("\n", 1)[0].strip("\r")
    if found and found != ",".join(columns):
        raise UserError(f"{path} is there and is not a table of this command; move it away, or choose another place")


def write_table(rows: Iterable[dict], columns: Sequence[str], path: Path) -> None:
    """Write a CSV file whole or not at all: under a temporary name, then renamed."""
    rows = list(rows)
    with (
        atomic_write(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns, lineterminator="\n", quoting=quoting(rows))
        writer.writeheader()
        writer.writerows(rows)
