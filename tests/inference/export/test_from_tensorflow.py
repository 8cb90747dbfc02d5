"""Functions of TensorFlow keep what they compute as ONNX."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.inference.export.from_tensorflow import check_onnx_converter, to_onnx, unrolled

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("needs TensorFlow", allow_module_level=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "opset"),
    [
        *((head, 18) for head in ("lstm", "rnn", "conv1d", "attention", "transformer", "keras-example")),
        *(("transformer", opset) for opset in (13, 21)),
    ],
)
def test_heads_as_onnx(head, opset):
    """What belongs to a head is its layers; the chain around it is the same."""
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    import tensorflow as tf

    from pipeline.training.heads.registry import build_model, head_spec

    model = build_model(head_spec(head), length=6, shape=(16,), classes=3)
    signature = [tf.TensorSpec((2, 6, 16), tf.float32, name="x"), tf.TensorSpec((2, 6), tf.bool, name="mask")]
    function = tf.function(lambda x, mask: {"y": model([x, mask], training=False)}, input_signature=signature)
    features = np.random.default_rng(0).normal(size=(2, 6, 16)).astype(np.float32)
    mask = np.arange(6) < np.array([[6], [4]])
    with unrolled(model):
        made = to_onnx(function, opset)
    assert [each.version for each in made.opset_import if not each.domain] == [opset]
    chain = runtime.InferenceSession(made.SerializeToString())
    wanted = {item.name for item in chain.get_inputs()}  # a head may not need the mask
    inputs = {name: value for name, value in {"x": features, "mask": mask}.items() if name in wanted}
    (prediction,) = chain.run(["y"], inputs)
    np.testing.assert_allclose(prediction, np.asarray(model([features, mask])), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "opset", "said"),
    [
        ("lgamma", 18, "tf2onnx cannot convert Lgamma of this head or network; a folder"),
        ("softmax", 900, "the head cannot be brought to version 900 of ONNX's operations"),
    ],
)
def test_what_cannot_be_converted_is_one_line(operation, opset, said):
    pytest.importorskip("tf2onnx")
    import tensorflow as tf

    signature = [tf.TensorSpec((3,), tf.float32, name="x")]
    function = tf.function(lambda x: {"y": getattr(tf.math, operation)(x)}, input_signature=signature)
    with pytest.raises(UserError, match=said) as error:
        to_onnx(function, opset)
    assert "\n" not in str(error.value)


def test_what_is_not_installed_is_named(monkeypatch):
    there = importlib.util.find_spec
    missing = {"onnx", "onnxruntime"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else there(name) or name)
    with pytest.raises(UserError, match=r"needs onnx and onnxruntime; pip install video-pipeline\[onnx\]"):
        check_onnx_converter()
