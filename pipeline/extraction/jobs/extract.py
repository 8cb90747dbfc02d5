"""Stage one over a whole catalog: look what is to be done, do it, keep catalog and failures beside the features."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.errors import UserError, VideoError
from pipeline.extraction.features.decode_task import CHANGED, DecodeSpec, decode_videos
from pipeline.extraction.features.stream import Decoded, NetworkCall, feature_stream
from pipeline.extraction.jobs.expectation import FrameCountEstimate
from pipeline.extraction.jobs.plan import Plan, make_plan
from pipeline.extraction.jobs.progress import ExtractionProgress
from pipeline.extraction.jobs.write_sequences import write_sequences
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import SHARD_SECONDS, StoreWriter
from pipeline.extraction.store.store import CATALOG_FILE, Entry, FeatureStore
from pipeline.parallel.machine import processors
from pipeline.parallel.workers import WorkerPool
from pipeline.videos.catalog.catalog import Catalog, Video
from pipeline.videos.catalog.catalog_table import CHOICES, FACTS, TableChanges, update_catalog
from pipeline.videos.catalog.failures import FAILURES_FILE, FailureLog
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.sampling import Sampling

Dtype = Literal["float16", "float32"]
_BATCH = 32  # images for a network that has no opinion, such as a plain function


class Worker(NamedTuple):
    """Which of several machines this is, that share the work; written and read as ``1/4``."""

    number: int = 1
    """From 1."""
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Worker:
        """Read ``1/4``.

        Raises:
            UserError: the text is something else.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match:
            raise UserError(f"{text!r} is not I/N, such as 1/4")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class ExtractionSpec:
    """Choices of a run that do not change the features."""

    batch: int = 0
    """Images, or clips of frames, in one call of the network; 0 for as many as fit into the free memory."""
    dtype: Dtype = "float16"
    """Of the stored features; images are uint8 in any case."""
    workers: int = 0
    """Decoder processes; 0 for one per processor."""
    timeout: float = 60.0
    """Seconds without a sign of life until a video is given up."""
    retry_failed: bool = False
    """Try again what failed before."""
    commit_every: float = SHARD_SECONDS
    """Seconds of work that a power cut may cost."""
    worker: Worker = field(default=Worker(), metadata={"metavar": "I/N"})
    """This machine is the I-th of N that share the work."""

    def __post_init__(self) -> None:
        if self.batch < 0:
            raise UserError(f"`batch={self.batch}`: expected 1 or more images, or 0 for as many as fit")
        if self.workers < 0:
            raise UserError(f"`workers={self.workers}`: expected 1 or more, or 0 for one per processor")
        if not self.timeout > 0:
            raise UserError(f"`timeout={self.timeout:g}`: expected seconds above 0")
        if not self.commit_every >= 0:
            raise UserError(f"`commit_every={self.commit_every:g}`: expected seconds, 0 or more")
        i, n = self.worker
        if not 1 <= i <= n:
            raise UserError(f"`worker={i}/{n}`: expected I/N with I from 1 to N, such as 1/{max(n, 2)}")

    @property
    def decoders(self) -> int:
        """The number of decoder processes."""
        return self.workers or processors()

    def decode(self, videos: Iterable[Video], recipe: Recipe) -> WorkerPool[Video]:
        """Decoder processes for some videos; they start when the pool's block is entered."""
        sampling = Sampling.parse(recipe.sampling)
        return decode_videos(
            [(video, video.path, sampling) for video in videos],
            DecodeSpec((recipe,), identify=True, check_reuse=True),
            workers=self.decoders,
            timeout=self.timeout,
        )

    def extract(
        self,
        decoded: Decoded[Video],
        network: NetworkCall,
        writer: StoreWriter,
        *,
        progress: ExtractionProgress,
        fail: Callable[[Video, VideoError], None],
        show: Callable[[ExtractionProgress], None] = lambda progress: None,
    ) -> None:
        """Compute the features of decoded videos and write them; see `write_sequences`."""
        progress.batch = self.batch or getattr(network, "batch", _BATCH)
        events = feature_stream(decoded, [network], batch=progress.batch, meter=progress)
        write_sequences(events, writer, progress=progress, fail=fail, show=show)

    def write(self, folder: Path, recipe: Recipe, provenance: dict[str, str]) -> StoreWriter:
        """A writer of sequences into a store; ``provenance`` are facts to keep with each shard."""
        return StoreWriter(folder, recipe, dtype=self.dtype, provenance=provenance, commit_every=self.commit_every)


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
        self._log.keep_only(video.name for video in self.plan.failed_before)
        for video, error in self.plan.failed:
            self._log.add(video.name, error)
        self.progress.videos = len(self.plan.extract) + len(self.plan.copies) + len(self.plan.twins)
        self.progress.failed = len(self._log)
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
