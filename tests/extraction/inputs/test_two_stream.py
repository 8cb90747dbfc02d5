"""Each frame is decoded once for all networks, and let go as soon as the last of them has seen it."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest

from pipeline.extraction.inputs.two_stream import InputMakers
from pipeline.videos.media.frame import Frame
from tests.extraction.conftest import RECIPE


class Frames:
    """Frames as a reader gives them, which notes how many are alive."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.decoded = 0
        self.alive: weakref.WeakSet = weakref.WeakSet()

    def times(self) -> np.ndarray:
        return np.arange(self.count) / 25

    def frames(self, indices):
        for index in indices:
            image = np.full((24, 48, 3), index, np.uint8).view(_Image)
            self.decoded += 1
            self.alive.add(image)
            yield Frame(int(index), index / 25, image)


class _Image(np.ndarray):
    """An array that a set can hold weakly."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return self is other


@pytest.mark.parametrize("inputs", [("rgb",), ("rgb", "rgb"), ("rgb", "difference")])
def test_frames_are_decoded_once_and_let_go(inputs):
    reader = Frames(200)
    steps = InputMakers([replace(RECIPE, input=kind) for kind in inputs]).steps(reader, range(200))
    most = 0
    for number, step in enumerate(steps):
        assert [frame.index for frame in step] == [number] * len(inputs)
        most = max(most, len(reader.alive))
    assert reader.decoded == 200
    assert most <= 4
