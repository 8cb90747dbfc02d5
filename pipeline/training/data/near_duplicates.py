"""Near-duplicate rows on two sides of a split, found by comparing all of them, a block with a block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.utils import gen_batches

_BLOCK = 4096  # rows that are compared with as many others at a time
_KEPT = 4096  # closest pairs that are remembered; a folder of black videos would have millions


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows in different splits whose cosine reaches a threshold."""

    count: int
    """How many there are."""
    first: np.ndarray
    """``(m,)`` int64, the row in the earlier split; of the closest pairs only, the closest first."""
    second: np.ndarray
    """``(m,)`` int64, the row in the later split."""
    cosines: np.ndarray
    """``(m,)`` float32."""


def near_pairs(vectors: np.ndarray, splits: Sequence[np.ndarray], threshold: float, *, most: int = 50) -> Pairs:
    """Find the pairs of rows in different splits whose cosine, the mean of all rows subtracted, reaches a threshold.

    Beside ``vectors`` it takes memory for three blocks. The time grows with the square of the rows.

    Args:
        vectors: ``(n, D)`` float16 or float32.
        splits: rows of each split; no row is in two.
        threshold: the least cosine.
        most: how many of the closest pairs to name; all are counted.
    """
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)

    def units(rows: np.ndarray) -> np.ndarray:
        """``(m, D)`` float32 of length 1, or 0 for a row that is the mean."""
        centred = vectors[rows] - centre
        lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))
        return np.divide(centred, np.maximum(lengths, 1e-12)[:, None], out=centred)

    count, pairs, cosines = 0, np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    for first, second in combinations([rows for rows in splits if len(rows)], 2):
        for here in gen_batches(len(first), _BLOCK):
            left = units(first[here])
            for there in gen_batches(len(second), _BLOCK):
                block = left @ units(second[there]).T
                if block.max() < threshold:
                    continue
                i, j = np.nonzero(block >= threshold)
                count += len(i)
                pairs = np.concatenate([pairs, np.stack([first[here][i], second[there][j]], axis=1)])
                cosines = np.concatenate([cosines, np.minimum(block[i, j], 1)])
                order = np.lexsort((*pairs.T[::-1], -cosines))[:_KEPT]
                pairs, cosines = pairs[order], cosines[order]
    return Pairs(count, pairs[:most, 0], pairs[:most, 1], cosines[:most])
