"""What may be opened: a regular file, never a pipe, a socket or a device, and never more of it than is expected.

Opening anything else may wait for ever, or read without an end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pipeline.errors import UserError, VideoError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Missing(UserError):
    """There is no file of this name."""


def stat_regular(path: Path) -> os.stat_result:
    """What the system knows of a regular file, or of the one that a symbolic link leads to.

    Raises:
        VideoError: stage ``open``, where it is something else, is missing or may not be looked at.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise VideoError("open", "the file does not exist") from None
    except (OSError, ValueError) as error:
        raise VideoError("open", getattr(error, "strerror", None) or str(error)) from None
    if irregular := _irregular(status):
        raise VideoError("open", irregular)
    return status


def check_regular(path: Path) -> os.stat_result:
    """As `stat_regular`, of a file that is no video.

    Raises:
        Missing: there is no such file.
        UserError: it is something else, or may not be looked at.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if irregular := _irregular(status):
        raise UserError(f"cannot read {path}: {irregular}")
    return status


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises:
        Missing: there is no such file.
        UserError: it is something else, is larger, or cannot be read.
    """
    check_regular(path)
    try:
        # Between looking and opening it may have become something else, which must not be waited for.
        with open(os.open(path, _OPEN), "rb") as file:
            if irregular := _irregular(os.fstat(file.fileno())):
                raise UserError(f"cannot read {path}: {irregular}")
            content = file.read(most + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > most:
        raise UserError(f"cannot read {path}: it is larger than {most / (1 << 20):,.3g} MB")
    return content


def _irregular(status: os.stat_result) -> str:
    """What is wrong with a file that is not a regular one."""
    if stat.S_ISREG(status.st_mode):
        return ""
    return f"this is {_KINDS.get(stat.S_IFMT(status.st_mode), 'something else')}, not a regular file"
