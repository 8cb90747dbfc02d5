"""Running a graph that is in the making, as ONNX Runtime does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.inference.export.onnx_graph import GraphMaker


def run_graph(
    made: GraphMaker,
    inputs: dict[str, np.ndarray],
    output: str,
    rank: int,
    *,
    domains: Sequence[str] = (),
    functions: Any = (),
) -> np.ndarray:
    """What ``output``, of ``rank`` sides, is for some inputs; the model is checked first."""
    import onnx
    import onnxruntime
    from onnx import helper

    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim)
        for name, value in inputs.items()
    ]
    graph = made.finished(
        "tried", given, [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [None] * rank)]
    )
    opsets = [helper.make_opsetid("", made.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([output], inputs)[0]
