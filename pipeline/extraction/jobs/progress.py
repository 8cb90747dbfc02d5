"""What a user sees while features are extracted: how far a run is, and how many frames are still to come."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pipeline.cli import command
from pipeline.extraction.features.stream import Meter
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


@dataclass
class ExtractionProgress(Meter):
    """How far a run is; the same object is updated and handed to whoever shows it."""

    videos: int = 0
    """Videos that this run has to extract."""
    done: int = 0
    copied: int = 0
    failed: int = 0
    frames: int = 0
    """Frames, or clips of frames, whose features are known."""
    unit: str = "frame"
    """What is counted: frame, or step where a step is a clip of frames."""
    batch: int = 0
    """Images, or clips of frames, in one call of the network; 0 where several networks may differ."""
    expectation: FrameCountEstimate | None = None
    """Of the frames of all videos; None where nobody made one."""
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the first frame was expected."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Frames per second so far."""
        return self.frames / max(1e-9, self.seconds)

    @property
    def expected(self) -> int | None:
        """Frames that will have gone through the network at the end, estimated; None where nothing is known yet."""
        known = self.expectation.frames if self.expectation else None
        return None if known is None else max(known, self.frames)

    @property
    def waits(self) -> str:
        """``waited 1.2 s for decoding and 40.1 s for the network``."""
        decoding, network = self.waited_for_decoding, self.waited_for_network
        return f"waited {decoding:.1f} s for decoding and {network:.1f} s for the network"

    @property
    def bottleneck(self) -> str:
        """The slower side, which the other waits for."""
        return "decoding" if self.waited_for_decoding > self.waited_for_network else "the network"


class ProgressLine:
    """Shows frames, frames per second, time left by frames, videos done and failed, and which side waits.

    Args:
        progress: of the run.
        quiet: show nothing.
    """

    def __init__(self, progress: ExtractionProgress, quiet: bool) -> None:
        self._bar = command.progress(progress.expected, progress.unit, quiet, smoothing=0.05)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.close()

    def show(self, progress: ExtractionProgress) -> None:
        """Show how far the run is; cheap, call it often."""
        self._bar.total = progress.expected
        self._bar.set_postfix_str(_of_videos(progress), refresh=False)
        self._bar.update(progress.frames - self._bar.n)


def _of_videos(progress: ExtractionProgress) -> str:
    parts = [f"{progress.done + progress.copied:,} of {progress.videos:,} videos"]
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    return ", ".join([*parts, f"limited by {progress.bottleneck}"])
