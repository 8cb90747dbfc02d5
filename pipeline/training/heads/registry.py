"""What can be trained: heads on features and networks on frames, by name. A new one is one function and one line.

The functions are in `sequence_heads` and `video_networks`; `HEADS` has the settings that are used where none are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from pipeline.errors import UserError
from pipeline.extraction.network.registry import find_network
from pipeline.extraction.network.weights import WeightsSource
from pipeline.files.guard.reading import record
from pipeline.lazy import keras, layers, np, ops
from pipeline.training.heads import sequence_heads, video_networks
from pipeline.training.heads.normalisation import Statistics
from pipeline.training.heads.own_model import OWN
from pipeline.training.heads.spec import HeadSpec, widths_of

Build = Callable[[Any, Any, HeadSpec, int], Any]


SETTINGS: dict[str, Any] = {"units": 64, "layers": 1, "dropout": 0.5}
"""Of every head that says nothing else, by the fields of `HeadSpec`."""
TRAINING: dict[str, Any] = {
    "learning_rate": 5e-4,
    "weight_decay": 0.01,
    "label_smoothing": 0.05,
    "optimizer": "adam",
    "batch": 32,
}
"""How a head is trained that says nothing else, by the fields of `TrainSpec`."""


class Head:
    """One line of the registry: a function and the settings that are used where none are given.

    Args:
        build: makes logits of input, mask, spec and number of classes.
        takes: fields of `HeadSpec` that make a difference; a published head takes none.
        training: fields of `TrainSpec` other than in `TRAINING`.
        any_length: whether its weights do not depend on the length of the window.
        needs: what it is trained on: ``features (L, D)`` of a store, or ``frames (L, H, W, 3)`` of a frame cache.
        smallest: the smallest side of a frame in pixels, for networks without a base.
        shortest: the fewest steps of a window.
        widths: what several widths mean: nothing where the head has one, layers, or layers and dense ones behind them.
        settings: fields of `HeadSpec` other than in `SETTINGS`.
    """

    def __init__(
        self,
        build: Build,
        *,
        takes: tuple[str, ...] = ("units", "layers", "dropout"),
        training: Mapping[str, Any] | None = None,
        any_length: bool = True,
        needs: Literal["features", "frames"] = "features",
        smallest: int = 1,
        shortest: int = 1,
        widths: Literal["one", "stack", "behind"] = "one",
        **settings: Any,
    ) -> None:
        self.build, self.takes, self.any_length = build, takes, any_length
        self.needs, self.smallest, self.shortest, self.widths = needs, smallest, shortest, widths
        self.training = {**TRAINING, **(training or {})}
        self.settings = {**SETTINGS, **settings}


def head_spec(name: str = "gru", **given: Any) -> HeadSpec:
    """A spec whose missing settings are the head's own.

    Args:
        name: of the head.
        given: fields of `HeadSpec`; None is as if it were not given.

    Raises:
        UserError: there is no such head, or a setting is out of range or not the user's to choose.
    """
    head = _find(name)
    chosen = {field: value for field, value in given.items() if value is not None}
    for field in chosen:
        if field not in head.takes:
            raise UserError(f"head {name} takes no `{field}`; leave it out")
    values = {**head.settings, **chosen}
    if "kernel" in chosen and values.get("cell", "conv1d") != "conv1d":
        raise UserError(f"`kernel={chosen['kernel']}` is of the cell conv1d, not of {values['cell']}; leave it out")
    values["layers"] = _layers(name, values, chosen)
    if "base" in values:
        values["base"] = find_network(values["base"]).name
    if "weights" in head.takes:
        values["weights"] = WeightsSource(values.get("weights", "imagenet")).absolute()
    return HeadSpec(name, **values)


def _layers(name: str, values: Mapping[str, Any], chosen: Mapping[str, Any]) -> int:
    """How many layers there are where a width is given for each.

    Raises:
        UserError: the head has one width, or there are more layers than widths.
    """
    units, count = widths_of(values["units"]), values["layers"]
    if len(units) == 1 or "units" not in chosen:
        return count
    text = ",".join(map(str, units))
    match HEADS[name].widths:
        case "one":
            raise UserError(f"head {name} has one width; `units={text}` names {len(units)}")
        case "behind" if count <= len(units):
            return count
        case "stack" if "layers" not in chosen or count == len(units):
            return len(units)
    raise UserError(f"`units={text}` are the widths of {len(units)} layers, not of {count}; leave `layers` out")


def stored_spec(values: dict[str, Any]) -> HeadSpec:
    """The spec that a checkpoint holds.

    Raises:
        UserError: there is no such head, or a setting is out of range.
    """
    units = values.get("units") if isinstance(values, dict) else None
    spec = record(HeadSpec, values | {"units": [units]} if isinstance(units, int) else values)  # a single one alone
    if spec != OWN:
        _find(spec.name)
    return spec


def _find(name: str) -> Head:
    if name not in HEADS:
        raise UserError(f"head {name!r} is unknown; expected one of {', '.join(HEADS)}")
    return HEADS[name]


def check_length(spec: HeadSpec, length: int) -> None:
    """Refuse a window that is too short for convolutions that see whole neighbourhoods only.

    Raises:
        UserError: how long it must be.
    """
    shortest = HEADS[spec.name].shortest
    if spec.name == "ecology-lrcnn" and spec.cell == "conv1d":
        shortest = 1 + spec.layers * ((spec.kernel or 1) - 1)
    if length < shortest:
        raise UserError(f"head {spec.name} needs a `window` of {shortest} steps or more, not {length}")


def check_input(spec: HeadSpec, shape: tuple[int, ...], where: str) -> None:
    """Refuse what a head cannot take.

    Args:
        spec: the head.
        shape: of one step: ``(D,)`` features or ``(H, W, C)`` frames.
        where: the store, for the line.

    Raises:
        UserError: features where frames are needed or the other way round, or frames that are too small.
    """
    if spec == OWN:  # of any shape, which the checkpoint knows
        return
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
    if spec.base and shape[-1] > 3:
        raise UserError(f"{spec.name} has a base for frames of three channels, and two joined stores have {shape[-1]}")
    smallest = find_network(spec.base).smallest if spec.base else head.smallest
    if min(shape[:2]) < smallest:
        raise UserError(
            f"frames of {shape[0]}x{shape[1]} are too small for {spec.name}"
            + (f" with the base {spec.base}" if spec.base else "")
            + f": each side needs at least {smallest} pixels; extract frames of another size"
        )


_SIZES = ("units", "layers", "dropout")
_RECURRENT = (*_SIZES, "bidirectional")
_BASE = ("base", "weights", "pooling", "trainable")
_PUBLISHED = {"weight_decay": 0, "label_smoothing": 0, "members": 1}
_ON_BASE: dict[str, Any] = {"needs": "frames", "base": "mobilenetv2", "pooling": "avg", "trainable": 0}


def _published(learning_rate: float) -> dict[str, Any]:
    return _PUBLISHED | {"learning_rate": learning_rate}


def _frames(learning_rate: float) -> dict[str, Any]:
    return _published(learning_rate) | {"batch": 8}


HEADS: dict[str, Head] = {
    "gru": Head(sequence_heads.gru, takes=_RECURRENT, dropout=0.7, widths="behind"),
    "lstm": Head(sequence_heads.lstm, takes=_RECURRENT, dropout=0.7, widths="behind"),
    "rnn": Head(sequence_heads.rnn, takes=_RECURRENT, dropout=0.7, widths="behind"),
    "mean": Head(sequence_heads.mean, takes=("dropout",)),
    "motion": Head(sequence_heads.motion, takes=("dropout",)),
    "mlp": Head(sequence_heads.mlp, widths="stack"),
    "concat": Head(sequence_heads.concat, any_length=False, widths="stack"),
    "conv1d": Head(sequence_heads.conv1d, takes=(*_SIZES, "kernel"), kernel=3, widths="behind"),
    "attention": Head(sequence_heads.attention),
    "transformer": Head(sequence_heads.transformer, dropout=0.3),
    "keras-example": Head(
        sequence_heads.keras_example,
        takes=("mask_of",),
        training=_published(1e-3),
        units=16,
        layers=2,
        dropout=0.4,
        mask_of="all",
    ),
    "apriorit": Head(sequence_heads.apriorit, takes=(), training=_published(1e-5), units=2048),
    "ecology-lrcnn": Head(
        sequence_heads.ecology_lrcnn,
        takes=(*_SIZES, "cell", "kernel"),
        any_length=False,
        widths="behind",
        training=_published(1e-3),
        units=256,
        dropout=0.2,
        cell="lstm",
        kernel=3,
    ),
    "image_cnn": Head(
        video_networks.image_cnn,
        takes=(*_SIZES, *_BASE),
        training=_frames(1e-3),
        widths="stack",
        units=512,
        **_ON_BASE,
    ),
    "concat_frames": Head(
        video_networks.concat_frames,
        takes=(*_SIZES, *_BASE),
        any_length=False,
        widths="stack",
        training=_frames(1e-3),
        units=256,
        dropout=0.2,
        **_ON_BASE,
    ),
    "lrcn": Head(
        video_networks.lrcn,
        takes=(*_SIZES, *_BASE, "cell", "kernel"),
        widths="behind",
        training=_frames(1e-3),
        units=128,
        dropout=0.2,
        cell="lstm",
        kernel=3,
        **_ON_BASE,
    ),
    "timedistributed_convnet": Head(
        video_networks.timedistributed_convnet,
        takes=("units", "dropout", "cell"),
        training=_frames(1e-3),
        needs="frames",
        smallest=8,
        cell="gru",
    ),
    "timedistributed_mobilenet": Head(
        video_networks.timedistributed_mobilenet,
        takes=("units", "dropout", "cell", *_BASE),
        training=_frames(1e-2) | {"optimizer": "sgd"},
        cell="gru",
        **_ON_BASE | {"base": "mobilenet", "pooling": "max", "trainable": 9},
    ),
    "c3d": Head(
        video_networks.c3d,
        takes=("units", "dropout"),
        training=_frames(1e-4),
        needs="frames",
        smallest=16,
        units=4096,
        layers=2,
    ),
    "c3d_small": Head(
        video_networks.c3d_small,
        takes=("units", "dropout"),
        training=_frames(1e-3),
        needs="frames",
        smallest=16,
        units=128,
    ),
    "ecology-c3d-small": Head(
        video_networks.ecology_c3d_small,
        takes=(),
        any_length=False,
        training=_frames(1e-3),
        needs="frames",
        smallest=54,
        shortest=11,
        units=(256, 128),
        layers=2,
    ),
    "video_transformer": Head(
        video_networks.video_transformer,
        training=_frames(5e-4),
        needs="frames",
        smallest=32,
        units=128,
        layers=2,
        dropout=0.1,
    ),
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
    number: int = 0,
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
        number: of a member beside others, which becomes part of its name; 0 for one that stands alone.

    Returns:
        A model of inputs ``features (batch, length, D)`` float32, or ``frames (batch, length, H, W, 3)`` uint8, and
        ``mask (batch, length)`` bool, and of output ``(batch, classes)`` float32: logits, whose softmax are
        probabilities.

    Raises:
        UserError: the base's weights cannot be had, or a window is too short.
    """
    head = HEADS[spec.name]
    check_length(spec, length)
    mask = keras.Input((length,), name="mask", dtype="bool")
    name = spec.name.replace("-", "_") + (f"_{number}" if number else "")
    if head.needs == "frames":
        # Who only asks for --help needs no network.
        from pipeline.extraction.network.backbone import dtype_policy

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
