"""CSV tables as people make them: read and written by pandas, which is loaded on first use.

Whoever only names videos, shows ``--help`` or decodes never pays for pandas. Files that grow line by line
(``failures.csv``, ``clips.csv``, ``predictions.csv`` of a folder) are appended to with `csv`.

A text that a spreadsheet would compute (``=cmd``) is written behind an apostrophe, which spreadsheets take for the
mark of a text, and is read without it.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.guard.regular_file import Missing, read_bytes

SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
MOST_BYTES = 128 << 20  # of a table: pandas takes some ten times as much memory
MOST_ROWS = 4_000_000
_MOST_COLUMNS, _MOST_CELLS = 10_000, 50_000_000
_COMPUTED = re.compile(r"'*\s*[=+\-@]")  # what begins like this a spreadsheet computes
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)")

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
R = TypeVar("R")


def keeps_any_text(function: Callable[P, R]) -> Callable[P, R]:
    """A function that makes frames of texts which need not be UTF-8, as names of files are.

    Where pyarrow is installed pandas would hold them as UTF-8, and stop at the first that is not.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        import pandas as pd

        with pd.option_context("mode.string_storage", "python"):
            return function(*args, **kwargs)

    return call


@keeps_any_text
def read_frame(path: Path, most: int = MOST_ROWS) -> pd.DataFrame:
    """The rows of a CSV file as text, indexed by the number of the line on which each ends.

    Commas, semicolons or tabs separate, any line ends end a line, UTF-8 (with or without a byte order mark) and UTF-16
    are read. Column names are in lower case, blanks around values are stripped, a short row ends in empty values, what
    is longer than the header is cut, and lines without a value are left out.

    Args:
        path: the file.
        most: rows; a table of more is refused before it fills the memory.

    Raises:
        UserError: no regular file, not a text, no header line, too long, or a quote that is not closed.
    """
    import pandas as pd

    text = read_text(path)
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    header = next(iter(split_rows(path, text, most=1, delimiter=delimiter)), [])
    if not header:
        raise UserError(f"{path} is empty; expected a CSV file with a header line")
    if len(header) > _MOST_COLUMNS:
        raise UserError(f"{path} has {len(header):,} columns; at most {_MOST_COLUMNS:,} are read")
    rows = max(text.count("\n"), text.count("\r"))
    if rows > most or rows * len(header) > _MOST_CELLS:
        most = min(most, _MOST_CELLS // len(header))
        raise UserError(f"{path} has more than {most:,} rows, which is the most that is read; divide it")
    places = range(len(header))
    try:
        frame = pd.read_csv(
            io.StringIO(text, newline=""),
            sep=delimiter,
            header=None,
            names=places,
            usecols=places,  # longer rows are cut and not refused
            index_col=False,
            dtype=object,
            keep_default_na=False,
            skip_blank_lines=False,
            encoding_errors="surrogateescape",
        ).fillna("")
    except pd.errors.ParserError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}; expected CSV with every quote closed") from None
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="line")
    if '"' in text:  # quoted values may go over several lines
        breaks = sum(frame[place].str.count(r"\r\n|\r|\n") for place in places)
        frame.index = pd.Index((1 + breaks).cumsum(), dtype=int, name="line")
    frame = frame.iloc[1:].apply(lambda column: _bare(column.str.strip()))
    frame.columns = pd.Index([name.strip().lower() for name in header])
    frame = frame.loc[:, ~frame.columns.duplicated(keep="last")]
    return frame[(frame != "").any(axis=1)]


def read_numbered(path: Path, most: int = MOST_ROWS) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file as `read_frame` reads them, each with the number of the line on which it ends."""
    frame = read_frame(path, most)
    return list(zip(frame.index, frame.to_dict("records"), strict=True))


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file as `read_frame` reads them."""
    return read_frame(path).to_dict("records")


def split_rows(path: Path, text: str, *, most: int = MOST_ROWS, **form: Any) -> list[list[str]]:
    """The first ``most`` rows of a text, split as `csv` does by ``form``.

    Raises:
        UserError: it cannot be split.
    """
    try:
        return list(itertools.islice(csv.reader(io.StringIO(text, newline=""), **form), most))
    except csv.Error as error:
        raise UserError(f"{path}: {error}; expected a CSV file") from None


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 or UTF-16; bytes that are not UTF-8 are kept as surrogates.

    Raises:
        UserError: the file cannot be read or is not text.
    """
    if path.suffix.lower() in SPREADSHEETS:
        raise UserError(f"{path} is a spreadsheet; save it as CSV, and name that file")
    try:
        data = read_bytes(path, MOST_BYTES)
    except Missing:
        raise UserError(f"cannot read {path}: there is no such file") from None
    try:
        # Spreadsheets save "Unicode text" as UTF-16. Names of files may be any bytes, and those are kept.
        text = data.decode("utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else _utf8(data)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"{path} is not CSV text (UTF-8 with a header line is expected)")
    return text


def _utf8(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="surrogateescape")


def read_as_written(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Columns and rows of a table of ours: unlike in `read_frame` names keep their blanks, and columns their case.

    A row that a kill cut off has empty values at its end.

    Raises:
        UserError: no regular file, not a text, too long, or no CSV.
    """
    text = read_text(path)
    if text.count("\n") > MOST_ROWS:
        raise UserError(f"{path} has more than {MOST_ROWS:,} rows, which is the most that is read")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)  # a spreadsheet may have saved it since
    rows = csv.DictReader(io.StringIO(text, newline=""), restval="", delimiter=delimiter)

    def bare() -> Iterator[dict[str, str]]:
        try:
            for row in rows:
                yield {name: uncovered(value) for name, value in row.items() if name is not None}
        except csv.Error as error:
            raise UserError(f"{path}, line {rows.line_num}: {error}") from None

    try:
        return list(rows.fieldnames or ()), bare()
    except csv.Error as error:
        raise UserError(f"{path}: {error}; expected a CSV file with a header line") from None


def covered(value: str) -> str:
    """A text as it is written: behind an apostrophe where a spreadsheet would compute it; numbers stay as they are."""
    return f"'{value}" if _COMPUTED.match(value) and not _NUMBER.fullmatch(value) else value


def uncovered(value: str) -> str:
    """What `covered` was given."""
    return value[1:] if value.startswith("'") and _COMPUTED.match(value) else value


def covered_row(row: Mapping[str, object]) -> dict[str, object]:
    """A row with all of its texts `covered`."""
    return {name: covered(value) if isinstance(value, str) else value for name, value in row.items()}


def _bare(column: pd.Series) -> pd.Series:
    marked = column.str.startswith("'")
    if marked.any():
        column = column.where(~marked, column.map(uncovered).str.strip())
    return column


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


@keeps_any_text
def write_table(rows: Iterable[dict], columns: Sequence[str], path: Path) -> None:
    """Write a CSV file whole or not at all; a value that a row lacks is empty."""
    import pandas as pd

    write_frame(pd.DataFrame(list(rows), columns=list(columns), dtype=object), path)


@keeps_any_text
def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a CSV file whole or not at all, without the index, and numbers that are not whole with six decimals.

    Numbers in columns of objects are written as they are.
    """
    texts = frame.select_dtypes(exclude="number").columns
    frame = frame.assign(**{name: [covered(v) if isinstance(v, str) else v for v in frame[name]] for name in texts})
    with atomic_write(path) as temporary:
        frame.to_csv(
            temporary,
            index=False,
            lineterminator="\n",
            float_format="%.6f",
            quoting=quoting(frame.select_dtypes(exclude="number").to_dict("records")),
            errors="surrogateescape",
            encoding="utf-8",
        )
