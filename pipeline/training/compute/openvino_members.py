"""Several members of one head as one model for OpenVINO: one of them is converted, and the others are its copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.extraction.network.engines.openvino import (
    convert,
    convert_without_values,
    network_of,
    variables_of,
)
from pipeline.lazy import keras, np


def convert_members(members: Sequence[keras.Model], temperature: float) -> Any:
    """An ``openvino.Model`` of what `ensemble.average` makes of the same members.

    Converting that model takes as long for each member as this takes for all of them.

    Args:
        members: of one structure, and with the same mean and variance in their normalisation.
        temperature: divides the logits of each of several.
    """
    if len(members) == 1:
        return convert(members[0])
    from openvino import opset13 as op

    common, names = convert_without_values(members[0])
    count = len(members[0].inputs)
    shared: list[Any] = []
    logits = []
    for member in members:
        copy = common.clone()
        nodes = {node.get_friendly_name(): node for node in copy.get_parameters()}
        found = [nodes.get(name) for name in names]
        if not shared:
            shared = found[:count]
        values = [op.constant(np.asarray(variable)) for variable in variables_of(member)]
        for node, put in zip(found, [*shared, *values], strict=True):
            if node is not None and node is not put:
                node.output(0).replace(put.output(0))
        logits.append(copy.get_results()[0].input_value(0))
    return network_of([op.result(_average(logits, temperature))], shared, "members")


def _average(logits: Sequence[Any], temperature: float) -> Any:
    """The logarithm of the mean of the members' probabilities, ``(n, C)``."""
    from openvino import opset13 as op

    members = op.constant(np.array([1], np.int64))  # the axis
    divisor = op.constant(np.float32(temperature))
    each = [op.unsqueeze(op.log_softmax(op.divide(output, divisor), -1), members) for output in logits]
    logs = op.concat(each, 1)
    highest = op.reduce_max(logs, members, True)
    summed = op.log(op.reduce_sum(op.exp(op.subtract(logs, highest)), members, False))
    return op.subtract(op.add(summed, op.squeeze(highest, members)), op.constant(np.float32(np.log(len(logits)))))
