"""Writing a feature store: sequences collect in a shard, and a shard gets its name when it is whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

from pipeline.errors import VideoError
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store import SHARD_SECONDS
from pipeline.extraction.store.folder import prepare_store
from pipeline.extraction.store.shard_file import ENDS, keep_looked_at, note_written
from pipeline.extraction.store.store import SHARDS, format_of
from pipeline.files.atomic import atomic_write
from pipeline.files.system import longest_file
from pipeline.lazy import h5py, np
from pipeline.parallel.machine import versions
from pipeline.parallel.opencv_build import BUILDS
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.frame import StepEnds

SHARD_BYTES = 256 << 20
SPILL_BYTES = 32 << 20
SHARD_CELLS = 4_000_000  # rows x longest row: times and frame numbers of a shard are padded, 17 bytes each
# Packages whose versions a shard notes.
_PACKAGES = ("keras", "tensorflow", "jax", "torch", "openvino", "av", *BUILDS, "numpy", "h5py")
_FREE_BYTES = 16 << 20  # what a disk must keep free, so that a shard can always be closed
_TABLE_BYTES = 1 << 20  # what a file must have room for, where its size is limited, for the same reason


class SequenceBuffer:
    """The features of one video while they arrive: in memory, and beyond 32 MiB in an unnamed file.

    Args:
        dtype: float16, float32 or, for images, uint8, as stored.
        folder: where the unnamed file goes.
    """

    def __init__(self, dtype: str, folder: Path) -> None:
        self._dtype = np.dtype(dtype)
        self._folder = folder
        self._blocks: list[np.ndarray] = []
        self._held = 0  # bytes in blocks
        self._spilled: list[tuple[int, ...]] = []
        self._file: IO[bytes] | None = None
        self.times: list[float] = []
        self.frames: list[int] = []
        self.ends: tuple[list[float], list[int]] = ([], [])
        """Seconds and frame numbers; empty where a step is one frame."""

    def __len__(self) -> int:
        return len(self.frames)

    def append(self, features: np.ndarray, times: list[float], frames: list[int], ends: StepEnds | None = None) -> None:
        """Add steps: ``(k, D)`` features, or ``(k, H, W, 3)`` images, with the times in seconds and numbers of
        their frames; of clips of frames those of the first frames, and where the clips end.

        Raises:
            VideoError: a feature is not finite, or too large for float16.
        """
        with np.errstate(over="ignore"):
            block = features.astype(self._dtype)
        if self._dtype.kind == "f":
            _check_numbers(features, block)
        self._blocks.append(block)
        self.times += times
        self.frames += frames
        if ends is not None:
            self.ends[0].extend(ends.times.tolist())
            self.ends[1].extend(ends.frames.tolist())
        self._held += block.nbytes
        if self._held > SPILL_BYTES:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed with the buffer
        for block in self._blocks:
            self._file.write(block.tobytes())
            self._spilled.append(block.shape)
        self._blocks, self._held = [], 0

    def blocks(self) -> Iterator[np.ndarray]:
        """The features again, in order and in pieces ``(k, ...)``."""
        if self._file is not None:
            self._file.seek(0)
            for shape in self._spilled:
                data = self._file.read(int(np.prod(shape)) * self._dtype.itemsize)
                yield np.frombuffer(data, self._dtype).reshape(shape)
        yield from self._blocks

    def close(self) -> None:
        """Forget everything."""
        self._blocks = []
        if self._file is not None:
            self._file.close()


def _check_numbers(features: np.ndarray, stored: np.ndarray) -> None:
    if not np.isfinite(features).all():
        raise VideoError("network", "features are not finite")
    if not np.isfinite(stored).all() or (features.any() and not stored.any()):
        raise VideoError("network", f"features are too large or too small for {stored.dtype}; store them as float32")


class StoreWriter:
    """Adds sequences to a store, which is made where there is none; use it in a ``with`` block.

    On leaving the block, also after an error or Ctrl-C, what was added is committed. Several writers, on one
    or many machines, may write into one store at a time: they never share a file.

    Args:
        folder: the store.
        recipe: what makes the features.
        dtype: ``float16`` or ``float32``; the images of a frame cache are ``uint8`` whatever is asked for.
        provenance: further facts to keep with each shard, such as the precision.
        weights: where the weights with the recipe's digest came from; None where no network takes part.
        commit_every: seconds after which what was added is committed, at the latest.

    Raises:
        UserError: the store has another recipe; the line says what differs.
    """

    def __init__(
        self,
        folder: str | Path,
        recipe: Recipe,
        *,
        dtype: str = "float16",
        provenance: dict[str, str] | None = None,
        weights: WeightsSource | None = None,
        commit_every: float = SHARD_SECONDS,
    ) -> None:
        self.folder = Path(folder)
        self.recipe = recipe
        self.dtype = "uint8" if recipe.keeps_images else dtype
        self.provenance = dict(provenance or {})
        """Written when a shard is committed, so what is found out meanwhile can be added."""
        self._commit_every = commit_every
        self._shard: _Shard | None = None
        prepare_store(self.folder, recipe, weights)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.commit()
        keep_looked_at(self.folder, self.folder.glob(SHARDS))

    def buffer(self) -> SequenceBuffer:
        """An empty buffer to collect one video in."""
        return SequenceBuffer(self.dtype, self.folder)

    def add(self, video: str, sequence: SequenceBuffer, source: SourceFile) -> None:
        """Add the sequence of a video and empty its buffer; it is safe on disk after the next commit.

        Raises:
            OSError: the disk is full or fails; what was committed before stays.
        """
        if self._shard is not None and self._shard.cells_with(len(sequence)) > SHARD_CELLS:
            self.commit()  # an hour among short clips would pad each of them to an hour
        if self._shard is None:
            self._shard = _Shard(self.folder, self.recipe, self.dtype, self.provenance)
        with contextlib.closing(sequence):
            self._shard.add(video, sequence, source)
        self.commit_if_due()

    def commit_if_due(self) -> None:
        """Commit where the open shard is old or large enough; cheap, call it often."""
        if self._shard is not None and self._shard.is_due(self._commit_every):
            self.commit()

    def commit(self) -> None:
        """Give the open shard its name."""
        shard, self._shard = self._shard, None
        if shard is not None:
            shard.commit()
            note_written(shard.path)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file; where writing it failed, closing it may fail as well, which is not told."""
    file = h5py.File(path, "w", libver=("v108", "v110"))
    try:
        yield file
    except BaseException:
        with contextlib.suppress(OSError, RuntimeError):
            file.close()
        raise
    file.close()


class _Shard:
    """One shard while it is written, under a temporary name."""

    def __init__(self, folder: Path, recipe: Recipe, dtype: str, provenance: dict[str, str]) -> None:
        created = time.time_ns()
        self._folder = folder
        self._born = time.monotonic()
        self._bytes = 0
        self._rows: list[tuple[str, SourceFile]] = []
        self._steps: list[SequenceBuffer] = []
        self._of_clips = recipe.clip > 0
        self._longest = 0
        self._dtype = dtype
        self._provenance = provenance
        self._temporary: Path | None = None
        self._need(0)
        # Times first: names sort in the order of creation. The rest keeps writers apart.
        self.path = folder / f"shard-{created // 1_000_000:014d}-{uuid.uuid4().hex[:8]}.h5"
        with contextlib.ExitStack() as opened:
            temporary = opened.enter_context(atomic_write(self.path))
            self._file = opened.enter_context(_new_file(temporary))
            self._temporary = temporary
            self._opened = opened.pop_all()
        self._file.attrs.update(
            {
                "format": format_of(recipe),
                "recipe": recipe.canonical,
                "fingerprint": recipe.fingerprint,
                "created": created,
                "versions": json.dumps(versions(*_PACKAGES), sort_keys=True),
            }
        )

    def is_due(self, seconds: float) -> bool:
        return time.monotonic() - self._born > seconds or self._bytes > SHARD_BYTES

    def cells_with(self, steps: int) -> int:
        """Steps of all rows, padding included, if a row of so many ``steps`` were added."""
        return (len(self._rows) + 1) * max(steps, self._longest)

    def add(self, video: str, sequence: SequenceBuffer, source: SourceFile) -> None:
        steps, row, at = len(sequence), len(self._rows), 0
        try:
            for block in sequence.blocks():
                self._need(block.nbytes)
                features = self._features(block.shape[1:], steps)
                if at == 0:
                    features.resize((row + 1, max(features.shape[1], steps), *block.shape[1:]))
                features[row, at : at + len(block)] = block
                at += len(block)
                self._bytes += block.nbytes
        except BaseException:
            # Rows before this one are good; committing them needs the shape they had.
            if "features" in self._file:
                self._file["features"].resize(row, axis=0)
            raise
        self._rows.append((video, source))
        self._steps.append(sequence)  # of whose features nothing is held
        self._longest = max(self._longest, steps)

    def _features(self, shape: tuple[int, ...], steps: int) -> h5py.Dataset:
        if "features" not in self._file:
            self._file.create_dataset(
                "features", (0, steps, *shape), self._dtype, maxshape=(None, None, *shape), **chunking(shape, steps)
            )
        return self._file["features"]

    def _need(self, size: int) -> None:
        """Refuse to write onto a full disk, or beyond what a file may hold: HDF5 does not survive that in the middle.

        What was written before can then still be given a name.
        """
        if hasattr(os, "statvfs"):
            status = os.statvfs(self._folder)
            if status.f_bavail * status.f_frsize < size + _FREE_BYTES:
                raise OSError(errno.ENOSPC, "the disk is full", str(self._folder))
        written = self._temporary.stat().st_size if self._temporary else 0
        if written + size + _TABLE_BYTES > longest_file():
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(self._folder))

    def commit(self) -> None:
        """Write the small tables, close, sync, rename; an empty shard vanishes, and one that could not be written."""
        with contextlib.suppress(_Empty), self._opened:
            if not self._rows:
                raise _Empty
            self._write_tables()
            self._file.attrs.update(self._provenance)

    def _write_tables(self) -> None:
        longest = self._file["features"].shape[1]
        count = len(self._rows)
        mask = np.zeros((count, longest), bool)
        for row, sequence in enumerate(self._steps):
            mask[row, : len(sequence)] = True

        def padded(dtype: type, column: Callable[[SequenceBuffer], list[Any]]) -> np.ndarray:
            values = np.zeros((count, longest), dtype)
            for row, sequence in enumerate(self._steps):
                values[row, : len(sequence)] = column(sequence)
            return values

        tables = {"mask": mask}
        tables["times"] = padded(np.float64, lambda sequence: sequence.times)
        tables["frames"] = padded(np.int64, lambda sequence: sequence.frames)
        if self._of_clips:
            tables[ENDS[0]] = padded(np.float64, lambda sequence: sequence.ends[0])
            tables[ENDS[1]] = padded(np.int64, lambda sequence: sequence.ends[1])
        for name, values in tables.items():
            self._file.create_dataset(name, data=values, chunks=(1, max(1, longest)), compression="gzip", shuffle=True)
        self._file.create_dataset("steps", data=mask.sum(axis=1))
        text = h5py.string_dtype("utf-8")
        names = [video.encode("utf-8", "surrogateescape") for video, _ in self._rows]
        self._file.create_dataset("video", data=np.array(names, dtype=object), dtype=text)
        for item in fields(SourceFile):
            facts = [getattr(source, item.name) for _, source in self._rows]
            kind = text if item.type == "str" else None
            self._file.create_dataset(f"source/{item.name}", data=facts, dtype=kind)


def chunking(shape: tuple[int, ...], steps: int) -> dict[str, Any]:
    """How HDF5 lays out the steps of a video, each of ``shape``: padding that was never written takes no room.

    Feature vectors lie together by a few steps and read in one go. Images are read singly and shrink when they are
    compressed: to 0.8 by LZF and to 0.65 by gzip, which reads half as fast (112x112, clips of films and of people).
    """
    if len(shape) == 1:
        return {"chunks": (1, max(1, min(steps, 32)), *shape)}
    return {"chunks": (1, 1, *shape), "compression": "lzf"}


class _Empty(Exception):
    """Nothing was added to a shard, so it gets no name."""
