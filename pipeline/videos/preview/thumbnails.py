"""A strip of frames of each video, read by watched workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.errors import VideoError
from pipeline.lazy import cv2, np
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import TIMEOUT, run_each
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import FramesMissing, VideoInfo
from pipeline.videos.media.sampling import Sampling

STRIP = 6  # frames
_PAGE_BYTES = 24_000_000  # all strips together: a page beyond 30 MB opens slowly
# Height of a strip in pixels and quality of its JPEG, the best first; the first that fits the page is taken.
_STEPS = ((180, 72), (128, 72), (96, 75), (80, 65), (64, 60), (54, 50), (45, 40), (36, 32), (28, 25))


@dataclass(frozen=True)
class Preview:
    """What the page shows of one video."""

    video: Video
    """With its frames counted; without where it cannot be read."""
    strip: bytes = b""
    """JPEG: frames evenly spread over the video, side by side."""
    error: str = ""
    """Why there is no strip."""


def read_previews(videos: Sequence[Video], *, workers: int = 2, timeout: float = TIMEOUT) -> Iterator[Preview]:
    """Read a strip of frames from each video; yields them in the order of the videos.

    A video on which the decoder crashes or hangs has an error and no strip.

    Args:
        videos: rows of a catalog.
        workers: processes at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """
    budget = _PAGE_BYTES * 3 // 4 // max(1, len(videos))  # base64 makes four bytes of three
    jobs = [(video, (video.path, budget)) for video in videos]
    for video, read in run_each(_read_strip, jobs, workers=workers, timeout=timeout, ordered=True):
        if isinstance(read, VideoError):
            yield Preview(video, error=str(read))
        else:
            info, strip = read
            yield Preview(video.counted(info), strip)


def _read_strip(heartbeat: Heartbeat, path: Path, budget: int) -> Iterator[tuple[VideoInfo, bytes]]:
    """The best strip of at most ``budget`` bytes, or the smallest one."""
    with open_video(path, threads=1, heartbeat=heartbeat) as reader:
        try:
            images = _images(reader)
        except FramesMissing:
            reader.scan()
            images = _images(reader)
        info = reader.info()
    strip = b""
    for height, quality in _STEPS:
        strip = _strip(images, min(height, images[0].shape[0]), quality)
        if len(strip) <= budget:
            break
    yield info, strip


Key = TypeVar("Key")


def read_middle_frames(
    videos: Sequence[tuple[Key, Path]], box: tuple[int, int], *, workers: int = 2, timeout: float = TIMEOUT
) -> Iterator[tuple[Key, np.ndarray | VideoError]]:
    """Read the middle frame of each video, in their order, or why there is none.

    Args:
        videos: whatever stands for each one, and its path.
        box: width and height in pixels that a frame is scaled down to fit into.
        workers: processes at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.

    Yields:
        What stands for a video, and ``(height, width, 3)`` uint8 RGB.
    """
    jobs = [(key, (path, box)) for key, path in videos]
    yield from run_each(_read_middle, jobs, workers=workers, timeout=timeout, ordered=True)


def _read_middle(heartbeat: Heartbeat, path: Path, box: tuple[int, int]) -> Iterator[np.ndarray]:
    with open_video(path, threads=1, heartbeat=heartbeat) as reader:
        (frame,) = reader.frames([reader.info().frames // 2])
        yield fit_image(frame.image, box)


def fit_image(image: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """An image ``(height, width, 3)`` scaled down to fit into (width, height) ``box``; never up."""
    height, width = image.shape[:2]
    scale = min(box[0] / width, box[1] / height, 1.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _images(reader) -> list[np.ndarray]:
    indices = Sampling("uniform", STRIP).indices(reader.times())
    # Kept small at once: six frames of a large video would be 150 MB.
    return [_scaled(frame.image, min(_STEPS[0][0], frame.image.shape[0])) for frame in reader.frames(indices)]


def _scaled(image: np.ndarray, height: int) -> np.ndarray:
    width = min(4 * height, max(8, round(image.shape[1] * height / image.shape[0])))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _strip(images: Sequence[np.ndarray], height: int, quality: int) -> bytes:
    row = np.hstack([_scaled(image, height) for image in images])
    return cv2.imencode(".jpg", row[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
