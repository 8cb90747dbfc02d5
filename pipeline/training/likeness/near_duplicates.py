"""Rows that are nearly the same, found exactly, a block with a block at a time.

A few leading directions rule out most pairs: by the inequality of Cauchy and Schwarz the cosine of two rows is at most
the product of their projections plus the product of the lengths of what these leave out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

import numpy as np

_BLOCK = 4096  # rows that are compared with as many others at a time
_STRIP = 256  # rows of a block whose pairs are listed at a time; a folder of black videos has only pairs
_KEPT = 4096  # closest pairs that are remembered; likewise
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
    closest: tuple[int, int, float] | None = None
    """Rows and cosine of the closest pair, also below the threshold; None where none reaches the floor."""


class _Rows:
    """Rows around their mean, at unit length, and what their cosines are at most.

    It takes memory for 65 float32 numbers a row and a few blocks, beside the vectors.

    Args:
        vectors: ``(n, D)`` float16 or float32.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors
        self._centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        # Any orthonormal directions are right; those along which rows differ most rule out most.
        sample = self.units(slice(None, None, -(-len(vectors) // _SAMPLE)))
        shape = (sample.shape[1], min(_DIRECTIONS, *sample.shape))
        self._directions = np.random.default_rng(0).standard_normal(shape, np.float32)
        for _ in range(3):
            self._directions = np.linalg.qr(sample.T @ (sample @ self._directions))[0]

    def units(self, rows: np.ndarray | slice) -> np.ndarray:
        """``(m, D)`` float32 of length 1, or 0 for a row that is the mean."""
        centred = self._vectors[rows] - self._centre
        lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))
        return np.divide(centred, np.maximum(lengths, 1e-12)[:, None], out=centred)

    def bounds(self, rows: np.ndarray) -> np.ndarray:
        """``(m, k + 1)`` float32 whose products bound the cosines from above."""
        projected = np.concatenate([self.units(rows[block]) @ self._directions for block in _blocks(rows, _BLOCK)])
        left_out = 1 - np.einsum("ij,ij->i", projected, projected)
        return np.column_stack([projected, np.sqrt(np.maximum(left_out, 0) + _SLACK)])


def near_pairs(
    vectors: np.ndarray, splits: Sequence[np.ndarray], threshold: float, *, most: int = 50, floor: float = 1.0
) -> Pairs:
    """Find the pairs of rows in different splits whose cosine, the mean of all rows subtracted, reaches a threshold.

    Args:
        vectors: ``(n, D)`` float16 or float32.
        splits: rows of each split; no row is in two.
        threshold: the least cosine.
        most: how many of the closest pairs to name; all are counted.
        floor: the closest pair is named from this cosine on, whether it reaches the threshold or not.
    """
    units_of = _Rows(vectors)
    count, pairs, cosines = 0, np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    closest: tuple[int, int, float] | None = None
    bounded = [(rows, units_of.bounds(rows)) for rows in splits if len(rows)]
    for (first, of_first), (second, of_second) in combinations(bounded, 2):
        for here in _blocks(first, _BLOCK):
            for there in _blocks(second, _BLOCK):
                bound = of_first[here] @ of_second[there].T
                # Below the threshold only what is closer than all before is of interest.
                least = min(threshold, floor if closest is None else closest[2] + 1e-6)
                near = np.flatnonzero(bound.max(axis=1) >= least)
                if not len(near):
                    continue
                left = first[here][near]
                right = second[there][bound[near].max(axis=0) >= least]
                found = units_of.units(left) @ units_of.units(right).T
                place = np.unravel_index(found.argmax(), found.shape)
                if found[place] >= least and (closest is None or found[place] > closest[2]):
                    closest = int(left[place[0]]), int(right[place[1]]), min(1.0, float(found[place]))
                for i, j in _near(found, threshold):
                    count += len(i)
                    pairs = np.concatenate([pairs, np.column_stack([left[i], right[j]])])
                    cosines = np.concatenate([cosines, np.minimum(found[i, j], 1)])
                    order = np.lexsort((*pairs.T[::-1], -cosines))[:_KEPT]
                    pairs, cosines = pairs[order], cosines[order]
    return Pairs(count, pairs[:most, 0], pairs[:most, 1], cosines[:most], closest)


def near_groups(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """Number the groups of rows that hang together by pairs whose cosine, as in `near_pairs`, reaches a threshold.

    Args:
        vectors: ``(n, D)`` float16 or float32.
        threshold: the least cosine.

    Returns:
        ``(n,)`` int64 from 0: the group of each row, numbered in the order of their first rows.
    """
    units_of = _Rows(vectors)
    bounds = units_of.bounds(np.arange(len(vectors)))
    group = np.arange(len(vectors))
    for here, there in combinations_with_replacement(_blocks(vectors, _BLOCK), 2):
        bound = bounds[here] @ bounds[there].T
        near = np.flatnonzero(bound.max(axis=1) >= threshold)
        # What hangs together already need not be compared; a row is always near to itself.
        new = (bound[near] >= threshold) & (group[here][near, None] != group[there])
        left, right = near[new.any(axis=1)] + here.start, np.flatnonzero(new.any(axis=0)) + there.start
        if not len(left):
            continue
        found = units_of.units(left) @ units_of.units(right).T
        for i, j in _near(found, threshold):
            group = join(group, left[i], right[j])
    return number(group)


def join(group: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Groups after those of some pairs of rows became one.

    Args:
        group: ``(n,)`` int64, the group of each row, each number below n.
        first: ``(m,)`` rows.
        second: ``(m,)`` the rows that are in one group with them.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = coo_matrix((np.ones(len(first), bool), (group[first], group[second])), shape=(len(group), len(group)))
    return connected_components(edges, directed=False)[1].astype(np.int64)[group]


def number(group: np.ndarray) -> np.ndarray:
    """``(n,)`` int64 from 0: the same groups, numbered in the order of their first rows."""
    _, first, of_row = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[of_row]


def _near(cosines: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places (rows, columns) of cosines that reach the threshold, a strip of rows at a time."""
    for strip in _blocks(cosines, _STRIP):
        i, j = np.nonzero(cosines[strip] >= threshold)
        if len(i):
            yield i + strip.start, j


def _blocks(rows: np.ndarray, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, len(rows), size))
