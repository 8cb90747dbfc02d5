"""A head and its training step as compiled functions of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.training.compute.apply_head import HeadFunction
from pipeline.training.compute.memory_probe import peak_of_graph
from pipeline.training.compute.step import cast, loss_and_sums
from pipeline.training.compute.wide_matmul import Product, taken_by

ERRORS = (MemoryError, tf.errors.ResourceExhaustedError)
"""What a step may raise where memory has run out, among other things."""


class _TracedFunction:
    """A Python function traced once for each set of shapes and types.

    tf.function does the same, but warns of each model that is made and traced, as in cross-validation.
    """

    def __init__(self, function: Callable[..., Any], *, jit: bool = False) -> None:
        self._function = tf.function(function, jit_compile=jit, autograph=False)
        self._traced: dict[tuple, Any] = {}

    def __call__(self, *arrays: np.ndarray) -> Any:
        return self.trace(*arrays)(*[tf.constant(array) for array in arrays])

    def trace(self, *arrays: np.ndarray) -> Any:
        """The function for such arrays."""
        key = tuple((array.shape, array.dtype) for array in arrays)
        if key not in self._traced:
            specs = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
            self._traced[key] = self._function.get_concrete_function(*specs)
        return self._traced[key]


def compile_head(model: keras.Model) -> HeadFunction:
    """See `backend.compile_head`."""
    function = _TracedFunction(lambda features, mask: model([cast(features, model), mask], training=False))
    return lambda features, mask: function(features, mask).numpy()


def _product() -> Product | None:
    """A matrix product whose gradient XLA computes quickly on processors; None where something else computes."""
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    if tf.config.list_physical_devices("GPU"):
        return None

    @tf.custom_gradient
    def product(features: Any, kernel: Any) -> Any:
        rows = tf.reshape(features, (-1, features.shape[-1]))

        def backward(gradient: Any) -> tuple[Any, Any]:
            gradients = tf.reshape(gradient, (-1, gradient.shape[-1]))
            # Without the barrier XLA would turn the product round again.
            (turned,) = gen_xla_ops.xla_optimization_barrier([tf.matmul(gradients, rows, transpose_a=True)])
            back = tf.matmul(gradients, kernel, transpose_b=True)
            return tf.reshape(back, features.shape), tf.transpose(turned)

        result = tf.matmul(rows, kernel)
        return tf.reshape(result, (*features.shape[:-1], kernel.shape[-1])), backward

    return product


class CompiledStep:
    """One training step; see `Step`."""

    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, jit: bool) -> None:
        # Without XLA TensorFlow's own kernels are as quick either way.
        product = _product() if jit else None

        def step(features, mask, targets, weights):
            with tf.GradientTape() as tape, taken_by(product, model):
                loss, sums = loss_and_sums(model([cast(features, model), mask], training=True), targets, weights)
                loss = optimizer.scale_loss(loss)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return sums

        self._function = _TracedFunction(step, jit=jit)

    def __call__(self, features: np.ndarray, mask: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Any:
        return self._function(features, mask, targets, weights)

    def bytes_needed(self, *arrays: np.ndarray) -> int:
        # The memory of a GPU is another one, and running out of it raises an error.
        return 0 if tf.config.list_physical_devices("GPU") else peak_of_graph(self._function.trace(*arrays).graph)

    def write_back(self) -> None:
        """Variables are always up to date."""

    def reload_variables(self) -> None:
        """Variables are always up to date."""
