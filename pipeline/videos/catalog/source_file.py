"""What tells whether a video is the one it was: size, time of change, digest; for files and for folders of frames."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import VideoError
from pipeline.files.guard.regular_file import stat_regular
from pipeline.videos.media.image_folder import TIMES, is_image

_BLOCK = 8 << 20


@dataclass(frozen=True)
class SourceFile:
    """A video file, or a folder of frames, as it was when it was looked at."""

    size: int
    """Bytes; of a folder the sum."""
    mtime_ns: int
    """Modification time in nanoseconds; of a folder the latest."""
    sha256: str = ""
    """Of the whole content; empty where it was not read."""
    frames: int = 0
    """Frames of the video, counted."""
    header_frames: int = 0
    """Frames that the file's header claims; 0 where it claims nothing."""
    fps: float = 0.0
    width: int = 0
    height: int = 0
    duration: float = 0.0
    """Seconds."""

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        """Size and time of change as they are now.

        Raises:
            VideoError: it is missing, is not a regular file or may not be looked at.
        """
        states = [stat_regular(file) for file in _files(path)]
        return cls(sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0))

    def same_state(self, other: SourceFile) -> bool:
        """Whether size and time of change are the same, by which a file counts as unchanged."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)

    def is_unchanged(self, path: Path) -> bool:
        """Whether the file is still as it was.

        Raises:
            VideoError: see `of`.
        """
        return self.same_state(self.of(path))


def sha256(path: Path, heartbeat: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's frames.

    ``heartbeat`` is called every few megabytes.

    Raises:
        VideoError: the file cannot be read.
    """
    digest = hashlib.sha256()
    for file in _files(path):
        if file != path:
            digest.update(os.fsencode(file.name) + b"\0")
        _hash_into(digest, file, heartbeat)
    return digest.hexdigest()


def _hash_into(digest: hashlib._Hash, path: Path, heartbeat: Callable[[], None]) -> None:
    stat_regular(path)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                heartbeat()
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
