"""One stream of pictures or two: what checkpoints of joined stores take from a video, with features side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.extraction.inputs.motion import InputMaker
from pipeline.extraction.recipe import Recipe
from pipeline.videos.media.reader import Frame, VideoReader

ImageBatch = tuple[np.ndarray, ...]
"""For each stream the pictures ``(k, height, width, 3)`` uint8 of the same frames."""


class Streams:
    """From the frames of a video to the pictures of every stream; each frame is decoded once.

    Args:
        recipes: of the streams, with one sampling.
    """

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        self._makers = [InputMaker(recipe) for recipe in recipes]

    def batches(self, reader: VideoReader, numbers: Iterable[int], size: int) -> Iterator[ImageBatch]:
        """The wanted frames, at most ``size`` at a time.

        Raises:
            FramesMissing, VideoError: as `VideoReader.frames`.
        """
        wanted = np.asarray(list(numbers), np.int64)
        needed = np.unique(np.concatenate([maker.needed(wanted, reader) for maker in self._makers]))
        decoded = itertools.tee(reader.frames(needed), len(self._makers))
        parts = [maker.pictures(frames, wanted) for maker, frames in zip(self._makers, decoded, strict=True)]
        steps = zip(*parts, strict=True)
        while batch := list(itertools.islice(steps, size)):
            yield tuple(np.stack([frame.image for frame in part]) for part in zip(*batch, strict=True))

    def live(self, frame: Frame, *, wanted: bool) -> ImageBatch | None:
        """The pictures of one frame of a stream; None where one of them has to wait, as in `InputMaker.live`."""
        pictures = [maker.live(frame, wanted=wanted) for maker in self._makers]
        known = [picture[None] for picture in pictures if picture is not None]
        return tuple(known) if len(known) == len(pictures) else None


def side_by_side(networks: Sequence[Callable[[np.ndarray], np.ndarray]]) -> Callable[[ImageBatch], np.ndarray]:
    """The networks of some streams as one function, from their pictures to ``(k, D1 + D2 + ...)``."""

    def features(pictures: ImageBatch) -> np.ndarray:
        parts: list[Any] = [network(part) for network, part in zip(networks, pictures, strict=True)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    return features
