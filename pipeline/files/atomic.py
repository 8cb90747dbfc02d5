"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.files.system import is_alive, replace, sync

UNFINISHED = ".unfinished-"  # names of what is being written begin with it
_ABANDONED_AFTER = 24 * 3600  # seconds; a writer on another machine may be alive, and nothing else tells


class UnfinishedFile:
    """A file that gets its name when it is whole; until then it lies under another one in the same folder.

    What killed writers left in that folder is removed.

    Args:
        path: the name it will get; what is there stays until then.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clean_once(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(), suffix=path.suffix)
        os.close(handle)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        self.path = path
        self.temporary = Path(name)

    def commit(self) -> None:
        """Sync it to the disk and give it its name."""
        put_in_place(self.temporary, self.path)

    def discard(self) -> None:
        """Remove it, unless it has its name."""
        self.temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it is synced to disk and renamed to ``path``.

    After a failure or a power cut ``path`` is what it was before.
    """
    file = UnfinishedFile(Path(path))
    try:
        yield file.temporary
        file.commit()
    finally:
        file.discard()


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a file on the same disk its name, in place of one that may be there; after a power cut it is whole."""
    sync(temporary)
    replace(temporary, path)
    sync(path.parent)


@contextlib.contextmanager
def scratch_folder(parent: str | Path) -> Iterator[Path]:
    """Yield a new hidden folder in ``parent`` for unfinished work; it is removed at the end, whatever happens."""
    parent = Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    _clean_once(parent)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=_prefix()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def publish_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``; on success it is synced to disk and takes that name whole.

    Where ``path`` is there by then, because another process was faster, that one stays and the new one is dropped.
    """
    path = Path(path)
    with scratch_folder(path.parent) as temporary:
        new = temporary / path.name
        new.mkdir()
        yield new
        for file in [*new.rglob("*"), new]:
            sync(file)
        try:
            os.rename(new, path)
        except OSError:
            if not path.is_dir():
                raise
        sync(path.parent)


def check_room(folder: str | Path, needed: int = 1 << 20) -> None:
    """Fail as the system does on a full disk, where a library would crash or has given another reason.

    Args:
        folder: on the disk.
        needed: bytes; by default so few that what failed, failed for it.

    Raises:
        OSError: fewer are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        room = f"{needed / 1e6:,.0f} MB are needed, {free / 1e6:,.1f} MB are free"
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({room})", str(folder))


def remove_abandoned(folder: Path) -> int:
    """Delete what killed writers left unfinished in ``folder``; files of living writers stay.

    Returns:
        How many files and folders were deleted.
    """
    removed = 0
    for path in folder.glob(f"{UNFINISHED}*"):
        writer = re.match(r"(\w+)-pid-(\d+)-", path.name.removeprefix(UNFINISHED))
        dead = writer is not None and writer[1] == _host() and not is_alive(int(writer[2]))
        with contextlib.suppress(OSError):
            if dead or time.time() - path.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed += 1
    return removed


@functools.cache
def _clean_once(folder: Path) -> None:
    """A process looks through each folder once: there may be many thousands of files in it."""
    remove_abandoned(folder)


def _prefix() -> str:
    """Tells later runs which machine and process were at work; see `remove_abandoned`."""
    return f"{UNFINISHED}{_host()}-pid-{os.getpid()}-"


def _host() -> str:
    return re.sub(r"\W", "", socket.gethostname()) or "host"
