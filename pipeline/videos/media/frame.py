"""What a reader hands out: frames, and what is known of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.errors import VideoError


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """Its number in the order of display, from 0."""
    time: float
    """Seconds after the first frame of the video, from the frame's own timestamp."""
    image: np.ndarray
    """``(height, width, 3)`` uint8, RGB, turned upright."""

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Frame({self.index} at {self.time:.3f} s, {width}x{height})"


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video file after its packets were counted and its first frame was decoded."""

    frames: int
    """Counted."""
    header_frames: int
    """What the file's header claims; 0 where it claims nothing."""
    fps: float
    """Frames per second over the whole video, from the timestamps."""
    width: int
    height: int
    """Size in pixels as shown, that is after rotation."""
    duration: float
    """Seconds, the showing of the last frame included."""
    codec: str


class FramesMissing(VideoError):
    """Frames that the packets promised did not come out of the decoder (a damaged stretch)."""

    def __reduce__(self) -> tuple:
        return FramesMissing, (self.stage, self.reason)
