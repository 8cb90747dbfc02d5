"""How many frames a run will send through the network: what is known, and a guess of the rest that gets better."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media.sampling import Sampling


class FrameCountEstimate:
    """Frames to come from some videos, estimated before they are opened.

    A video's frames follow from the catalog where it has counted them, and from a sampling by number. Of other videos
    nothing is known until a decoder has counted its packets; until then they are taken to have as many frames
    to a byte as those that were counted.

    Args:
        videos: what is to be extracted.
        sampling: which frames of each.
    """

    def __init__(self, videos: Iterable[Video], sampling: Sampling) -> None:
        self._frames = 0  # of videos whose frames are known
        self._counted_frames = self._counted_bytes = 0  # of videos that a decoder counted
        self._unknown_bytes = 0
        self._known: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        for video in videos:
            frames = _from_catalog(video, sampling)
            if frames is None:
                self._bytes[video.name] = size = _size(video)
                self._unknown_bytes += size
            else:
                self._known[video.name] = frames
                self._frames += frames

    def tell(self, video: Video, frames: int) -> None:
        """A decoder has counted the frames that it will send of a video, or knows better than it did."""
        size = self._bytes.pop(video.name, None)
        if size is not None:
            self._unknown_bytes -= size
            self._counted_bytes += size
            self._counted_frames += frames
        self._frames += frames - self._known.get(video.name, 0)
        self._known[video.name] = frames

    @property
    def frames(self) -> int | None:
        """Of all videos together; None while there is nothing to tell it from."""
        if not self._unknown_bytes:
            return self._frames
        if not self._counted_bytes:
            return None
        return self._frames + round(self._unknown_bytes * self._counted_frames / self._counted_bytes)


def _from_catalog(video: Video, sampling: Sampling) -> int | None:
    if video.frames:
        return len(sampling.indices(np.arange(video.frames) / (video.fps or 25.0)))
    return int(sampling.amount) if sampling.kind in ("uniform", "inner", "stepped", "first") else None


def _size(video: Video) -> int:
    try:
        return video.path.stat().st_size
    except OSError:
        return 0  # it will fail, and have no frames
