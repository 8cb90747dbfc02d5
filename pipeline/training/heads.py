"""Heads: masked sequence classifiers. A new one is one function and one line in `HEADS`.

A head's function takes the normalised features ``(batch, L, D)``, the mask ``(batch, L)``, its `HeadSpec` and the
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
from keras import layers

from pipeline.errors import UserError

Build = Callable[[Any, Any, "HeadSpec", int], Any]


@dataclass(frozen=True)
class Head:
    """One line of the registry: a function and the settings that are used where none are given."""

    build: Build
    units: int = 128
    layers: int = 1
    dropout: float = 0.5
    normalised: bool = True
    """Whether features are normalised before they reach the function; published heads see raw features."""
    rate: float = 1e-3
    """Learning rate of Adam."""


@dataclass(frozen=True)
class HeadSpec:
    """A head with its settings; `head_spec` fills in what is not given."""

    name: str
    units: int
    """Width of the hidden layers."""
    layers: int
    """How many layers are stacked."""
    dropout: float

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
    name: str = "gru", *, units: int | None = None, layers: int | None = None, dropout: float | None = None
) -> HeadSpec:
    """A spec whose missing settings are the head's own.

    Raises:
        UserError: there is no such head, or a setting is out of range.
    """
    head = HEADS.get(name)
    if head is None:
        raise UserError(f"head {name!r} is unknown; expected one of {', '.join(HEADS)}")
    return HeadSpec(
        name,
        head.units if units is None else units,
        head.layers if layers is None else layers,
        head.dropout if dropout is None else dropout,
    )


# -- the heads -------------------------------------------------------------------------------------


def _recurrent(x: Any, mask: Any, spec: HeadSpec, classes: int, layer: type) -> Any:
    """Project, read the sequence in both directions, average the states of the real steps."""
    x = layers.Dropout(spec.dropout)(x)
    x = layers.Dense(spec.units, activation="relu")(x)
    for _ in range(spec.layers):
        x = layers.Dropout(spec.dropout)(x)
        x = layers.Bidirectional(layer(spec.units // 2 or 1, return_sequences=True))(x, mask=mask)
    x = layers.GlobalAveragePooling1D()(x, mask=mask)
    return layers.Dense(classes)(layers.Dropout(spec.dropout)(x))


def gru(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Bidirectional gated recurrent units. Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078"""
    return _recurrent(x, mask, spec, classes, layers.GRU)


def lstm(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Bidirectional long short-term memory. Source: Hochreiter and Schmidhuber 1997."""
    return _recurrent(x, mask, spec, classes, layers.LSTM)


HEADS: dict[str, Head] = {
    "gru": Head(gru),
    "lstm": Head(lstm),
}


# -- the model -------------------------------------------------------------------------------------


def build_model(
    spec: HeadSpec, *, length: int, dimensions: int, classes: int, mean: np.ndarray, variance: np.ndarray
) -> keras.Model:
    """A model from features and mask to logits.

    Args:
        spec: the head.
        length: steps in a window.
        dimensions: length D of a feature vector.
        classes: how many.
        mean: ``(D,)`` of the training windows' real steps.
        variance: ``(D,)`` likewise, above 0; see `statistics`.

    Returns:
        A model of inputs ``features (batch, length, D)`` float32 and ``mask (batch, length)`` bool, and of output
        ``(batch, classes)`` float32: logits, whose softmax are probabilities.
    """
    features = keras.Input((length, dimensions), name="features", dtype="float32")
    mask = keras.Input((length,), name="mask", dtype="bool")
    x: Any = features
    if HEADS[spec.name].normalised:
        normalisation = layers.Normalization(axis=-1)
        x = normalisation(x)
        normalisation.set_weights([mean.astype(np.float32), variance.astype(np.float32), np.zeros((), "int32")])
        normalisation.finalize_state()
    logits = HEADS[spec.name].build(x, mask, spec, classes)
    return keras.Model([features, mask], logits, name=spec.name.replace("-", "_"))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of logits ``(..., C)`` divided by ``temperature``, float32."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    powers = np.exp(scaled)
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def statistics(features: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of every feature over the real steps.

    Args:
        features: ``(n, L, D)``.
        mask: ``(n, L)`` bool.

    Returns:
        Two arrays ``(D,)`` float32. The variance is kept off zero: a feature that is constant in training
        would otherwise turn the rounding errors of float16 into values of thousands at inference.
    """
    total = np.zeros(features.shape[2], np.float64)
    squares = np.zeros_like(total)
    steps = 0
    for start in range(0, len(features), 256):
        real = features[start : start + 256][mask[start : start + 256]].astype(np.float64)
        total += real.sum(axis=0)
        squares += np.square(real).sum(axis=0)
        steps += len(real)
    mean = total / max(1, steps)
    return mean.astype(np.float32), floor_variance(squares / max(1, steps) - np.square(mean), mean)


def floor_variance(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """``(D,)`` float32 variances, none smaller than float16 can resolve or than a hundredth of the usual one."""
    alive = variance[variance > 1e-6 * np.square(mean) + 1e-12]
    usual = float(np.median(alive)) if len(alive) else 1.0
    return np.maximum(variance, np.maximum(1e-2 * usual, np.square(1e-3 * mean))).astype(np.float32)
