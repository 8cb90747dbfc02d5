"""Many videos through one checkpoint: resumable, one row a video in ``predictions.csv``, failures beside it.

A row is written when its video is done. A later run goes on with videos that have no row, that changed since, or
whose rows another checkpoint wrote.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.extraction.failures import FailureLog
from pipeline.extraction.sources import stat_video
from pipeline.extraction.store import FeatureStore
from pipeline.inference.classifier import Answer, Classifier, Reading
from pipeline.inference.grid import Grid
from pipeline.inference.outputs import Outputs
from pipeline.training.checkpoint import CHECKPOINT_FILE, MODEL_FILE
from pipeline.training.windows import cut
from pipeline.videos.catalog import Catalog, Video
from pipeline.videos.opening import open_video
from pipeline.videos.tables import write_table

PREDICTIONS_FILE, FAILURES_FILE = "predictions.csv", "failures.csv"
_FIRST = ("video", "label", "prediction", "probability", "segments", "frames", "duration")
_LAST = ("size", "mtime_ns", "run")


@dataclass
class Progress:
    """How far a run is."""

    videos: int = 0
    done: int = 0
    """In this run."""
    before: int = 0
    """Done by earlier runs."""
    failed: int = 0
    failed_before: int = 0
    """Failed in an earlier run and did not change since."""
    from_store: int = 0
    """Of those done in this run, how many needed no network."""
    failures: list[str] = field(default_factory=list)


def fingerprint(classifier: Classifier, reading: Reading, outputs: Outputs) -> str:
    """A name of the checkpoint's content, the way of reading and the files: rows of another one are not kept."""
    digest = hashlib.sha256(repr((reading, outputs)).encode())
    for name in (CHECKPOINT_FILE, MODEL_FILE):
        digest.update((classifier.checkpoint.folder / name).read_bytes())
    return digest.hexdigest()[:12]


class FolderRun:
    """Classifies the videos of a catalog.

    Args:
        classifier: the checkpoint.
        catalog: the videos.
        out: the folder for ``predictions.csv``, ``failures.csv`` and a folder of files for each video.
        reading: how videos are read.
        outputs: which files are written for each video: where a path is given, its ending and name are used, in
            ``out/<video>/``.
        store: features that were extracted before; used where the recipe and the file are the same.
        retry_failed: try again what failed before.

    Raises:
        UserError: the store has another recipe, or ``predictions.csv`` is of something else.
    """

    def __init__(
        self,
        classifier: Classifier,
        catalog: Catalog,
        out: Path,
        reading: Reading,
        *,
        outputs: Outputs | None = None,
        store: FeatureStore | None = None,
        retry_failed: bool = False,
    ) -> None:
        self._classifier = classifier
        self._catalog = catalog
        self._out = out
        self._reading = reading
        self._outputs = outputs or Outputs()
        self._store = store
        if store is not None and classifier.checkpoint.joined is not None:
            raise UserError(f"{classifier.checkpoint.folder} was trained on two stores; leave out --store")
        if store is not None and store.recipe != classifier.checkpoint.recipe:
            raise UserError(
                f"{store.folder} has features of another recipe than {classifier.checkpoint.folder}: "
                f"{store.recipe.differences(classifier.checkpoint.recipe)}"
            )
        try:
            out.mkdir(parents=True, exist_ok=True)
            # Opening to append tells whether rows can be written, and changes nothing.
            (out / PREDICTIONS_FILE).open("a").close()
        except OSError as error:
            raise UserError(f"cannot write to {out}: {error.strerror}") from None
        self._run = fingerprint(classifier, reading, self._outputs)
        self._columns = (*_FIRST, *(f"p:{name}" for name in classifier.classes), *_LAST)
        self._rows = self._known_rows()
        self._log = FailureLog(out / FAILURES_FILE)
        if retry_failed:
            self._log.keep_only(())
        self.progress = Progress(videos=len(catalog))

    def _known_rows(self) -> dict[str, dict[str, str]]:
        path = self._out / PREDICTIONS_FILE
        if path.stat().st_size == 0:
            return {}
        # Read as it was written: names of columns hold the classes, and names of files may begin with a space.
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file)
            if not {"video", "prediction", "run"} <= set(rows.fieldnames or ()):
                raise UserError(f"{path} was not written by this command; choose another --out")
            wanted = {video.name for video in self._catalog}
            return {row["video"]: row for row in rows if row["run"] == self._run and row["video"] in wanted}

    def run(self, show: Callable[[Progress], None] = lambda progress: None) -> Progress:
        """Classify what is not done; a video that cannot be read is noted, and the run goes on."""
        self._write_rows()
        failing = []
        for video in self._catalog:
            size = mtime_ns = 0
            try:
                status = stat_video(video.path)
                size, mtime_ns = status.st_size, status.st_mtime_ns
                row = self._rows.get(video.name)
                if row and (row["size"], row["mtime_ns"]) == (str(size), str(mtime_ns)):
                    self.progress.before += 1
                elif self._log.knows(video.name, size, mtime_ns):
                    self.progress.failed_before += 1
                    failing.append(video.name)
                else:
                    answer = self._classify(video)
                    self._write_files(video, answer)
                    self._append(self._row(video, answer, size, mtime_ns))
                    self.progress.done += 1
            except VideoError as error:
                failing.append(video.name)
                self._log.add(video.name, error, size, mtime_ns)
                self.progress.failed += 1
                self.progress.failures.append(f"{video.name}: {error}")
            show(self.progress)
        self._write_rows()
        self._log.keep_only(failing)  # what failed once and works now is no failure
        return self.progress

    def _classify(self, video: Video) -> Answer:
        answer = self._from_store(video)
        if answer is None:
            return self._classifier.classify(video.path, self._reading)
        self.progress.from_store += 1
        return answer

    def _from_store(self, video: Video) -> Answer | None:
        """The answer from features that the store has, if they are of the frames that would be used."""
        entry = self._store.entries.get(video.name) if self._store is not None else None
        status = stat_video(video.path)
        if entry is None or (entry.source.size, entry.source.mtime_ns) != (status.st_size, status.st_mtime_ns):
            return None
        assert self._store is not None
        with open_video(video.path) as reader:
            info, times = reader.info(), reader.times()
            if entry.source.frames != info.frames:
                reader.scan()
                info, times = reader.info(), reader.times()
            grid = self._classifier.grid(reader, self._reading)
        sequence = self._store.read(video.name)
        if not np.array_equal(grid.frames, sequence.frames):
            return None  # a long video, which is read in windows of its own
        windows = _predict(self._classifier, grid, sequence.features)
        return self._classifier.answer(video.path, info, times, grid, windows, self._reading)

    def _write_files(self, video: Video, answer: Answer) -> None:
        folder = self._out / video.name
        outputs = self._outputs.within(folder)
        if outputs.paths:
            outputs.check(video.path, answer.info.codec)
            outputs.write(answer, self._classifier.checkpoint.folder)

    def _row(self, video: Video, answer: Answer, size: int, mtime_ns: int) -> dict[str, str]:
        mean = answer.mean.tolist()
        values = {
            "video": video.name,
            "label": video.label,
            "prediction": answer.label,
            "probability": f"{max(mean):.6f}",
            "segments": str(len(answer.segments)),
            "frames": str(len(answer.times)),
            "duration": f"{answer.info.duration:.6g}",
            "size": str(size),
            "mtime_ns": str(mtime_ns),
            "run": self._run,
        }
        return values | {f"p:{name}": f"{value:.6f}" for name, value in zip(answer.classes, mean, strict=True)}

    def _append(self, row: dict[str, str]) -> None:
        self._rows[row["video"]] = row
        path = self._out / PREDICTIONS_FILE
        with path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)

    def _write_rows(self) -> None:
        """The whole table, in the order of the catalog."""
        rows = [self._rows[video.name] for video in self._catalog if video.name in self._rows]
        write_table(rows, self._columns, self._out / PREDICTIONS_FILE)


def _predict(classifier: Classifier, grid: Grid, features: np.ndarray) -> np.ndarray:
    """``(w, C)`` float32 from the features of all steps of a grid."""
    length = classifier.checkpoint.window.length
    features = features.astype(classifier.checkpoint.dtype, copy=False)
    windows = np.empty((len(grid), len(classifier.classes)), np.float32)
    for first in range(0, len(grid), 32):
        part, mask = cut(features, grid.starts[first : first + 32], length)
        ends = grid.ends[first : first + 32] - grid.starts[first : first + 32]
        mask &= np.arange(length) < ends[:, None]
        part[~mask] = 0
        windows[first : first + 32] = classifier.checkpoint.predict(part, mask)
    return windows
