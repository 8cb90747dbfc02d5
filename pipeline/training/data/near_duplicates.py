"""Nearly parallel rows on two sides of a split, found without comparing all of them in full.

Each row is projected onto a few leading directions. By the inequality of Cauchy and Schwarz the cosine of two rows is
at most the product of their projections plus the product of the lengths of what these leave out. Where even that stays
below the threshold a pair is ruled out; the others are compared in full, so nothing is missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

DIRECTIONS = 64
_BLOCK = 2048  # rows that are compared with as many others at a time
_SAMPLE = 2048  # rows from which the directions are taken
_KEPT = 4096  # closest pairs that are remembered; a folder of black videos would have millions
_SLACK = 1e-5  # more than float32 loses in a product of unit vectors


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows in different parts whose cosine reaches a threshold."""

    count: int
    """How many there are."""
    first: np.ndarray
    """``(m,)`` int64, the row in the earlier part; of the closest pairs only, the closest first."""
    second: np.ndarray
    """``(m,)`` int64, the row in the later part."""
    cosines: np.ndarray
    """``(m,)`` float64."""


def near_pairs(vectors: np.ndarray, parts: Sequence[np.ndarray], threshold: float, *, most: int = 50) -> Pairs:
    """Find the pairs of rows in different parts whose cosine, the mean of all rows taken off, reaches a threshold.

    Beside ``vectors`` it takes memory for `DIRECTIONS` float32 numbers a row and a few blocks.

    Args:
        vectors: ``(n, D)`` float16 or float32.
        parts: rows of each part; no row is in two.
        threshold: the least cosine.
        most: how many of the closest pairs to name; all are counted.
    """
    rows = _Centred(vectors)
    sketches = [rows.sketch(part) for part in parts]
    found = _Found(rows, threshold)
    bounds = np.empty(_BLOCK * _BLOCK, np.float32)
    for position, first in enumerate(parts):
        for other, second in enumerate(parts[:position]):
            for here in _blocks(len(first)):
                for there in _blocks(len(second)):
                    a, b = sketches[position][here], sketches[other][there]
                    bound = np.matmul(a, b.T, out=bounds[: len(a) * len(b)].reshape(len(a), len(b)))
                    near = np.flatnonzero(bound.max(axis=1) >= threshold - _SLACK)
                    if len(near):
                        far = np.flatnonzero(bound[near].max(axis=0) >= threshold - _SLACK)
                        found.compare(second[there][far], first[here][near])
    return found.closest(most)


class _Centred:
    """Rows with their mean taken off."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors
        sums = [vectors[block].sum(axis=0, dtype=np.float64) for block in _blocks(len(vectors))]
        self.centre = (np.sum(sums, axis=0) / max(1, len(vectors))).astype(np.float32)
        self.directions = self._leading()

    def units(self, rows: np.ndarray | slice) -> np.ndarray:
        """``(m, D)`` float32 of length 1, or 0 for a row that is the mean."""
        away = self.vectors[rows] - self.centre
        return away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)

    def cosines(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """``(m,)`` float64, the cosine of each pair of rows, the same whatever it is computed beside."""
        pieces = [np.zeros(0)]
        for block in _blocks(len(first), 512):
            a, b = (self.vectors[rows[block]].astype(np.float64) - self.centre for rows in (first, second))
            lengths = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
            pieces.append((a * b).sum(axis=1) / np.maximum(lengths, 1e-24))
        return np.minimum(1.0, np.concatenate(pieces))

    def _leading(self) -> np.ndarray:
        """``(D, k)`` orthonormal; any such directions are right, and those along which rows differ most rule out most.

        Found by subspace iteration (Halko, Martinsson, Tropp 2011, https://arxiv.org/abs/0909.4061).
        """
        step = -(-len(self.vectors) // _SAMPLE)
        sample = self.units(slice(None, None, max(1, step)))
        width = self.vectors.shape[1]
        basis = np.random.default_rng(0).normal(size=(width, min(DIRECTIONS, width))).astype(np.float32)
        for _ in range(3):
            basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
        return basis

    def sketch(self, rows: np.ndarray) -> np.ndarray:
        """``(m, k + 1)`` float32 whose products bound the cosines from above: projections, and what they leave out."""
        sketch = np.empty((len(rows), self.directions.shape[1] + 1), np.float32)
        for block in _blocks(len(rows)):
            projected = self.units(rows[block]) @ self.directions
            sketch[block, :-1] = projected
            sketch[block, -1] = np.sqrt(np.maximum(0, 1 - (projected**2).sum(axis=1)) + _SLACK)
        return sketch


class _Found:
    """Pairs that reach the threshold: all counted, the closest remembered."""

    def __init__(self, rows: _Centred, threshold: float) -> None:
        self.rows, self.threshold = rows, threshold
        self.count = 0
        self.pairs = np.zeros((0, 2), np.int64)
        self.values = np.zeros(0, np.float32)

    def compare(self, first: np.ndarray, second: np.ndarray) -> None:
        """Compare all of ``first`` with all of ``second`` in full."""
        cosines = self.rows.units(first) @ self.rows.units(second).T
        places = np.flatnonzero(cosines >= self.threshold - _SLACK)
        pairs = np.stack([first[places // len(second)], second[places % len(second)]], axis=1)
        values = cosines.ravel()[places]
        unsure = np.flatnonzero(values < self.threshold + _SLACK)
        sure = np.ones(len(values), bool)
        sure[unsure] = self.rows.cosines(*pairs[unsure].T) >= self.threshold
        self.count += int(sure.sum())
        self.pairs = np.concatenate([self.pairs, pairs[sure]])
        self.values = np.concatenate([self.values, values[sure]])
        if len(self.values) > _KEPT:
            closest = np.argsort(-self.values, kind="stable")[:_KEPT]
            self.pairs, self.values = self.pairs[closest], self.values[closest]

    def closest(self, most: int) -> Pairs:
        first, second = self.pairs.T
        cosines = self.rows.cosines(first, second)
        order = np.lexsort((second, first, -cosines))[:most]
        return Pairs(self.count, first[order], second[order], cosines[order])


def _blocks(count: int, size: int | None = None) -> Iterator[slice]:
    size = size or _BLOCK
    return (slice(start, start + size) for start in range(0, count, size))
