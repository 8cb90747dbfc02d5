"""Training a head: one loop over windows, watched by the validation loss only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from pipeline.errors import UserError
from pipeline.files.tables import plural
from pipeline.training.compute.apply_head import Function, rows_at_once, run_in_batches
from pipeline.training.compute.backend import compile_head, out_of_memory, step_errors
from pipeline.training.compute.devices import replicas
from pipeline.training.data.batches import Batch, balanced_weights, batches
from pipeline.training.data.dataset import Dataset, Windows
from pipeline.training.heads.normalisation import FRAME_NORM, statistics_of
from pipeline.training.heads.registry import HEADS, build_model
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.learner import augmented, prepare
from pipeline.training.loop.memory_probe import StepShape, check_memory, did_not_fit
from pipeline.training.loop.resume import Resumable
from pipeline.training.loop.schedule import Epoch, Progress
from pipeline.training.loop.spec import POLICIES, TrainSpec


@dataclass(frozen=True)
class Trained:
    """A head with the weights of its best epoch."""

    model: keras.Model
    function: Function
    """The model, compiled; see `backend.compile_head`."""
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
    learner = augmented(model, spec)
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
    progress = (resumable.progress() if resumable is not None else None) or Progress(phases[0].rate)
    begins = not progress.history
    interrupted = False
    try:
        for number in range(progress.phase, len(phases)):
            if number > progress.phase:
                model.set_weights(best)
                progress.begin_phase(number, phases[number].rate)
            optimizer, step = prepare(model, learner, phases[number], spec)
            if resumable is not None and not begins:
                best = resumable.read(learner, optimizer, random)
                begins = True
            if on_frames:
                check_memory(StepShape(head, spec, phases[number], train.length, data.shape, len(data.classes)), size)
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
