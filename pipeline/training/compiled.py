"""A head as one compiled function of fixed shape: the calls of stage two that belong to one Keras backend."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]


def compile_head(model: keras.Model) -> Function:
    """Compile a head for inference.

    Returns:
        A function from features ``(batch, L, D)`` float32 and mask ``(batch, L)`` bool to logits
        ``(batch, C)`` float32. Each new batch size compiles once more, so call it with one size.
    """
    return _COMPILERS[keras.backend.backend()](model)


def _tensorflow(model: keras.Model) -> Function:
    import tensorflow as tf

    function = tf.function(lambda x, mask: model([x, mask], training=False), autograph=False)
    return lambda features, mask: function(tf.constant(features), tf.constant(mask)).numpy()


def _jax(model: keras.Model) -> Function:
    import jax

    trainable = [variable.value for variable in model.trainable_variables]
    other = [variable.value for variable in model.non_trainable_variables]
    function = jax.jit(lambda a, b, x, mask: model.stateless_call(a, b, [x, mask], training=False)[0])
    return lambda features, mask: np.asarray(function(trainable, other, features, mask))


def _torch(model: keras.Model) -> Function:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"

    def function(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tensors = [torch.from_numpy(features).to(device), torch.from_numpy(mask).to(device)]
            return model(tensors, training=False).cpu().numpy()

    return function


_COMPILERS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
