"""Test videos that ffmpeg draws, for benchmarks that need no real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.videos.media.ffmpeg import run_ffmpeg


def draw_video(path: Path, source: str, encode: Sequence[str] = ()) -> Path:
    """Encode a source of ffmpeg's lavfi, such as ``testsrc2=size=1280x720:rate=25:duration=4``.

    Args:
        path: the file to write; its extension is the container.
        source: what is drawn.
        encode: options of the encoder; H.264 at the preset ``veryfast`` by default.
    """
    options = encode or ("-c:v", "libx264", "-preset", "veryfast")
    run_ffmpeg(["-f", "lavfi", "-i", source, *options, "-pix_fmt", "yuv420p", str(path)])
    return path
