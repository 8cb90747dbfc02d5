"""A head and its training step as compiled functions of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.training.compute.apply_head import HeadFunction
from pipeline.training.compute.step import cast, loss_and_sums

ERRORS = (MemoryError, tf.errors.ResourceExhaustedError)
"""What a step may raise where memory has run out, among other things."""


class _TracedFunction:
    """A Python function traced once for each set of shapes and types.

    tf.function does the same, but warns of each model that is made and traced, as in cross-validation.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = tf.function(function, autograph=False)
        self._traced: dict[tuple, Any] = {}

    def __call__(self, *arrays: np.ndarray) -> Any:
        key = tuple((array.shape, array.dtype) for array in arrays)
        if key not in self._traced:
            specs = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
            self._traced[key] = self._function.get_concrete_function(*specs)
        return self._traced[key](*[tf.constant(array) for array in arrays])


def compile_head(model: keras.Model) -> HeadFunction:
    """See `backend.compile_head`."""
    function = _TracedFunction(lambda features, mask: model([cast(features, model), mask], training=False))
    return lambda features, mask: function(features, mask).numpy()


class CompiledStep:
    """One training step; see `Step`."""

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        def step(features, mask, targets, weights):
            with tf.GradientTape() as tape:
                loss, sums = loss_and_sums(model([cast(features, model), mask], training=True), targets, weights)
                loss = optimizer.scale_loss(loss)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return sums

        self._function = _TracedFunction(step)

    def __call__(self, features: np.ndarray, mask: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Any:
        return self._function(features, mask, targets, weights)

    def write_back(self) -> None:
        """Variables are always up to date."""

    def reload_variables(self) -> None:
        """Variables are always up to date."""
