"""``failures.csv``: which videos could not be used, and why."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline.errors import VideoError
from pipeline.files.appending import append_rows
from pipeline.files.tables import read_table, refuse_foreign_table, write_table
from pipeline.videos.catalog.source_file import SourceFile

FAILURES_FILE = "failures.csv"
_COLUMNS = ("video", "stage", "reason", "time", "size", "mtime_ns")


class FailureLog:
    """The videos that a command could not use; each is on disk as soon as it is known.

    Args:
        path: the CSV file; it need not exist, and there is none as long as nothing failed.

    Raises:
        UserError: there is another table of this name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_foreign_table(path, _COLUMNS)
        self._rows = {row["video"]: row for row in read_table(path) if row.get("video")} if path.exists() else {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, video: str) -> bool:
        return video in self._rows

    def reason(self, video: str) -> str:
        """Stage and reason of a known failure."""
        return f"{self._rows[video]['stage']}: {self._rows[video]['reason']}"

    def knows(self, video: str, now: SourceFile) -> bool:
        """Whether this very file failed before; a file that changed since deserves another try."""
        row = self._rows.get(video)
        return row is not None and (row["size"], row["mtime_ns"]) == (str(now.size), str(now.mtime_ns))

    def add(self, video: str, error: VideoError, found: SourceFile | None = None) -> None:
        """Write a failure at the end of the file; without what was ``found`` the next run tries the video again."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        state = (str(found.size), str(found.mtime_ns)) if found is not None else ("0", "0")
        row = dict(zip(_COLUMNS, (video, error.stage, error.reason, now, *state), strict=True))
        self._rows[video] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_rows(self.path, _COLUMNS, [row])

    def settle(self, videos: Iterable[str], failing: Collection[str] = ()) -> None:
        """Drop the rows of ``videos`` but for those that are still ``failing``; without rows there is no file.

        Rows of videos that a run did not look at stay: they are of another folder, or the file is gone.
        """
        settled = set(videos) - set(failing)
        self._keep({video: row for video, row in self._rows.items() if video not in settled})

    def clear(self) -> None:
        """Drop all rows, and the file."""
        self._keep({})

    def _keep(self, rows: dict[str, dict[str, str]]) -> None:
        if rows and len(rows) == len(self._rows):
            return
        self._rows = rows
        if self._rows:
            write_table(self._rows.values(), _COLUMNS, self.path)
        else:
            self.path.unlink(missing_ok=True)
