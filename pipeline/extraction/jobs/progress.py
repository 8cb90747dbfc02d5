"""What a user sees while features are extracted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from pipeline.cli import command
from pipeline.extraction.features.stream import Meter
from pipeline.extraction.jobs.expectation import FrameCountEstimate


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
