"""``predictions.csv``: a row for each video, on disk as soon as it is known; what its user wrote into it stays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.appending import append_rows
from pipeline.files.guard.regular_file import check_regular
from pipeline.files.system import seen_from
from pipeline.files.tables import read_as_written, write_table
from pipeline.files.text import plural
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.source_file import SourceFile

PREDICTIONS_FILE = "predictions.csv"
_FIRST = ("video", "label", "prediction", "probability", "segments", "frames", "duration")
_LAST = ("path", "size", "mtime_ns", "run")


class PredictionTable:
    """The rows of this run and of earlier ones, by the names of the videos; ``path`` tells equal names apart.

    Args:
        folder: of the table; it is made, and the table with it.
        classes: names of the columns of probabilities.
        run: a name of the checkpoint's content and the way of reading.
        overwrite: drop rows of another run.

    Raises:
        UserError: the folder cannot be written to, or the table is of another run or of something else.
    """

    def __init__(self, folder: Path, classes: Sequence[str], run: str, *, overwrite: bool = False) -> None:
        self.path = folder / PREDICTIONS_FILE
        self._run = run
        self._columns: tuple[str, ...] = (*_FIRST, *(f"p({name})" for name in classes), *_LAST)
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; expected a folder for the predictions")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                check_regular(self.path)
            # Opening to append tells whether rows can be written, and changes nothing.
            self.path.open("a").close()
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}") from None
        self._rows = self._known(overwrite) if self.path.stat().st_size else {}
        # Where the file of each name is; rows of an older table do not say it.
        self._places = {name: self._place(row) for name, row in self._rows.items()}
        self._names = {place: name for name, place in self._places.items() if place}

    def _known(self, overwrite: bool) -> dict[str, dict[str, str]]:
        """Rows of earlier runs, those of other folders too; the columns of the user are added."""
        # Names of columns hold the classes, and names of files may begin with a space: nothing is changed in them.
        names, rows = read_as_written(self.path)
        if not {"video", "prediction", "run"} <= set(names):
            raise UserError(f"{self.path} was not written by this command; choose another folder")
        # A power cut or a full disk may have left half a line, which ends within the last cell or before it.
        whole = [row for row in rows if row["run"] == self._run or not self._run.startswith(row["run"])]
        known = {row["video"]: row for row in whole if not overwrite or row["run"] == self._run}
        others = sum(row["run"] != self._run for row in known.values())
        if others:
            raise UserError(
                f"{self.path} has {plural(others, 'video')} of another checkpoint or way of reading; give "
                "`overwrite=True` to replace them, or choose another folder"
            )
        self._columns += tuple(name for name in names if name not in self._columns)
        return known

    def _place(self, row: dict[str, str]) -> str:
        return os.path.abspath(self.path.parent / row["path"]) if row.get("path") else ""

    def name_of(self, video: Video) -> str:
        """The name of a video in this table: that of its file's row, else its own.

        Where another file has that name, folders above it are put before it until the name is free.
        """
        place = os.path.abspath(video.path)
        if place not in self._names:
            parts = Path(place).parts[1:]
            longer = ["/".join(parts[-count:]) for count in range(2, len(parts) + 1)]
            self._names[place] = next(filter(self._free, [video.name, *longer]), place)
            self._places[self._names[place]] = place
        return self._names[place]

    def _free(self, name: str) -> bool:
        """Whether no other file has a name; one that is gone was moved, and keeps its row."""
        return not os.path.lexists(self._places.get(name, ""))

    def knows(self, name: str, state: SourceFile) -> bool:
        """Whether a row is of this very content."""
        row = self._rows.get(name)
        return row is not None and (row["size"], row["mtime_ns"]) == (str(state.size), str(state.mtime_ns))

    def add(self, video: Video, prediction: VideoPrediction, state: SourceFile) -> None:
        """Write a row at the end of the table; `write` brings it to its place."""
        mean = prediction.mean.tolist()
        row = {
            "video": video.name,
            "label": video.label,
            "prediction": prediction.label,
            "probability": f"{max(mean):.6f}",
            "segments": str(len(prediction.segments)),
            "frames": str(len(prediction.times)),
            "duration": f"{prediction.info.duration:.6g}",
            "size": str(state.size),
            "mtime_ns": str(state.mtime_ns),
            "run": self._run,
        }
        row |= {f"p({name})": f"{value:.6f}" for name, value in zip(prediction.classes, mean, strict=True)}
        self._rows[video.name] = row = self._rows.get(video.name, {}) | row | self._path_cell(video.name)
        append_rows(self.path, self._columns, [row])

    def _path_cell(self, name: str) -> dict[str, str]:
        place = self._places.get(name)
        return {"path": seen_from(self.path.parent, Path(place))} if place else {}

    def rows(self, videos: Sequence[Video]) -> list[dict[str, str]]:
        """The rows of these videos, as far as there are some."""
        return [self._rows[video.name] for video in videos if video.name in self._rows]

    def write(self, videos: Sequence[Video]) -> None:
        """The whole table: these videos in their order, then those of earlier runs."""
        names = dict.fromkeys([*(video.name for video in videos), *self._rows])
        rows = [self._rows[name] | self._path_cell(name) for name in names if name in self._rows]
        write_table(rows, self._columns, self.path)
