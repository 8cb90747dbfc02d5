"""InceptionV3 in NumPy, written from the paper and nothing of ours: what the engines are compared with.

Source: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567; the order of weights is that of keras.applications.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Weights = Iterator[np.ndarray]
"""For each convolution its kernel ``(height, width, in, out)``, then shift, mean and variance of its normalisation."""

POOLED = "average, then"  # a branch that begins with the mean of 3x3


def features(image: np.ndarray, weights: Weights) -> np.ndarray:
    """``(2048,)`` of an image ``(299, 299, 3)`` uint8."""
    x = image / np.float32(127.5) - np.float32(1)
    x = _block(x, weights, "32 3x3 /2 valid", "32 3x3 valid", "64 3x3")
    x = _block(_windows(x, 3, 3, 2).max(axis=(-2, -1)), weights, "80 1x1 valid", "192 3x3 valid")
    x = _windows(x, 3, 3, 2).max(axis=(-2, -1))
    for width in (32, 64, 64):
        branches = ["64 1x1"], ["48 1x1", "64 5x5"], ["64 1x1", "96 3x3", "96 3x3"], [POOLED, f"{width} 1x1"]
        x = _beside(x, weights, *branches)
    x = _smaller(x, weights, ["384 3x3 /2 valid"], ["64 1x1", "96 3x3", "96 3x3 /2 valid"])
    for c in (128, 160, 160, 192):
        long = [f"{c} 1x1", f"{c} 7x1", f"{c} 1x7", f"{c} 7x1", "192 1x7"]
        x = _beside(x, weights, ["192 1x1"], [f"{c} 1x1", f"{c} 1x7", "192 7x1"], long, [POOLED, "192 1x1"])
    long = ["192 1x1", "192 1x7", "192 7x1", "192 3x3 /2 valid"]
    x = _smaller(x, weights, ["192 1x1", "320 3x3 /2 valid"], long)
    for _ in range(2):
        parts = [_block(x, weights, "320 1x1")]
        for first in (["384 1x1"], ["448 1x1", "384 3x3"]):
            y = _block(x, weights, *first)
            parts += [_block(y, weights, "384 1x3"), _block(y, weights, "384 3x1")]
        x = np.concatenate([*parts, _block(x, weights, POOLED, "192 1x1")], axis=-1)
    return x.mean(axis=(0, 1))


def _beside(x: np.ndarray, weights: Weights, *branches: list[str]) -> np.ndarray:
    return np.concatenate([_block(x, weights, *branch) for branch in branches], axis=-1)


def _smaller(x: np.ndarray, weights: Weights, *branches: list[str]) -> np.ndarray:
    return np.concatenate([_beside(x, weights, *branches), _windows(x, 3, 3, 2).max(axis=(-2, -1))], axis=-1)


def _block(x: np.ndarray, weights: Weights, *steps: str) -> np.ndarray:
    """Convolutions such as ``64 3x3 /2 valid``, each with normalisation and ReLU."""
    for step in steps:
        if step == POOLED:
            counts = _windows(_padded(np.ones_like(x[..., :1]), 3, 3), 3, 3, 1).sum(axis=(-2, -1))
            x = _windows(_padded(x, 3, 3), 3, 3, 1).sum(axis=(-2, -1)) / counts
            continue
        words = step.split()
        height, width = map(int, words[1].split("x"))
        kernel, shift, mean, variance = next(weights), next(weights), next(weights), next(weights)
        assert kernel.shape == (height, width, x.shape[-1], int(words[0])), step
        seen = _windows(x if "valid" in words else _padded(x, height, width), height, width, 2 if "/2" in words else 1)
        x = np.tensordot(seen, kernel, axes=([3, 4, 2], [0, 1, 2]))
        x = np.maximum((x - mean) / np.sqrt(variance + np.float32(1e-3)) + shift, 0)
    return x


def _padded(x: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.pad(x, ((height // 2,) * 2, (width // 2,) * 2, (0, 0)))


def _windows(x: np.ndarray, height: int, width: int, stride: int) -> np.ndarray:
    """``(h, w, channels, height, width)``."""
    return sliding_window_view(x, (height, width), axis=(0, 1))[::stride, ::stride]
