"""Media files: the one way in, `open_video`, and what reads and writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.videos.media.reader import VideoReader


def open_video(path: str | Path, *, threads: int = 0, alive: Callable[[], None] = lambda: None) -> VideoReader:
    """Open a media file, a folder of images or an image for reading, by the reader that knows it; see `VideoReader`."""
    # Who only samples or names frames needs no decoder.
    from pipeline.videos.media.image_folder import ImageReader, is_image
    from pipeline.videos.media.reader import VideoReader

    if os.path.isdir(path) or is_image(Path(path).name):
        return ImageReader(path, alive=alive)
    return VideoReader(path, threads=threads, alive=alive)
