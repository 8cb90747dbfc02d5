"""Cropping and resizing in ONNX's operations give the pixels of the project's own preprocessing."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.extraction.inputs.preprocess import Preprocessor
from pipeline.extraction.recipe import Recipe
from pipeline.inference.export.onnx_front import RESIZED, pixels_of
from pipeline.inference.export.onnx_graph import GraphMaker
from tests.inference.export.graphs import run_graph

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
SIZES = [(64, 96), (123, 50), (24, 32), (25, 33), (48, 64), (7, 5), (1, 300), (720, 1280)]  # height, width


def drawn(height: int, width: int, count: int) -> np.ndarray:
    """Noise, and bars with sharp edges, which are hard to resize."""
    images = np.random.default_rng(height).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    images[1:] = np.where(np.arange(width)[:, None] // 3 % 2, 255, 0)
    return images


def pixels(recipe: Recipe, frames: np.ndarray, opset: int) -> np.ndarray:
    made = GraphMaker("front/", opset)
    return run_graph(made, {"frames": frames}, pixels_of(made, "frames", recipe, len(frames)), frames.ndim)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", ["center", "none"])
@pytest.mark.parametrize("interpolation", RESIZED)
def test_pixels_are_those_of_opencv(interpolation, crop, size):
    recipe = Recipe("all", "tiny", "", 24, 32, crop=crop, interpolation=interpolation)
    frames = drawn(*size, 3)
    found = pixels(recipe, frames, opset=13)
    own = Preprocessor(recipe)
    away = np.abs(found - np.stack([own(image) for image in frames]).astype(np.float32))
    assert found.shape == (3, 24, 32, 3)
    assert away.max() <= 1
    assert (away > 0).mean() <= (0 if interpolation == "bilinear" else 0.05)
    np.testing.assert_array_equal(found, found.round())


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_clips_of_frames_are_cropped_frame_by_frame(opset):
    recipe = Recipe("clips:4@8/1", "file:net", "", 24, 16)
    clips = drawn(40, 50, 8).reshape(2, 4, 40, 50, 3)
    found = pixels(recipe, clips, opset)
    own = Preprocessor(recipe)
    expected = np.stack([[own(image) for image in clip] for clip in clips]).astype(np.float32)
    assert found.shape == (2, 4, 24, 16, 3)
    assert np.abs(found - expected).max() <= 1
