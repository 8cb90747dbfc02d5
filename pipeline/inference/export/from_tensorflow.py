"""A TensorFlow function as an ONNX model, by tf2onnx (https://github.com/onnx/tensorflow-onnx)."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.inference.export.onnx_graph import OPSETS, brought_to
from pipeline.lazy import keras

_NEEDED = ("tf2onnx", "onnx", "onnxruntime")


def check_onnx_converter() -> None:
    """Refuse where what converts, joins or tries out is missing.

    Raises:
        UserError: it names what is to be installed.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"`export` to ONNX needs {' and '.join(missing)}; pip install video-pipeline[onnx]")


@contextlib.contextmanager
def unrolled(model: keras.Model) -> Iterator[None]:
    """Within, recurrent layers of ``model`` are traced step by step.

    tf2onnx 1.17 turns TensorFlow's loop over the steps into a file that ONNX Runtime refuses ("Invalid tensor data
    type 0"). The steps of a window are few and their number is fixed.

    What a layer gives out at padded steps is not set to zero meanwhile: no head looks at it, and Keras 3.15 gets it
    wrong in layers that are both traced in this way and read backwards.
    """
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "unroll")]
    before = [(layer.unroll, layer.zero_output_for_mask) for layer in layers]
    try:
        for layer in layers:
            layer.unroll, layer.zero_output_for_mask = True, False
        yield
    finally:
        for layer, values in zip(layers, before, strict=True):
            layer.unroll, layer.zero_output_for_mask = values


def to_onnx(function: Any, opset: int = OPSETS[1]) -> Any:
    """Convert a ``tf.function`` that has an input signature of its own and returns a dictionary; their names stay.

    Args:
        function: what is to be converted.
        opset: the version of ONNX's operations that is wanted.

    Returns:
        An ``onnx.ModelProto``; an input that does not count in the function may be missing in it.

    Raises:
        UserError: an operation that tf2onnx has no counterpart for, or a version that the package onnx does not know.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = function.get_concrete_function()
    frozen = convert_variables_to_constants_v2(concrete)
    inputs = [tensor.name for tensor in frozen.inputs]
    outputs = [tensor.name for tensor in frozen.outputs]
    # TensorFlow flattens a dictionary in the order of its sorted keys.
    names = [spec.name for spec in function.input_signature] + sorted(concrete.structured_outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf2onnx and what it loads
        import onnx
        import tf2onnx.convert

        logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
        made, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            name="classify",
            input_names=inputs,
            output_names=outputs,
            opset=min(opset, OPSETS[1]),
            tensors_to_rename=dict(zip(inputs + outputs, names, strict=True)),
        )
    _replace_erfc(made.graph)
    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    unknown = sorted({node.op_type for node in made.graph.node if not node.domain} - known)
    if unknown:
        raise UserError(
            f"`export` to ONNX: tf2onnx cannot convert {', '.join(unknown)} of this head or network; a folder "
            "(SavedModel) or a name ending in .tflite works"
        )
    return made if opset <= OPSETS[1] else brought_to(opset, made, "the head")


def _replace_erfc(graph: Any) -> None:
    """Put 1 - erf in the place of erfc, which TensorFlow computes gelu by and ONNX does not have."""
    import onnx

    made = []
    for node in graph.node:
        if node.op_type != "Erfc":
            made.append(node)
            continue
        ((given,), (wanted,)) = node.input, node.output
        erf, one = f"{wanted}/erf", f"{wanted}/one"
        value = onnx.numpy_helper.from_array(np.ones((), np.float32), one)
        made += [onnx.helper.make_node("Erf", [given], [erf]), onnx.helper.make_node("Sub", [one, erf], [wanted])]
        graph.initializer.append(value)
    del graph.node[:]
    graph.node.extend(made)
