"""The steps of many sequences, one after the other: in memory, or in the shards of a store until they are asked for.

A step is the features of one frame, or of one clip of frames. Each has a *place*: steps of a sequence have consecutive
places, and sequences follow each other as they lie in the files, so that reading places in rising order reads the disk
from front to back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.store.shard_file import ENDS, open_shard
from pipeline.extraction.store.store import Entry, FeatureStore
from pipeline.lazy import h5py

_TABLE_BYTES = 16 << 20  # of the padded tables of times and frames that are read at once


class Steps(Protocol):
    """What heads are trained from, wherever it is."""

    shape: tuple[int, ...]
    """Of one step: ``(D,)``, or ``(H, W, 3)`` in a store of frames."""
    dtype: np.dtype
    in_memory: bool

    def __len__(self) -> int:
        """How many steps there are."""

    @property
    def nbytes(self) -> int:
        """What all steps take in memory."""

    def gather(self, firsts: np.ndarray, counts: np.ndarray, length: int) -> np.ndarray:
        """Stretches of steps, zeros after the end of each.

        Args:
            firsts: ``(b,)`` int64, the first place of each.
            counts: ``(b,)`` int64, its real steps, from 1 to ``length``.
            length: steps in each.

        Returns:
            ``(b, length, *shape)`` in the type of the store.
        """


class LoadedSteps:
    """Steps in one array.

    Args:
        array: ``(n, *shape)``.
    """

    in_memory = True

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape: tuple[int, ...] = array.shape[1:]
        self.dtype = array.dtype

    def __repr__(self) -> str:
        return f"LoadedSteps{self.array.shape} {self.dtype}"

    def __len__(self) -> int:
        return len(self.array)

    @property
    def nbytes(self) -> int:
        """What the array takes."""
        return self.array.nbytes

    def gather(self, firsts: np.ndarray, counts: np.ndarray, length: int) -> np.ndarray:
        """See `Steps.gather`."""
        steps = np.arange(length)
        mask = steps < counts[:, None]
        stretches = self.array[firsts[:, None] + np.where(mask, steps, 0)]
        stretches[~mask] = 0
        return stretches


@dataclass(frozen=True)
class _File:
    """A shard as far as its features are concerned."""

    path: Path
    dtype: np.dtype
    raw: bool
    """Whether steps lie in the file as they are; otherwise HDF5 has to unpack them."""


class StoredSteps:
    """The steps of some videos of a store, where they lie in its shards.

    Shards never change, so the place of each chunk is looked up once, and steps are read without the HDF5 library:
    that takes a tenth of its time for a short sequence, and lets other threads work meanwhile.

    Args:
        store: an existing one.
        videos: names of videos in it.

    Raises:
        UserError: a shard is damaged, or holds steps of another shape than the others.
    """

    in_memory = False

    def __init__(self, store: FeatureStore, videos: Iterable[str]) -> None:
        by_shard: dict[Path, list[Entry]] = defaultdict(list)
        for video in videos:
            entry = store.entries[video]
            by_shard[entry.shard].append(entry)
        self.first: dict[str, int] = {}
        """The place of the first step of each video."""
        self._files: list[_File] = []
        times, frames, lasts, starts, files, offsets = [], [], [], [], [], []  # one array for each shard
        place = 0
        for path in sorted(by_shard):
            entries = sorted(by_shard[path], key=lambda entry: entry.row)
            with open_shard(path) as shard:
                features = shard["features"]
                if not self._files:
                    self.shape: tuple[int, ...] = features.shape[2:]
                if features.shape[2:] != self.shape:
                    raise UserError(
                        f"{path} holds steps of shape {features.shape[2:]}, the shards before it {self.shape}; move "
                        "it away and extract again"
                    )
                rows, steps = [], []
                for entry, seconds, numbers, ends in _times_and_frames(shard, entries, store.recipe.clip > 0):
                    picked = store.picked(seconds, numbers)
                    self.first[entry.video] = place
                    times.append(seconds[picked])
                    frames.append(numbers[picked])
                    lasts.append(ends[picked])
                    steps.append(np.arange(len(seconds))[picked])
                    rows.append(np.full(len(steps[-1]), entry.row))
                    place += len(steps[-1])
                begin, offset, raw = _runs(features, np.concatenate(rows), np.concatenate(steps), path)
                starts.append(begin + place - sum(map(len, rows)))
                offsets.append(offset)
                files.append(np.full(len(offset), len(self._files)))
                self._files.append(_File(path, features.dtype, raw))
        self.dtype = max((file.dtype for file in self._files), key=lambda dtype: dtype.itemsize)
        self._start = np.concatenate([*starts, [place]])
        self._file, self._offset = np.concatenate(files), np.concatenate(offsets)
        self.times = np.concatenate(times)
        """``(n,)`` float64, seconds after the first frame of the video."""
        self.frames = np.concatenate(frames)
        """``(n,)`` int64, frame numbers; of clips of frames that of the first one in each."""
        self.last_frames = np.concatenate(lasts) if store.recipe.clip else self.frames
        """``(n,)`` int64, the number of the last frame in each step."""
        if not np.isfinite(self.times).all():
            raise UserError(f"{store.folder} holds times that are no numbers; check_features.py names the shard")

    def __repr__(self) -> str:
        return f"StoredSteps({len(self)} of {self.shape} {self.dtype} in {len(self._files)} shards)"

    def __len__(self) -> int:
        return int(self._start[-1])

    @property
    def nbytes(self) -> int:
        """What all steps take in memory."""
        return len(self) * int(np.prod(self.shape)) * self.dtype.itemsize

    def gather(self, firsts: np.ndarray, counts: np.ndarray, length: int) -> np.ndarray:
        """See `Steps.gather`; the files are read in rising order of the places, each opened once."""
        stretches = np.zeros((len(firsts), length, *self.shape), self.dtype)
        with _Reader(self._files) as reader:
            for row in np.argsort(firsts, kind="stable"):
                self._read(reader, int(firsts[row]), stretches[row, : counts[row]])
        return stretches

    def load(self) -> LoadedSteps:
        """All steps, read into memory."""
        array = np.empty((len(self), *self.shape), self.dtype)
        with _Reader(self._files) as reader:
            self._read(reader, 0, array)
        return LoadedSteps(array)

    def _read(self, reader: _Reader, first: int, into: np.ndarray) -> None:
        """Fill ``into`` with steps from the place ``first`` on."""
        run, done = int(np.searchsorted(self._start, first, side="right")) - 1, 0
        while done < len(into):
            skipped = first + done - int(self._start[run])
            count = min(len(into) - done, int(self._start[run + 1] - self._start[run]) - skipped)
            reader.read(int(self._file[run]), int(self._offset[run]), skipped, into[done : done + count])
            run, done = run + 1, done + count


class _Reader:
    """Keeps the file open that was read from last."""

    def __init__(self, files: list[_File]) -> None:
        self._files = files
        self._number = -1
        self._open: FileIO | h5py.File | None = None

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._open is not None:
            self._open.close()

    def read(self, number: int, offset: int, skipped: int, into: np.ndarray) -> None:
        """Fill ``into`` with steps of a run that begins at ``offset`` of a file, leaving out ``skipped`` of them."""
        file = self._files[number]
        if number != self._number:
            self.__exit__()
            self._open = FileIO(file.path) if file.raw else h5py.File(file.path, "r")
            self._number = number
        if isinstance(self._open, h5py.File):
            features = self._open["features"]
            row, step = divmod(offset + skipped, features.shape[1])
            features.read_direct(into, np.s_[row, step : step + len(into)])
            return
        assert self._open is not None
        as_stored = into if into.dtype == file.dtype else np.empty(into.shape, file.dtype)
        self._open.seek(offset + skipped * as_stored[0].nbytes)
        wanted = memoryview(as_stored.reshape(-1).view(np.uint8).data)
        while wanted:
            if not (count := self._open.readinto(wanted)):
                raise UserError(f"{file.path} has become shorter; move it away and extract again")
            wanted = wanted[count:]
        if as_stored is not into:
            into[:] = as_stored


def _times_and_frames(shard: h5py.File, entries: list[Entry], of_clips: bool):
    """Yield (entry, times, first frames, last frames) of the stored steps of each entry, reading many rows at once."""
    stored = shard["steps"][:]
    longest = max(1, shard["times"].shape[1])
    at_once = max(1, _TABLE_BYTES // (16 * longest))
    begin, times, frames, lasts = 0, np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0))
    for entry in entries:
        if entry.row >= begin + len(times):
            begin = entry.row
            times, frames = (shard[name][begin : begin + at_once] for name in ("times", "frames"))
            lasts = shard[ENDS[1]][begin : begin + at_once] if of_clips else frames
        row, steps = entry.row - begin, stored[entry.row]
        yield entry, times[row, :steps], frames[row, :steps], lasts[row, :steps]


def _runs(
    features: h5py.Dataset, rows: np.ndarray, steps: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Where some steps of a shard lie.

    Args:
        features: the dataset.
        rows: ``(n,)`` the row of each step.
        steps: ``(n,)`` its number in the row.
        path: of the shard.

    Returns:
        The number of the first step and the offset of each run of steps that lie one after the other, and whether
        the offsets are bytes in the file, or ``row * T + step``.
    """
    size = int(np.prod(features.shape[2:])) * features.dtype.itemsize
    plain = features.id.get_create_plist().get_nfilters() == 0 and features.dtype.isnative
    raw = (
        plain and features.chunks is not None and (features.chunks[0], *features.chunks[2:]) == (1, *features.shape[2:])
    )
    if raw:
        length = features.chunks[1]
        lies = np.full((features.shape[0], -(-features.shape[1] // length)), -1, np.int64)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            lies[chunk.chunk_offset[0], chunk.chunk_offset[1] // length] = chunk.byte_offset

        features.id.chunk_iter(note)
        chunks = lies[rows, steps // length]
        if len(chunks) and chunks.min() < 0:
            raise UserError(f"{path} is damaged (features are missing); move it away and extract again")
        offsets = chunks + steps % length * size
    else:
        offsets, size = rows * features.shape[1] + steps, 1
    begin = np.flatnonzero(np.r_[True, (np.diff(offsets) != size) | (not raw) & (np.diff(rows) != 0)])
    return begin, offsets[begin], raw
