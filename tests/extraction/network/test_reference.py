"""InceptionV3 at its real size, by each engine, against a program that shares nothing with it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.openvino_backbone import OpenVinoBackbone
from pipeline.extraction.network.weights import WeightsSource
from tests.extraction.network import inception_in_numpy

# Of the image below with the weights random:7: the first numbers, the mean and the length.
FIRST = [0.0677356, 1.00538, 0.0, 0.133824, 0.726478, 0.423514]
MEAN, LENGTH = 0.318124, 23.98258


def image() -> np.ndarray:
    """``(299, 299, 3)`` uint8: colours that change slowly, a circle, and grain."""
    rows, columns = np.mgrid[:299, :299]
    channels = [np.sin(rows / 37) * 90 + 120, np.cos(columns / 23) * 80 + 110, (rows + columns) * 0.4]
    picture = np.stack(channels, axis=-1)
    picture[(rows - 150) ** 2 + (columns - 130) ** 2 < 60**2] = (220, 40, 90)
    return (picture + np.random.default_rng(5).uniform(-12, 12, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone("inceptionv3", weights=WeightsSource("random:7"), batch=2)


@pytest.fixture(scope="module")
def expected(backbone) -> np.ndarray:
    def number(layer) -> int:
        return int(re.search(r"(?:_(\d+))?$", layer.name)[1] or 0)

    by_kind = {
        kind: sorted((layer for layer in backbone.model.layers if layer.name.startswith(kind)), key=number)
        for kind in ("conv2d", "batch_normalization")
    }
    weights = (
        values for pair in zip(*by_kind.values(), strict=True) for layer in pair for values in layer.get_weights()
    )
    found = inception_in_numpy.features(image(), weights)
    assert next(weights, None) is None
    return found


def test_the_reference_gives_the_numbers_that_are_kept(expected):
    np.testing.assert_allclose(expected[: len(FIRST)], FIRST, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose([expected.mean(), np.linalg.norm(expected)], [MEAN, LENGTH], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_each_engine_computes_what_the_reference_computes(engine, backbone, expected):
    if engine == "openvino":
        pytest.importorskip("openvino")
    network = backbone if engine == "keras" else OpenVinoBackbone.of(backbone, batch=2)
    other = np.ascontiguousarray(image()[::-1])
    found, turned = network(np.stack([image(), other]))
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine >= 0.99999
    np.testing.assert_allclose(np.linalg.norm(found), LENGTH, rtol=1e-3, atol=1e-4)
    assert turned @ expected / np.linalg.norm(turned) / np.linalg.norm(expected) < 0.99999  # it is no constant
