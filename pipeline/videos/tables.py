"""CSV files as people make them, written whole or not at all, and the order and wording that people expect."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.errors import UserError


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
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if "\0" in text:
        raise UserError(f"{path} is no CSV text (UTF-8 with a header line is expected)")
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    if not reader.fieldnames:
        raise UserError(f"{path} is empty; expected a CSV file with a header line")
    reader.fieldnames = [(name or "").strip().lower() for name in reader.fieldnames]
    return [{key: (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in reader]


def write_table(rows: Iterable[dict], columns: Sequence[str], path: Path) -> None:
    """Write a CSV file whole or not at all: under a temporary name, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
