"""Writing HDF5 where a disk may run full: it crashes where closing a file fails, so it hears of no failure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from pipeline.lazy import h5py


class _Deaf(FileIO):
    """A file that takes everything; what went wrong first is kept, and nothing is written after it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        count = super().readinto(room) or 0
        if self.failure is None:
            return count
        room[count:] = bytes(len(room) - count)  # of what was not written
        return len(room)

    def check(self) -> None:
        """Raise what went wrong."""
        if self.failure is not None:
            raise self.failure


@contextlib.contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Write a new HDF5 file; ``options`` are those of `h5py.File`.

    Yields:
        The file, and a function to be called now and then, which raises what went wrong so far.

    Raises:
        OSError: not all of it could be written.
    """
    with _Deaf(path) as raw:
        with h5py.File(raw, "w", **options) as file:
            yield file, raw.check
        raw.check()
