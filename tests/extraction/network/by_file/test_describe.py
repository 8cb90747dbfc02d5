"""The first description of a network: what the file tells, what is guessed, and that it can be used as it is."""

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.describe import describe
from pipeline.extraction.network.by_file.description import description_text, read_description
from tests.extraction.network.by_file.networks import SIDE, write_onnx

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize(
    ("kind", "layer", "prefix"),
    [("vector", "vector", 1), ("tokens", "cls", 1), ("tokens", "cls", 5), ("map", "avg_pool", 1)],
)
def test_it_can_be_used_as_it_is(kind, layer, prefix, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", kind, prefix=prefix, description=None)
    found = describe(path)
    path.with_suffix(".yaml").write_text(description_text(found.description, found.guessed))
    assert read_description(path) == found.description
    about = found.description
    assert (about.name, about.size, about.layout, about.output) == ("net", [SIDE, SIDE], "channels-first", "features")
    assert (about.layer, about.prefix_tokens) == (layer, prefix)
    assert {"scaling", "channels", "interpolation", "licence"} <= found.guessed.keys()
    assert "size" not in found.guessed
    assert "scaling: imagenet  # guessed: " in path.with_suffix(".yaml").read_text()


def test_a_network_without_cls_is_pooled(tmp_path):
    found = describe(write_onnx(tmp_path / "net.onnx", "tokens", prefix=0, description=None))
    assert (found.description.layer, found.description.prefix_tokens) == ("mean", 0)


def test_any_size_is_guessed_and_a_licence_is_read(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", side="s", description=None)
    made = onnx.load(path)
    onnx.helper.set_model_props(made, {"license": "Apache-2.0"})
    path.write_bytes(made.SerializeToString())
    found = describe(path)
    assert found.description.size == [224, 224]
    assert "224 is usual" in found.guessed["size"]
    assert (found.description.licence, "licence" in found.guessed) == ("Apache-2.0", False)


def test_scores_of_classes_are_named(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", description=None)
    made = onnx.load(path)
    made.graph.initializer.append(onnx.numpy_helper.from_array(__import__("numpy").zeros((6, 1000), "float32"), "top"))
    made.graph.node.append(onnx.helper.make_node("MatMul", ["features", "top"], ["scores"]))
    made.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("scores", 1, ["n", 1000]))
    path.write_bytes(made.SerializeToString())
    assert "look like the scores of classes" in describe(path).warnings[0]


@pytest.mark.parametrize("name", ["gone.onnx", "folder", "net.txt"])
def test_what_is_no_network_is_one_line(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "net.txt").write_text("")
    with pytest.raises(UserError, match=r"expected a file ending in \.onnx or \.xml, or the folder|is missing"):
        describe(tmp_path / name)
