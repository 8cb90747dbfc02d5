"""What opening a video tells: how many frames it has and when each is shown, read by watched workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pipeline.errors import VideoError
from pipeline.lazy import np
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import TIMEOUT, run_each, threads_of_each
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import VideoInfo

Key = TypeVar("Key")


def read_times(
    videos: Sequence[tuple[Key, Path]], *, decode: bool = False, workers: int = 2, timeout: float = TIMEOUT
) -> Iterator[tuple[Key, tuple[VideoInfo, np.ndarray] | VideoError]]:
    """Open videos and yield of each, in order, its facts and the ``(n,)`` seconds of its frames after the first one.

    A video that cannot be read, also because its decoder hangs or crashes, has the reason in their place.

    Args:
        videos: whatever stands for each one, and its path.
        decode: count by decoding every frame instead of reading packets only; slow, and sees all damage.
        workers: processes at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """
    threads = threads_of_each(len(videos), workers)
    jobs = [(key, (path, decode, threads)) for key, path in videos]
    yield from run_each(_read_times, jobs, workers=workers, timeout=timeout, ordered=True)


def count_videos(
    videos: Sequence[Video], *, decode: bool = False, workers: int = 2, timeout: float = TIMEOUT
) -> Iterator[tuple[Video, VideoError | None]]:
    """Open each video and yield it with its frames counted, or as it was with the reason why it cannot be read.

    Args:
        videos: rows of a catalog.
        decode: count by decoding every frame instead of reading packets only; slow, and sees all damage.
        workers: processes at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """
    named = [(video, video.path) for video in videos]
    for video, found in read_times(named, decode=decode, workers=workers, timeout=timeout):
        yield (video, found) if isinstance(found, VideoError) else (video.counted(found[0]), None)


def _read_times(heartbeat: Heartbeat, path: Path, decode: bool, threads: int) -> Iterator[tuple[VideoInfo, np.ndarray]]:
    with open_video(path, threads=threads, heartbeat=heartbeat) as reader:
        if decode:
            reader.scan()
        yield reader.info(), reader.times()
