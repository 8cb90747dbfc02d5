"""What several heads are built of: masked means, the motion of a window, blocks of a transformer."""

from __future__ import annotations

from typing import Any

from pipeline.lazy import layers, ops
from pipeline.training.heads.spec import HeadSpec

_CELLS = {"lstm": "LSTM", "gru": "GRU", "rnn": "SimpleRNN"}  # classes of keras.layers
POSITIONS = 1024  # rows of the transformer's table; steps beyond share the last one


def pooled(x: Any, mask: Any) -> Any:
    """The mean of a window and its motion, the mean of ``|x[t] - x[t-1]|``, side by side: ``(batch, 2 D)``.

    What changes from frame to frame, and by how much, tells actions apart that look alike on average.
    """
    # Padding is on the right: a pair of steps is real where its second one is.
    motion = masked_mean(ops.absolute(x[:, 1:] - x[:, :-1]), mask[:, 1:])
    return ops.concatenate([masked_mean(x, mask), motion], axis=-1)


def masked_mean(x: Any, mask: Any) -> Any:
    """Mean over the real steps of ``(batch, L, D)``; zeros where there are none."""
    real = as_weights(mask)
    return ops.sum(x * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)


def as_weights(mask: Any) -> Any:
    """The mask as ``(batch, L, 1)`` of 1.0 and 0.0."""
    return ops.expand_dims(ops.cast(mask, "float32"), -1)


def to_logits(x: Any, spec: HeadSpec, classes: int) -> Any:
    """The last layer, after dropout."""
    return layers.Dense(classes)(layers.Dropout(spec.dropout)(x))


def cell(name: str) -> Any:
    """The recurrent layer that a `HeadSpec` calls so."""
    return getattr(layers, _CELLS[name])


def dense_behind(x: Any, spec: HeadSpec) -> Any:
    """Dense layers behind those that read the sequence, each after dropout; none unless widths were given for them."""
    for width in spec.behind:
        x = layers.Dense(width, activation="relu")(layers.Dropout(spec.dropout)(x))
    return x


def encoder_block(x: Any, spec: HeadSpec, sees: Any = None) -> Any:
    """One block of a transformer over ``(batch, L, units)``; ``sees`` is its attention mask ``(batch, 1, L)``."""
    heads = max(1, spec.width // 32)
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    attend = layers.MultiHeadAttention(heads, max(1, spec.width // heads), dropout=spec.dropout)
    x = x + attend(y, y, attention_mask=sees)
    y = layers.Dense(2 * spec.width, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
    return x + layers.Dense(spec.width)(layers.Dropout(spec.dropout)(y))
