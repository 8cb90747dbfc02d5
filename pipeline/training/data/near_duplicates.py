"""Near-duplicate rows on two sides of a split, found exactly, a block with a block at a time.

A few leading directions rule out most pairs: by the inequality of Cauchy and Schwarz the cosine of two rows is at most
the product of their projections plus the product of the lengths of what these leave out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

_BLOCK = 4096  # rows that are compared with as many others at a time
_KEPT = 4096  # closest pairs that are remembered; a folder of black videos would have millions
_DIRECTIONS = 64
_SAMPLE = 1024  # rows from which the directions are taken
_SLACK = 1e-4  # more than float32 loses in a bound


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

    Beside ``vectors`` it takes memory for 65 float32 numbers a row and three blocks.

    Args:
        vectors: ``(n, D)`` float16 or float32.
        splits: rows of each split; no row is in two.
        threshold: the least cosine.
        most: how many of the closest pairs to name; all are counted.
    """
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)

    def units(rows: np.ndarray | slice) -> np.ndarray:
        """``(m, D)`` float32 of length 1, or 0 for a row that is the mean."""
        centred = vectors[rows] - centre
        lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))
        return np.divide(centred, np.maximum(lengths, 1e-12)[:, None], out=centred)

    # Any orthonormal directions are right; those along which rows differ most rule out most.
    sample = units(slice(None, None, -(-len(vectors) // _SAMPLE)))
    shape = (sample.shape[1], min(_DIRECTIONS, *sample.shape))
    directions = np.random.default_rng(0).standard_normal(shape, np.float32)
    for _ in range(3):
        directions = np.linalg.qr(sample.T @ (sample @ directions))[0]

    def bounds(rows: np.ndarray) -> np.ndarray:
        """``(m, k + 1)`` float32 whose products bound the cosines from above."""
        projected = np.concatenate([units(rows[block]) @ directions for block in _blocks(rows)])
        left_out = 1 - np.einsum("ij,ij->i", projected, projected)
        return np.column_stack([projected, np.sqrt(np.maximum(left_out, 0) + _SLACK)])

    count, pairs, cosines = 0, np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    bounded = [(rows, bounds(rows)) for rows in splits if len(rows)]
    for (first, of_first), (second, of_second) in combinations(bounded, 2):
        for here in _blocks(first):
            for there in _blocks(second):
                bound = of_first[here] @ of_second[there].T
                near = np.flatnonzero(bound.max(axis=1) >= threshold)
                if not len(near):
                    continue
                left = first[here][near]
                right = second[there][bound[near].max(axis=0) >= threshold]
                found = units(left) @ units(right).T
                i, j = np.nonzero(found >= threshold)
                count += len(i)
                pairs = np.concatenate([pairs, np.column_stack([left[i], right[j]])])
                cosines = np.concatenate([cosines, np.minimum(found[i, j], 1)])
                order = np.lexsort((*pairs.T[::-1], -cosines))[:_KEPT]
                pairs, cosines = pairs[order], cosines[order]
    return Pairs(count, pairs[:most, 0], pairs[:most, 1], cosines[:most])


def _blocks(rows: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, len(rows), _BLOCK))
