"""Training a head: one loop over windows, watched by the validation loss only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.inputs.augmentation import FrameAugmentation
from pipeline.files.text import plural
from pipeline.training.compute.apply_head import HeadFunction, rows_at_once, run_in_batches
from pipeline.training.compute.backend import compile_head, compile_step, out_of_memory, step_errors
from pipeline.training.compute.devices import replicas
from pipeline.training.compute.memory_probe import check_memory, did_not_fit
from pipeline.training.compute.step import Step
from pipeline.training.data.batches import Batch, balanced_weights, batches
from pipeline.training.data.dataset import Dataset, Windows
from pipeline.training.heads.normalisation import FRAME_NORM, statistics_of
from pipeline.training.heads.registry import HEADS, build_model
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.heads.video_networks import base_of, set_trainable
from pipeline.training.loop.resume import Resumable
from pipeline.training.loop.schedule import Epoch, Schedule
from pipeline.training.loop.spec import POLICIES, Phase, TrainSpec


@dataclass(frozen=True)
class Trained:
    """A head with the weights of its best epoch."""

    model: keras.Model
    function: HeadFunction
    """The model, compiled; see `backend.compile_head`."""
    spec: TrainSpec
    schedule: Schedule
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
        raise UserError("`random_windows=True` does not go with labels of frames, which belong to windows as cut")
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
            f"`accumulate={spec.accumulate}`: an epoch has {plural(most, 'step')} of {size} windows; "
            f"use {most} or less, or a smaller `batch`"
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
            moments=None if statistics is None else statistics[FRAME_NORM],
        )

    phases = spec.phases(head)
    best = model.get_weights()
    schedule = (resumable.schedule() if resumable is not None else None) or Schedule(phases[0].learning_rate)
    begins = not schedule.history
    interrupted = False
    try:
        for number in range(schedule.phase, len(phases)):
            if number > schedule.phase:
                model.set_weights(best)
                schedule.begin_phase(number, phases[number].learning_rate)
            optimizer, step = _prepare(model, learner, phases[number], spec, head)
            if resumable is not None and not begins:
                best = resumable.read(learner, optimizer, random)
                begins = True
            if on_frames:
                shapes = (size, train.length, *data.shape), (size, train.length), (size, len(data.classes)), (size,)
                kinds = data.features.dtype, np.dtype(bool), np.dtype(np.float32), np.dtype(np.float32)
                empty = [np.broadcast_to(np.zeros((), kind), shape) for kind, shape in zip(kinds, shapes, strict=True)]
                check_memory(step.bytes_needed(*empty), size, spec.accumulate)
            while not schedule.finished(spec.epochs, spec.patience):
                since = time.perf_counter()
                steps_before = len(schedule.history) * -(-len(train) // size)
                rate = schedule.learning_rate / (1 + spec.rate_decay * steps_before)
                optimizer.learning_rate = rate
                step.reload_variables()
                sums = [step(*batch) for batch in batches_of_an_epoch()]
                step.write_back()
                loss, weight, right = np.sum([np.asarray(part) for part in sums], axis=0)
                if not math.isfinite(loss):
                    raise UserError(
                        f"the loss is no number any more in epoch {len(schedule.history) + 1}; lower `learning_rate` "
                        f"(now {schedule.learning_rate:g}), or look for damaged features with check_features.py"
                    )
                val_loss, val_accuracy = _measure(function, val, len(data.classes))
                epoch = Epoch(
                    epoch=len(schedule.history) + 1,
                    loss=float(loss / weight),
                    accuracy=float(right / weight),
                    val_loss=val_loss,
                    val_accuracy=val_accuracy,
                    learning_rate=rate,
                    seconds=time.perf_counter() - since,
                )
                if schedule.add(epoch, spec.plateau):
                    best = model.get_weights()
                if resumable is not None:
                    resumable.write(learner, optimizer, best, schedule, random)
                on_epoch(epoch)
    except KeyboardInterrupt:
        if not schedule.best_epoch:
            raise
        interrupted = True
    except step_errors() as error:
        if not out_of_memory(error):
            raise
        raise did_not_fit(size, spec.accumulate) from None
    model.set_weights(best)
    return Trained(model, function, spec, schedule, time.perf_counter() - begun, interrupted)


def _varied(model: keras.Model, spec: TrainSpec) -> keras.Model:
    """The model behind the augmentation of its frames; what validates and is saved is the model alone."""
    if not spec.augment:
        return model
    from pipeline.extraction.inputs.augment_layer import AugmentFrames

    frames, mask = (keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in model.inputs)
    varied = AugmentFrames(FrameAugmentation.parse(spec.augment), spec.seed)(frames, mask)
    return keras.Model([frames, mask], model([varied, mask]))


def _prepare(
    model: keras.Model, learner: keras.Model, phase: Phase, spec: TrainSpec, head: HeadSpec
) -> tuple[keras.optimizers.Optimizer, Step]:
    """An optimizer and a compiled step for what learns in a phase."""
    base = base_of(model)
    if base is not None:
        set_trainable(base, phase.layers or 0)
    optimizer = _optimizer(phase.learning_rate, spec)
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


def _measure(function: HeadFunction, windows: Windows, classes: int) -> tuple[float, float]:
    """Mean cross entropy and accuracy."""
    logits = logits_of(function, windows, classes).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    right = logs.argmax(axis=1) == windows.labels
    return float(-logs[np.arange(len(logs)), windows.labels].mean()), float(right.mean())


def logits_of(function: HeadFunction, windows: Windows, classes: int) -> np.ndarray:
    """``(m, C)`` float32 logits of all windows."""
    result = np.empty((len(windows), classes), np.float32)
    # One compiled shape for validation and test alike, and few calls.
    size = rows_at_once(windows.data.shape, windows.length, min(128, max(32, len(windows))))
    for rows, features, mask in windows.blocks(size):
        result[rows] = run_in_batches(function, features, mask, classes, batch=size)
    return result
