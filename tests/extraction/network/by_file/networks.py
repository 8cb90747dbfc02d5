"""Small networks with drawn weights as ONNX files, and what they compute in plain NumPy by ONNX's own reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SIDE, WIDTH = 16, 6  # pixels of an image, numbers of a feature
PATCH = 4


def write_onnx(
    path: Path,
    kind: str = "vector",
    *,
    seed: int = 0,
    batch: int | str = "n",
    side: int | str = SIDE,
    external: str = "",
    prefix: int = 1,
    description: str | None = "",
    **keys: Any,
) -> Path:
    """Write ``path`` and a description beside it.

    Args:
        path: the file.
        kind: ``vector`` of WIDTH numbers, ``tokens`` with attention between them, or ``map``.
        seed: of the weights.
        batch: of images; a name for any number.
        side: of an image in pixels; a name for any.
        external: the name of a file beside it, or elsewhere, that is to hold the tensors.
        prefix: tokens before those of the patches.
        description: None writes none.
        keys: of the description, instead of or beside the usual ones.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(seed)

    def constant(name: str, value: np.ndarray) -> Any:
        return numpy_helper.from_array(value, name)

    kernel = draw.standard_normal((WIDTH, 3, PATCH, PATCH)).astype(np.float32) / 5
    values = [constant("kernel", kernel), constant("bias", draw.standard_normal(WIDTH).astype(np.float32))]
    nodes = [helper.make_node("Conv", ["images", "kernel", "bias"], ["patches"], strides=[PATCH, PATCH])]
    shape: list[Any] = [batch, WIDTH]
    if kind == "vector":
        nodes += [
            helper.make_node("Relu", ["patches"], ["positive"]),
            helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
        ]
    elif kind == "map":
        nodes.append(helper.make_node("Relu", ["patches"], ["features"]))
        shape = [batch, WIDTH, SIDE // PATCH, SIDE // PATCH]
    else:
        count = (SIDE // PATCH) ** 2
        values += [
            constant("rows", np.array([0, WIDTH, -1], np.int64)),
            constant("first", draw.standard_normal((1, prefix, WIDTH)).astype(np.float32)),
            constant("zero", np.zeros(1, np.float32)),
            constant("sides", np.array([1, 2], np.int64)),
        ]
        nodes += [
            helper.make_node("Reshape", ["patches", "rows"], ["columns"]),
            helper.make_node("Transpose", ["columns"], ["some"], perm=[0, 2, 1]),
            *(
                [
                    helper.make_node("ReduceSum", ["some", "sides"], ["sums"], keepdims=1),
                    helper.make_node("Mul", ["sums", "zero"], ["nothing"]),
                    helper.make_node("Add", ["nothing", "first"], ["prefix"]),
                    helper.make_node("Concat", ["prefix", "some"], ["tokens"], axis=1),
                ]
                if prefix
                else [helper.make_node("Identity", ["some"], ["tokens"])]
            ),
            helper.make_node("Transpose", ["tokens"], ["keys"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["tokens", "keys"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
            helper.make_node("MatMul", ["weights", "tokens"], ["features"]),
        ]
        shape = [batch, count + prefix, WIDTH]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if external:
        for tensor in model.graph.initializer:
            onnx.external_data_helper.set_external_data(tensor, location=external)
        target = path.parent / external
        with target.open("wb") as file:
            for tensor in model.graph.initializer:
                file.write(tensor.raw_data)
        offset = 0
        for tensor in model.graph.initializer:
            length = len(tensor.raw_data)
            onnx.external_data_helper.set_external_data(tensor, location=external, offset=offset, length=length)
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            offset += length
    path.write_bytes(model.SerializeToString())
    if description is not None:
        about: dict[str, Any] = {"size": [SIDE, SIDE], "scaling": "imagenet", "licence": "MIT"}
        about |= {"layer": "avg_pool"} if kind == "map" else {"layer": "cls", "prefix_tokens": prefix}
        if kind == "vector":
            del about["layer"], about["prefix_tokens"]
        if "mean" in keys:
            del about["scaling"]
        lines = [f"{key}: {value}" for key, value in (about | keys).items() if value is not None]
        path.with_suffix(".yaml").write_text("\n".join(lines) + "\n" + description)
    return path


def write_xml(path: Path, onnx_file: Path) -> Path:
    """The same network as OpenVINO keeps it, ``path`` and a file ending in .bin, with the same description."""
    import openvino

    openvino.save_model(openvino.Core().read_model(onnx_file), path, compress_to_fp16=False)
    path.with_suffix(".yaml").write_bytes(onnx_file.with_suffix(".yaml").read_bytes())
    return path


def own_output(path: Path, images: np.ndarray, *, mean: Any, std: Any, bgr: bool = False) -> np.ndarray:
    """What ONNX Runtime's own session gives for images ``(n, h, w, 3)`` uint8, each number scaled here."""
    import onnxruntime

    pixels = (images / 255 - np.array(mean)) / np.array(std)
    pixels = (pixels[..., ::-1] if bgr else pixels).transpose(0, 3, 1, 2).astype(np.float32)
    return onnxruntime.InferenceSession(str(path)).run(None, {"images": pixels})[0]
