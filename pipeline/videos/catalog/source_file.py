"""What tells whether a video is the one it was: size, time of change, digest; for files and for folders of frames."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import VideoError
from pipeline.videos.media.image_folder import TIMES, is_image
from pipeline.videos.media.regular_file import stat_regular

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
    states = [stat_regular(file) for file in _files(path)]
    return FileState(sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0))


def hash_video(path: Path, alive: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's frames; ``alive`` is called every few megabytes.

    Raises:
        VideoError: the file cannot be read.
    """
    digest = hashlib.sha256()
    for file in _files(path):
        if file != path:
            digest.update(os.fsencode(file.name) + b"\0")
        _hash_into(digest, file, alive)
    return digest.hexdigest()


def hash_file(path: Path, alive: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of one regular file.

    Raises:
        VideoError: the file cannot be read.
    """
    digest = hashlib.sha256()
    _hash_into(digest, path, alive)
    return digest.hexdigest()


def _hash_into(digest: hashlib._Hash, path: Path, alive: Callable[[], None]) -> None:
    stat_regular(path)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                alive()
    except OSError as error:
        raise VideoError("open", error.strerror or str(error)) from None


def _files(path: Path) -> list[Path]:
    """The file itself, or the images of a folder and the table of their times."""
    if not os.path.isdir(path):  # says no, and raises nothing, where the name is too long or leads in a circle
        return [path]
    try:
        return sorted(entry for entry in path.iterdir() if is_image(entry.name) or entry.name == TIMES)
    except OSError as error:
        raise VideoError("open", error.strerror or str(error)) from None
