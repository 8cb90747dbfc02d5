"""The exported chain gives the prediction of the project itself."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.inference.classifier import Classifier, rule_of
from pipeline.inference.export.whole_chain import export
from pipeline.videos.media import open_video
from tests.extraction.network.by_hub.presets import write_preset
from tests.inference.conftest import CLASSES, write_pieces

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("needs TensorFlow", allow_module_level=True)


@pytest.fixture(scope="module")
def classifier(checkpoint) -> Classifier:
    """As the command loads it: what is exported is the network of Keras."""
    return Classifier.load(checkpoint, engine="keras", precision="float32", batch=16)


def window(classifier: Classifier, path: Path, size: tuple[int, int]) -> np.ndarray:
    """The frames of a clip's one window, scaled to ``size``."""
    with open_video(path) as video:
        grid = rule_of(classifier.checkpoint).lay(video.times(), video.info().duration)
        return np.stack([cv2.resize(frame.image, size) for frame in video.frames(grid.frames)])


def expected(classifier: Classifier, frames: np.ndarray, mask: np.ndarray) -> np.ndarray:
    features = classifier.backbone(np.stack([classifier.preprocessor(image) for image in frames]))
    return classifier.checkpoint.predict(np.where(mask[:, None], features, 0)[None], mask[None])[0]


@pytest.mark.parametrize("size", [(96, 64), pytest.param((50, 123), marks=pytest.mark.slow)])
def test_saved_model(classifier, tmp_path, size):
    import tensorflow as tf

    assert export(classifier, tmp_path / "model") == [tmp_path / "model"]
    chain = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    about = json.loads((tmp_path / "model" / "classes.json").read_text())
    assert about["classes"] == list(CLASSES)
    assert about["frames"] == 8
    full, short = np.ones(8, bool), np.arange(8) < 5
    for label in range(3):
        frames = window(classifier, write_pieces(tmp_path / f"{label}.mp4", [(label, 20)]), size)
        for mask in (full, short):
            prediction = chain(frames=tf.constant(frames), mask=tf.constant(mask))["probabilities"].numpy()
            np.testing.assert_allclose(prediction, expected(classifier, frames, mask), atol=5e-3)


def test_litert(classifier, tmp_path):
    import tensorflow as tf

    assert [path.name for path in export(classifier, tmp_path / "m.tflite")] == ["m.tflite", "m.classes.json"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the interpreter is to move to a package of its own
        interpreter = tf.lite.Interpreter(str(tmp_path / "m.tflite"))
    inputs = {item["name"].split(":")[0]: item["index"] for item in interpreter.get_input_details()}
    frames = window(classifier, write_pieces(tmp_path / "a.mp4", [(2, 20)]), (80, 60))
    interpreter.resize_tensor_input(inputs["frames"], frames.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(inputs["frames"], frames)
    interpreter.set_tensor(inputs["mask"], np.ones(8, bool))
    interpreter.invoke()
    prediction = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(prediction, expected(classifier, frames, np.ones(8, bool)), atol=5e-3)
    assert CLASSES[int(prediction.argmax())] == "Red"


@pytest.mark.slow
def test_onnx(classifier, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    assert [path.name for path in export(classifier, tmp_path / "m.onnx")] == ["m.onnx", "m.classes.json"]
    chain = runtime.InferenceSession(tmp_path / "m.onnx")
    assert [item.name for item in chain.get_inputs()] == ["frames", "mask"]
    frames = window(classifier, write_pieces(tmp_path / "a.mp4", [(2, 20)]), (80, 60))
    for seen, real in ((frames, 8), (frames[:, :50, :33], 5)):
        mask = np.arange(8) < real
        (prediction,) = chain.run(["probabilities"], {"frames": seen, "mask": mask})
        np.testing.assert_allclose(prediction, expected(classifier, seen, mask), atol=5e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of keras-hub 0.32
def test_clips_of_frames(make_checkpoint, tmp_path):
    pytest.importorskip("keras_hub")
    import tensorflow as tf

    preset = write_preset(tmp_path / "net", "videoprism")
    source = WeightsSource(f"hub:{preset}")
    recipe = Recipe("clips:4@8/1", "hub:net", "", 16, 16, layer="mean")
    backbone = load_backbone(recipe, Path(), weights=source, batch=4, engine="keras", precision="float32")
    sources = (FeatureSource(replace(recipe, weights_digest=backbone.digest), source.text),)
    keras.utils.set_random_seed(0)
    folder = make_checkpoint(length=3, shape=backbone.shape, sources=sources)
    classifier = Classifier.load(folder, engine="keras", precision="float32", batch=4)
    export(classifier, tmp_path / "model")
    about = json.loads((tmp_path / "model" / "classes.json").read_text())
    assert (about["steps"], about["clip"]) == (3, {"frames": 4, "fps": 8, "apart": 1})
    chain = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    mask, found = np.arange(3) < 2, []
    for brightest in (255, 60):
        window = np.random.default_rng(0).integers(0, brightest, (3, 4, 30, 40, 3), dtype=np.uint8)
        found.append(chain(frames=tf.constant(window), mask=tf.constant(mask))["probabilities"].numpy())
        steps = classifier.backbone(np.stack([[classifier.preprocessor(image) for image in clip] for clip in window]))
        own = classifier.checkpoint.predict(np.where(mask[:, None], steps, 0)[None], mask[None])[0]
        np.testing.assert_allclose(found[-1], own, atol=5e-3)
    assert np.abs(found[0] - found[1]).max() > 0.02
