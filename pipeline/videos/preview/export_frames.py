"""Writes frames of a video as images, with names that sort and a table of their times."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.files.atomic import unfinished_folder
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import FramesMissing
from pipeline.videos.media.image_folder import TIMES, write_times
from pipeline.videos.media.reader import VideoReader
from pipeline.videos.media.sampling import Sampling

Format = Literal["jpg", "png"]


def write_frames(
    path: Path, folder: Path, sampling: Sampling, *, form: Format = "jpg", quality: int = 95, overwrite: bool = False
) -> int:
    """Write frames of a video to ``folder/<folder's name>_00001.jpg``, ... and ``folder/frames.csv``.

    The folder appears when all of its images are written; it can be read again as a video.

    Args:
        path: the video.
        folder: must not exist, unless ``overwrite``.
        sampling: which frames.
        form: ``jpg`` or ``png``.
        quality: of JPEG, 1 to 100.
        overwrite: replace the images and the table that an earlier run wrote there.

    Returns:
        How many images were written.

    Raises:
        UserError: the folder exists or cannot be written.
        VideoError: the video cannot be read.
    """
    if folder.exists() and not overwrite:
        raise UserError(f"{folder} exists; give --overwrite to replace it, or another --out")
    if folder.exists() and not (folder / TIMES).is_file():
        raise UserError(f"{folder} holds no {TIMES}, so this program did not write it; it is not replaced")
    try:
        with unfinished_folder(folder.parent) as temporary, open_video(path) as video:
            rows = _write_all(video, temporary, folder.name, sampling, form, quality)
            write_times(temporary, rows)
            if folder.exists():
                _empty(folder)
            os.chmod(temporary, 0o777 & ~_umask())
            os.rename(temporary, folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from None
    return len(rows)


def _write_all(
    video: VideoReader, folder: Path, name: str, sampling: Sampling, form: Format, quality: int
) -> list[tuple[str, int, float]]:
    indices = sampling.indices(video.times())
    if not len(indices):
        raise VideoError("sample", "the video has no frame")
    try:
        return _write(video, folder, name, indices, form, quality)
    except FramesMissing:
        # The packets promised more than can be decoded: count what there is, and choose from that.
        video.scan()
        for image in folder.iterdir():
            image.unlink()
        return _write(video, folder, name, sampling.indices(video.times()), form, quality)


def _write(
    video: VideoReader, folder: Path, name: str, indices: np.ndarray, form: Format, quality: int
) -> list[tuple[str, int, float]]:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if form == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    rows = []
    digits = max(5, len(str(len(indices))))
    for number, frame in enumerate(video.frames(indices), 1):
        image = f"{name}_{number:0{digits}d}.{form}"
        # Encoded in memory, since OpenCV can neither write every name nor say why a write failed.
        data = cv2.imencode(f".{form}", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), options)[1]
        (folder / image).write_bytes(data.tobytes())
        rows.append((image, frame.index, frame.time))
    return rows


def _empty(folder: Path) -> None:
    """Remove what an earlier run wrote; anything else in the folder stops this before the first file is removed."""
    entries = list(folder.iterdir())
    for entry in entries:
        ours = entry.name.startswith(f"{folder.name}_") and entry.suffix in (".jpg", ".png")
        if entry.name != TIMES and not ours:
            raise UserError(f"{folder} also holds {entry.name}, which this program did not write; it is not replaced")
    for entry in entries:
        entry.unlink()
    folder.rmdir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
