"""What differs between systems where files are concerned: replacing, syncing, locking and naming them, and who writes
them.

``WINDOWS`` is asked at each call, so that a test on one system can go through what is done on the other.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

WINDOWS = sys.platform == "win32"
_HELD = 5.0  # seconds for which another program, such as a virus scanner, may hold a file
_LOCKED_BYTE = 1 << 30  # of a file, on Windows
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
# Of the Windows API: what a process is asked for, and what it answers while it lives.
_QUERY, _STILL_ACTIVE, _NO_SUCH_PROCESS = 0x1000, 259, 87


def replace(source: Path, target: Path) -> None:
    """Rename a file or a folder over what may be there; after it, one of the two is there whole.

    Windows refuses to replace a file that somebody has opened: it is tried again for some seconds.

    Raises:
        OSError: it is still held, or cannot be renamed.
    """
    until = time.monotonic() + _HELD
    while True:
        try:
            os.replace(source, target)
        except PermissionError:
            if not WINDOWS or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def sync(path: Path) -> None:
    """Ask the system to put a file, or the names in a folder, on the disk."""
    if WINDOWS and path.is_dir():
        return  # folders cannot be opened there; renames are journalled
    # Windows syncs only what may be written to.
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some network file systems refuse to sync folders
            raise
    finally:
        os.close(handle)


def lock(handle: int, *, wait: bool) -> None:
    """Hold an open file for this process until it is closed; nothing where the system or the disk knows no locks.

    Args:
        handle: of the file, opened for writing.
        wait: until no other process holds it.

    Raises:
        BlockingIOError: another process holds it, and is not waited for.
    """
    try:
        if WINDOWS:
            _lock_on_windows(handle, wait=wait)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        pass  # a disk without locks


def _lock_on_windows(handle: int, *, wait: bool) -> None:
    """There bytes are locked, and nobody else can read them: one that no file of ours is long enough to have."""
    import msvcrt

    place = os.lseek(handle, 0, os.SEEK_CUR)
    os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        if not wait and error.errno in (errno.EACCES, errno.EDEADLK):
            raise BlockingIOError(error.errno, "it is held by another process") from None
        raise
    finally:
        os.lseek(handle, place, os.SEEK_SET)


def close_and_remove(handle: int, path: Path) -> None:
    """Close a file that was locked, and remove it: while it is held, where the system allows that."""
    if not WINDOWS:
        _try_to_remove(path)
    os.close(handle)
    if WINDOWS:
        _try_to_remove(path)  # not where another process has opened it meanwhile


def _try_to_remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def longest_file() -> int:
    """Bytes that a file may have at most which this process writes, as ``ulimit -f`` says on systems that have it."""
    try:
        import resource  # Windows has no such module
    except ImportError:
        return sys.maxsize
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number on this machine; True where the system does not tell."""
    if WINDOWS:
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Whether only its number is left, as nobody asked how it ended: in many containers nobody ever does."""
    try:
        about = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False  # the system does not tell
    # After its number and its name, which may hold any sign, comes one letter.
    return about.rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])


def _is_alive_on_windows(pid: int) -> bool:
    """There ``os.kill(pid, 0)`` would send Ctrl-C."""
    kernel = _kernel()
    process = kernel.OpenProcess(_QUERY, False, pid)
    if not process:
        return bool(kernel.GetLastError() != _NO_SUCH_PROCESS)
    code = ctypes.c_ulong()
    told = kernel.GetExitCodeProcess(process, ctypes.byref(code))
    kernel.CloseHandle(process)
    return not told or code.value == _STILL_ACTIVE


def _kernel() -> Any:
    return ctypes.windll.kernel32  # type: ignore[attr-defined]


def unfit_name(name: str) -> str:
    """Why a file or a folder cannot have this name, as "leave out ..."; empty where it can."""
    if name.startswith(".") or any(sign in name for sign in "/\\\0"):
        return "leave out slashes and leading dots"
    if WINDOWS and (any(sign in name for sign in '<>:"|?*') or name.endswith((".", " "))):
        return 'leave out < > : " | ? * and dots and spaces at the end'
    if WINDOWS and name.partition(".")[0].lower() in _RESERVED:
        return f"Windows keeps {name} for a device"
    return ""


def seen_from(folder: Path, path: Path) -> str:
    """A path as it is written in a file in ``folder``, with slashes; the whole of it where it is on another drive."""
    try:
        return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def link_from(folder: Path, path: Path) -> str:
    """The URL of a file in a page that lies in ``folder``."""
    seen = seen_from(folder, path)
    if Path(seen).is_absolute():
        return path.absolute().as_uri()
    return "./" + quote(os.fsencode(seen))  # without "./" the name "12:30.mp4" would be read as a protocol
