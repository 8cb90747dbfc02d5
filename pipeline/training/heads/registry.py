"""What can be trained: heads on features and networks on frames, by name. A new one is one function and one line.

The functions are in `sequence_heads` and `video_networks`; `HEADS` has the settings that are used where none are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from pipeline.errors import UserError
from pipeline.extraction.network.backbone import dtype_policy
from pipeline.extraction.network.registry import find_network
from pipeline.extraction.network.weights import WeightsSource
from pipeline.training.heads import sequence_heads, video_networks
from pipeline.training.heads.normalisation import Statistics
from pipeline.training.heads.spec import HeadSpec

Build = Callable[[Any, Any, HeadSpec, int], Any]


@dataclass(frozen=True)
class Head:
    """One line of the registry: a function and the settings that are used where none are given."""

    build: Build
    units: int = 64
    layers: int = 1
    dropout: float = 0.5
    learning_rate: float = 5e-4
    """Learning rate at the start."""
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    takes: tuple[str, ...] = ("units", "layers", "dropout")
    """Which settings make a difference; a published head takes none."""
    any_length: bool = True
    """Whether its weights do not depend on the length of the window."""
    needs: Literal["features", "frames"] = "features"
    """What it is trained on: ``(L, D)`` of a feature store, or ``(L, H, W, 3)`` of a frame cache."""
    optimizer: str = "adam"
    batch: int = 32
    """Windows in a step."""
    base: str | None = None
    pooling: str | None = None
    trainable: int | None = None
    cell: str | None = None
    kernel: int | None = None
    smallest: int = 1
    """The smallest side of a frame in pixels, for networks without a base."""


def head_spec(
    name: str = "gru",
    *,
    units: int | None = None,
    layers: int | None = None,
    dropout: float | None = None,
    bidirectional: bool = True,
    base: str | None = None,
    weights: str | None = None,
    pooling: str | None = None,
    trainable: int | None = None,
    cell: str | None = None,
    kernel: int | None = None,
) -> HeadSpec:
    """A spec whose missing settings are the head's own.

    Raises:
        UserError: there is no such head, or a setting is out of range or not the user's to choose.
    """
    head = _find(name)
    given: dict[str, Any] = {
        "units": units,
        "layers": layers,
        "dropout": dropout,
        "one-way": None if bidirectional else True,
    }
    given |= {"base": base, "weights": weights, "pooling": pooling, "trainable": trainable, "cell": cell}
    given["kernel"] = kernel
    for setting, value in given.items():
        if value is not None and setting not in head.takes:
            raise UserError(f"head {name} takes no `{setting}`; leave it out")

    def chosen(setting: str) -> Any:
        return getattr(head, setting) if given[setting] is None else given[setting]

    source = WeightsSource(weights or "imagenet").absolute() if "weights" in head.takes else None
    return HeadSpec(
        name,
        chosen("units"),
        chosen("layers"),
        chosen("dropout"),
        bidirectional,
        base=find_network(chosen("base")).name if head.base else None,
        weights=source,
        pooling=chosen("pooling"),
        trainable=chosen("trainable"),
        cell=chosen("cell"),
        kernel=chosen("kernel"),
    )


def stored_spec(values: dict[str, Any]) -> HeadSpec:
    """The spec that a checkpoint holds.

    Raises:
        UserError: there is no such head, or a setting is out of range.
    """
    spec = HeadSpec(**values)
    _find(spec.name)
    return spec


def _find(name: str) -> Head:
    if name not in HEADS:
        raise UserError(f"head {name!r} is unknown; expected one of {', '.join(HEADS)}")
    return HEADS[name]


def check_input(spec: HeadSpec, shape: tuple[int, ...], where: str) -> None:
    """Refuse what a head cannot take.

    Args:
        spec: the head.
        shape: of one step: ``(D,)`` features or ``(H, W, 3)`` frames.
        where: the store, for the line.

    Raises:
        UserError: features where frames are needed or the other way round, or frames that are too small.
    """
    head = HEADS[spec.name]
    found = "frames" if len(shape) == 3 else "features"
    if found != head.needs:
        fitting = ", ".join(name for name, other in HEADS.items() if other.needs == found)
        store = (
            "extraction with the backbone frames makes such a store"
            if head.needs == "frames"
            else "extraction with a backbone of keras.applications makes them"
        )
        raise UserError(
            f"head {spec.name} needs {head.needs}, and {where} holds {found}; {store}, or choose a head on "
            f"{found}: {fitting}"
        )
    if found == "features":
        return
    smallest = find_network(spec.base).smallest if spec.base else head.smallest
    if min(shape[:2]) < smallest:
        raise UserError(
            f"frames of {shape[0]}x{shape[1]} are too small for {spec.name}"
            + (f" with the base {spec.base}" if spec.base else "")
            + f": each side needs at least {smallest} pixels; extract frames of another size"
        )


_SIZES = ("units", "layers", "dropout")
_RECURRENT = (*_SIZES, "one-way")
_BASE = ("base", "weights", "pooling", "trainable")
_PUBLISHED: dict[str, Any] = {"weight_decay": 0, "label_smoothing": 0}
_ON_BASE: dict[str, Any] = {"needs": "frames", "base": "mobilenetv2", "pooling": "avg", "trainable": 0, **_PUBLISHED}
_ON_FRAMES: dict[str, Any] = {"needs": "frames", "batch": 8, **_PUBLISHED}

HEADS: dict[str, Head] = {
    "gru": Head(sequence_heads.gru, dropout=0.7, takes=_RECURRENT),
    "lstm": Head(sequence_heads.lstm, dropout=0.7, takes=_RECURRENT),
    "rnn": Head(sequence_heads.rnn, dropout=0.7, takes=_RECURRENT),
    "mean": Head(sequence_heads.mean, takes=("dropout",)),
    "motion": Head(sequence_heads.motion, takes=("dropout",)),
    "mlp": Head(sequence_heads.mlp),
    "concat": Head(sequence_heads.concat, any_length=False),
    "conv1d": Head(sequence_heads.conv1d),
    "attention": Head(sequence_heads.attention),
    "transformer": Head(sequence_heads.transformer, dropout=0.3),
    "keras-example": Head(sequence_heads.keras_example, 16, 2, 0.4, learning_rate=1e-3, takes=(), **_PUBLISHED),
    "apriorit": Head(sequence_heads.apriorit, 2048, 1, 0.5, learning_rate=1e-5, takes=(), **_PUBLISHED),
    "image_cnn": Head(video_networks.image_cnn, 512, learning_rate=1e-3, takes=(*_SIZES, *_BASE), batch=8, **_ON_BASE),
    "concat_frames": Head(
        video_networks.concat_frames,
        256,
        1,
        0.2,
        learning_rate=1e-3,
        takes=(*_SIZES, *_BASE),
        any_length=False,
        batch=8,
        **_ON_BASE,
    ),
    "lrcn": Head(
        video_networks.lrcn,
        128,
        1,
        0.2,
        learning_rate=1e-3,
        takes=(*_SIZES, *_BASE, "cell", "kernel"),
        batch=8,
        cell="lstm",
        kernel=3,
        **_ON_BASE,
    ),
    "timedistributed_convnet": Head(
        video_networks.timedistributed_convnet, learning_rate=1e-3, takes=("units", "dropout"), smallest=8, **_ON_FRAMES
    ),
    "timedistributed_mobilenet": Head(
        video_networks.timedistributed_mobilenet,
        learning_rate=1e-2,
        takes=("units", "dropout", *_BASE),
        optimizer="sgd",
        batch=8,
        **_ON_BASE | {"base": "mobilenet", "pooling": "max", "trainable": 9},
    ),
    "c3d": Head(video_networks.c3d, 4096, 2, learning_rate=1e-4, takes=("units", "dropout"), smallest=16, **_ON_FRAMES),
    "c3d_small": Head(
        video_networks.c3d_small, 128, learning_rate=1e-3, takes=("units", "dropout"), smallest=16, **_ON_FRAMES
    ),
    "video_transformer": Head(video_networks.video_transformer, 128, 2, 0.1, smallest=32, **_ON_FRAMES),
}


# -- the model -------------------------------------------------------------------------------------


def build_model(
    spec: HeadSpec,
    *,
    length: int,
    shape: tuple[int, ...],
    classes: int,
    statistics: Statistics | None = None,
    pretrained: bool = True,
    policy: str = "float32",
) -> keras.Model:
    """A model from features or frames and mask to logits.

    Args:
        spec: the head.
        length: steps in a window.
        shape: of one step: ``(D,)`` features or ``(H, W, 3)`` frames.
        classes: how many.
        statistics: of the training windows, kept in the model; None where weights are loaded afterwards.
        pretrained: whether a base gets its weights; False where they are loaded afterwards.
        policy: Keras dtype policy of a network on frames, such as ``mixed_bfloat16``; weights stay float32.

    Returns:
        A model of inputs ``features (batch, length, D)`` float32, or ``frames (batch, length, H, W, 3)`` uint8, and
        ``mask (batch, length)`` bool, and of output ``(batch, classes)`` float32: logits, whose softmax are
        probabilities.

    Raises:
        UserError: the base's weights cannot be had.
    """
    head = HEADS[spec.name]
    mask = keras.Input((length,), name="mask", dtype="bool")
    name = spec.name.replace("-", "_")
    if head.needs == "frames":
        with dtype_policy(policy):
            frames = keras.Input((length, *shape), name="frames", dtype="uint8")
            logits = head.build(frames, mask, spec if pretrained else replace(spec, weights=None), classes)
            return keras.Model([frames, mask], ops.cast(logits, "float32"), name=name)
    features = keras.Input((length, *shape), name="features", dtype="float32")
    model = keras.Model([features, mask], head.build(features, mask, spec, classes), name=name)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization) and statistics is not None:
            mean, variance = statistics[layer.name]
            layer.set_weights([mean, variance, np.zeros((), "int32")])
            layer.finalize_state()
    return model
