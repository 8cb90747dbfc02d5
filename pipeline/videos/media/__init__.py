"""Media files: the one way in, `open_video`, and what reads and writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipeline.videos.media.frame import Reader

AviCodec = Literal["xvid", "mjpg"]
"""How the video in an AVI file is encoded."""


def open_video(path: str | Path, *, threads: int = 0, heartbeat: Callable[[], None] = lambda: None) -> Reader:
    """Open a media file, a folder of images or an image for reading, by the reader that knows it; see `VideoReader`."""
    # Who only samples or names frames needs no decoder.
    from pipeline.videos.media.image_folder import ImageReader, is_image
    from pipeline.videos.media.reader import VideoReader

    if os.path.isdir(path) or is_image(Path(path).name):
        return ImageReader(path, heartbeat=heartbeat)
    return VideoReader(path, threads=threads, heartbeat=heartbeat)
