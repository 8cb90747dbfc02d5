"""What a user sees while features are extracted: a bar on a terminal, a plain line a minute elsewhere."""

from __future__ import annotations

import sys
import time

from pipeline.cli import command
from pipeline.extraction.features.stream import ExtractionProgress

_A_LINE_EVERY = 60.0  # seconds, where output is piped: enough for the log of a job of days


class ProgressLine:
    """Shows frames, frames per second, time left by frames, videos done and failed, and which side waits.

    Args:
        progress: of the run.
        quiet: show nothing.
        every: seconds between two plain lines.
    """

    def __init__(self, progress: ExtractionProgress, quiet: bool, *, every: float = _A_LINE_EVERY) -> None:
        self._bar = command.progress(progress.expected, " frames", quiet, unit_scale=False, smoothing=0.05)
        self._plain = not quiet and not sys.stderr.isatty()
        self._every = every
        self._said = time.monotonic()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.close()

    def show(self, progress: ExtractionProgress) -> None:
        """Show how far the run is; cheap, call it often."""
        if not self._plain:
            self._bar.total = progress.expected
            self._bar.set_postfix_str(_of_videos(progress), refresh=False)
            self._bar.update(progress.frames - self._bar.n)
        elif time.monotonic() - self._said >= self._every:
            self._said = time.monotonic()
            print(line(progress), flush=True)


def line(progress: ExtractionProgress) -> str:
    """``1,340 of about 3,000 frames, 29.6 frames/s, 0:56 left, 67 of 150 videos, waits for network``."""
    of = f" of about {progress.expected:,}" if progress.expected else ""
    parts = [f"{progress.frames:,}{of} frames", f"{progress.rate:.1f} frames/s"]
    if progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left")
    return ", ".join([*parts, _of_videos(progress)])


def _of_videos(progress: ExtractionProgress) -> str:
    parts = [f"{progress.done + progress.copied:,} of {progress.videos:,} videos"]
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    return ", ".join([*parts, f"waits for {progress.bottleneck}"])
