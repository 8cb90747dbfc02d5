"""A compiled head on any number of windows: to logits, and from there to probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.lazy import np

HeadFunction: TypeAlias = "Callable[[np.ndarray, np.ndarray], np.ndarray]"
"""A compiled head: features or frames ``(batch, L, ...)`` and mask ``(batch, L)`` to logits ``(batch, C)``."""


@dataclass(frozen=True)
class AnyRows:
    """A head function that takes any number of rows, so that one window costs less than a batch that is filled up."""

    function: HeadFunction

    def __call__(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.function(features, mask)


BATCH = 32  # windows in one call of the compiled function
FRAMES_AT_ONCE = 32  # frames in one call of a network on frames, which keeps memory at some hundred MB


def rows_at_once(shape: tuple[int, ...], length: int, of_features: int = BATCH) -> int:
    """Windows of ``length`` steps in one call of a compiled head; fewer of frames, which take far more memory."""
    return max(1, FRAMES_AT_ONCE // length) if len(shape) == 3 else of_features


def run_in_batches(
    function: HeadFunction, features: np.ndarray, mask: np.ndarray, outputs: int, batch: int = BATCH
) -> np.ndarray:
    """Call a function of `backend.compile_head` on any number of rows, always ``batch`` at a time.

    One that takes `AnyRows` is given the last ones as they are.

    Returns:
        ``(n, outputs)`` float32.
    """
    result = np.empty((len(features), outputs), np.float32)
    for start in range(0, len(features), batch):
        rows = slice(start, start + batch)
        part, real = features[rows], mask[rows]
        if len(part) < batch and not isinstance(function, AnyRows):
            # What fills the batch up is thrown away; its mask is True because a row without a real step is undefined.
            filled, filled_mask = np.zeros((batch, *part.shape[1:]), part.dtype), np.ones((batch, part.shape[1]), bool)
            filled[: len(part)], filled_mask[: len(part)] = part, real
            result[rows] = function(filled, filled_mask)[: len(part)]
        else:
            result[rows] = function(part, real)
    return result


def probabilities_of(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of logits ``(..., C)`` divided by ``temperature``, float32."""
    return np.exp(log_softmax(np.asarray(logits, np.float64) / temperature)).astype(np.float32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities of logits ``(..., C)``."""
    below = logits - logits.max(axis=-1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=-1, keepdims=True))
