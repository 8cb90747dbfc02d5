"""Training a head: one loop over windows, watched by the validation loss only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from scipy.special import log_softmax

from pipeline.errors import UserError
from pipeline.files.text import plural
from pipeline.training.compute.apply_head import HeadFunction, rows_at_once, run_in_batches
from pipeline.training.compute.backend import compile_head, out_of_memory, step_errors
from pipeline.training.compute.devices import replicas
from pipeline.training.data.batches import balanced_weights, batches
from pipeline.training.data.dataset import Dataset, Windows
from pipeline.training.heads.normalisation import FRAME_NORM, statistics_of
from pipeline.training.heads.registry import HEADS, build_model
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.learner import augmented, prepare
from pipeline.training.loop.memory_probe import StepShape, check_memory, did_not_fit
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
        UserError: the loss is not a number any more, or there is nothing to learn from.
    """
    begun = time.perf_counter()
    run = _Run(data, train, val, head, spec, on_epoch, resumable)
    interrupted = False
    try:
        run.all_phases()
    except KeyboardInterrupt:
        if not run.schedule.best_epoch:
            raise
        interrupted = True
    except step_errors() as error:
        if not out_of_memory(error):
            raise
        raise did_not_fit(run.size, spec.accumulate) from None
    run.model.set_weights(run.best)
    return Trained(run.model, run.function, run.spec, run.schedule, time.perf_counter() - begun, interrupted)


class _Run:
    """A training in progress: its model, its random numbers, and how far it has come."""

    def __init__(
        self,
        data: Dataset,
        train: Windows,
        val: Windows,
        head: HeadSpec,
        spec: TrainSpec,
        on_epoch: Callable[[Epoch], None],
        resumable: Resumable | None,
    ) -> None:
        _check(data, train, val, head, spec)
        keras.utils.set_random_seed(spec.seed)
        self.train, self.val, self.head, self.spec = train, val, head, spec.resolved(head)
        self.shape, self.classes = data.shape, len(data.classes)
        self.on_epoch, self.resumable = on_epoch, resumable
        self.size = _batch_size(train, self.spec)
        self.on_frames = HEADS[head.name].needs == "frames"
        # Networks on frames scale pixels themselves.
        self.statistics = None if self.on_frames else statistics_of(train)
        self.class_weights = balanced_weights(train, self.classes) if spec.balance else None
        self.model = build_model(
            head,
            length=train.length,
            shape=self.shape,
            classes=self.classes,
            statistics=self.statistics,
            policy=POLICIES[spec.precision],
        )
        self.learner = augmented(self.model, self.spec)
        self.function = compile_head(self.model)
        self.random = np.random.default_rng(spec.seed)
        self.best = self.model.get_weights()
        self.phases = self.spec.phases(head)
        known = None if resumable is None else resumable.schedule()
        self.schedule = known or Schedule(self.phases[0].learning_rate)

    def all_phases(self) -> None:
        """Train phase after phase, from where the schedule is."""
        resuming = bool(self.schedule.history)
        for number in range(self.schedule.phase, len(self.phases)):
            if number > self.schedule.phase:
                self.model.set_weights(self.best)
                self.schedule.begin_phase(number, self.phases[number].learning_rate)
            self._phase(self.phases[number], resuming)
            resuming = False

    def _phase(self, phase: Phase, resuming: bool) -> None:
        """Train until the schedule says that it is enough."""
        self.optimizer, self.step = prepare(self.model, self.learner, phase, self.spec)
        if self.resumable is not None and resuming:
            self.best = self.resumable.read(self.learner, self.optimizer, self.random)
        if self.on_frames:
            check_memory(StepShape(self.head, self.spec, phase, self.train.length, self.shape, self.classes), self.size)
        while not self.schedule.finished(self.spec.epochs, self.spec.patience):
            epoch = self._epoch()
            if self.schedule.add(epoch, self.spec.plateau):
                self.best = self.model.get_weights()
            if self.resumable is not None:
                self.resumable.write(self.learner, self.optimizer, self.best, self.schedule, self.random)
            self.on_epoch(epoch)

    def _epoch(self) -> Epoch:
        """Learn from all windows once, then look at those of validation."""
        since = time.perf_counter()
        done = len(self.schedule.history)
        steps_before = done * -(-len(self.train) // self.size)
        rate = self.schedule.learning_rate / (1 + self.spec.rate_decay * steps_before)
        self.optimizer.learning_rate = rate
        self.step.reload_variables()
        epoch_of_batches = batches(
            self.train,
            size=self.size,
            classes=self.classes,
            random=self.random,
            smoothing=self.spec.label_smoothing or 0.0,
            class_weights=self.class_weights,
            augmentation=self.spec.augmentation,
            moments=None if self.statistics is None else self.statistics[FRAME_NORM],
        )
        sums = [self.step(*batch) for batch in epoch_of_batches]
        self.step.write_back()
        loss, weight, right = np.sum([np.asarray(part) for part in sums], axis=0)
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is not a number any more in epoch {done + 1}; lower `learning_rate` "
                f"(now {self.schedule.learning_rate:g}), or look for damaged features with check_features.py"
            )
        val_loss, val_accuracy = _measure(self.function, self.val, self.classes)
        seconds = time.perf_counter() - since
        return Epoch(done + 1, float(loss / weight), float(right / weight), val_loss, val_accuracy, rate, seconds)


def _check(data: Dataset, train: Windows, val: Windows, head: HeadSpec, spec: TrainSpec) -> None:
    if not len(train) or not len(val):
        raise UserError("training needs at least one window for training and one for validation")
    if spec.augmentation.random_windows and data.step_labels is not None:
        raise UserError("`random_windows=True` does not go with labels of frames, which belong to windows as cut")
    spec.check(head)


def _batch_size(train: Windows, spec: TrainSpec) -> int:
    """Windows in a step: a small set is one small batch, not one that is mostly filling."""
    assert spec.batch is not None
    size = -(-min(spec.batch, len(train)) // replicas()) * replicas()
    if spec.accumulate > (most := -(-len(train) // size)):
        raise UserError(
            f"`accumulate={spec.accumulate}`: an epoch has {plural(most, 'step')} of {size} windows; "
            f"use {most} or less, or a smaller `batch`"
        )
    return size


def _measure(function: HeadFunction, windows: Windows, classes: int) -> tuple[float, float]:
    """Mean cross entropy and accuracy."""
    logs = log_softmax(logits_of(function, windows, classes).astype(np.float64), axis=1)
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
