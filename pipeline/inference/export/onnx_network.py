"""A network that is an ONNX file, as part of another ONNX graph: from pixels to one vector for each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.description import NetworkDescription
from pipeline.extraction.network.by_file.graph import Reduction
from pipeline.extraction.network.by_file.network_file import NetworkFile, files_of
from pipeline.extraction.network.by_file.onnx_backbone import OnnxBackbone
from pipeline.extraction.recipe import MAX_POOL
from pipeline.inference.export.onnx_graph import OPSETS, GraphMaker, brought_to, integers, reason_of

_PREFIX = "network/"


def read_network(file: NetworkFile) -> Any:
    """The ``onnx.ModelProto`` of a file with all its values, of a version of ONNX's operations from `OPSETS` on.

    Raises:
        UserError: it cannot be read, or is of a version that is too old.
    """
    import onnx

    files_of(file.path, file.kind)  # nothing outside of its folder is read
    try:
        model = onnx.load(str(file.path))
    except Exception as error:  # noqa: BLE001  protobuf's errors have no common class; ONNX Runtime could read it
        raise UserError(f"{file.path} cannot be read by onnx ({reason_of(error)})") from None
    version = opset_of(model)
    if version >= OPSETS[0]:
        return model
    return brought_to(OPSETS[0], model, f"{file.path}, which has version {version},")


def opset_of(model: Any) -> int:
    """The version of ONNX's own operations in a model."""
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=1)


def steps_of(made: GraphMaker, backbone: OnnxBackbone, model: Any, pixels: str, length: int) -> str:
    """Add a network.

    Args:
        made: takes the nodes.
        backbone: the network as ONNX Runtime has it, which knows how its output becomes a vector.
        model: the same as `read_network` gives it; its names are changed.
        pixels: the name of ``(length, *recipe.input_shape)`` float32, from 0 to 255.
        length: steps of a window.

    Returns:
        The name of ``(length, D)`` float32.
    """
    from onnx import helper

    about, graph = backbone.file.description, model.graph
    known = {tensor.name for tensor in graph.initializer}
    (taken,) = (each for each in graph.input if each.name not in known)
    output, kind = about.output or graph.output[0].name, taken.type.tensor_type.elem_type
    images = made("Cast", _scaled(made, about, pixels), to=kind)
    if length == 1 or not backbone.one_at_a_time:
        found = made.model(graph, _PREFIX, {taken.name: images})[output]
        return _reduced(made, found, backbone.reduction)
    # Where it takes one image in a call, it is called once for each.
    one = GraphMaker("each/", made.opset)
    image = "each/image"
    found = one.model(graph, _PREFIX, {taken.name: one("Unsqueeze", image, integers(0))})[output]
    vector = one("Squeeze", _reduced(one, found, backbone.reduction), integers(0))
    takes = helper.make_tensor_value_info(image, kind, about.input_sides(1, backbone.size)[1:])
    gives = helper.make_tensor_value_info(vector, helper.TensorProto.FLOAT, [backbone.dimensions])
    return made("Scan", images, body=one.finished("each", [takes], [gives]), num_scan_inputs=1)


def _scaled(made: GraphMaker, about: NetworkDescription, pixels: str) -> str:
    """As `pipeline.extraction.network.by_file.graph.scaling`."""
    mean, std = (np.array(numbers, np.float32) * 255 for numbers in about.numbers)
    images = made("Div", made("Sub", pixels, mean), std)
    if about.channels == "bgr":
        images = made("Gather", images, integers(2, 1, 0), axis=-1)
    given = "nthwc" if about.frames else "nhwc"
    return made("Transpose", images, perm=[given.index(axis) for axis in about.axes])


def _reduced(made: GraphMaker, output: str, reduction: Reduction) -> str:
    """As `Reduction.__call__`."""
    from onnx import TensorProto

    output = made("Cast", output, to=TensorProto.FLOAT)
    if reduction.kind == "map":
        return made.reduced("ReduceMax" if reduction.layer == MAX_POOL else "ReduceMean", output, reduction.over)
    if reduction.kind == "vector":
        return made("Reshape", output, integers(0, reduction.dimensions))
    cls = made("Gather", output, np.array(0, np.int64), axis=1) if "cls" in reduction.layer else ""
    if reduction.layer == "cls":
        return cls
    last = np.iinfo(np.int64).max
    patches = made("Slice", output, integers(reduction.prefix), integers(last), integers(1))
    mean = made.reduced("ReduceMean", patches, [1])
    return made("Concat", cls, mean, axis=1) if cls else mean
