"""Writing HDF5 where a disk may run full: it crashes where closing a file fails, so it hears of no failure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from pipeline.lazy import h5py


class _Deaf(FileIO):
    """A file that takes everything; what went wrong first is kept, and nothing is written after it.

    Ctrl-C is among it: HDF5 would take it for a failure of the disk.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.failure: BaseException | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.failure is None:
                rest = rest[super().write(rest) :]
        except BaseException as error:  # noqa: BLE001 - `check` raises it
            self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except BaseException as error:  # noqa: BLE001 - `check` raises it
            self.failure = self.failure or error
            return size or 0

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        count = 0
        try:
            count = super().readinto(room) or 0
        except BaseException as error:  # noqa: BLE001 - `check` raises it
            self.failure = self.failure or error
        if self.failure is None:
            return count
        room[count:] = bytes(len(room) - count)  # of what was not written
        return len(room)

    def check(self) -> None:
        """Raise what went wrong."""
        if self.failure is not None:
            raise self.failure


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Write a new HDF5 file.

    Yields:
        The file, and a function to be called now and then, which raises what went wrong so far.

    Raises:
        OSError: not all of it could be written.
    """
    with _Deaf(path) as raw:
        with h5py.File(raw, "w") as file:
            yield file, raw.check
        raw.check()
