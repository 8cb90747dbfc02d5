"""How a head is trained: what is chosen, checked, and filled in by the head's own settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from pipeline.errors import UserError
from pipeline.extraction.inputs.augmentation import FORMS, FrameAugmentation
from pipeline.lazy import keras
from pipeline.training.data.feature_augmentation import FeatureAugmentation
from pipeline.training.heads.spec import ALL_LAYERS, MOST_MEMBERS, HeadSpec, parse_layers

Optimizer = Literal["adam", "sgd", "rmsprop", "adadelta", "adagrad", "adamax", "nadam", "adafactor", "ftrl", "lion"]
Precision = Literal["float32", "bfloat16", "float16"]
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclass(frozen=True)
class TrainSpec:
    """How a head is trained; the defaults are those of the head where its line in the registry has others."""

    epochs: int = 100
    """The most epochs; of each phase where there are two."""
    patience: int = 12
    """Epochs without a lower validation loss after which training stops."""
    plateau: int = 5
    """Epochs without a lower validation loss after which the learning rate falls."""
    plateau_factor: float = 0.5
    """What the learning rate is multiplied by then."""
    rounds: int = 1
    """Trainings one after the other, each from the best weights so far at a tenth of the last one's learning rate."""
    batch: int | None = None
    """Windows in a batch; the head's own where none is given.

    For this and all that may be None, None means the head's own."""
    accumulate: int = 1
    """Batches whose gradients are averaged before the weights change: 4 batches of 8 learn as one of 32."""
    optimizer: Optimizer | None = None
    """What changes the weights, as Keras calls it in small letters; the head's own where none is given."""
    momentum: float = 0.9
    """Of sgd."""
    learning_rate: float | None = None
    """Learning rate at the start; the head's own where none is given."""
    rate_decay: float = 0.0
    """Lowers the learning rate from epoch to epoch: after B batches it is the one of the start / (1 + X * B)."""
    weight_decay: float | None = None
    """Decoupled weight decay; the head's own where none is given.

    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101"""
    label_smoothing: float | None = None
    """Share of the target that is spread over all classes; the head's own where none is given."""
    balance: bool = False
    """Rare classes weigh more, so that all count the same."""
    augmentation: FeatureAugmentation = field(default_factory=FeatureAugmentation)
    members: int | None = None
    """Heads whose probabilities are averaged, each validated on other groups of the training videos; by default 5 for
    few videos, and 1 for many, for networks on frames and for published heads."""
    seed: int = 0
    """Of split, weights and shuffling."""
    fine_tune: int | None = field(default=None, metadata={"parse": parse_layers})
    """Two phases: with the base frozen, then with its last N layers, or 'all', at a lower rate."""
    fine_tune_rate: float | None = None
    """Learning rate of the second phase; a tenth of the first one's where none is given."""
    precision: Precision = "float32"
    """Compute precision of a network on frames; its weights stay float32."""
    augment: str = field(default="", metadata={"metavar": "SPEC", "help": f"vary sequences of frames: {FORMS}"})
    """How sequences of frames are varied; see `pipeline.extraction.inputs.augmentation`."""

    def __post_init__(self) -> None:
        least = {
            "epochs": 1,
            "batch": 1,
            "patience": 1,
            "plateau": 1,
            "rounds": 1,
            "seed": 0,
            "members": 1,
            "accumulate": 1,
            "fine_tune": ALL_LAYERS,
        }
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and (value < smallest or (name == "fine_tune" and value == 0)):
                expected = "a number of layers from 1, or 'all'" if name == "fine_tune" else f"{smallest} or more"
                raise UserError(f"`{name}={value}`: expected {expected}")
        if self.members is not None and self.members > MOST_MEMBERS:
            raise UserError(f"`members={self.members}`: expected {MOST_MEMBERS} or less")
        for name, rate in (("learning_rate", self.learning_rate), ("fine_tune_rate", self.fine_tune_rate)):
            if rate is not None and not 0 < rate < math.inf:
                raise UserError(f"`{name}={rate:g}`: expected more than 0")
        for name, share in (("weight_decay", self.weight_decay), ("label_smoothing", self.label_smoothing)):
            if share is not None and not 0 <= share < 1:
                raise UserError(f"`{name}={share:g}`: expected 0 or more and less than 1")
        if not 0 < self.plateau_factor <= 1:
            raise UserError(f"`plateau_factor={self.plateau_factor:g}`: expected more than 0, up to 1")
        if not 0 <= self.rate_decay < math.inf:
            raise UserError(f"`rate_decay={self.rate_decay:g}`: expected 0 or more")
        if not 0 <= self.momentum < 1:
            raise UserError(f"`momentum={self.momentum:g}`: expected 0 or more and less than 1")
        if self.optimizer not in (None, *get_args(Optimizer)):
            raise UserError(f"`optimizer={self.optimizer!r}`: expected one of {', '.join(get_args(Optimizer))}")
        if self.precision not in POLICIES:
            raise UserError(f"`precision={self.precision!r}`: expected {', '.join(POLICIES)}")
        if self.fine_tune_rate is not None and self.fine_tune is None:
            raise UserError("`fine_tune_rate` is for the second phase of `fine_tune`; add it, or leave the rate out")
        if self.rounds > 1 and self.fine_tune is not None:
            raise UserError(f"`rounds={self.rounds}` and `fine_tune` each say what comes after the first training")
        object.__setattr__(self, "augment", str(FrameAugmentation.parse(self.augment)))

    def resolved(self, head: HeadSpec) -> TrainSpec:
        """The same with the head's own settings in the place of None."""
        from pipeline.training.heads.registry import HEADS  # imports Keras, which --help must not wait for

        own = HEADS[head.name].training
        return replace(self, **{name: value for name, value in own.items() if getattr(self, name) is None})

    def check(self, head: HeadSpec) -> None:
        """Refuse what does not go with a head.

        Raises:
            UserError: what is for frames with a head on features, or the other way round; a fine-tuning without base.
        """
        from pipeline.training.heads.registry import HEADS

        if self.momentum != type(self).momentum and self.resolved(head).optimizer != "sgd":
            raise UserError(f"`momentum={self.momentum:g}` is of sgd; add `optimizer=sgd`, or leave it out")
        features = HEADS[head.name].needs == "features"
        for_frames = {
            "augment": self.augment,
            "precision": self.precision != "float32",
            "fine_tune": self.fine_tune is not None,
        }
        varied = self.augmentation
        for_features = {"noise": varied.noise, "time_mask": varied.time_mask, "mixup": varied.mixup}
        for option, value in (for_frames if features else for_features).items():
            if value:
                other = "networks on frames" if features else "heads on features; `augment` varies frames"
                raise UserError(f"`{option}` is for {other}, and {head.name} is not one; leave it out")
        if self.precision == "float16" and keras.backend.backend() != "tensorflow":
            raise UserError("`precision=float16` trains on the Keras backend tensorflow only; take bfloat16")
        if self.fine_tune is not None and head.base is None:
            raise UserError(f"`fine_tune` needs a network with a base, and {head.name} has none; leave it out")

    def phases(self, head: HeadSpec) -> list[Phase]:
        """One for each of the ``rounds``, or two with ``fine_tune``; of a spec that is `resolved`."""
        assert self.learning_rate is not None
        if self.fine_tune is None:
            return [Phase(head.trainable, self.learning_rate / 10**number) for number in range(self.rounds)]
        return [Phase(0, self.learning_rate), Phase(self.fine_tune, self.fine_tune_rate or self.learning_rate / 10)]


@dataclass(frozen=True)
class Phase:
    """What learns, and how fast at the start."""

    layers: int | None
    """Last layers of the base; None where there is no base."""
    learning_rate: float
