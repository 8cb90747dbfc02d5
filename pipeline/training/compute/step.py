"""One training step as all backends have it: what it takes, what it returns, and the loss."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from pipeline.lazy import keras


class Step(Protocol):
    """One compiled training step, which changes the model's weights."""

    def __call__(self, features: np.ndarray, mask: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Any:
        """Learn from a batch.

        Args:
            features: ``(batch, L, D)`` float16 or float32.
            mask: ``(batch, L)`` bool.
            targets: ``(batch, C)`` float32 probabilities.
            weights: ``(batch,)`` float32; 0 for rows that only fill the batch up.

        Returns:
            A backend's array of 3: summed weighted loss, summed weight, summed weight of right predictions. It is
            not waited for, so that the next batch can be gathered meanwhile.
        """

    def write_back(self) -> None:
        """Bring model and optimizer up to date; call it before their variables are read."""

    def reload_variables(self) -> None:
        """Take over variables that were changed from outside."""


def cast(features: Any, model: keras.Model) -> Any:
    """Features arrive in the type of the store: NumPy takes ten times longer to widen float16 than a backend."""
    return keras.ops.cast(features, model.inputs[0].dtype)


def loss_and_sums(logits: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    """Mean loss of the batch, and the three sums that `Step` returns."""
    ops = keras.ops
    losses = ops.categorical_crossentropy(targets, logits, from_logits=True) * weights
    right = ops.cast(ops.argmax(logits, axis=-1) == ops.argmax(targets, axis=-1), "float32") * weights
    total, weight = ops.sum(losses), ops.sum(weights)
    return total / ops.maximum(weight, 1e-6), ops.stack([total, weight, ops.sum(right)])
