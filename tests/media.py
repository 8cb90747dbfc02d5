"""Tiny test videos whose frames carry their number as black and white bars, so that decoding is checked by content.

No file is kept: `write_video` encodes them when a test asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

BITS = 12
WIDTH, HEIGHT = 16 * BITS, 96
_TICKS = 90_000  # per second


def draw_number(number: int, *, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """``(height, width, 3)`` uint8: ``number`` in binary as bars in the upper half, a drifting ramp below."""
    bits = (number >> np.arange(BITS)[::-1]) & 1
    columns = np.minimum(np.arange(width) * BITS // width, BITS - 1)
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2] = np.where(bits[columns], 235, 20)[None, :, None]
    # Something that moves, so that there is motion to predict and B-frames are used.
    ramp = (np.arange(width) * 2 + number * 5) % 200
    image[height // 2 :] = np.stack([ramp, 200 - ramp, np.full(width, 90)], -1)[None]
    return image


def read_number(image: np.ndarray) -> int:
    """The number that `draw_number` put into an upright image of any size."""
    height, width = image.shape[:2]
    row = image[height // 8 : height * 3 // 8].mean(axis=(0, 2))
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bits = [row[centre - 1 : centre + 2].mean() > 127 for centre in centres]
    return int(sum(int(bit) << place for place, bit in enumerate(reversed(bits))))


@dataclass(frozen=True)
class Kind:
    """A container with a codec."""

    extension: str
    codec: str
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    steady: bool = True
    """Whether all frames are shown equally long."""


_X264 = {"preset": "veryfast", "bf": "2", "g": "12", "crf": "20"}
KINDS = {
    "h264_mp4": Kind("mp4", "libx264", options=_X264),
    "h264_mkv": Kind("mkv", "libx264", options={**_X264, "g": "30"}),
    "h264_vfr_mp4": Kind("mp4", "libx264", options=_X264, steady=False),
    "hevc_mp4": Kind("mp4", "libx265", options={"preset": "ultrafast", "x265-params": "log-level=none:keyint=20"}),
    "mpeg2_mpg": Kind("mpg", "mpeg2video", options={"g": "12", "bf": "2", "qscale": "3", "flags": "+qscale"}),
    "mpeg2_ts": Kind("ts", "mpeg2video", options={"g": "12", "bf": "2", "flags": "+qscale"}),
    "h264_ts": Kind("ts", "libx264", options=_X264),
    "mpeg4_avi": Kind("avi", "mpeg4", options={"g": "12", "flags": "+qscale"}),
    "mjpeg_avi": Kind("avi", "mjpeg", "yuvj420p", options={"flags": "+qscale"}),
    "h264_avi": Kind("avi", "libx264", options=_X264),
    "vp8_webm": Kind("webm", "libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "realtime"}),
    "vp9_webm": Kind("webm", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "g": "24"}),
    "ffv1_mkv": Kind("mkv", "ffv1"),
}


def uneven_times(count: int, *, seed: int = 0) -> list[float]:
    """Seconds of ``count`` frames that follow each other after 10 to 100 ms."""
    gaps = np.random.default_rng(seed).integers(10, 100, count) / 1000
    return [0.0, *np.cumsum(gaps[:-1]).tolist()]


def write_video(
    path: Path,
    kind: str | Kind = "h264_mp4",
    *,
    frames: int = 60,
    fps: float = 25.0,
    times: Sequence[float] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    first: int = 0,
    sound: bool = False,
    draw: Callable[..., np.ndarray] = draw_number,
) -> Path:
    """Encode a video whose frame ``i`` carries the number ``first + i``.

    Args:
        path: the file; its extension is set to the container's where it has none.
        kind: one of ``KINDS``.
        frames: how many.
        fps: frames per second of a steady video.
        times: seconds of every frame instead; `uneven_times` by default where the kind is not steady.
        size: (width, height).
        first: the number of the first frame.
        sound: add a stereo tone of the same length.
        draw: gives the image of a number.

    Returns:
        The file.
    """
    kind = KINDS[kind] if isinstance(kind, str) else kind
    if not path.suffix:
        path = path.with_suffix(f".{kind.extension}")
    if times is None and not kind.steady:
        times = uneven_times(frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(f"file:{path}", "w", options={"fflags": "+bitexact"}) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = cast(av.VideoStream, container.add_stream(kind.codec, rate=rate, options=dict(kind.options)))
        stream.width, stream.height = size
        stream.pix_fmt = kind.pixels
        stream.codec_context.thread_count = 1
        if "qscale" in kind.options.get("flags", ""):
            stream.codec_context.qmin = stream.codec_context.qmax = 3
        if times is not None:
            stream.codec_context.time_base = Fraction(1, _TICKS)
        audio = container.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48000) if sound else None
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(first + i, width=size[0], height=size[1]), format="rgb24")
            frame.pts = i if times is None else round(times[i] * _TICKS)
            frame.time_base = 1 / rate if times is None else Fraction(1, _TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            _write_tone(container, audio, frames / fps if times is None else times[-1])
    return path


def _write_tone(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for start in range(0, round(seconds * 48000), 960):
        wave = 0.2 * np.sin(2 * np.pi * 440 * (start + np.arange(960)) / 48000)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
