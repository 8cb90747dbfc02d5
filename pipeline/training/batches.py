"""Batches of one size, shuffled anew each epoch, and what may be done to them: augmentation and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from pipeline.errors import UserError
from pipeline.training.dataset import Windows

Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # features, mask, targets, weights


@dataclass(frozen=True)
class Augmentation:
    """What is varied from epoch to epoch; 0 and False leave it as it is."""

    random_windows: bool = False
    """Windows begin anywhere in their video instead of on the grid of the stride."""
    noise: float = 0.0
    """Gaussian noise on every feature, in standard deviations of that feature over the training windows."""
    time_mask: float = 0.0
    """The longest stretch of a window that is replaced by the mean features, as a share of its real steps.
    Source: Park et al. 2019, https://arxiv.org/abs/1904.08779"""
    mixup: float = 0.0
    """Two windows and their targets are mixed, with a share from Beta(mixup, mixup).
    Source: Zhang et al. 2017, https://arxiv.org/abs/1710.09412"""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (value >= 0 and value < float("inf")):
                raise UserError(f"--{item.name.replace('_', '-')} {value:g}: expected 0 or more")
        if self.time_mask > 1:
            raise UserError(f"--time-mask {self.time_mask:g}: expected a share from 0 to 1")


def batches(
    windows: Windows,
    *,
    size: int,
    classes: int,
    random: np.random.Generator,
    smoothing: float = 0.0,
    class_weights: np.ndarray | None = None,
    augmentation: Augmentation | None = None,
    moments: tuple[np.ndarray, np.ndarray] | None = None,
) -> Iterator[Batch]:
    """Yield all windows once, in random order.

    Args:
        windows: to learn from.
        size: rows in a batch. The last one is filled up with rows that weigh nothing: a compiled step takes one shape.
        classes: how many.
        random: decides order and augmentation.
        smoothing: share of the target that is spread over all classes.
        class_weights: ``(C,)`` float32; 1 for each if None.
        augmentation: what is varied.
        moments: mean and variance ``(D,)`` of the training features, for noise and time masks.
    """
    order = random.permutation(len(windows))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        rows = np.resize(chosen, size)
        labels = windows.labels[rows]
        weights = np.zeros(size, np.float32)
        weights[: len(chosen)] = 1 if class_weights is None else class_weights[labels[: len(chosen)]]
        targets = np.eye(classes, dtype=np.float32)[labels] * (1 - smoothing) + np.float32(smoothing / classes)
        if augmentation is None or augmentation == Augmentation():
            yield (*windows.gather(rows), targets, weights)
        else:
            yield _augmented(windows, rows, targets, weights, random, augmentation, moments)


def _augmented(
    windows: Windows,
    rows: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    random: np.random.Generator,
    augmentation: Augmentation,
    moments: tuple[np.ndarray, np.ndarray] | None,
) -> Batch:
    starts = None
    if augmentation.random_windows:
        last = np.maximum(0, windows.data.steps[windows.video[rows]] - windows.length)
        starts = random.integers(0, last + 1)
    features, mask = windows.gather(rows, starts)
    features = features.astype(np.float32)
    if moments is not None and augmentation.noise:
        noise = random.standard_normal(features.shape, np.float32) * np.sqrt(moments[1])
        features += augmentation.noise * noise * mask[:, :, None]
    if moments is not None and augmentation.time_mask:
        real = mask.sum(axis=1)
        longest = (real * augmentation.time_mask).astype(np.int64)
        length = random.integers(0, longest + 1)
        begin = random.integers(0, real - length + 1)
        steps = np.arange(windows.length)
        hidden = (steps >= begin[:, None]) & (steps < (begin + length)[:, None])
        features[hidden] = moments[0]
    if augmentation.mixup:
        share = random.beta(augmentation.mixup, augmentation.mixup, len(rows)).astype(np.float32)
        # Rows that only fill the batch up have no partner but their copies, which are real windows as well.
        partner = random.permutation(len(rows))
        both = mask & mask[partner]  # right padding: the first step of every window is real
        features = share[:, None, None] * features + (1 - share)[:, None, None] * features[partner]
        features[~both] = 0
        mask = both
        targets = share[:, None] * targets + (1 - share)[:, None] * targets[partner]
    return features, mask, targets, weights


def balanced_weights(windows: Windows, classes: int) -> np.ndarray:
    """``(C,)`` float32 by which every class weighs the same in total, and a window 1 on average."""
    counts = np.bincount(windows.labels, minlength=classes)
    present = counts > 0
    return np.where(present, len(windows) / (present.sum() * np.maximum(1, counts)), 0).astype(np.float32)
