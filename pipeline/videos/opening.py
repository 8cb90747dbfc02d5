"""The one way in: a media file, a folder of images or a single image, each by the reader that knows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.videos.images import ImageReader, is_image
from pipeline.videos.reader import VideoReader


def open_video(path: str | Path, *, threads: int = 0, alive: Callable[[], None] = lambda: None) -> VideoReader:
    """Open a media file, a folder of images or an image for reading; see `VideoReader`."""
    if Path(path).is_dir() or is_image(Path(path).name):
        return ImageReader(path, alive=alive)
    return VideoReader(path, threads=threads, alive=alive)
