"""The chain as one ONNX file: what is in front, the network, and the head, joined."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.onnx_backbone import OnnxBackbone
from pipeline.inference.classifier import Classifier
from pipeline.inference.export.from_tensorflow import to_onnx, unrolled
from pipeline.inference.export.onnx_front import pixels_of
from pipeline.inference.export.onnx_graph import OPSETS, GraphMaker, reason_of
from pipeline.inference.export.onnx_network import opset_of, read_network, steps_of
from pipeline.inference.export.tensorflow_chain import probabilities_of
from pipeline.inference.export.tensorflow_chain import steps_of as keras_steps_of

_MOST = (2 << 30) - (16 << 20)  # bytes of weights: a protocol buffer ends at 2 GB, and there is more in it
_IR = 8  # version of the file format, from which on it has functions; ONNX Runtime from 1.10 on reads it


def check_onnx_size(weights: int) -> None:
    """Refuse so many bytes of weights as one ONNX file does not hold.

    Raises:
        UserError: there are too many.
    """
    if weights > _MOST:
        raise UserError(f"`export` to ONNX: the network has {weights / 1e9:.1f} GB, and one ONNX file holds 2 GB")


def onnx_chain(classifier: Classifier) -> bytes:
    """The content of an ONNX file that ONNX Runtime loads as it is.

    Args:
        classifier: of `OnnxBackbone`, or of the engine ``keras``.

    Raises:
        UserError: an operation that tf2onnx has no counterpart for, or a network that cannot be joined with the head.
    """
    from onnx import TensorProto, helper

    checkpoint, backbone = classifier.checkpoint, classifier.backbone
    recipe, length = checkpoint.recipe, checkpoint.window.length
    network = read_network(backbone.file) if isinstance(backbone, OnnxBackbone) else None
    opset = opset_of(network) if network else OPSETS[1]
    made = GraphMaker("front/", opset)
    steps = pixels_of(made, "frames", recipe, length)
    if isinstance(backbone, OnnxBackbone):
        steps = steps_of(made, backbone, network, steps, length)
    elif not recipe.keeps_images:
        weights = backbone.model.count_params()  # type: ignore[union-attr]
        check_onnx_size(4 * weights)
    with unrolled(checkpoint.model):
        rest = to_onnx(_rest(classifier), opset)
    found = made.model(rest.graph, "head/", {"steps": steps, "mask": "mask"})
    made("Identity", found["probabilities"], output="probabilities")
    frames: list[int | str | None] = [length, *recipe.input_shape[:-3], "height", "width", 3]
    graph = made.finished(
        "classify",
        [
            helper.make_tensor_value_info("frames", TensorProto.UINT8, frames),
            helper.make_tensor_value_info("mask", TensorProto.BOOL, [length]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [len(checkpoint.classes)])],
    )
    parts = [rest, *([network] if network else [])]
    model = helper.make_model(
        graph,
        opset_imports=_imports(parts, opset),
        ir_version=max(_IR, *(part.ir_version for part in parts)),
        functions=[function for part in parts for function in part.functions],
        producer_name="video-pipeline",
    )
    return _checked(model)


def _rest(classifier: Classifier) -> Any:
    """A TensorFlow function of what Keras has: the head, and the network where it is none from a file."""
    import tensorflow as tf

    checkpoint, backbone = classifier.checkpoint, classifier.backbone
    length, by_file = checkpoint.window.length, isinstance(backbone, OnnxBackbone)
    shape = checkpoint.shape if by_file else checkpoint.recipe.input_shape

    def rest(steps: Any, mask: Any) -> dict[str, Any]:
        found = steps if by_file else keras_steps_of(steps, classifier)
        return {"probabilities": probabilities_of(found, mask, checkpoint)}

    signature = [
        tf.TensorSpec((length, *shape), tf.float32, name="steps"),
        tf.TensorSpec((length,), tf.bool, name="mask"),
    ]
    return tf.function(rest, input_signature=signature, autograph=False)


def _imports(parts: Iterable[Any], opset: int) -> list[Any]:
    """The versions of operations of all parts together; ``opset`` is that of ONNX's own ones."""
    from onnx import helper

    versions: dict[str, int] = {}
    for each in (each for part in parts for each in part.opset_import):
        versions[each.domain] = max(each.version, versions.get(each.domain, 1))
    versions.pop("ai.onnx", None)  # another name for the same
    return [helper.make_opsetid(domain, version) for domain, version in (versions | {"": opset}).items()]


def _checked(model: Any) -> bytes:
    """A model as bytes, which onnx finds no fault with and ONNX Runtime can load.

    Raises:
        UserError: it has one, or is larger than a file may be.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what it says is raised as well
    try:
        data = model.SerializeToString()
        onnx.checker.check_model(data)
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  those of protobuf, onnx and ONNX Runtime have no common class
        reason = reason_of(error)
        raise UserError(f"`export`: network and head cannot be joined as one ONNX file ({reason})") from None
    return data
