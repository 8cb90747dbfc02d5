"""Training a head: one loop over windows, watched by the validation loss only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.inputs.augmentation import FrameAugmentation
from pipeline.files.tables import plural
from pipeline.training.checkpoint import rows_at_once, run_in_batches
from pipeline.training.compute.memory_probe import check_fits, did_not_fit
from pipeline.training.compute.step import (
    Function,
    Step,
    compile_head,
    compile_step,
    out_of_memory,
    replicas,
    step_errors,
)
from pipeline.training.data.batches import Augmentation, Batch, balanced_weights, batches
from pipeline.training.data.dataset import Dataset, Windows
from pipeline.training.heads.registry import FRAMES, HEADS, HeadSpec, build_model, statistics_of
from pipeline.training.heads.video_networks import ALL, base_of, set_trainable
from pipeline.training.loop.resume import Resumable
from pipeline.training.loop.schedule import Epoch, Progress

OPTIMIZERS = ("adam", "sgd")
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclass(frozen=True)
class TrainSpec:
    """How a head is trained; the defaults were chosen by validation on several data sets, see the README."""

    epochs: int = 100
    """The most epochs; of each phase where there are two."""
    batch: int | None = None
    """Windows in a step. For this and all that may be None, None means the head's own."""
    rate: float | None = None
    """Learning rate at the start."""
    patience: int = 12
    """Epochs without a lower validation loss after which training stops."""
    plateau: int = 5
    """Epochs without a lower validation loss after which the learning rate is halved."""
    rate_decay: float = 0.0
    """The learning rate of an epoch is divided by 1 + this times the steps before it."""
    weight_decay: float | None = None
    """Decoupled weight decay (Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101)."""
    label_smoothing: float | None = None
    """Share of the target that is spread over all classes."""
    balance: bool = False
    """Whether rare classes weigh more, so that all count the same."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    optimizer: str | None = None
    """adam or sgd."""
    momentum: float = 0.9
    """Of sgd."""
    fine_tune: int | None = None
    """Train in two phases: with the base frozen, then with so many of its last layers (-1 for all) at a lower rate."""
    fine_tune_rate: float | None = None
    """Learning rate of the second phase; a tenth of the first one's if None."""
    precision: str = "float32"
    """Arithmetic of a network on frames: float32, bfloat16 or float16; its weights stay float32."""
    accumulate: int = 1
    """Steps whose gradients are averaged before the weights change: as a batch so many times as large."""
    vary: str = ""
    """How sequences of frames are varied; see `pipeline.extraction.inputs.augmentation`."""

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch": 1, "patience": 1, "plateau": 1, "seed": 0, "accumulate": 1, "fine_tune": ALL}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and (value < smallest or (name == "fine_tune" and value == 0)):
                expected = "a number of layers from 1, or 'all'" if name == "fine_tune" else f"{smallest} or more"
                raise UserError(f"--{name.replace('_', '-')} {value}: expected {expected}")
        for name, rate in (("learning-rate", self.rate), ("fine-tune-rate", self.fine_tune_rate)):
            if rate is not None and not 0 < rate < math.inf:
                raise UserError(f"--{name} {rate:g}: expected more than 0")
        for name, share in (("weight-decay", self.weight_decay), ("label-smoothing", self.label_smoothing)):
            if share is not None and not 0 <= share < 1:
                raise UserError(f"--{name} {share:g}: expected 0 or more and less than 1")
        if not 0 <= self.rate_decay < math.inf:
            raise UserError(f"--rate-decay {self.rate_decay:g}: expected 0 or more")
        if not 0 <= self.momentum < 1:
            raise UserError(f"--momentum {self.momentum:g}: expected 0 or more and less than 1")
        if self.optimizer not in (None, *OPTIMIZERS):
            raise UserError(f"--optimizer {self.optimizer!r}: expected {' or '.join(OPTIMIZERS)}")
        if self.precision not in POLICIES:
            raise UserError(f"--precision {self.precision!r}: expected {', '.join(POLICIES)}")
        if self.fine_tune_rate is not None and self.fine_tune is None:
            raise UserError("--fine-tune-rate is for the second phase of --fine-tune; add it, or leave the rate out")
        object.__setattr__(self, "vary", str(FrameAugmentation.parse(self.vary)))

    def resolved(self, head: HeadSpec) -> TrainSpec:
        """The same with the head's own settings in the place of None."""
        own = {
            name: getattr(HEADS[head.name], name)
            for name in ("rate", "weight_decay", "label_smoothing", "optimizer", "batch")
        }
        return replace(self, **{name: value for name, value in own.items() if getattr(self, name) is None})

    def check(self, head: HeadSpec) -> None:
        """Refuse what does not go with a head.

        Raises:
            UserError: what is for frames with a head on features, or the other way round; a fine-tuning without base.
        """
        features = HEADS[head.name].needs == "features"
        for_frames = {
            "augment": self.vary,
            "precision": self.precision != "float32",
            "fine-tune": self.fine_tune is not None,
        }
        varied = self.augmentation
        for_features = {"noise": varied.noise, "time-mask": varied.time_mask, "mixup": varied.mixup}
        for option, value in (for_frames if features else for_features).items():
            if value:
                other = "networks on frames" if features else "heads on features; --augment varies frames"
                raise UserError(f"--{option} is for {other}, and {head.name} is not one; leave it out")
        if self.precision == "float16" and keras.backend.backend() != "tensorflow":
            raise UserError("--precision float16 trains on the Keras backend tensorflow only; take bfloat16")
        if self.fine_tune is not None and head.base is None:
            raise UserError(f"--fine-tune needs a network with a base, and {head.name} has none; leave it out")

    def phases(self, head: HeadSpec) -> list[Phase]:
        """One, or two with ``fine_tune``; of a spec that is `resolved`."""
        assert self.rate is not None
        if self.fine_tune is None:
            return [Phase(head.trainable, self.rate)]
        return [Phase(0, self.rate), Phase(self.fine_tune, self.fine_tune_rate or self.rate / 10)]


@dataclass(frozen=True)
class Phase:
    """What learns, and how fast at the start."""

    layers: int | None
    """Last layers of the base; None where there is no base."""
    rate: float


@dataclass(frozen=True)
class Trained:
    """A head with the weights of its best epoch."""

    model: keras.Model
    function: Function
    """The model, compiled; see `compiled.compile_head`."""
    spec: TrainSpec
    progress: Progress
    seconds: float
    interrupted: bool = False

    def logits(self, windows: Windows) -> np.ndarray:
        """``(m, C)`` float32 of all windows."""
        return logits_of(self.function, windows, self.model.output_shape[-1])


def fit(
    data: Dataset,
    train: Windows,
    val: Windows,
    head: HeadSpec,
    spec: TrainSpec,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    resumable: Resumable | None = None,
) -> Trained:
    """Train a head on windows and keep the weights with the lowest validation loss.

    The same arguments give the same weights on the same machine. Ctrl-C after the first epoch ends the
    training and keeps the best so far.

    Args:
        data: what the windows are over.
        train: windows to learn from.
        val: windows that choose the epoch and the learning rate.
        head: what to train.
        spec: how.
        on_epoch: called after each epoch.
        resumable: where the state is kept after each epoch, and taken from if it is there.

    Raises:
        UserError: the loss is no number any more, or there is nothing to learn from.
    """
    if not len(train) or not len(val):
        raise UserError("training needs at least one window for training and one for validation")
    if spec.augmentation.random_windows and data.step_labels is not None:
        raise UserError("--random-windows does not go with labels of frames, which belong to windows as they were cut")
    spec.check(head)
    begun = time.perf_counter()
    keras.utils.set_random_seed(spec.seed)
    on_frames = HEADS[head.name].needs == "frames"
    statistics = None if on_frames else statistics_of(train)  # networks scale pixels themselves
    model = build_model(
        head,
        length=train.length,
        shape=data.shape,
        classes=len(data.classes),
        statistics=statistics,
        policy=POLICIES[spec.precision],
    )
    spec = spec.resolved(head)
    assert spec.batch is not None
    size = min(spec.batch, len(train))  # a small set is one small batch, not one that is mostly filling
    size = -(-size // replicas()) * replicas()
    if spec.accumulate > (most := -(-len(train) // size)):
        raise UserError(
            f"--accumulate {spec.accumulate}: an epoch has {plural(most, 'step')} of {size} windows; "
            f"use {most} or less, or a smaller --batch"
        )
    learner = _varied(model, spec)
    function = compile_head(model)
    random = np.random.default_rng(spec.seed)
    class_weights = balanced_weights(train, len(data.classes)) if spec.balance else None

    def batches_of_an_epoch() -> Iterator[Batch]:
        return batches(
            train,
            size=size,
            classes=len(data.classes),
            random=random,
            smoothing=spec.label_smoothing or 0.0,
            class_weights=class_weights,
            augmentation=spec.augmentation,
            moments=None if statistics is None else statistics[FRAMES],
        )

    phases = spec.phases(head)
    best = model.get_weights()
    progress = (resumable.progress() if resumable is not None else None) or Progress(phases[0].rate)
    begins = not progress.history
    interrupted = False
    try:
        for number in range(progress.phase, len(phases)):
            if number > progress.phase:
                model.set_weights(best)
                progress.begin_phase(number, phases[number].rate)
            optimizer, step = _prepare(model, learner, phases[number], spec, head)
            if resumable is not None and not begins:
                best = resumable.read(learner, optimizer, random)
                begins = True
            if on_frames:
                shapes = (size, train.length, *data.shape), (size, train.length), (size, len(data.classes)), (size,)
                kinds = data.features.dtype, np.dtype(bool), np.dtype(np.float32), np.dtype(np.float32)
                empty = [np.broadcast_to(np.zeros((), kind), shape) for kind, shape in zip(kinds, shapes, strict=True)]
                check_fits(step.bytes_needed(*empty), size, spec.accumulate)
            while not progress.finished(spec.epochs, spec.patience):
                since = time.perf_counter()
                steps_before = len(progress.history) * -(-len(train) // size)
                rate = progress.rate / (1 + spec.rate_decay * steps_before)
                optimizer.learning_rate = rate
                step.restart()
                sums = [step(*batch) for batch in batches_of_an_epoch()]
                step.sync()
                loss, weight, right = np.sum([np.asarray(part) for part in sums], axis=0)
                if not math.isfinite(loss):
                    raise UserError(
                        f"the loss is no number any more in epoch {len(progress.history) + 1}; lower --learning-rate "
                        f"(now {progress.rate:g}), or look for damaged features with check_features.py"
                    )
                val_loss, val_accuracy = _measure(function, val, len(data.classes))
                epoch = Epoch(
                    epoch=len(progress.history) + 1,
                    loss=float(loss / weight),
                    accuracy=float(right / weight),
                    val_loss=val_loss,
                    val_accuracy=val_accuracy,
                    learning_rate=rate,
                    seconds=time.perf_counter() - since,
                )
                if progress.add(epoch, spec.plateau):
                    best = model.get_weights()
                if resumable is not None:
                    resumable.write(learner, optimizer, best, progress, random)
                on_epoch(epoch)
    except KeyboardInterrupt:
        if not progress.best_epoch:
            raise
        interrupted = True
    except step_errors() as error:
        if not out_of_memory(error):
            raise
        raise did_not_fit(size, spec.accumulate) from None
    model.set_weights(best)
    return Trained(model, function, spec, progress, time.perf_counter() - begun, interrupted)


def _varied(model: keras.Model, spec: TrainSpec) -> keras.Model:
    """The model behind the augmentation of its frames; what validates and is saved is the model alone."""
    if not spec.vary:
        return model
    from pipeline.extraction.inputs.augment_layer import AugmentFrames

    frames, mask = (keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in model.inputs)
    varied = AugmentFrames(FrameAugmentation.parse(spec.vary), spec.seed)(frames, mask)
    return keras.Model([frames, mask], model([varied, mask]))


def _prepare(
    model: keras.Model, learner: keras.Model, phase: Phase, spec: TrainSpec, head: HeadSpec
) -> tuple[keras.optimizers.Optimizer, Step]:
    """An optimizer and a compiled step for what learns in a phase."""
    base = base_of(model)
    if base is not None:
        set_trainable(base, phase.layers or 0)
    optimizer = _optimizer(phase.rate, spec)
    optimizer.build(learner.trainable_variables)
    return optimizer, compile_step(learner, optimizer, jit=HEADS[head.name].jit)


def _optimizer(rate: float, spec: TrainSpec) -> keras.optimizers.Optimizer:
    # Keras counts gradients that are gathered from 2 on.
    gathered = spec.accumulate if spec.accumulate > 1 else None
    decay = float(spec.weight_decay or 0)
    optimizer: keras.optimizers.Optimizer
    if spec.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            rate, momentum=spec.momentum, weight_decay=decay or None, gradient_accumulation_steps=gathered
        )
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=decay, gradient_accumulation_steps=gathered)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    # The gradients of float16 vanish unless the loss is scaled up.
    return keras.optimizers.LossScaleOptimizer(optimizer) if spec.precision == "float16" else optimizer


def _measure(function: Function, windows: Windows, classes: int) -> tuple[float, float]:
    """Mean cross entropy and accuracy."""
    logits = logits_of(function, windows, classes).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    right = logs.argmax(axis=1) == windows.labels
    return float(-logs[np.arange(len(logs)), windows.labels].mean()), float(right.mean())


def logits_of(function: Function, windows: Windows, classes: int) -> np.ndarray:
    """``(m, C)`` float32 logits of all windows."""
    result = np.empty((len(windows), classes), np.float32)
    # One compiled shape for validation and test alike, and few calls.
    size = rows_at_once(windows.data.shape, windows.length, min(128, max(32, len(windows))))
    for rows, features, mask in windows.blocks(size):
        result[rows] = run_in_batches(function, features, mask, classes, batch=size)
    return result
