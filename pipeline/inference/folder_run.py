"""Many videos through one checkpoint: resumable, one row a video in ``predictions.csv``, failures beside it.

A row is written when its video is done. A later run goes on with videos that have no row, that changed since, or
whose rows another checkpoint wrote. Two files of one name have two rows: the second one's name gets its folder's.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.errors import VideoError
from pipeline.extraction.features.stream import Opened
from pipeline.extraction.store.store import Entry, FeatureStore
from pipeline.files.replacing import place_in
from pipeline.inference.classifier import Classifier
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.outputs.outputs import Outputs
from pipeline.inference.outputs.prediction_table import PredictionTable
from pipeline.inference.stored_features import StoredFeatures
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.parallel.machine import processors
from pipeline.parallel.workers import TIMEOUT, OneWorker
from pipeline.training.checkpoint import CHECKPOINT_FILE, MODEL_FILE
from pipeline.videos.catalog.catalog import Catalog, Video
from pipeline.videos.catalog.failures import FAILURES_FILE, FailureLog
from pipeline.videos.catalog.source_file import SourceFile

_MOST_WORKERS = 8

Job = tuple[Video, SourceFile]


@dataclass
class FolderProgress:
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
    not_from_store: Counter[str] = field(default_factory=Counter)
    """Of those done in this run although a store was named, how many the network saw for each reason."""
    failures: list[str] = field(default_factory=list)


def fingerprint(classifier: Classifier, spec: ClassifySpec, outputs: Outputs) -> str:
    """A name of the checkpoint's content, the way of reading and the files: rows of another one are not kept."""
    digest = hashlib.sha256(repr((spec, outputs)).encode())
    for name in (CHECKPOINT_FILE, MODEL_FILE):
        digest.update((classifier.checkpoint.folder / name).read_bytes())
    return digest.hexdigest()[:12]


class FolderRun:
    """Classifies the videos of a catalog.

    Args:
        classifier: the checkpoint.
        catalog: the videos.
        out: the folder for ``predictions.csv``, ``failures.csv`` and a folder of files for each video.
        spec: how videos are read.
        outputs: which files are written for each video: where a path is given, its ending and name are used, in
            ``out/<video>/``.
        store: features that were extracted before; used where they are of the frames that would be used.
        retry_failed: try again what failed before.
        overwrite: drop predictions that another checkpoint, or another way of reading, made.
        workers: videos that are decoded at a time; 0 for one per processor, from 2 to 8, since the network is behind.
        timeout: seconds without a sign of life after which a video is taken for one that hangs the decoder.

    Raises:
        UserError: the store has another recipe, or ``predictions.csv`` is of another run or of something else.
    """

    def __init__(
        self,
        classifier: Classifier,
        catalog: Catalog,
        out: Path,
        spec: ClassifySpec,
        *,
        outputs: Outputs | None = None,
        store: FeatureStore | None = None,
        retry_failed: bool = False,
        overwrite: bool = False,
        workers: int = 0,
        timeout: float = TIMEOUT,
    ) -> None:
        self._classifier = classifier
        self._out = out
        self._spec = spec
        self._outputs = outputs or Outputs()
        self._workers = workers or max(2, min(processors(), _MOST_WORKERS))
        self._timeout = timeout
        self._stored = StoredFeatures(store, classifier) if store is not None else None
        run = fingerprint(classifier, spec, self._outputs)
        self._table = PredictionTable(out, classifier.classes, run, overwrite=overwrite)
        self.videos = tuple(replace(video, name=self._table.name_of(video)) for video in catalog)
        """By the names that they have in the tables and as folders."""
        self._log = FailureLog(out / FAILURES_FILE)
        if retry_failed:
            self._log.clear()
        self.progress = FolderProgress(videos=len(catalog))

    def run(self, show: Callable[[FolderProgress], None] = lambda progress: None) -> FolderProgress:
        """Classify what is not done; a video that cannot be read is noted, and the run goes on."""
        self._table.write(self.videos)
        failing: list[str] = []

        def fail(video: Video, error: VideoError, state: SourceFile) -> None:
            failing.append(video.name)
            self._log.add(video.name, error, state)
            self.progress.failed += 1
            self.progress.failures.append(f"{video.name}: {error}")

        todo: list[Job] = []
        for video in self.videos:
            try:
                state = SourceFile.of(video.path)
            except VideoError as error:
                fail(video, error, SourceFile(0, 0))
                continue
            if self._table.knows(video.name, state):
                self.progress.before += 1
            elif self._log.knows(video.name, state):
                self.progress.failed_before += 1
                failing.append(video.name)
            else:
                todo.append((video, state))
        show(self.progress)
        entries = self._in_store(todo)
        known = self._stored.frames(entries) if self._stored is not None else {}
        videos = [((video, state), video.path) for video, state in todo]
        found = self._classifier.classify_many(
            videos, self._spec, known=known, workers=self._workers, timeout=self._timeout
        )
        with contextlib.closing(found), OneWorker(self._timeout) as worker:
            for (video, state), result in found:
                try:
                    if isinstance(result, VideoError):
                        raise result
                    prediction = self._answer(video, entries.get((video, state)), result)
                    self._write_files(video, prediction, worker)
                except VideoError as error:
                    fail(video, error, state)
                else:
                    self._table.add(video, prediction, state)
                    self.progress.done += 1
                show(self.progress)
        self._table.write(self.videos)
        # What failed once and works now is no failure.
        self._log.settle((video.name for video in self.videos), failing)
        return self.progress

    def _in_store(self, todo: Sequence[Job]) -> dict[Job, Entry]:
        """The entries of the videos whose content is in the store."""
        entries: dict[Job, Entry] = {}
        if self._stored is None:
            return entries
        for video, state in todo:
            with contextlib.suppress(VideoError):  # the decoder will say so
                if entry := self._stored.find(video):
                    entries[video, state] = entry
        return entries

    def _answer(self, video: Video, entry: Entry | None, result: VideoPrediction | Opened) -> VideoPrediction:
        """The prediction of the network, or that from the store where the video was only opened."""
        if self._stored is None:
            assert isinstance(result, VideoPrediction)
            return result
        if isinstance(result, VideoPrediction):
            self.progress.not_from_store[self._stored.reason(video.name, entry, result)] += 1
            return result
        assert entry is not None
        prediction = self._stored.prediction(video.path, entry, result, self._spec)
        self.progress.from_store += 1
        return prediction

    def _write_files(self, video: Video, prediction: VideoPrediction, worker: OneWorker) -> None:
        outputs = self._outputs.within(place_in(self._out, video.name))
        if outputs.paths:
            outputs.check(video.path, overwrite=True)  # in a folder of this run
            outputs.check_formats(video.path, prediction.info.codec)
            outputs.write(prediction, self._classifier.checkpoint.folder, worker=worker)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classifier.classes

    def rows(self) -> list[dict[str, str]]:
        """The rows of ``predictions.csv`` that are of these videos."""
        return self._table.rows(self.videos)

    def files_of(self, video: Video) -> dict[str, Path]:
        """The files of one video that this run writes, by the field of `Outputs`."""
        return self._outputs.within(place_in(self._out, video.name)).paths
