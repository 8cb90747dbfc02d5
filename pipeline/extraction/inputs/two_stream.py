"""Images for one network or for two: what checkpoints of fused stores take from a video, with features side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.extraction.inputs.motion import InputMaker
from pipeline.extraction.recipe import Recipe
from pipeline.videos.media.frame import Reader
from pipeline.videos.media.reader import Frame

ImageBatch = tuple[np.ndarray, ...]
"""For each network the images ``(k, height, width, 3)`` uint8 of the same frames."""


class InputMakers:
    """From the frames of a video to the images of every network; each frame is decoded once.

    Args:
        recipes: of the networks, with one sampling.
    """

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        self._makers = [InputMaker(recipe) for recipe in recipes]

    def steps(self, reader: Reader, numbers: Iterable[int]) -> Iterator[tuple[Frame, ...]]:
        """The wanted frames, each with its image for every network.

        Raises:
            FramesMissing, VideoError: as `Reader.frames`.
        """
        wanted = np.asarray(list(numbers), np.int64)
        needed = np.unique(np.concatenate([maker.needed(wanted, reader) for maker in self._makers]))
        decoded = _shared(reader.frames(needed), len(self._makers))
        images = [maker.images(frames, wanted) for maker, frames in zip(self._makers, decoded, strict=True)]
        return zip(*images, strict=True)

    def live(self, frame: Frame, *, wanted: bool) -> ImageBatch | None:
        """The images of one live frame; None where one of them has to wait, as in `InputMaker.live`."""
        images = [maker.live(frame, wanted=wanted) for maker in self._makers]
        known = [image[None] for image in images if image is not None]
        return tuple(known) if len(known) == len(images) else None


def _shared(frames: Iterator[Frame], count: int) -> list[Iterator[Frame]]:
    """``count`` iterators over the same frames, which holds those that one of them is ahead of another.

    `itertools.tee` holds the last 57 items whoever has seen them: 0.35 GB of a 1080p video.
    """
    ahead: list[deque[Frame]] = [deque() for _ in range(count)]

    def take(own: deque[Frame]) -> Iterator[Frame]:
        while True:
            if not own:
                frame = next(frames, None)
                if frame is None:
                    return
                for other in ahead:
                    other.append(frame)
            yield own.popleft()

    return [take(own) for own in ahead]


def side_by_side(networks: Sequence[Callable[[np.ndarray], np.ndarray]]) -> Callable[[ImageBatch], np.ndarray]:
    """Some networks as one function, from their images to ``(k, D1 + D2 + ...)``."""

    def features(images: ImageBatch) -> np.ndarray:
        parts: list[Any] = [network(part) for network, part in zip(networks, images, strict=True)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    return features
