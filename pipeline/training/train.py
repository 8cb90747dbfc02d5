"""Training a head: one loop over windows, watched by the validation loss only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from pipeline.errors import UserError
from pipeline.training.batches import Augmentation, Batch, balanced_weights, batches
from pipeline.training.checkpoint import run_in_batches
from pipeline.training.compiled import Function, compile_head, compile_step
from pipeline.training.dataset import Dataset, Windows
from pipeline.training.heads import FRAMES, HEADS, HeadSpec, build_model, statistics_of
from pipeline.training.progress import Epoch, Progress
from pipeline.training.resume import Resumable


@dataclass(frozen=True)
class TrainSpec:
    """How a head is trained; the defaults were chosen by validation on several data sets, see the README."""

    epochs: int = 100
    """The most epochs."""
    batch: int = 32
    """Windows in a step."""
    rate: float | None = None
    """Learning rate of Adam at the start. For this and the next two None means the head's own."""
    patience: int = 12
    """Epochs without a lower validation loss after which training stops."""
    plateau: int = 5
    """Epochs without a lower validation loss after which the learning rate is halved."""
    weight_decay: float | None = None
    """Decoupled weight decay (Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101)."""
    label_smoothing: float | None = None
    """Share of the target that is spread over all classes."""
    balance: bool = False
    """Whether rare classes weigh more, so that all count the same."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 1), ("patience", 1), ("plateau", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} {getattr(self, name)}: expected {least} or more")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise UserError(f"--learning-rate {self.rate:g}: expected more than 0")
        for name, share in (("weight-decay", self.weight_decay), ("label-smoothing", self.label_smoothing)):
            if share is not None and not 0 <= share < 1:
                raise UserError(f"--{name} {share:g}: expected 0 or more and less than 1")

    def resolved(self, head: HeadSpec) -> TrainSpec:
        """The same with the head's own settings in the place of None."""
        own = {name: getattr(HEADS[head.name], name) for name in ("rate", "weight_decay", "label_smoothing")}
        return replace(self, **{name: value for name, value in own.items() if getattr(self, name) is None})


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
    )
    spec = spec.resolved(head)
    assert spec.rate is not None
    optimizer = keras.optimizers.AdamW(spec.rate, weight_decay=float(spec.weight_decay or 0))
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)
    step = compile_step(model, optimizer, jit=HEADS[head.name].jit)
    function = compile_head(model)

    random = np.random.default_rng(spec.seed)
    class_weights = balanced_weights(train, len(data.classes)) if spec.balance else None

    def batches_of_an_epoch() -> Iterator[Batch]:
        return batches(
            train,
            size=min(spec.batch, len(train)),  # a small set is one small batch, not one that is mostly filling
            classes=len(data.classes),
            random=random,
            smoothing=spec.label_smoothing or 0.0,
            class_weights=class_weights,
            augmentation=spec.augmentation,
            moments=None if statistics is None else statistics[FRAMES],
        )

    progress = Progress(spec.rate)
    best = model.get_weights()
    if resumable is not None and (state := resumable.read(model, optimizer, random)) is not None:
        best, progress = state
    interrupted = False
    try:
        while not progress.finished(spec.epochs, spec.patience):
            since = time.perf_counter()
            optimizer.learning_rate = progress.rate
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
                learning_rate=progress.rate,
                seconds=time.perf_counter() - since,
            )
            if progress.add(epoch, spec.plateau):
                best = model.get_weights()
            if resumable is not None:
                resumable.write(model, optimizer, best, progress, random)
            on_epoch(epoch)
    except KeyboardInterrupt:
        if not progress.best_epoch:
            raise
        interrupted = True
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
    size = min(128, max(32, len(windows)))  # one compiled shape for validation and test alike, few calls
    for rows, features, mask in windows.blocks(size):
        result[rows] = run_in_batches(function, features, mask, classes, batch=size)
    return result
