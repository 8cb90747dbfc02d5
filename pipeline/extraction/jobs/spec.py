"""Choices of a run of stage one that do not change the features, and what follows from them for its parts.

Who only reads options imports this file, so decoders, networks and stores are imported where they are used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipeline.errors import UserError, VideoError
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store import SHARD_SECONDS
from pipeline.parallel.machine import processors

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.extraction.features.stream import Decoded, NetworkCall
    from pipeline.extraction.jobs.progress import ExtractionProgress
    from pipeline.extraction.store.shard_writer import StoreWriter
    from pipeline.parallel.workers import WorkerPool
    from pipeline.videos.catalog.catalog import Video

Dtype = Literal["float16", "float32"]
_BATCH = 32  # images in one call, for a network that has no opinion, such as a plain function


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
        from pipeline.extraction.features.decode_task import DecodeSpec, decode_videos
        from pipeline.videos.media.sampling import Sampling

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
        from pipeline.extraction.features.stream import feature_stream
        from pipeline.extraction.jobs.write_sequences import write_sequences

        progress.batch = self.batch or getattr(network, "batch", _BATCH)
        events = feature_stream(decoded, [network], batch=progress.batch, meter=progress)
        write_sequences(events, writer, progress=progress, fail=fail, show=show)

    def write(self, folder: Path, recipe: Recipe, provenance: dict[str, str]) -> StoreWriter:
        """A writer of sequences into a store; ``provenance`` are facts to keep with each shard."""
        from pipeline.extraction.store.shard_writer import StoreWriter

        return StoreWriter(folder, recipe, dtype=self.dtype, provenance=provenance, commit_every=self.commit_every)
