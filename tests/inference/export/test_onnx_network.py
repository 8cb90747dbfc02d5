"""A network file within a larger graph gives the features that it gives alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.network_file import NetworkFile
from pipeline.extraction.network.by_file.onnx_backbone import OnnxBackbone
from pipeline.inference.export.onnx_graph import GraphMaker
from pipeline.inference.export.onnx_network import opset_of, read_network, steps_of
from tests.extraction.network.by_file.clip_networks import FRAMES, LAYOUTS, write_clip_onnx
from tests.extraction.network.by_file.networks import SIDE, write_onnx
from tests.inference.export.graphs import run_graph

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
CLIPS = np.random.default_rng(0).integers(0, 256, (3, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)


def compare(path: Path, layer: str = "vector", images: np.ndarray = IMAGES, **options) -> onnx.ModelProto:
    """Alone and in a graph; gives the model as it was read."""
    backbone = OnnxBackbone(NetworkFile.open(path), size=(SIDE, SIDE), layer=layer)
    model = read_network(backbone.file)
    made = GraphMaker("front/", opset_of(model))
    steps = steps_of(made, backbone, model, made("Cast", "images", to=onnx.TensorProto.FLOAT), len(images))
    found = run_graph(made, {"images": images}, steps, 2, functions=model.functions, **options)
    assert found.std(axis=0).max() > 1e-3  # it tells images apart
    np.testing.assert_allclose(found, backbone(images), rtol=1e-4, atol=1e-5)
    return model


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("vector", "vector"),
        *(("tokens", layer) for layer in ("cls", "mean", "cls+mean")),
        *(("map", layer) for layer in ("avg_pool", "max_pool")),
    ],
)
def test_features_are_those_of_the_network_alone(kind, layer, batch, tmp_path):
    compare(write_onnx(tmp_path / "net.onnx", kind, prefix=2, batch=batch), layer)


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kind", "layer"), [("vector", "vector"), ("tokens", "mean"), ("map", "max_pool")])
def test_so_are_those_of_clips_of_frames(kind, layer, layout, batch, tmp_path):
    compare(write_clip_onnx(tmp_path / "net.onnx", kind, layout=layout, batch=batch), layer, CLIPS)


@pytest.mark.parametrize("keys", [{"scaling": "clip"}, {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_scaling_and_order_of_channels(channels, keys, tmp_path):
    compare(write_onnx(tmp_path / "net.onnx", channels=channels, **keys))


def changed(path: Path, change) -> Path:
    model = onnx.load(str(path))
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def channels_last(model) -> None:
    model.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("seen", 1, ["n", SIDE, SIDE, 3]))
    model.graph.node.insert(0, onnx.helper.make_node("Transpose", ["seen"], ["images"], perm=[0, 3, 1, 2]))


def float16(model) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    model.graph.input[0].name = "seen"
    model.graph.node.insert(0, onnx.helper.make_node("Cast", ["seen"], ["images"], to=1))
    model.graph.node.append(onnx.helper.make_node("Cast", ["features"], ["half"], to=10))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("half", 10, ["n", 6]))


def with_a_function(model) -> None:
    """Relu as a function of the file's own."""
    inside = [onnx.helper.make_node("Max", ["x", "zero"], ["y"])]
    zero = onnx.helper.make_node("Constant", [], ["zero"], value_float=0.0)
    opsets = [onnx.helper.make_opsetid("", 17)]
    model.functions.append(onnx.helper.make_function("own", "Positive", ["x"], ["y"], [zero, *inside], opsets))
    model.opset_import.append(onnx.helper.make_opsetid("own", 1))
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type, node.domain = "Positive", "own"


def of_another_domain(model) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type, node.domain = "Gelu", "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


@pytest.mark.parametrize(
    ("change", "keys", "domains"),
    [
        (channels_last, {"layout": "channels-last"}, ()),
        (float16, {}, ()),
        (with_a_function, {}, ("own",)),
        (of_another_domain, {}, ("com.microsoft",)),
    ],
)
@pytest.mark.parametrize("batch", ["n", 1])
def test_files_of_many_kinds(change, keys, domains, batch, tmp_path):
    if change is channels_last:
        batch = "n"
    compare(changed(write_onnx(tmp_path / "net.onnx", batch=batch, **keys), change), domains=domains)


def test_values_beside_the_file_are_read(tmp_path):
    model = compare(write_onnx(tmp_path / "net.onnx", external="net.data"))
    assert all(tensor.raw_data for tensor in model.graph.initializer)


def old(version: int):
    def change(model) -> None:
        model.opset_import[0].version, model.ir_version = version, 4

    return change


def test_an_old_file_is_brought_to_a_newer_version(tmp_path):
    path = changed(write_onnx(tmp_path / "net.onnx"), old(9))
    assert opset_of(compare(path)) == 13


def test_a_file_that_cannot_be_brought_there_is_one_line(tmp_path):
    def change(model) -> None:
        old(8)(model)
        model.graph.node.append(onnx.helper.make_node("Upsample", ["patches", "twice"], ["larger"]))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))

    path = changed(write_onnx(tmp_path / "net.onnx"), change)
    with pytest.raises(
        UserError, match=r"which has version 8, cannot be brought to version 13 of ONNX's operations"
    ) as error:
        read_network(NetworkFile.open(path))
    assert "\n" not in str(error.value)
