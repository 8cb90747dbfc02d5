"""A head and its training step as compiled functions of JAX."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np

from pipeline.training.compute.apply_head import HeadFunction
from pipeline.training.compute.devices import share_out
from pipeline.training.compute.step import cast, loss_and_sums

ERRORS = (MemoryError, jax.errors.JaxRuntimeError)
"""What a step may raise where memory has run out, among other things."""


def compile_head(model: keras.Model) -> HeadFunction:
    """See `backend.compile_head`."""
    compiled = jax.jit(lambda a, b, x, mask: model.stateless_call(a, b, [cast(x, model), mask], training=False)[0])

    def function(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        # Read at each call: the model may have been trained further since the last one.
        trainable = [variable.value for variable in model.trainable_variables]
        other = [variable.value for variable in model.non_trainable_variables]
        return np.asarray(compiled(trainable, other, *share_out(features, mask)))

    return function


class CompiledStep:
    """One training step; see `Step`."""

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        def loss(trainable, other, features, mask, targets, weights):
            logits, other = model.stateless_call(trainable, other, [cast(features, model), mask], training=True)
            value, sums = loss_and_sums(logits, targets, weights)
            return value, (sums, other)

        def step(state, features, mask, targets, weights):
            trainable, other, memory = state
            (_, (sums, other)), gradients = jax.value_and_grad(loss, has_aux=True)(
                trainable, other, features, mask, targets, weights
            )
            trainable, memory = optimizer.stateless_apply(memory, gradients, trainable)
            return (trainable, other, memory), sums

        self._function = jax.jit(step)
        self._variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        self.reload_variables()

    def __call__(self, features: np.ndarray, mask: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Any:
        self._state: Any
        self._state, sums = self._function(self._state, *share_out(features, mask, targets, weights))
        return sums

    def write_back(self) -> None:
        for variables, values in zip(self._variables, self._state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def reload_variables(self) -> None:
        self._state = tuple([variable.value for variable in variables] for variables in self._variables)
