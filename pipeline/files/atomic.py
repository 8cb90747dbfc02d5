"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished-"  # names of what is being written begin with it
_ABANDONED_AFTER = 24 * 3600  # seconds; a writer on another machine may be alive, and nothing else tells


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it is synced to disk and renamed to ``path``.

    After a failure or a power cut ``path`` is what it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name tells later runs which machine and process were at work; see remove_abandoned.
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f"{UNFINISHED}{_host()}-pid-{os.getpid()}-", suffix=path.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def scratch_folder(parent: str | Path) -> Iterator[Path]:
    """Yield a new hidden folder in ``parent`` for unfinished work; it is removed at the end, whatever happens."""
    parent = Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=f"{UNFINISHED}{_host()}-pid-{os.getpid()}-"))
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
        for file in [*new.iterdir(), new]:
            _sync(file)
        try:
            os.rename(new, path)
        except OSError:
            if not path.is_dir():
                raise
        _sync(path.parent)


def remove_abandoned(folder: Path) -> int:
    """Delete what killed writers left unfinished in ``folder``; files of living writers stay.

    Returns:
        How many files and folders were deleted.
    """
    removed = 0
    for path in folder.glob(f"{UNFINISHED}*"):
        writer = re.match(r"(\w+)-pid-(\d+)-", path.name.removeprefix(UNFINISHED))
        dead = writer is not None and writer[1] == _host() and not _alive(int(writer[2]))
        with contextlib.suppress(OSError):
            if dead or time.time() - path.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed += 1
    return removed


def _host() -> str:
    return re.sub(r"\W", "", socket.gethostname()) or "host"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sync(path: Path) -> None:
    """Ask the system to put a file or the names in a folder on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders; its renames are journalled
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some network file systems refuse to sync folders
            raise
    finally:
        os.close(handle)
