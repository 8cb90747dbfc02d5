"""Stage one over a whole catalog: look what is to be done, do it, keep catalog and failures beside the features."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.errors import VideoError
from pipeline.extraction.features.decode_task import CHANGED
from pipeline.extraction.features.stream import Decoded, NetworkCall
from pipeline.extraction.jobs.plan import Plan, make_plan
from pipeline.extraction.jobs.progress import ExtractionProgress, FrameCountEstimate
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.extraction.store.store import CATALOG_FILE, Entry, FeatureStore
from pipeline.parallel.workers import WorkerPool
from pipeline.videos.catalog.catalog import Catalog, Video
from pipeline.videos.catalog.catalog_table import CHOICES, FACTS, TableChanges, update_catalog
from pipeline.videos.catalog.failures import FAILURES_FILE, FailureLog
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.sampling import Sampling


def unit_of(recipe: Recipe) -> str:
    """What an extraction counts, for its user."""
    return "step" if recipe.clip else "frame"


class Extraction:
    """A run of stage one over a catalog, into one store.

    Args:
        catalog: the videos.
        folder: the store.
        recipe: how a video becomes a sequence.
        weights: where the recipe's weights came from; None for a frame cache.
        spec: the rest.

    Raises:
        UserError: the folder holds another recipe, or cannot be written to.
    """

    def __init__(
        self, catalog: Catalog, folder: Path, recipe: Recipe, weights: WeightsSource | None, spec: ExtractionSpec
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.spec = spec
        self._catalog = catalog
        self._weights = weights
        i, n = spec.worker
        self.mine = catalog.videos[i - 1 :: n]
        # The folder is checked, and made, before anything is decoded.
        with StoreWriter(folder, recipe, weights=weights):
            pass
        self._log = FailureLog(folder / (FAILURES_FILE if n == 1 else f"failures-{i}-of-{n}.csv"))
        self.plan = Plan()
        self.progress = ExtractionProgress()
        self.table_changes = TableChanges()
        """What `look` changed in the catalog of the store."""

    def look(self, looked_at: Callable[[], None] = lambda: None) -> Plan:
        """Find out what is to be done; neither decodes nor loads a network."""
        entries = FeatureStore(self.folder).entries
        self.plan = make_plan(self.mine, entries, self._log, retry_failed=self.spec.retry_failed, looked_at=looked_at)
        if self.spec.retry_failed:
            self._log.clear()
        self._log.settle((video.name for video in self.mine), {video.name for video in self.plan.failed_before})
        for video, error in self.plan.failed:
            self._log.add(video.name, error)
        self.progress.videos = len(self.plan.extract) + len(self.plan.copies) + len(self.plan.twins)
        self.progress.failed = len(self.failures())
        self.progress.unit = unit_of(self.recipe)
        self.progress.expectation = FrameCountEstimate(self.plan.extract, Sampling.parse(self.recipe.sampling))
        self.table_changes = self.write_catalog(entries)
        return self.plan

    def decode(self) -> WorkerPool[Video]:
        """Decoder processes for what is to be extracted; they start when the pool's block is entered."""
        return self.spec.decode(self.plan.extract, self.recipe)

    def run(
        self,
        pool: Decoded[Video],
        network: NetworkCall,
        provenance: dict[str, str],
        show: Callable[[ExtractionProgress], None] = lambda progress: None,
    ) -> ExtractionProgress:
        """Extract what the plan says.

        Args:
            pool: the entered pool of `decode`.
            network: the frozen network.
            provenance: facts to store with each shard.
            show: called after every step with the progress.

        Raises:
            OSError: the disk is full; what is done is kept.
        """
        self.progress.began = time.monotonic()
        try:
            with self.spec.write(self.folder, self.recipe, provenance) as writer:
                self.spec.extract(pool, network, writer, progress=self.progress, fail=self.fail, show=show)
            self.copy_known(show)
        finally:
            self.write_catalog()
        return self.progress

    def copy_known(self, show: Callable[[ExtractionProgress], None] = lambda progress: None) -> None:
        """Give videos whose content is in the store their own entry, without decoding them."""
        if not self.plan.copies and not self.plan.twins:
            return
        store = FeatureStore(self.folder)
        copies = list(self.plan.copies)
        for video, other in self.plan.twins:
            entry = store.entries.get(other.name)
            if entry is None:
                self.fail(video, VideoError("decode", f"same content as {other.name}, which failed"))
                continue
            try:
                now = SourceFile.of(video.path)
            except VideoError as error:  # it has vanished since it was compared
                self.fail(video, error)
            else:
                copies.append((video, entry, replace(entry.source, mtime_ns=now.mtime_ns)))
        with self.spec.write(self.folder, self.recipe, {"copied": "yes"}) as writer:
            for video, entry, source in copies:
                buffer = writer.buffer()
                for piece in store.pieces(entry.video):
                    buffer.append(piece.features, piece.times.tolist(), piece.frames.tolist(), piece.ends)
                writer.add(video.name, buffer, source)
                self.progress.copied += 1
                show(self.progress)
        self.write_catalog()

    def fail(self, video: Video, error: VideoError) -> None:
        """Note a failure and go on."""
        now = None
        # A file that somebody was writing may be whole by now: the next run tries it again, so no size is noted.
        if error.reason != CHANGED:
            with contextlib.suppress(VideoError):
                now = SourceFile.of(video.path)
        self._log.add(video.name, error, now)
        self.progress.failed += 1

    def failures(self) -> dict[str, str]:
        """Why each failed video of this run, or of earlier ones, cannot be used."""
        return {video.name: self._log.reason(video.name) for video in self.mine if video.name in self._log}

    def write_catalog(self, entries: Mapping[str, Entry] | None = None) -> TableChanges:
        """Write the videos into the catalog of the store, with the facts that decoding found out.

        Rows of other videos stay. Labels, splits and groups that the store knows give way to those of a table only: a
        folder, or a single file, does not know that somebody corrected them.
        """
        if entries is None:
            entries = FeatureStore(self.folder).entries
        rows = []
        for video in self._catalog:
            entry = entries.get(video.name)
            rows.append(video.counted(entry.source) if entry is not None else video)
        replaced = FACTS if self._catalog.table is None else (*FACTS, *CHOICES)
        renamed = {video.name: entry.video for video, entry, _ in self.plan.copies}
        return update_catalog(rows, self.folder / CATALOG_FILE, replaced, renamed=renamed)
