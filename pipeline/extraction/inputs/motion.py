"""Motion as an image: the second of two streams, for the same frozen network.

    farneback   dense optical flow by polynomial expansion
    dis         dense optical flow by inverse search, several times faster
    difference  how much each colour of each pixel changed

The motion at frame n is that from frame n - 1 to frame n of the video, whatever the sampling; at the first frame it
is that to the second one. Flow is measured on the grey image after cropping and resizing, and travels as bytes:
right, down and speed as red, green and blue. A displacement of `BOUND` of the image's longer side within one
frame is the most that can be told.

Sources: Farnebäck 2003, Two-Frame Motion Estimation Based on Polynomial Expansion; Kroeger et al. 2016, Fast Optical
Flow using Dense Inverse Search; Simonyan and Zisserman 2014, Two-Stream Convolutional Networks (clipped flow as bytes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from pipeline.extraction.inputs.preprocess import Preprocessor
from pipeline.extraction.recipe import FLOW_SMALLEST, Recipe
from pipeline.lazy import cv2
from pipeline.videos.media.frame import Reader
from pipeline.videos.media.reader import Frame

BOUND = 0.05
SIDE = 160  # pixels of the longer side of the image that flow is measured on, at most
_ZERO = 128  # the byte of no motion

Image = np.ndarray
Between = Callable[[Image, Image], Image]
"""From two images ``(h, w, 3)`` uint8 that follow each other to the motion between them, of the same shape."""


def motion_between(kind: str) -> Between:
    """The function for an ``input`` of a recipe that is motion."""
    if kind == "difference":
        return cv2.absdiff
    flow = _FLOWS[kind]()
    return lambda previous, image: _encode(flow(_grey(previous), _grey(image)), image.shape[1::-1])


def _farneback() -> Between:
    return lambda previous, image: cv2.calcOpticalFlowFarneback(
        previous,
        image,
        None,  # type: ignore[call-overload]
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )


def _dis() -> Between:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda previous, image: search.calc(previous, image, None)  # type: ignore[call-overload]


_FLOWS: dict[str, Callable[[], Between]] = {"farneback": _farneback, "dis": _dis}


def _grey(image: Image) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = SIDE / max(grey.shape)
    if scale >= 1:
        return grey
    width, height = (max(FLOW_SMALLEST, round(side * scale)) for side in grey.shape[::-1])
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)


def _encode(flow: np.ndarray, size: tuple[int, int]) -> Image:
    """``(h, w, 2)`` float32 pixels a frame as an image of (width, height) ``size``."""
    flow = flow / (BOUND * max(flow.shape[:2]))
    speed = np.hypot(flow[..., 0], flow[..., 1])
    # Clipping the length keeps the direction.
    flow = flow / np.maximum(1, speed)[..., None]
    channels = np.dstack([_ZERO + 127 * flow, 255 * np.minimum(1, speed)])
    return cv2.resize(np.rint(channels).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)


class InputMaker:
    """From frames to the images that go into the network, as a recipe's ``input`` says.

    Args:
        recipe: gives input, crop, size and interpolation.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.prepare = Preprocessor(recipe)
        self._between = None if recipe.input in ("rgb", "grey") else motion_between(recipe.input)
        self._last: Frame | None = None

    def frames(self, reader: Reader, numbers: Iterable[int]) -> Iterator[Frame]:
        """The wanted frames of a video, each with the image ``(height, width, 3)`` uint8 that the network takes.

        Args:
            reader: of the video.
            numbers: rising frame numbers. Frames before them are decoded where motion needs them.

        Raises:
            FramesMissing, VideoError: as `Reader.frames`.
        """
        wanted = np.asarray(list(numbers), np.int64)
        return self.images(reader.frames(self.needed(wanted, reader)), wanted)

    def needed(self, wanted: np.ndarray, reader: Reader) -> np.ndarray:
        """The numbers of the frames that have to be decoded, rising."""
        return wanted if self._between is None else with_neighbours(wanted, len(reader.times()))

    def images(self, frames: Iterable[Frame], wanted: np.ndarray) -> Iterator[Frame]:
        """As `frames`, of decoded frames among which are those that are needed."""
        steps = set(wanted.tolist())
        if self._between is not None:
            return self._motion(frames, steps, self._between)
        return (replace(frame, image=self.prepare(frame.image)) for frame in frames if frame.index in steps)

    def _motion(self, frames: Iterable[Frame], steps: set[int], between: Between) -> Iterator[Frame]:
        last, image, first = -1, None, None
        for frame in frames:
            before, image = image, self.prepare(frame.image)
            motion = between(before, image) if before is not None and last == frame.index - 1 else None
            last = frame.index
            if first is not None and motion is not None:
                yield replace(first, image=motion)  # the first frame of a video has the motion of the second
                first = None
            if frame.index not in steps:
                continue
            if motion is not None:
                yield replace(frame, image=motion)
            else:
                first = frame
        if first is not None:
            assert image is not None
            yield replace(first, image=between(image, image))  # a video of one frame

    def live(self, frame: Frame, *, wanted: bool) -> Image | None:
        """The image of one frame of a stream; every frame has to be shown, since motion is told from the last one.

        Returns:
            None for a frame that is not wanted, and where its motion is not known: ask for the next one instead.
        """
        last, self._last = self._last, frame
        if not wanted:
            return None
        if self._between is None:
            return self.prepare(frame.image)
        if last is None or last.index != frame.index - 1:
            return None
        return self._between(self.prepare(last.image), self.prepare(frame.image))


def with_neighbours(wanted: np.ndarray, count: int) -> np.ndarray:
    """Frame numbers ``wanted`` and those that their motion is told from, rising.

    >>> with_neighbours(np.array([0, 10, 11]), 20)
    array([ 0,  1,  9, 10, 11])
    """
    before = np.maximum(wanted - 1, 0)
    after_first = wanted[(wanted == 0) & (count > 1)] + 1
    return np.unique(np.concatenate([wanted, before, after_first]))
