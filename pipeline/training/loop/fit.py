"""Training heads: one loop over windows for each member, watched by the validation loss only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import UserError
from pipeline.files.text import plural
from pipeline.lazy import keras
from pipeline.training.compute.apply_head import HeadFunction, log_softmax, rows_at_once, run_in_batches
from pipeline.training.compute.backend import out_of_memory, step_errors
from pipeline.training.compute.devices import replicas
from pipeline.training.data.batches import balanced_weights, batches
from pipeline.training.data.dataset import Dataset, Windows
from pipeline.training.heads.ensemble import average, average_logits, build_members
from pipeline.training.heads.normalisation import FRAME_NORM, statistics_of
from pipeline.training.heads.registry import HEADS
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.kept_weights import KeptWeights
from pipeline.training.loop.learner import Learner
from pipeline.training.loop.memory_probe import StepShape, check_memory, did_not_fit
from pipeline.training.loop.resume import Resumable
from pipeline.training.loop.schedule import Epoch, Schedule
from pipeline.training.loop.spec import POLICIES, Phase, TrainSpec


@dataclass(frozen=True)
class Member:
    """One head with the weights of its best epoch, and what it says of the windows that it was validated on."""

    weights: list[np.ndarray]
    schedule: Schedule
    val: Windows
    val_logits: np.ndarray
    """``(m, C)`` float32."""


@dataclass(frozen=True)
class Trained:
    """A head, or several whose probabilities are averaged."""

    model: keras.Model
    """What is saved; see `ensemble.average`."""
    heads: tuple[keras.Model, ...]
    """The models that are averaged in it."""
    members: tuple[Member, ...]
    learner: Learner
    spec: TrainSpec
    seconds: float
    interrupted: bool = False
    """Whether Ctrl-C ended it; the members are those that were done, or the best so far of the first one."""
    temperature: float = 1.0
    """Of each of several members; that of a single head stands outside of its model."""

    def tempered(self, temperature: float) -> Trained:
        """The same with a temperature for each of several members; a single head as it is."""
        if len(self.members) == 1:
            return self
        return replace(self, model=average(self.heads, temperature), temperature=temperature)

    @property
    def schedule(self) -> Schedule:
        """Of the first member."""
        return self.members[0].schedule

    @property
    def history(self) -> list[Epoch]:
        """Of all members, one after the other."""
        return [epoch for member in self.members for epoch in member.schedule.history]

    def curves(self) -> list[tuple[list[Epoch], int]]:
        """The epochs of each member and which one was kept."""
        return [(member.schedule.history, member.schedule.best_epoch) for member in self.members]

    def logits(self, windows: Windows) -> np.ndarray:
        """``(m, C)`` float32 of all windows, averaged over the members."""
        return self.averaged(lambda function: logits_of(function, windows, self.model.output_shape[-1]))

    def averaged(self, logits: Callable[[HeadFunction], np.ndarray]) -> np.ndarray:
        """What the members say, averaged; ``logits`` asks one of them."""
        return average_logits(self.each(logits), self.temperature)

    def each(self, logits: Callable[[HeadFunction], np.ndarray]) -> list[np.ndarray]:
        """What each member says, the last one first; ``logits`` asks one of them."""
        found = []
        for member in reversed(self.members):  # the learner is the first one's place, and is left as that one
            self.learner.model.set_weights(member.weights)
            found.append(logits(self.learner.function))
        return found

    def out_of_fold(self) -> tuple[Windows, np.ndarray]:
        """All windows that a member was validated on, and the logits ``(m, C)`` of that member."""
        first = self.members[0].val
        if len(self.members) == 1:
            return first, self.members[0].val_logits
        video, start, labels = (
            np.concatenate([getattr(member.val, name) for member in self.members])
            for name in ("video", "start", "labels")
        )
        order = np.lexsort((start, video))
        logits = np.concatenate([member.val_logits for member in self.members])
        return replace(first, video=video[order], start=start[order], labels=labels[order]), logits[order]


Pair = tuple[Windows, Windows]
"""What a member learns from, and what it is validated on."""


def fit(
    data: Dataset,
    train: Windows,
    val: Windows,
    head: HeadSpec,
    spec: TrainSpec,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    resumable: Resumable | None = None,
    kept: KeptWeights | None = None,
) -> Trained:
    """Train one head; see `fit_members`."""
    resumables = None if resumable is None else [resumable]
    return fit_members(data, train, [(train, val)], head, spec, on_epoch=on_epoch, resumables=resumables, kept=kept)


def fit_members(
    data: Dataset,
    learnt: Windows,
    pairs: Sequence[Pair],
    head: HeadSpec,
    spec: TrainSpec,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    resumables: Sequence[Resumable] | None = None,
    kept: KeptWeights | None = None,
    schedule: Schedule | None = None,
) -> Trained:
    """Train heads, one after the other, and keep of each the weights with the lowest loss on its validation windows.

    The same arguments give the same weights on the same machine. Ctrl-C after the first epoch ends the
    training and keeps the members that are done, or the best so far of the first one.

    Args:
        data: what the windows are over.
        learnt: all windows that any member learns from; all members normalise by their mean and variance.
        pairs: of each member.
        head: what to train.
        spec: how; members have seeds of their own.
        on_epoch: called after each epoch.
        resumables: where the state of each member is kept after each epoch, and taken from if it is there.
        kept: where weights of single epochs are kept, of one head.
        schedule: of a single head: says when to stop and at which rate to learn; by default one that begins.

    Raises:
        UserError: the loss is not a number any more, or there is nothing to learn from.
    """
    begun = time.perf_counter()
    if not pairs or not all(len(train) and len(val) for train, val in pairs):
        raise UserError("training needs at least one window for training and one for validation")
    if spec.augmentation.random_windows and data.step_labels is not None:
        raise UserError("`random_windows=True` does not go with labels of frames, which belong to windows as cut")
    if kept is not None and len(pairs) > 1:
        raise UserError(f"weights of single epochs are those of one head, and `members={len(pairs)}`; add `members=1`")
    spec.check(head)
    same = _Same(data, learnt, pairs, head, spec)
    members: list[Member] = []
    interrupted = False
    for number, (train, val) in enumerate(pairs):
        run = _Run(same, number, train, val, on_epoch, None if resumables is None else resumables[number], kept)
        run.schedule = schedule or run.schedule
        try:
            run.all_phases()
        except KeyboardInterrupt:
            interrupted = True
            if not members and not run.schedule.best_epoch:
                raise
        except step_errors() as error:
            if not out_of_memory(error):
                raise
            raise did_not_fit(same.size, spec.accumulate) from None
        if interrupted and members:
            break
        members.append(run.finished())
        if interrupted:
            break
    for model, member in zip(same.models, members, strict=False):
        model.set_weights(member.weights)
    seconds = time.perf_counter() - begun
    heads = tuple(same.models[: len(members)])
    return Trained(average(heads), heads, tuple(members), same.learner, same.spec, seconds, interrupted)


def seed_of_member(seed: int, number: int) -> int:
    """Of weights, dropout and shuffling; the first member has the training's own."""
    return (seed + 7919 * number) % 2**32


class _Same:
    """What all members of a training share, the compiled functions among them."""

    def __init__(self, data: Dataset, learnt: Windows, pairs: Sequence[Pair], head: HeadSpec, spec: TrainSpec) -> None:
        self.head, self.spec = head, spec.resolved(head)
        self.shape, self.classes, self.length = data.shape, len(data.classes), learnt.length
        self.size = _batch_size([len(train) for train, _ in pairs], self.spec)
        self.on_frames = HEADS[head.name].needs == "frames"
        # Networks on frames scale pixels themselves.
        self.statistics = None if self.on_frames else statistics_of(learnt)
        self.models = build_members(
            head,
            len(pairs),
            seeds=[seed_of_member(spec.seed, number) for number in range(len(pairs))],
            length=learnt.length,
            shape=self.shape,
            classes=self.classes,
            statistics=self.statistics,
            policy=POLICIES[spec.precision],
        )
        self.learner = Learner(self.models[0], self.spec)
        self.phases = self.spec.phases(head)


class _Run:
    """The training of a member in progress: its random numbers, and how far it has come."""

    def __init__(
        self,
        same: _Same,
        number: int,
        train: Windows,
        val: Windows,
        on_epoch: Callable[[Epoch], None],
        resumable: Resumable | None,
        kept: KeptWeights | None,
    ) -> None:
        self.same, self.number = same, number
        self.train, self.val = train, val
        self.on_epoch, self.resumable, self.kept = on_epoch, resumable, kept
        self.spec, self.model, self.classes = same.spec, same.learner.model, same.classes
        if number:
            same.learner.take([np.asarray(variable) for variable in same.models[number].variables])
        self.class_weights = balanced_weights(train, self.classes) if self.spec.balance else None
        self.random = np.random.default_rng(seed_of_member(self.spec.seed, number))
        self.best = self.model.get_weights()
        known = None if resumable is None else resumable.schedule()
        self.schedule = known or Schedule(same.phases[0].learning_rate)
        if kept is not None:
            kept.begin(len(self.schedule.history))

    def finished(self) -> Member:
        """The member with its best weights."""
        self.model.set_weights(self.best)
        return Member(self.best, self.schedule, self.val, logits_of(self.same.learner.function, self.val, self.classes))

    def all_phases(self) -> None:
        """Train phase after phase, from where the schedule is."""
        resuming = bool(self.schedule.history)
        phases = self.same.phases
        for number in range(self.schedule.phase, len(phases)):
            if number > self.schedule.phase:
                self.model.set_weights(self.best)
                self.schedule.begin_phase(number, phases[number].learning_rate)
            self._phase(phases[number], resuming)
            resuming = False

    def _phase(self, phase: Phase, resuming: bool) -> None:
        """Train until the schedule says that it is enough."""
        same = self.same
        self.optimizer, self.step = same.learner.begin(phase)
        behind = same.learner.behind_augmentation
        if self.resumable is not None and resuming:
            self.best = self.resumable.read(behind, self.optimizer, self.random)
        if same.on_frames:
            check_memory(StepShape(same.head, self.spec, phase, same.length, same.shape, self.classes), same.size)
        while not self.schedule.finished(self.spec.epochs, self.spec.patience):
            epoch = self._epoch()
            best = self.schedule.add(epoch, self.spec.plateau, self.spec.plateau_factor)
            if best:
                self.best = self.model.get_weights()
            if self.kept is not None:
                self.kept.add(self.model, epoch, best=best)
            done = self.schedule.finished(self.spec.epochs, self.spec.patience)
            if self.resumable is not None and (done or self.resumable.due):
                self.resumable.write(behind, self.optimizer, self.best, self.schedule, self.random)
            self.on_epoch(epoch)

    def _epoch(self) -> Epoch:
        """Learn from all windows once, then look at those of validation."""
        since = time.perf_counter()
        done = len(self.schedule.history)
        steps_before = done * -(-len(self.train) // self.same.size)
        rate = self.schedule.learning_rate / (1 + self.spec.rate_decay * steps_before)
        self.optimizer.learning_rate = rate
        self.step.reload_variables()
        epoch_of_batches = batches(
            self.train,
            size=self.same.size,
            classes=self.classes,
            random=self.random,
            smoothing=self.spec.label_smoothing or 0.0,
            class_weights=self.class_weights,
            augmentation=self.spec.augmentation,
            moments=None if self.same.statistics is None else self.same.statistics[FRAME_NORM],
        )
        sums = [self.step(*batch) for batch in epoch_of_batches]
        self.step.write_back()
        loss, weight, right = np.sum([np.asarray(part) for part in sums], axis=0)
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is not a number any more in epoch {done + 1}; lower `learning_rate` "
                f"(now {self.schedule.learning_rate:g}), or look for damaged features with check_features.py"
            )
        val_loss, val_accuracy = _measure(self.same.learner.function, self.val, self.classes)
        seconds = time.perf_counter() - since
        return Epoch(
            epoch=done + 1,
            loss=float(loss / weight),
            accuracy=float(right / weight),
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=rate,
            seconds=seconds,
            member=self.number + 1,
        )


def _batch_size(counts: Sequence[int], spec: TrainSpec) -> int:
    """Windows in a step: a small set is one small batch, not one that is mostly filling.

    Args:
        counts: of the windows that each member learns from.
        spec: resolved for the head.
    """
    assert spec.batch is not None
    size = -(-min(spec.batch, max(counts)) // replicas()) * replicas()
    if spec.accumulate > (most := -(-min(counts) // size)):
        raise UserError(
            f"`accumulate={spec.accumulate}`: an epoch has {plural(most, 'step')} of {size} windows; "
            f"use {most} or less, or a smaller `batch`"
        )
    return size


def _measure(function: HeadFunction, windows: Windows, classes: int) -> tuple[float, float]:
    """Mean cross entropy and accuracy."""
    logs = log_softmax(logits_of(function, windows, classes).astype(np.float64))
    right = logs.argmax(axis=1) == windows.labels
    return float(-logs[np.arange(len(logs)), windows.labels].mean()), float(right.mean())


def logits_of(function: HeadFunction, windows: Windows, classes: int) -> np.ndarray:
    """``(m, C)`` float32 logits of all windows."""
    result = np.empty((len(windows), classes), np.float32)
    size = batch_of(windows)
    for rows, features, mask in windows.blocks(size):
        result[rows] = run_in_batches(function, features, mask, classes, batch=size)
    return result


def batch_of(windows: Windows) -> int:
    """Windows in one call of a compiled head: few shapes for the parts of all members and splits, and few calls.

    A member of a small set is validated on a handful, in each epoch anew; most of a larger batch would be filling.
    """
    size = next((size for size in (8, 32) if len(windows) <= 2 * size), 128)
    return rows_at_once(windows.data.shape, windows.length, size)
