"""What a reader of videos is, and what it hands out: frames, and what is known of a video; and steps made of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from pipeline.errors import VideoError
from pipeline.lazy import cv2, np

if TYPE_CHECKING:
    import av

_STEPS_AT_ONCE = 1024


def turn_of(rotation: float) -> int | None:
    """OpenCV's code for the turn that sets frames of a rotation in degrees upright; None for no turn."""
    turns = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
    return turns.get(round(rotation / 90) * 90 % 360)


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


class Reader(Protocol):
    """What every reader of a video can do; use it in a ``with`` block, which closes it whatever happens."""

    path: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def close(self) -> None:
        """Close it; more than once does no harm."""

    def times(self) -> np.ndarray:
        """``(n,)`` float64: seconds of every frame after the first one."""
        ...

    def scan(self) -> int:
        """Decode every frame without keeping an image; afterwards only frames that decode count.

        Returns:
            The number of frames.
        """
        ...

    def info(self) -> VideoInfo:
        """Count the frames and decode the first one.

        Raises:
            VideoError: stage ``decode``, where no frame can be decoded.
        """
        ...

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Frame]:
        """Yield frames in the order of display.

        Args:
            indices: rising frame numbers; without them every frame that can be decoded comes.

        Raises:
            FramesMissing: a wanted frame lies in a damaged stretch; ``scan`` and choose again.
            VideoError: an index is outside the video.
        """
        ...

    def decoded(self) -> Iterator[tuple[int, float, av.VideoFrame]]:
        """Yield number, time in seconds and frame of every frame, as the decoder gives it and not turned upright."""
        ...


class FramesMissing(VideoError):
    """Frames that the packets promised did not come out of the decoder (a damaged stretch)."""

    def __reduce__(self) -> tuple:
        return FramesMissing, (self.stage, self.reason)


@dataclass(frozen=True)
class StepEnds:
    """Where steps end that are clips of frames."""

    times: np.ndarray
    """``(k,)`` float64: seconds after the first frame of the video; of a clip T/F after its start."""
    frames: np.ndarray
    """``(k,)`` int64: the number of the last frame in it."""

    def at(self, places: np.ndarray | slice) -> StepEnds:
        """Those of some steps."""
        return StepEnds(self.times[places], self.frames[places])


@dataclass(frozen=True)
class Steps:
    """The steps of one video: where each begins, and which frames it is made of.

    >>> Steps.of_frames(np.array([0, 2]), np.array([0.0, 0.1, 0.2])).needed
    array([0, 2])
    """

    frames: np.ndarray
    """``(k,)`` int64: the number of the first frame of each; rising, and of clips never falling."""
    times: np.ndarray
    """``(k,)`` float64: seconds of the start of each after the first frame of the video, rising."""
    ends: StepEnds | None = None
    """None where a step is one frame."""
    ticks: np.ndarray | None = None
    """``(T,)`` float64: seconds after the start of a clip at which its frames are taken; None likewise."""
    elapsed: np.ndarray | None = None
    """``(n,)`` float64: seconds of every frame of the video after the first one, later by the slack; None likewise."""

    @classmethod
    def of_frames(cls, frames: np.ndarray, times: np.ndarray) -> Steps:
        """Steps of one frame each, from their numbers ``(k,)`` and the seconds of all frames ``(n,)``."""
        frames = np.asarray(frames, np.int64)
        return cls(frames, np.asarray(times, np.float64)[frames])

    def __len__(self) -> int:
        return len(self.frames)

    def members(self) -> Iterator[np.ndarray]:
        """Yield for each step, in order, the numbers ``(T,)`` int64 of its frames, never falling; T is 1 for frames."""
        for start in range(0, len(self), _STEPS_AT_ONCE):
            yield from self._members(slice(start, start + _STEPS_AT_ONCE))

    def _members(self, part: slice) -> np.ndarray:
        if self.ticks is None or self.elapsed is None:
            return self.frames[part, None]
        return frames_at(self.elapsed, self.times[part, None] + self.ticks)

    @property
    def needed(self) -> np.ndarray:
        """The numbers of the frames that have to be decoded, each once, rising."""
        if self.elapsed is None:
            return self.frames
        needed = np.zeros(len(self.elapsed), bool)
        for start in range(0, len(self), _STEPS_AT_ONCE):
            needed[self._members(slice(start, start + _STEPS_AT_ONCE))] = True
        return np.flatnonzero(needed)


def frames_at(elapsed: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """int64: the last frame at or before each of ``ticks``; the first one before all."""
    return np.maximum(np.searchsorted(elapsed, ticks, side="right") - 1, 0).astype(np.int64)
