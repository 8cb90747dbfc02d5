"""An ONNX graph in the making: nodes one after the other, and whole models among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.errors import UserError

OPSETS = 13, 18
"""The oldest version of ONNX's operations that is written here, and the newest that tf2onnx knows."""
REDUCES_BY_INPUT = 18  # from this version on, the sides that are reduced are an input and no attribute


class GraphMaker:
    """What is made so far; a call adds a node, and gives the name of what it computes.

    Args:
        prefix: of the names of what is added; no other graph beside, around or in it has the same.
        opset: the version of ONNX's operations.

    Attributes:
        nodes: in the order in which they were added, each after what it needs.
        constants: ``onnx.TensorProto`` of what is given with the graph.
        sparse: the same, ``onnx.SparseTensorProto``.
    """

    def __init__(self, prefix: str, opset: int) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.sparse: list[Any] = []
        self._prefix = prefix

    def __call__(self, kind: str, *values: str | np.ndarray, output: str = "", **attributes: Any) -> str:
        """Add a node.

        Args:
            kind: of operation.
            values: what goes in: the names of what was computed before, "" for nothing, or arrays.
            output: the name of what comes out; a new one if it is empty.
            attributes: of the operation.
        """
        from onnx import helper

        names = [value if isinstance(value, str) else self._constant(value) for value in values]
        output = output or f"{self._prefix}{len(self.nodes)}_{kind}"
        self.nodes.append(helper.make_node(kind, names, [output], f"{self._prefix}{len(self.nodes)}", **attributes))
        return output

    def reduced(self, kind: str, value: str, sides: Sequence[int]) -> str:
        """Add a ``ReduceMean`` or ``ReduceMax`` over ``sides``, which are no more there in what comes out."""
        if self.opset >= REDUCES_BY_INPUT:
            return self(kind, value, integers(*sides), keepdims=0)
        return self(kind, value, axes=list(sides), keepdims=0)

    def model(self, graph: Any, prefix: str, values: Mapping[str, str]) -> dict[str, str]:
        """Add all of an ``onnx.GraphProto``, which is changed: each name in it gets a prefix.

        Args:
            graph: of the model.
            prefix: as that of the maker.
            values: what goes in, by the model's own names; those that it does not have are left out.

        Returns:
            The names of what comes out, by the model's own names.
        """
        # In old files constants stand among the inputs as well.
        known = {tensor.name for tensor in graph.initializer} | {each.values.name for each in graph.sparse_initializer}
        inputs = {each.name for each in graph.input} - known
        outputs = {each.name: prefix + each.name for each in graph.output}
        put_prefix(graph, prefix)
        for name, value in values.items():
            if name in inputs:
                self("Identity", value, output=prefix + name)
        self.nodes += graph.node
        self.constants += graph.initializer
        self.sparse += graph.sparse_initializer
        return outputs

    def finished(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """An ``onnx.GraphProto``; inputs and outputs are ``onnx.ValueInfoProto``."""
        from onnx import helper

        return helper.make_graph(self.nodes, name, inputs, outputs, self.constants, sparse_initializer=self.sparse)

    def _constant(self, value: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"{self._prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def integers(*values: int) -> np.ndarray:
    """Numbers as ONNX takes sides, places and sizes: ``(n,)`` int64."""
    return np.array(values, np.int64)


def put_prefix(graph: Any, prefix: str) -> None:
    """Put a prefix before every name in an ``onnx.GraphProto`` and in the graphs within it.

    `onnx.compose.add_prefix` leaves constants alone that a graph within takes from the one around it (onnx 1.23).
    """
    for node in graph.node:
        node.name = _named(prefix, node.name)
        node.input[:] = [_named(prefix, name) for name in node.input]
        node.output[:] = [_named(prefix, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                put_prefix(inner, prefix)
    sparse = [tensor.values for tensor in graph.sparse_initializer]
    for each in (*graph.input, *graph.output, *graph.value_info, *graph.initializer, *sparse):
        each.name = _named(prefix, each.name)


def _named(prefix: str, name: str) -> str:
    return prefix + name if name else ""  # what is left out has no name


def brought_to(opset: int, model: Any, what: str) -> Any:
    """An ``onnx.ModelProto`` in another version of ONNX's operations.

    Args:
        opset: the version.
        model: what is converted.
        what: what it is, for the message.

    Raises:
        UserError: the package onnx cannot do it.
    """
    import onnx

    try:
        return onnx.version_converter.convert_version(model, opset)
    except (RuntimeError, ValueError, onnx.version_converter.ConvertError) as error:
        raise UserError(
            f"`export`: {what} cannot be brought to version {opset} of ONNX's operations ({reason_of(error)}); write "
            f"the network anew with opset {OPSETS[0]} to {OPSETS[1]}"
        ) from None


def reason_of(error: Exception) -> str:
    """What a library says, in one line that is not too long."""
    return " ".join(str(error).split())[:200]
