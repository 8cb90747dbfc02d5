"""A video as the frozen networks see it: its facts, and batches of pictures ready for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.extraction.inputs.two_stream import ImageBatch, Streams
from pipeline.extraction.recipe import Recipe
from pipeline.videos.media.frame import VideoInfo
from pipeline.videos.media.reader import VideoReader


class Pictures(Protocol):
    """An open video; every method may raise a VideoError."""

    @property
    def path(self) -> Path: ...

    def info(self) -> VideoInfo: ...

    def times(self) -> np.ndarray:
        """``(n,)`` float64: seconds of every frame after the first one."""

    def scan(self) -> None:
        """Decode all of it once; afterwards only frames that decode count."""

    def batches(self, recipes: Sequence[Recipe], numbers: Iterable[int], size: int) -> Iterator[ImageBatch]:
        """The wanted frames as each recipe takes them, at most ``size`` at a time; may raise FramesMissing."""


class PicturesHere:
    """Of a video that is read in this process."""

    def __init__(self, reader: VideoReader) -> None:
        self._reader = reader

    @property
    def path(self) -> Path:
        return self._reader.path

    def info(self) -> VideoInfo:
        return self._reader.info()

    def times(self) -> np.ndarray:
        return self._reader.times()

    def scan(self) -> None:
        self._reader.scan()

    def batches(self, recipes: Sequence[Recipe], numbers: Iterable[int], size: int) -> Iterator[ImageBatch]:
        return Streams(recipes).batches(self._reader, numbers, size)
