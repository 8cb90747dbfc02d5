"""Stage one: decode, push batches through the frozen network, keep the sequences.

Decoder processes, the network and the store work at the same time. Batches have one fixed shape and cross
the borders of videos; a batch is filled while the one before is computed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.extraction.decoding import DecoderPool, Frames, Restart
from pipeline.extraction.failures import FailureLog
from pipeline.extraction.plan import Plan, make_plan
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.shards import SHARD_SECONDS, SequenceBuffer, StoreWriter
from pipeline.extraction.store import CATALOG_FILE, FAILURES_FILE, FeatureStore, Source
from pipeline.extraction.weights import WeightsSource
from pipeline.videos.catalog import Catalog, Video, write_catalog

Network = Callable[[np.ndarray], np.ndarray]
"""A function from ``(batch, height, width, 3)`` uint8 to ``(batch, D)`` float32."""

_PATIENCE = 1.0  # seconds without a frame, after which a partly filled batch is computed


@dataclass(frozen=True)
class ExtractionSpec:
    """Choices of a run that do not change the features."""

    batch: int = 32
    """Pictures in one call of the network."""
    dtype: str = "float16"
    """How features are stored: float16 or float32."""
    workers: int = 0
    """Decoder processes; 0 for one per processor."""
    timeout: float = 60.0
    """Seconds of silence after which a decoder is taken for hanging."""
    retry_failed: bool = False
    """Try again what failed before."""
    commit_every: float = SHARD_SECONDS
    """Seconds of work that a power cut may cost."""
    part: tuple[int, int] = (1, 1)
    """(i, n): the i-th of n machines that share the work, from 1."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UserError(f"--batch {self.batch}: expected at least 1 picture")
        if self.workers < 0:
            raise UserError(f"--workers {self.workers}: expected 1 or more, or 0 for one per processor")
        if not self.timeout > 0:
            raise UserError(f"--timeout {self.timeout:g}: expected seconds above 0")
        if not self.commit_every >= 0:
            raise UserError(f"--commit-every {self.commit_every:g}: expected seconds, 0 or more")
        i, n = self.part
        if not 1 <= i <= n:
            raise UserError(f"--shard {i}/{n}: expected i/n with i from 1 to n, such as 1/{max(n, 2)}")

    @property
    def decoders(self) -> int:
        """The number of decoder processes."""
        return self.workers or processors()


@dataclass
class Progress:
    """How far a run is; the same object is updated and handed to whoever shows it."""

    videos: int = 0
    """Videos that this run has to extract."""
    done: int = 0
    copied: int = 0
    failed: int = 0
    frames: int = 0
    """Frames that went through the network."""
    waited_for_decoding: float = 0.0
    waited_for_network: float = 0.0
    """Seconds that the collecting side waited."""
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the first frame was expected."""
        return time.monotonic() - self.began

    @property
    def bottleneck(self) -> str:
        """Which side the other waits for."""
        return "decoding" if self.waited_for_decoding > self.waited_for_network else "network"


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Extraction:
    """A run of stage one over a catalog, into one store.

    Args:
        catalog: the videos.
        folder: the store.
        recipe: how a video becomes a sequence.
        weights: where the recipe's weights came from.
        spec: the rest.

    Raises:
        UserError: the folder holds another recipe, or cannot be written to.
    """

    def __init__(
        self, catalog: Catalog, folder: Path, recipe: Recipe, weights: WeightsSource, spec: ExtractionSpec
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.spec = spec
        self._catalog = catalog
        self._weights = weights
        i, n = spec.part
        self._mine = catalog.videos[i - 1 :: n]
        # The folder is checked, and made, before anything is decoded.
        with StoreWriter(folder, recipe, weights=weights):
            pass
        self._log = FailureLog(folder / (FAILURES_FILE if n == 1 else f"failures-{i}-of-{n}.csv"))
        self.plan = Plan()
        self.progress = Progress()

    def look(self, looked_at: Callable[[], None] = lambda: None) -> Plan:
        """Find out what is to be done; neither decodes nor loads a network."""
        entries = FeatureStore(self.folder).entries
        self.plan = make_plan(self._mine, entries, self._log, retry_failed=self.spec.retry_failed, looked_at=looked_at)
        self._log.keep_only(video.name for video in self.plan.failed_before)
        for video, error in self.plan.failed:
            self._log.add(video.name, error)
        self.progress.videos = len(self.plan.extract) + len(self.plan.copies) + len(self.plan.twins)
        self.progress.failed = len(self._log)
        self._write_catalog()
        return self.plan

    def decode(self) -> DecoderPool:
        """Decoder processes for what is to be extracted; they start when the pool's block is entered."""
        jobs = [(video, video.path) for video in self.plan.extract]
        return DecoderPool(jobs, self.recipe, workers=self.spec.decoders, timeout=self.spec.timeout)

    def run(
        self,
        pool: DecoderPool,
        network: Network,
        provenance: dict[str, str],
        show: Callable[[Progress], None] = lambda progress: None,
    ) -> Progress:
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
            with StoreWriter(
                self.folder,
                self.recipe,
                dtype=self.spec.dtype,
                provenance=provenance,
                commit_every=self.spec.commit_every,
            ) as writer:
                _Collector(self, writer, network, show).collect(pool)
            self.copy_known(show)
        finally:
            self._write_catalog()
        return self.progress

    def copy_known(self, show: Callable[[Progress], None] = lambda progress: None) -> None:
        """Give videos whose content is in the store their own entry, without decoding them."""
        if not self.plan.copies and not self.plan.twins:
            return
        store = FeatureStore(self.folder)
        copies = list(self.plan.copies)
        for video, other in self.plan.twins:
            entry = store.entries.get(other.name)
            if entry is None:
                self.fail(video, VideoError("decode", f"same content as {other.name}, which failed"))
            else:
                copies.append((video, entry, replace(entry.source, mtime_ns=video.path.stat().st_mtime_ns)))
        with StoreWriter(self.folder, self.recipe, dtype=self.spec.dtype, provenance={"copied": "yes"}) as writer:
            for video, entry, source in copies:
                sequence = store.read(entry.video)
                buffer = writer.buffer()
                buffer.append(sequence.features, sequence.times.tolist(), sequence.frames.tolist())
                writer.add(video.name, buffer, source)
                self.progress.copied += 1
                show(self.progress)
        self._write_catalog()

    def fail(self, video: Video, error: VideoError) -> None:
        """Note a failure and go on."""
        size = mtime_ns = 0
        if video.path.exists():
            status = video.path.stat()
            size, mtime_ns = status.st_size, status.st_mtime_ns
        self._log.add(video.name, error, size, mtime_ns)
        self.progress.failed += 1

    def failures(self) -> dict[str, str]:
        """Why each failed video of this run, or of earlier ones, cannot be used."""
        return {video.name: self._log.reason(video.name) for video in self._mine if video.name in self._log}

    def _write_catalog(self) -> None:
        """Write the whole catalog into the store, with the facts that decoding found out."""
        entries = FeatureStore(self.folder).entries
        rows = []
        for video in self._catalog:
            entry = entries.get(video.name)
            if entry is not None:
                facts = entry.source
                video = replace(
                    video,
                    frames=facts.frames,
                    fps=facts.fps,
                    width=facts.width,
                    height=facts.height,
                    duration=facts.duration,
                )
            rows.append(video)
        write_catalog(rows, self.folder / CATALOG_FILE)


@dataclass
class _Pending:
    """A video some of whose frames are on their way."""

    buffer: SequenceBuffer
    on_the_way: int = 0
    source: Source | None = None


class _Collector:
    """Fills batches from the decoders' messages and hands features to the videos they belong to."""

    def __init__(
        self, extraction: Extraction, writer: StoreWriter, network: Network, show: Callable[[Progress], None]
    ) -> None:
        self._extraction = extraction
        self._progress = extraction.progress
        self._writer = writer
        self._network = network
        self._show = show
        self._pending: dict[Video, _Pending] = {}
        self._given_up: set[Video] = set()
        self._shape = (extraction.spec.batch, extraction.recipe.height, extraction.recipe.width, 3)
        self._new_batch()
        self._computing: tuple[Future[np.ndarray], list[tuple[_Pending, Video, float, int]]] | None = None

    def _new_batch(self) -> None:
        self._batch = np.zeros(self._shape, np.uint8)
        self._owners: list[tuple[_Pending, Video, float, int]] = []

    def collect(self, pool: DecoderPool) -> None:
        """Work until every video has ended."""
        try:
            self._collect(pool)
        finally:
            for video in list(self._pending):
                self._drop(video)

    def _collect(self, pool: DecoderPool) -> None:
        with ThreadPoolExecutor(1, "network") as self._executor:
            asked = time.monotonic()
            for arrived in pool.messages(_PATIENCE):
                self._progress.waited_for_decoding += time.monotonic() - asked
                if arrived is None:
                    self._send_batch()
                    self._receive_batch()
                    self._writer.commit_if_due()
                else:
                    self._take(*arrived)
                asked = time.monotonic()
            self._send_batch()
            self._receive_batch()

    def _take(self, video: Video, message: object) -> None:
        if video in self._given_up:
            return  # its features were unusable, and the rest of it is still coming
        if isinstance(message, Frames):
            self._take_frames(video, message)
        elif isinstance(message, Source):
            pending = self._pending[video]
            pending.source = message
            self._finish_if_complete(video, pending)
        elif isinstance(message, Restart):
            self._drop(video)
        elif isinstance(message, VideoError):
            self._drop(video)
            self._extraction.fail(video, message)
            self._show(self._progress)

    def _drop(self, video: Video) -> None:
        """Forget what came of a video; features of it that are still computed find nobody."""
        pending = self._pending.pop(video, None)
        if pending is not None:
            pending.buffer.close()

    def _take_frames(self, video: Video, frames: Frames) -> None:
        pending = self._pending.get(video)
        if pending is None:
            pending = self._pending[video] = _Pending(self._writer.buffer())
        taken = 0
        while taken < len(frames.numbers):
            at = len(self._owners)
            count = min(self._shape[0] - at, len(frames.numbers) - taken)
            part = slice(taken, taken + count)
            self._batch[at : at + count] = frames.images[part]
            self._owners += [
                (pending, video, seconds, number)
                for seconds, number in zip(frames.times[part], frames.numbers[part], strict=True)
            ]
            pending.on_the_way += count
            taken += count
            if len(self._owners) == self._shape[0]:
                self._send_batch()

    def _send_batch(self) -> None:
        """Start computing the batch, after taking in the features of the one before."""
        if not self._owners:
            return
        self._receive_batch()
        self._computing = (self._executor.submit(self._network, self._batch), self._owners)
        self._new_batch()

    def _receive_batch(self) -> None:
        if self._computing is None:
            return
        future, owners = self._computing
        self._computing = None
        asked = time.monotonic()
        features = future.result()
        self._progress.waited_for_network += time.monotonic() - asked
        self._progress.frames += len(owners)
        start = 0
        while start < len(owners):
            pending, video, _, _ = owners[start]
            end = start
            while end < len(owners) and owners[end][0] is pending:
                end += 1
            if self._pending.get(video) is pending:
                self._take_features(video, pending, features[start:end], owners[start:end])
            start = end
        self._show(self._progress)

    def _take_features(
        self, video: Video, pending: _Pending, features: np.ndarray, owners: list[tuple[_Pending, Video, float, int]]
    ) -> None:
        try:
            pending.buffer.append(features, [owner[2] for owner in owners], [owner[3] for owner in owners])
        except VideoError as error:
            self._drop(video)
            self._given_up.add(video)
            self._extraction.fail(video, error)
            return
        pending.on_the_way -= len(owners)
        self._finish_if_complete(video, pending)

    def _finish_if_complete(self, video: Video, pending: _Pending) -> None:
        if pending.source is None or pending.on_the_way:
            return
        del self._pending[video]
        self._writer.add(video.name, pending.buffer, pending.source)
        self._progress.done += 1
        self._show(self._progress)
