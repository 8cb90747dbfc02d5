"""Heads on features: masked classifiers of a sequence of vectors, each one function.

A function takes the features ``(batch, L, D)``, the mask ``(batch, L)``, its `HeadSpec` and the number of classes,
and returns logits ``(batch, classes)``. Everything in it is a Keras layer or operation, so that a saved model holds
no code. The mask goes to every layer that takes one: Keras before 3.11 dropped it after the first recurrent layer
(https://github.com/keras-team/keras/issues/21449).
"""

from __future__ import annotations

from typing import Any

from pipeline.lazy import layers, ops
from pipeline.training.heads.layers import (
    POSITIONS,
    as_weights,
    cell,
    dense_behind,
    encoder_block,
    masked_mean,
    pooled,
    to_logits,
)
from pipeline.training.heads.normalisation import FRAME_NORM, POOLED_NORM
from pipeline.training.heads.spec import HeadSpec


def _project(x: Any, spec: HeadSpec) -> Any:
    """Normalised features, some of them dropped for the whole window, brought down to the width of the head."""
    x = layers.SpatialDropout1D(spec.dropout)(layers.Normalization(name=FRAME_NORM)(x))
    return layers.Dense(spec.width, activation="relu")(x)


def mean(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Logistic regression on the mean of the window."""
    return to_logits(masked_mean(layers.Normalization(name=FRAME_NORM)(x), mask), spec, classes)


def motion(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Logistic regression on the mean and the motion of the window; see `layers.pooled`."""
    return to_logits(layers.Normalization(name=POOLED_NORM)(pooled(x, mask)), spec, classes)


def mlp(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A classifier of single frames, whose probabilities are averaged over the real ones."""
    x = _project(x, spec)
    for width in spec.widths[1:]:
        x = layers.Dense(width, activation="relu")(layers.Dropout(spec.dropout)(x))
    probabilities = masked_mean(layers.Softmax()(to_logits(x, spec, classes)), mask)
    return ops.log(ops.maximum(probabilities, 1e-7))


def concat(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A classifier of all frames side by side."""
    x = layers.Flatten()(_project(x, spec) * as_weights(mask))
    for width in spec.widths:
        x = layers.Dense(width, activation="relu")(layers.Dropout(spec.dropout)(x))
    return to_logits(x, spec, classes)


def _recurrent(x: Any, mask: Any, spec: HeadSpec, classes: int, layer: type) -> Any:
    """Read the sequence; beside it stands what does not depend on the order."""
    whole = layers.Normalization(name=POOLED_NORM)(pooled(x, mask))
    whole = layers.Dense(spec.width)(layers.Dropout(spec.dropout)(whole))
    x = _project(x, spec)
    for width in spec.widths:
        if spec.bidirectional:
            x = layers.Bidirectional(layer(max(1, width // 2), return_sequences=True))(x, mask=mask)
        else:
            x = layer(width, return_sequences=True)(x, mask=mask)
    x = layers.Concatenate()([masked_mean(x, mask), whole])
    return to_logits(dense_behind(x, spec), spec, classes)


def gru(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Gated recurrent units. Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078"""
    return _recurrent(x, mask, spec, classes, layers.GRU)


def lstm(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Long short-term memory. Source: Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735"""
    return _recurrent(x, mask, spec, classes, layers.LSTM)


def rnn(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Plain recurrent units. Source: Elman 1990, doi:10.1207/s15516709cog1402_1"""
    return _recurrent(x, mask, spec, classes, layers.SimpleRNN)


def conv1d(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Convolutions over time; padding is zeroed before each, as beyond the ends of a window."""
    x = _project(x, spec)
    for width in spec.widths:
        x = layers.Conv1D(width, spec.kernel or 3, padding="same", activation="relu")(x * as_weights(mask))
        x = layers.Dropout(spec.dropout)(x)
    return to_logits(dense_behind(masked_mean(x, mask), spec), spec, classes)


def attention(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A weighted mean of the frames, with weights that are learnt. Source: Ilse et al. 2018,
    https://arxiv.org/abs/1802.04712"""
    x = _project(x, spec)
    for _ in range(spec.layers - 1):
        x = layers.Dense(spec.width, activation="relu")(layers.Dropout(spec.dropout)(x))
    scores = layers.Dense(1)(layers.Dense(spec.width, activation="tanh")(x))
    weights = layers.Softmax(axis=1)(scores, mask=ops.expand_dims(mask, -1))
    return to_logits(ops.sum(x * weights, axis=1), spec, classes)


def transformer(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Encoder blocks with the normalisation first. Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762;
    Xiong et al. 2020, https://arxiv.org/abs/2002.04745"""
    x = _project(x, spec)
    # Positions count the real steps; a table of their embeddings is learnt.
    positions = ops.cumsum(ops.cast(mask, "int32"), axis=1)
    x = x + layers.Embedding(POSITIONS, spec.width)(ops.minimum(positions, POSITIONS - 1))
    for _ in range(spec.layers):
        x = encoder_block(x, spec, sees=ops.expand_dims(mask, 1))
    return to_logits(masked_mean(layers.LayerNormalization(epsilon=1e-6)(x), mask), spec, classes)


def keras_example(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """As published; with ``mask_of`` all, the mask reaches both layers.

    Source: https://keras.io/examples/vision/video_classification/
    """
    x = layers.GRU(16, return_sequences=True)(x, mask=mask)
    if spec.mask_of == "first":
        x = ops.copy(x)  # an operation hands no mask on
        x = layers.Dropout(0.4)(layers.GRU(8)(x))
    else:
        x = layers.Dropout(0.4)(layers.GRU(8)(x, mask=mask))
    return layers.Dense(classes)(layers.Dense(8, activation="relu")(x))


def apriorit(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """As published. Source: https://github.com/harvitronix/five-video-classification-methods"""
    x = layers.Dropout(0.5)(layers.LSTM(2048)(x, mask=mask))
    return layers.Dense(classes)(layers.Dropout(0.5)(layers.Dense(512, activation="relu")(x)))


def ecology_lrcnn(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """The published recurrent network on the features of a frozen one: it reads forwards, and its last output counts.

    Convolutions over time see whole neighbourhoods only, and what they make of every place is laid side by side.

    Source: https://github.com/alxcnwy/Deep-Neural-Networks-for-Video-Classification
    """
    for place, width in enumerate(spec.widths):
        if spec.cell == "conv1d":
            x = layers.Conv1D(width, spec.kernel)(x * as_weights(mask) if place == 0 else x)
        else:
            last = place + 1 == spec.layers
            x = cell(spec.cell or "lstm")(width, return_sequences=not last, dropout=spec.dropout)(x, mask=mask)
    x = layers.Flatten()(x) if spec.cell == "conv1d" else x
    return to_logits(dense_behind(x, spec), spec, classes)
