"""Heads: masked sequence classifiers. A new one is one function and one line in `HEADS`.

A head's function takes the features ``(batch, L, D)``, the mask ``(batch, L)``, its `HeadSpec` and the
number of classes, and returns logits ``(batch, classes)``. Everything in it is a Keras layer or operation, so that
a saved model holds no code. The mask goes to every layer that takes one: Keras before 3.11 dropped it after the
first recurrent layer (https://github.com/keras-team/keras/issues/21449).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pipeline.errors import UserError
from pipeline.training.dataset import Windows

FRAMES, POOLED = "frames", "pooled"  # names of the normalisation layers
POSITIONS = 1024  # rows of the transformer's table; steps beyond share the last one
Statistics = dict[str, tuple[np.ndarray, np.ndarray]]  # mean and variance by the layer's name
Build = Callable[[Any, Any, "HeadSpec", int], Any]


@dataclass(frozen=True)
class Head:
    """One line of the registry: a function and the settings that are used where none are given."""

    build: Build
    units: int = 64
    layers: int = 1
    dropout: float = 0.5
    rate: float = 5e-4
    """Learning rate of Adam."""
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    takes: tuple[str, ...] = ("units", "layers", "dropout")
    """Which settings make a difference; a published head takes none."""
    any_length: bool = True
    """Whether its weights do not depend on the length of the window."""
    jit: bool = False
    """Whether XLA compiles it for TensorFlow: faster for narrow recurrent layers, far slower for wide ones."""


@dataclass(frozen=True)
class HeadSpec:
    """A head with its settings; `head_spec` fills in what is not given."""

    name: str
    units: int
    """Width of the hidden layers."""
    layers: int
    """How many layers are stacked."""
    dropout: float
    bidirectional: bool = True
    """Whether recurrent layers read the window from both ends."""

    def __post_init__(self) -> None:
        if self.name not in HEADS:
            raise UserError(f"head {self.name!r} is unknown; expected one of {', '.join(HEADS)}")
        if self.units < 1:
            raise UserError(f"--units {self.units}: expected 1 or more")
        if not 1 <= self.layers <= 4:
            raise UserError(f"--layers {self.layers}: expected 1 to 4")
        if not 0 <= self.dropout < 1:
            raise UserError(f"--dropout {self.dropout:g}: expected 0 or more and less than 1")


def head_spec(
    name: str = "gru",
    *,
    units: int | None = None,
    layers: int | None = None,
    dropout: float | None = None,
    bidirectional: bool = True,
) -> HeadSpec:
    """A spec whose missing settings are the head's own.

    Raises:
        UserError: there is no such head, or a setting is out of range or not the user's to choose.
    """
    head = HEADS.get(name)
    if head is None:
        raise UserError(f"head {name!r} is unknown; expected one of {', '.join(HEADS)}")
    given = {"units": units, "layers": layers, "dropout": dropout, "one-way": None if bidirectional else True}
    for setting, value in given.items():
        if value is not None and setting not in head.takes:
            raise UserError(f"head {name} takes no --{setting}; leave it out")
    return HeadSpec(
        name,
        head.units if units is None else units,
        head.layers if layers is None else layers,
        head.dropout if dropout is None else dropout,
        bidirectional,
    )


# -- parts -----------------------------------------------------------------------------------------


def pooled(x: Any, mask: Any) -> Any:
    """The mean of a window and its motion, the mean of ``|x[t] - x[t-1]|``, side by side: ``(batch, 2 D)``.

    What changes from frame to frame, and by how much, tells actions apart that look alike on average.
    """
    # Padding is on the right: a pair of steps is real where its second one is.
    motion = masked_mean(ops.absolute(x[:, 1:] - x[:, :-1]), mask[:, 1:])
    return ops.concatenate([masked_mean(x, mask), motion], axis=-1)


def masked_mean(x: Any, mask: Any) -> Any:
    """Mean over the real steps of ``(batch, L, D)``; zeros where there are none."""
    real = _real(mask)
    return ops.sum(x * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)


def _real(mask: Any) -> Any:
    """The mask as ``(batch, L, 1)`` of 1.0 and 0.0."""
    return ops.expand_dims(ops.cast(mask, "float32"), -1)


def _project(x: Any, spec: HeadSpec) -> Any:
    """Normalised features, some of them dropped for the whole window, brought down to the width of the head."""
    x = layers.SpatialDropout1D(spec.dropout)(layers.Normalization(name=FRAMES)(x))
    return layers.Dense(spec.units, activation="relu")(x)


def _logits(x: Any, spec: HeadSpec, classes: int) -> Any:
    return layers.Dense(classes)(layers.Dropout(spec.dropout)(x))


# -- heads -----------------------------------------------------------------------------------------


def mean(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Logistic regression on the mean of the window."""
    return _logits(masked_mean(layers.Normalization(name=FRAMES)(x), mask), spec, classes)


def motion(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Logistic regression on the mean and the motion of the window; see `pooled`."""
    return _logits(layers.Normalization(name=POOLED)(pooled(x, mask)), spec, classes)


def mlp(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A classifier of single frames, whose probabilities are averaged over the real ones."""
    x = _project(x, spec)
    for _ in range(spec.layers - 1):
        x = layers.Dense(spec.units, activation="relu")(layers.Dropout(spec.dropout)(x))
    probabilities = masked_mean(layers.Softmax()(_logits(x, spec, classes)), mask)
    return ops.log(ops.maximum(probabilities, 1e-7))


def concat(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A classifier of all frames side by side."""
    x = layers.Flatten()(_project(x, spec) * _real(mask))
    for _ in range(spec.layers):
        x = layers.Dense(spec.units, activation="relu")(layers.Dropout(spec.dropout)(x))
    return _logits(x, spec, classes)


def _recurrent(x: Any, mask: Any, spec: HeadSpec, classes: int, layer: type) -> Any:
    """Read the sequence; beside it stands what does not depend on the order."""
    whole = layers.Normalization(name=POOLED)(pooled(x, mask))
    whole = layers.Dense(spec.units)(layers.Dropout(spec.dropout)(whole))
    x = _project(x, spec)
    for _ in range(spec.layers):
        if spec.bidirectional:
            x = layers.Bidirectional(layer(max(1, spec.units // 2), return_sequences=True))(x, mask=mask)
        else:
            x = layer(spec.units, return_sequences=True)(x, mask=mask)
    return _logits(layers.Concatenate()([masked_mean(x, mask), whole]), spec, classes)


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
    """Convolutions over time, three steps wide; padding is zeroed before each, as beyond the ends of a window."""
    x = _project(x, spec)
    for _ in range(spec.layers):
        x = layers.Conv1D(spec.units, 3, padding="same", activation="relu")(x * _real(mask))
        x = layers.Dropout(spec.dropout)(x)
    return _logits(masked_mean(x, mask), spec, classes)


def attention(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A weighted mean of the frames, with weights that are learnt. Source: Ilse et al. 2018,
    https://arxiv.org/abs/1802.04712"""
    x = _project(x, spec)
    for _ in range(spec.layers - 1):
        x = layers.Dense(spec.units, activation="relu")(layers.Dropout(spec.dropout)(x))
    scores = layers.Dense(1)(layers.Dense(spec.units, activation="tanh")(x))
    weights = layers.Softmax(axis=1)(scores, mask=ops.expand_dims(mask, -1))
    return _logits(ops.sum(x * weights, axis=1), spec, classes)


def transformer(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Encoder blocks with the normalisation first. Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762;
    Xiong et al. 2020, https://arxiv.org/abs/2002.04745"""
    x = _project(x, spec)
    # Positions count the real steps; a table of their embeddings is learnt.
    positions = ops.cumsum(ops.cast(mask, "int32"), axis=1)
    x = x + layers.Embedding(POSITIONS, spec.units)(ops.minimum(positions, POSITIONS - 1))
    heads = max(1, spec.units // 32)
    sees = ops.expand_dims(mask, 1)
    for _ in range(spec.layers):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        attend = layers.MultiHeadAttention(heads, max(1, spec.units // heads), dropout=spec.dropout)
        x = x + attend(y, y, attention_mask=sees)
        y = layers.Dense(2 * spec.units, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
        x = x + layers.Dense(spec.units)(layers.Dropout(spec.dropout)(y))
    return _logits(masked_mean(layers.LayerNormalization(epsilon=1e-6)(x), mask), spec, classes)


def keras_example(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """As published, with the mask for both layers. Source: https://keras.io/examples/vision/video_classification/"""
    x = layers.GRU(16, return_sequences=True)(x, mask=mask)
    x = layers.Dropout(0.4)(layers.GRU(8)(x, mask=mask))
    return layers.Dense(classes)(layers.Dense(8, activation="relu")(x))


def apriorit(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """As published. Source: https://github.com/harvitronix/five-video-classification-methods"""
    x = layers.Dropout(0.5)(layers.LSTM(2048)(x, mask=mask))
    return layers.Dense(classes)(layers.Dropout(0.5)(layers.Dense(512, activation="relu")(x)))


_RECURRENT = ("units", "layers", "dropout", "one-way")

HEADS: dict[str, Head] = {
    "gru": Head(gru, dropout=0.7, takes=_RECURRENT),
    "lstm": Head(lstm, dropout=0.7, takes=_RECURRENT),
    "rnn": Head(rnn, dropout=0.7, takes=_RECURRENT),
    "mean": Head(mean, takes=("dropout",)),
    "motion": Head(motion, takes=("dropout",)),
    "mlp": Head(mlp),
    "concat": Head(concat, any_length=False),
    "conv1d": Head(conv1d),
    "attention": Head(attention),
    "transformer": Head(transformer, dropout=0.3),
    "keras-example": Head(keras_example, 16, 2, 0.4, rate=1e-3, weight_decay=0, label_smoothing=0, takes=(), jit=True),
    "apriorit": Head(apriorit, 2048, 1, 0.5, rate=1e-5, weight_decay=0, label_smoothing=0, takes=()),
}


# -- the model -------------------------------------------------------------------------------------


def build_model(
    spec: HeadSpec, *, length: int, dimensions: int, classes: int, statistics: Statistics | None = None
) -> keras.Model:
    """A model from features and mask to logits.

    Args:
        spec: the head.
        length: steps in a window.
        dimensions: length D of a feature vector.
        classes: how many.
        statistics: of the training windows, kept in the model; None where weights are loaded afterwards.

    Returns:
        A model of inputs ``features (batch, length, D)`` float32 and ``mask (batch, length)`` bool, and of output
        ``(batch, classes)`` float32: logits, whose softmax are probabilities.
    """
    features = keras.Input((length, dimensions), name="features", dtype="float32")
    mask = keras.Input((length,), name="mask", dtype="bool")
    logits = HEADS[spec.name].build(features, mask, spec, classes)
    model = keras.Model([features, mask], logits, name=spec.name.replace("-", "_"))
    for layer in model.layers:
        if isinstance(layer, layers.Normalization) and statistics is not None:
            mean, variance = statistics[layer.name]
            layer.set_weights([mean, variance, np.zeros((), "int32")])
            layer.finalize_state()
    return model


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of logits ``(..., C)`` divided by ``temperature``, float32."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    powers = np.exp(scaled)
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def statistics_of(windows: Windows) -> Statistics:
    """Mean and variance of the training windows: of their real steps, and of what `pooled` makes of them.

    Returns:
        Arrays ``(D,)`` and ``(2 D,)`` float32. A variance is kept off zero: a feature that is constant in
        training would otherwise turn the rounding errors of float16 into values of thousands at inference.
    """
    frames, whole = _Moments(windows.data.dimensions), _Moments(2 * windows.data.dimensions)
    for _, block, block_mask in windows.blocks():
        for start in range(0, len(block), 64):  # what follows takes many times the memory of float16
            features, mask = block[start : start + 64].astype(np.float32), block_mask[start : start + 64]
            frames.add(features[mask])
            pairs = np.abs(features[:, 1:] - features[:, :-1]) * mask[:, 1:, None]
            count = mask.sum(axis=1, keepdims=True)
            whole.add(np.hstack([features.sum(axis=1) / count, pairs.sum(axis=1) / np.maximum(1, count - 1)]))
    return {FRAMES: frames.result(), POOLED: whole.result()}


class _Moments:
    """Mean and variance of rows that arrive in pieces."""

    def __init__(self, dimensions: int) -> None:
        self._count = 0
        self._sum, self._squares = np.zeros(dimensions), np.zeros(dimensions)

    def add(self, rows: np.ndarray) -> None:
        self._count += len(rows)
        self._sum += rows.sum(axis=0, dtype=np.float64)
        self._squares += np.square(rows, dtype=np.float64).sum(axis=0)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        mean = self._sum / max(1, self._count)
        variance = self._squares / max(1, self._count) - np.square(mean)
        return mean.astype(np.float32), floor_variance(variance, mean)


def floor_variance(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """``(D,)`` float32 variances, none smaller than float16 can resolve or than a hundredth of the usual one."""
    alive = variance[variance > 1e-6 * np.square(mean) + 1e-12]
    usual = float(np.median(alive)) if len(alive) else 1.0
    return np.maximum(variance, np.maximum(1e-2 * usual, np.square(1e-3 * mean))).astype(np.float32)
