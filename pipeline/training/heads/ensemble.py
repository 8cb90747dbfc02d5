"""Several members of one head as one model, which averages their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.lazy import keras, ops
from pipeline.training.compute.apply_head import log_softmax
from pipeline.training.heads.registry import build_model
from pipeline.training.heads.spec import HeadSpec


def build_members(spec: HeadSpec, count: int, *, seeds: Sequence[int] = (), **same: Any) -> list[keras.Model]:
    """Models of one head that differ in their first weights.

    Args:
        spec: the head.
        count: how many.
        seeds: of each; none where weights are loaded afterwards.
        same: what else `build_model` takes.
    """
    members = []
    for number in range(count):
        if seeds:
            keras.utils.set_random_seed(seeds[number])
        members.append(build_model(spec, number=number + 1 if count > 1 else 0, **same))
    return members


def average(members: Sequence[keras.Model], temperature: float = 1.0) -> keras.Model:
    """One model whose output is the logarithm of the mean of the members' probabilities; a single one as it is.

    It holds layers and operations of Keras only, so that it is saved, loaded and exported like any other.

    Args:
        members: to be averaged.
        temperature: divides the logits of each of several. It is found on what single members say, so it belongs to
            them: divided afterwards, the mean, which is less sure than they are, would be brought down twice.
    """
    if len(members) == 1:
        return members[0]
    inputs = [keras.Input(tensor.shape[1:], name=tensor.name, dtype=tensor.dtype) for tensor in members[0].inputs]
    logs = ops.stack([ops.log_softmax(member(inputs) / temperature) for member in members], axis=1)
    # Not ops.logsumexp, whose test for infinite values has no counterpart in LiteRT.
    highest = ops.max(logs, axis=1, keepdims=True)
    summed = ops.log(ops.sum(ops.exp(logs - highest), axis=1)) + highest[:, 0]
    return keras.Model(inputs, summed - float(np.log(len(members))), name="members")


def average_logits(logits: Sequence[np.ndarray], temperature: float = 1.0) -> np.ndarray:
    """What `average` computes, ``(m, C)`` float32, of the logits of each member."""
    if len(logits) == 1:
        return logits[0]
    logs = log_softmax(np.stack(logits).astype(np.float64) / temperature)
    highest = logs.max(axis=0)
    return (np.log(np.exp(logs - highest).mean(axis=0)) + highest).astype(np.float32)
