"""What tells whether a video is the one it was: size, time of change, digest; for files and for folders of frames."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import VideoError
from pipeline.videos.media.image_folder import TIMES, is_image

_BLOCK = 8 << 20


class FileState(NamedTuple):
    """Of a file, or of all frames of a folder together."""

    st_size: int
    st_mtime_ns: int


def stat_video(path: Path) -> FileState:
    """Size and time of change; of a folder of frames the sum and the latest.

    Raises:
        VideoError: it is missing, or may not be looked at.
    """
    try:
        states = [file.stat() for file in _files(path)]
    except FileNotFoundError:
        raise VideoError("open", "the file does not exist") from None
    except OSError as error:
        raise VideoError("open", error.strerror or str(error)) from None
    return FileState(sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0))


def hash_file(path: Path, alive: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's frames; ``alive`` is called every few megabytes.

    Raises:
        VideoError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in _files(path):
            if file != path:
                digest.update(os.fsencode(file.name) + b"\0")
            with file.open("rb") as opened:
                while block := opened.read(_BLOCK):
                    digest.update(block)
                    alive()
    except OSError as error:
        raise VideoError("open", error.strerror or str(error)) from None
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    """The file itself, or the images of a folder and the table of their times."""
    if not path.is_dir():
        return [path]
    return sorted(entry for entry in path.iterdir() if is_image(entry.name) or entry.name == TIMES)
