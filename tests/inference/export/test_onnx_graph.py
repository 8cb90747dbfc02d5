"""Models put together keep what they compute, whatever their names are."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.inference.export.onnx_graph import GraphMaker, integers
from tests.inference.export.graphs import run_graph

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
FLOAT = 1
VALUES = np.array([[1, -2, 3], [4, 5, -6]], np.float32)


def branching() -> onnx.GraphProto:
    """``x * scale`` where the sum is above 0, else ``x + scale``: graphs within it take ``scale`` from around them."""
    from onnx import helper, numpy_helper

    def branch(kind: str) -> onnx.GraphProto:
        gives = helper.make_tensor_value_info(kind, FLOAT, None)
        return helper.make_graph([helper.make_node(kind, ["x", "scale"], [kind])], kind, [], [gives])

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["mask"], then_branch=branch("Mul"), else_branch=branch("Add")),
    ]
    values = [
        numpy_helper.from_array(np.array(10 * place, np.float32), name) for place, name in enumerate(("zero", "scale"))
    ]
    # As old files have it, constants stand among the inputs.
    inputs = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in (("x", None), ("zero", []))]
    return helper.make_graph(nodes, "branching", inputs, [helper.make_tensor_value_info("mask", FLOAT, None)], values)


@pytest.mark.parametrize(("sign", "expected"), [(1, VALUES * 10), (-1, -VALUES + 10)])
def test_a_model_among_nodes_of_the_same_names(sign, expected):
    made = GraphMaker("own/", 17)
    negative = made("Mul", "x", np.array(sign, np.float32), output="scale")
    first = made.model(branching(), "one/", {"x": negative, "nothing": "x"})
    assert first == {"mask": "one/mask"}
    twice = made.model(branching(), "two/", {"x": first["mask"]})["mask"]
    np.testing.assert_array_equal(run_graph(made, {"x": VALUES}, first["mask"], 2), expected)
    again = expected * 10 if expected.sum() > 0 else expected + 10
    np.testing.assert_array_equal(run_graph(made, {"x": VALUES}, twice, 2), again)


@pytest.mark.parametrize("opset", [13, 17, 18, 22])
def test_sides_are_reduced_in_the_words_of_each_version(opset):
    made = GraphMaker("own/", opset)
    mean, most = made.reduced("ReduceMean", "x", [1]), made.reduced("ReduceMax", "x", [0])
    both = made("Concat", mean, most, axis=0)
    expected = np.concatenate([VALUES.mean(axis=1), VALUES.max(axis=0)])
    np.testing.assert_allclose(run_graph(made, {"x": VALUES}, both, 1), expected, rtol=1e-6)


def test_what_is_left_out_has_no_name():
    from onnx import helper

    nodes = [helper.make_node("Clip", ["x", "", "most"], ["y"])]
    most = onnx.numpy_helper.from_array(np.array(2, np.float32), "most")
    graph = helper.make_graph(nodes, "g", *([helper.make_tensor_value_info(n, FLOAT, None)] for n in "xy"), [most])
    made = GraphMaker("own/", 17)
    found = made.model(graph, "one/", {"x": made("Reshape", "x", integers(-1))})["y"]
    np.testing.assert_array_equal(run_graph(made, {"x": VALUES}, found, 1), VALUES.ravel().clip(max=2))
