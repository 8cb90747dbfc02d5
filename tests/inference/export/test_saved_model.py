"""The exported chain gives the prediction of the project itself."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.inference.classify import main, parser
from pipeline.errors import UserError
from pipeline.inference.classifier import Classifier, rule_of
from pipeline.inference.export.saved_model import check_export, export
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.media import open_video
from tests.inference.conftest import CLASSES, write_pieces

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("needs TensorFlow", allow_module_level=True)


@pytest.fixture(scope="module")
def classifier(checkpoint) -> Classifier:
    """As the command loads it: what is exported is the network of Keras."""
    return Classifier.load(checkpoint, engine="keras", precision="float32", batch=16)


def test_a_network_of_another_engine_is_refused(checkpoint, tmp_path):
    pytest.importorskip("openvino")
    other = Classifier.load(checkpoint, engine="openvino", precision="float32", batch=16)
    with pytest.raises(UserError, match="load the classifier with `engine=keras`"):
        export(other, tmp_path / "model")
    assert not list(tmp_path.iterdir())


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
@pytest.mark.parametrize("head", ["lstm", "rnn", "conv1d", "attention", "transformer", "keras-example"])
def test_heads_as_onnx(head):
    """What belongs to a head is its layers; the chain around it is the same."""
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    import tensorflow as tf

    from pipeline.inference.export.onnx import to_onnx, unrolled
    from pipeline.training.heads.registry import build_model, head_spec

    model = build_model(head_spec(head), length=6, shape=(16,), classes=3)
    signature = [tf.TensorSpec((2, 6, 16), tf.float32, name="x"), tf.TensorSpec((2, 6), tf.bool, name="mask")]
    function = tf.function(lambda x, mask: {"y": model([x, mask], training=False)}, input_signature=signature)
    features = np.random.default_rng(0).normal(size=(2, 6, 16)).astype(np.float32)
    mask = np.arange(6) < np.array([[6], [4]])
    with unrolled(model):
        if head == "transformer":
            with pytest.raises(UserError, match="cannot convert Erfc"):
                to_onnx(function)
            return
        chain = runtime.InferenceSession(to_onnx(function))
    wanted = {item.name for item in chain.get_inputs()}  # a head may not need the mask
    inputs = {name: value for name, value in {"x": features, "mask": mask}.items() if name in wanted}
    (prediction,) = chain.run(["y"], inputs)
    np.testing.assert_allclose(prediction, np.asarray(model([features, mask])), atol=1e-4)


def test_the_command(checkpoint, tmp_path, capsys):
    assert command.run(main, [str(checkpoint), "--export", str(tmp_path / "model")], parser=parser) == 0
    assert (tmp_path / "model" / "saved_model.pb").is_file()
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{tmp_path / 'model'}: ")
    assert command.run(main, [str(checkpoint), "--export", str(tmp_path / "model")], parser=parser) == 2
    assert "it exists; choose another name" in capsys.readouterr().err


def test_what_cannot_be_exported(checkpoint, tmp_path):
    whole = Checkpoint.load(checkpoint)
    with pytest.raises(UserError, match=r"expected a folder \(SavedModel\) or a name ending in \.tflite"):
        check_export(tmp_path / "model.pb", whole)
    with pytest.raises(UserError, match="only bilinear"):
        check_export(
            tmp_path / "model",
            replace(whole, sources=(replace(whole.sources[0], recipe=replace(whole.recipe, interpolation="area")),)),
        )
    with pytest.raises(UserError, match="has an int8 network of OpenVINO in it"):
        check_export(
            tmp_path / "model",
            replace(whole, sources=(replace(whole.sources[0], recipe=replace(whole.recipe, quantised="ab" * 32)),)),
        )
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not a folder"):
        check_export(tmp_path / "file" / "model", whole)
