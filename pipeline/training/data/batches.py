"""Batches of one size, shuffled anew each epoch, and what may be done to them: augmentation and weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.training.data.dataset import Windows
from pipeline.training.data.feature_augmentation import FeatureAugmentation

_ROUND, _NEIGHBOURS = 64 << 20, 512 << 10  # bytes; see `order_of_an_epoch`
Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # features, mask, targets, weights


def batches(
    windows: Windows,
    *,
    size: int,
    classes: int,
    random: np.random.Generator,
    smoothing: float = 0.0,
    class_weights: np.ndarray | None = None,
    augmentation: FeatureAugmentation | None = None,
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
    order = order_of_an_epoch(windows, random, size)
    order = np.append(order, np.resize(order[len(order) // size * size :], -len(order) % size))
    starts = windows.start[order]
    if augmentation is not None and augmentation.random_windows:
        last = np.maximum(0, windows.data.steps[windows.video] - windows.length)
        starts = random.integers(0, last[order] + 1)
    for number, (features, mask) in enumerate(_gathered(windows, order, starts, size)):
        rows = order[number * size : (number + 1) * size]
        labels = windows.labels[rows]
        weights = np.zeros(size, np.float32)
        real = min(size, len(windows) - number * size)
        weights[:real] = 1 if class_weights is None else class_weights[labels[:real]]
        targets = np.eye(classes, dtype=np.float32)[labels] * (1 - smoothing) + np.float32(smoothing / classes)
        batch = features, mask, targets, weights
        yield batch if augmentation is None else _augmented(batch, random, augmentation, moments)


def order_of_an_epoch(windows: Windows, random: np.random.Generator, size: int) -> np.ndarray:
    """All windows once, in random order.

    Where they take more than a round of 64 MiB, they are drawn in blocks of 512 KiB of neighbours, so that a disk can
    follow, and shuffled again within each round. Each class is spread evenly over the rounds. The order does not
    depend on whether the features are in memory.

    Args:
        windows: to order.
        random: draws the order.
        size: rows in a batch.

    Returns:
        ``(m,)`` int64.
    """
    per_round = _round(windows, size)
    if len(windows) <= per_round:
        return random.permutation(len(windows))
    near = np.argsort(windows.places, kind="stable")
    # A window of frames can be larger than a block; it is a block of its own then.
    blocks = np.array_split(near, min(len(near), -(-len(near) * windows.bytes_each // _NEIGHBOURS)))
    label = windows.labels[[block[0] for block in blocks]]
    # The blocks of a class lie at equal distances on a line from 0 to 1, in random order and from a random start.
    line = np.empty(len(blocks))
    for of_class in (np.flatnonzero(label == found) for found in np.unique(label)):
        line[of_class] = (random.permutation(len(of_class)) + random.random()) / len(of_class)
    order = np.concatenate([blocks[block] for block in np.argsort(line, kind="stable")])
    for start in range(0, len(order), per_round):
        random.shuffle(order[start : start + per_round])
    return order


def _round(windows: Windows, size: int) -> int:
    """How many windows are shuffled, and read, together: a whole number of batches."""
    return max(1, _ROUND // (windows.bytes_each * size)) * size


def _gathered(
    windows: Windows, order: np.ndarray, starts: np.ndarray, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features and mask of each batch; from files whole rounds are read, one ahead of the training."""
    count = size if windows.data.features.in_memory else _round(windows, size)
    here = (slice(start, start + count) for start in range(0, len(order), count))
    with windows.read_ahead(windows.gather(order[part], starts[part]) for part in here) as ready:
        for features, mask in ready:
            for start in range(0, len(mask), size):
                yield features[start : start + size], mask[start : start + size]


def _augmented(
    batch: Batch,
    random: np.random.Generator,
    augmentation: FeatureAugmentation,
    moments: tuple[np.ndarray, np.ndarray] | None,
) -> Batch:
    features, mask, targets, weights = batch
    if not (augmentation.noise or augmentation.time_mask or augmentation.mixup):
        return batch
    features = features.astype(np.float32)
    if moments is not None and augmentation.noise:
        noise = random.standard_normal(features.shape, np.float32) * np.sqrt(moments[1])
        features += augmentation.noise * noise * mask[:, :, None]
    if moments is not None and augmentation.time_mask:
        real = mask.sum(axis=1)
        longest = (real * augmentation.time_mask).astype(np.int64)
        length = random.integers(0, longest + 1)
        begin = random.integers(0, real - length + 1)
        steps = np.arange(mask.shape[1])
        hidden = (steps >= begin[:, None]) & (steps < (begin + length)[:, None])
        features[hidden] = moments[0]
    if augmentation.mixup:
        share = random.beta(augmentation.mixup, augmentation.mixup, len(mask)).astype(np.float32)
        # Rows that only fill the batch up have no partner but their copies, which are real windows as well.
        partner = random.permutation(len(mask))
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
