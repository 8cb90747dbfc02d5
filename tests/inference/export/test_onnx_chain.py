"""The chain as one ONNX file gives the answers of `classify`, in ONNX Runtime alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.inference.classifier import Classifier
from pipeline.inference.export.whole_chain import engine_for, export
from pipeline.training.checkpoint import Checkpoint
from tests.extraction.network.by_file.clip_networks import FRAMES, write_clip_onnx
from tests.extraction.network.by_file.networks import SIDE, write_onnx
from tests.inference.conftest import CLASSES, draw_class
from tests.inference.export.test_onnx_network import changed, old, with_a_function

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("needs TensorFlow", allow_module_level=True)
pytest.importorskip("tf2onnx")
runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")]

SIZES = [(96, 64), (50, 123), (SIDE, SIDE)]  # width, height
LENGTH = 4


def windows(recipe: Recipe, size: tuple[int, int]) -> np.ndarray:
    """One of each class: ``(classes, LENGTH, [T,] height, width, 3)``."""
    count = LENGTH * max(1, recipe.clip)
    frames = [[draw_class(label, 3 * number) for number in range(count)] for label in range(len(CLASSES))]
    resized = np.stack([[cv2.resize(frame, size) for frame in window] for window in frames])
    return resized.reshape(len(CLASSES), LENGTH, *recipe.input_shape[:-3], *resized.shape[2:])


def own_answers(classifier: Classifier, frames: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What `classify` computes of windows: ``(n, C)``."""
    recipe, found = classifier.checkpoint.recipe, []
    for window in frames:
        images = [classifier.preprocessor(image) for image in window.reshape(-1, *window.shape[-3:])]
        features = classifier.backbone(np.stack(images).reshape(LENGTH, *recipe.input_shape))
        found.append(np.where(mask[:, None], features, 0))
    return classifier.checkpoint.predict(np.stack(found), np.tile(mask, (len(found), 1)))


def compare(folder: Path, target: Path, *, engine: str = "openvino") -> dict[str, Any]:
    """Export a checkpoint, and ask both; gives what is noted beside the file."""
    exported = Classifier.load(folder, engine=engine_for(Checkpoint.load(folder)), precision="float32")
    assert export(exported, target) == [target, target.with_suffix(".classes.json")]
    session = runtime.InferenceSession(target)
    assert [item.name for item in session.get_inputs()] == ["frames", "mask"]
    classifier = Classifier.load(folder, engine=engine, precision="float32")
    # Images resized by a bilinear filter are the same to the pixel, others but for a grey level here and there.
    atol = 1e-4 if classifier.checkpoint.recipe.interpolation == "bilinear" else 1e-3
    for size in SIZES:
        frames = windows(classifier.checkpoint.recipe, size)
        for real in (LENGTH, LENGTH - 1):
            mask = np.arange(LENGTH) < real
            found = np.stack([session.run(["probabilities"], {"frames": each, "mask": mask})[0] for each in frames])
            np.testing.assert_allclose(found, own_answers(classifier, frames, mask), atol=atol)
            assert np.ptp(found, axis=0).max() > 0.02  # far more than what is allowed: the windows are told apart
    return json.loads(target.with_suffix(".classes.json").read_text())


@pytest.fixture
def checkpoint_of(make_checkpoint):
    """An untrained checkpoint of any network that has its weights in it."""

    def make(network: str, name: str, *, sampling: str = "all", layer: str = "vector", side: int = SIDE, **how) -> Path:
        source = WeightsSource(network)
        recipe = Recipe(sampling, name, "", side, side, layer=layer, **how)
        engine = "onnxruntime" if source.is_file else "keras"
        backbone = load_backbone(recipe, Path(), weights=source, batch=4, engine=engine, precision="float32")
        recipe = Recipe(sampling, name, backbone.digest, side, side, layer=layer, **how)
        keras.utils.set_random_seed(0)
        return make_checkpoint(length=LENGTH, shape=backbone.shape, sources=(FeatureSource(recipe, source.absolute()),))

    return make


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        ({"kind": "vector"}, {}),
        ({"kind": "vector", "channels": "bgr", "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}, {"crop": "none"}),
        ({"kind": "tokens"}, {"layer": "cls", "interpolation": "bicubic"}),
        ({"kind": "tokens", "prefix": 2, "scaling": "clip"}, {"layer": "cls+mean", "crop": "none"}),
        ({"kind": "map", "batch": 1}, {"layer": "max_pool", "interpolation": "bicubic"}),
        ({"kind": "vector", "external": "net.data"}, {}),
    ],
)
def test_a_network_that_is_an_onnx_file(keys, how, checkpoint_of, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", **keys)
    about = compare(checkpoint_of(str(path), "file:net", **how), tmp_path / "whole.onnx")
    assert about["classes"] == list(CLASSES)
    assert (about["frames"], about["sampling"]) == (LENGTH, "all")
    assert "clip" not in about


@pytest.mark.parametrize("change", [with_a_function, old(9), old(21)])
def test_files_of_other_versions(change, checkpoint_of, tmp_path):
    path = changed(write_onnx(tmp_path / "net.onnx"), change)
    compare(checkpoint_of(str(path), "file:net"), tmp_path / "whole.onnx", engine="onnxruntime")


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        ({"kind": "tokens"}, {"layer": "mean"}),
        ({"kind": "vector", "layout": "channels-last", "batch": 1}, {"interpolation": "bicubic", "crop": "none"}),
    ],
)
def test_a_network_of_clips_of_frames_that_is_a_file(keys, how, checkpoint_of, tmp_path):
    path = write_clip_onnx(tmp_path / "net.onnx", **keys)
    about = compare(checkpoint_of(str(path), "file:net", sampling="clips:4@8/0.5", **how), tmp_path / "whole.onnx")
    assert (about["steps"], about["clip"]) == (LENGTH, {"frames": FRAMES, "fps": 8, "apart": 0.5})
    assert "frames" not in about


@pytest.mark.parametrize(
    ("kind", "sampling", "how"),
    [
        ("dinov2", "all", {"layer": "cls+mean", "interpolation": "bicubic"}),
        ("videoprism", "clips:4@8/0.5", {"layer": "mean"}),
    ],
)
def test_presets_of_keras_hub(kind, sampling, how, checkpoint_of, tmp_path):
    pytest.importorskip("keras_hub")
    from tests.extraction.network.by_hub.presets import write_preset

    preset = write_preset(tmp_path / "net", kind)
    about = compare(checkpoint_of(f"hub:{preset}", "hub:net", sampling=sampling, **how), tmp_path / "whole.onnx")
    assert about.get("clip") == ({"frames": 4, "fps": 8, "apart": 0.5} if kind == "videoprism" else None)
