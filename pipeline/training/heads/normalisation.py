"""Mean and variance of the training windows, which a head keeps and normalises what it sees by."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pipeline.lazy import np

if TYPE_CHECKING:
    from pipeline.training.data.dataset import Windows

FRAME_NORM, POOLED_NORM = "frames", "pooled"  # names of the normalisation layers, also in a saved model
Statistics: TypeAlias = "dict[str, tuple[np.ndarray, np.ndarray]]"
"""Mean and variance by the layer's name."""


def statistics_of(windows: Windows) -> Statistics:
    """Mean and variance of the training windows: of their real steps, and of what `layers.pooled` makes of them.

    Returns:
        Arrays ``(D,)`` and ``(2 D,)`` float32. A variance is kept off zero: a feature that is constant in
        training would otherwise turn the rounding errors of float16 into values of thousands at inference.
    """
    frames, whole = _Moments(windows.data.dimensions), _Moments(2 * windows.data.dimensions)
    for _, block, block_mask in windows.blocks():
        for start in range(0, len(block), 64):  # what follows takes many times the memory of float16
            features, mask = block[start : start + 64].astype(np.float32), block_mask[start : start + 64]
            frames.add(features[mask])
            pairs = np.abs(features[:, 1:] - features[:, :-1]) * mask[:, 1:, None]
            count = mask.sum(axis=1, keepdims=True)
            whole.add(np.hstack([features.sum(axis=1) / count, pairs.sum(axis=1) / np.maximum(1, count - 1)]))
    return {FRAME_NORM: frames.result(), POOLED_NORM: whole.result()}


class _Moments:
    """Mean and variance of rows that arrive in pieces."""

    def __init__(self, dimensions: int) -> None:
        self._count = 0
        self._sum, self._squares = np.zeros(dimensions), np.zeros(dimensions)

    def add(self, rows: np.ndarray) -> None:
        self._count += len(rows)
        self._sum += rows.sum(axis=0, dtype=np.float64)
        self._squares += np.square(rows, dtype=np.float64).sum(axis=0)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        mean = self._sum / max(1, self._count)
        variance = self._squares / max(1, self._count) - np.square(mean)
        return mean.astype(np.float32), floor_variance(variance, mean)


def floor_variance(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """``(D,)`` float32 variances, none smaller than float16 can resolve or than a hundredth of the usual one."""
    alive = variance[variance > 1e-6 * np.square(mean) + 1e-12]
    usual = float(np.median(alive)) if len(alive) else 1.0
    return np.maximum(variance, np.maximum(1e-2 * usual, np.square(1e-3 * mean))).astype(np.float32)
