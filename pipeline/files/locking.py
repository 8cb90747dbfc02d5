"""One writer at a time for what is written as a whole: the second is refused, and a dead one is in nobody's way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.system import close_and_remove, lock


@contextlib.contextmanager
def only_writer(folder: Path | None) -> Iterator[None]:
    """Hold a folder for this process, by a hidden file beside it that the system unlocks when the process ends.

    Args:
        folder: it need not exist; nothing is held where it is None, or where the system knows no locks.

    Raises:
        UserError: another process holds it, or nothing can be written there.
    """
    if folder is None:
        yield
        return
    path = folder.absolute().parent / f".lock-{folder.name}"
    handle = _lock(path, folder)
    try:
        yield
    finally:
        close_and_remove(handle, path)  # who comes now makes a new one


def _lock(path: Path, folder: Path) -> int:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror}") from None
        try:
            lock(handle, wait=False)
        except BlockingIOError:
            os.close(handle)
            raise UserError(f"another run is writing {folder}; wait for it, or choose another `out`") from None
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)  # the one before removed it meanwhile
