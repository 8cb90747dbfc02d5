"""What may be opened as a video: a regular file, never a pipe, a socket or a device."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pipeline.errors import VideoError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def stat_regular(path: Path) -> os.stat_result:
    """What the system knows of a regular file, or of the one that a symbolic link leads to.

    Opening anything else may wait for ever, or read without an end.

    Raises:
        VideoError: stage ``open``, where it is something else, is missing or may not be looked at.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise VideoError("open", "the file does not exist") from None
    except OSError as error:
        raise VideoError("open", error.strerror or str(error)) from None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise VideoError("open", f"this is {kind}, not a regular file")
    return status
