"""The measurement itself, on works that take as long as they are told."""

from __future__ import annotations

import numpy as np

from pipeline.extraction.network.backbone import build_network
from pipeline.extraction.network.engines.choose import Choice, fastest
from pipeline.extraction.network.engines.measure import BUDGET, first_layers, measure
from pipeline.extraction.network.registry import find_network

IMAGES = np.zeros((4, 8, 8, 3), np.uint8)
OV32, K32, OV16 = Choice("openvino", "float32"), Choice("keras", "float32"), Choice("openvino", "bfloat16")


class Clock:
    """Time that passes by work only."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[Choice] = []

    def __call__(self) -> float:
        return self.now

    def work(self, choice: Choice, seconds: float, compiling: float = 0.1, error: Exception | None = None):
        def prepare():
            self.now += compiling
            if error is not None:
                raise error

            def call(images):
                assert images is IMAGES
                self.now += seconds
                self.calls.append(choice)
                return images

            return call

        return prepare


def test_all_take_turns_and_the_time_is_bounded():
    clock = Clock()
    works = {OV32: clock.work(OV32, 0.1), K32: clock.work(K32, 0.11), OV16: clock.work(OV16, 0.05)}
    timings = measure(works, IMAGES, clock=clock)
    assert list(timings) == [OV32, K32, OV16]
    assert clock.calls[3:9] == [OV32, K32, OV16] * 2  # after the first calls, which compile
    assert {round(second, 9) for second in timings[OV16]} == {0.05}
    assert 3 <= len(timings[OV32]) <= 9
    assert clock.now <= BUDGET + 0.26
    assert fastest(timings) == OV16


def test_what_takes_too_long_to_compile_is_left_out():
    clock = Clock()
    works = {OV32: clock.work(OV32, 0.1), OV16: clock.work(OV16, 0.1, compiling=2.5), K32: clock.work(K32, 0.01)}
    timings = measure(works, IMAGES, clock=clock)
    assert list(timings) == [OV32, OV16]
    assert len(timings[OV32]) == 3


def test_what_cannot_be_compiled_is_left_out():
    clock = Clock()
    works = {OV32: clock.work(OV32, 0.1, error=RuntimeError("no memory")), K32: clock.work(K32, 0.1)}
    assert list(measure(works, IMAGES, clock=clock)) == [K32]


def test_the_first_layers_of_a_large_network_and_all_of_a_small_one():
    tiny = build_network(find_network("tiny"), None, (32, 32))
    assert first_layers(tiny) is tiny
    large = build_network(find_network("inceptionv3"), None, (299, 299))
    part = first_layers(large)
    assert part.input_shape == (None, 299, 299, 3)
    assert len(part.output_shape) == 2
    assert 10 < len(part.layers) < len(large.layers) / 2
