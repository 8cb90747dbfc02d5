"""Pairs are those of comparing all with all, however they are divided into blocks and whatever the vectors are like."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from pipeline.training.likeness import near_duplicates
from pipeline.training.likeness.near_duplicates import join, near_groups, near_pairs


def by_comparing_all(vectors: np.ndarray, parts: list[np.ndarray], threshold: float) -> dict[tuple[int, int], float]:
    away = vectors.astype(np.float64)
    away -= away.mean(axis=0).astype(np.float32)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    cosines = away @ away.T
    return {
        (int(i), int(j)): float(cosines[i, j])
        for first, second in itertools.combinations(parts, 2)
        for i in first
        for j in second
        if cosines[i, j] >= threshold
    }


def vectors_like(kind: str, random: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Vectors without any structure, in a few directions only, or in tight bunches; some are there twice."""
    rank = {"any": width, "flat": 2, "bunches": width}[kind]
    vectors = random.normal(size=(count, rank)) @ random.normal(size=(rank, width))
    if kind == "bunches":
        vectors = vectors[random.integers(0, min(3, count), count)] + 0.1 * random.normal(size=(count, width))
    copied = random.integers(0, count, (2, count // 4))
    vectors[copied[0]] = vectors[copied[1]]
    return vectors


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["any", "flat", "bunches"]),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(2, 60),
    width=st.integers(1, 90),
    threshold=st.sampled_from([0.3, 0.9, 0.98, 0.9999]),
    dtype=st.sampled_from([np.float16, np.float32]),
    block=st.sampled_from([1, 7, 2048]),
)
def test_pairs_are_those_of_comparing_all(kind, seed, count, width, threshold, dtype, block):
    random = np.random.default_rng(seed)
    vectors = vectors_like(kind, random, count, width).astype(dtype)
    order = random.permutation(count)
    parts = np.split(order[: random.integers(1, count + 1)], np.sort(random.integers(0, count, 2)))
    expected = by_comparing_all(vectors, parts, threshold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_BLOCK", block)
        found = near_pairs(vectors, parts, threshold, most=count**2)
    assert found.count == len(expected)
    pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
    assert dict(zip(pairs, found.cosines, strict=True)) == pytest.approx(expected, abs=1e-5)
    assert (np.diff(found.cosines) <= 0).all()


def test_of_very_many_pairs_all_are_counted_and_the_closest_named(monkeypatch):
    monkeypatch.setattr(near_duplicates, "_KEPT", 30)
    monkeypatch.setattr(near_duplicates, "_BLOCK", 16)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(1, 32)) + 0.01 * random.normal(size=(100, 32))
    vectors[50:] -= 2 * vectors[50:]  # two bunches, so that the mean of all is neither
    vectors[90] = vectors[10] = vectors[0]
    vectors[[60, 45]] = vectors[47]
    parts = [np.r_[0:25, 50:75], np.r_[25:50, 75:100]]
    found = near_pairs(vectors.astype(np.float32), parts, 0.9, most=1)
    assert found.count == len(by_comparing_all(vectors.astype(np.float32), parts, 0.9)) > 1000
    assert found.cosines.tolist() == [pytest.approx(1)]


def test_videos_that_are_all_alike_are_no_division_by_zero():
    vectors = np.zeros((6, 5), np.float16)
    assert near_pairs(vectors, [np.arange(4), np.arange(4, 6)], 0.9).count == 0
    vectors[:3] = 1
    found = near_pairs(vectors, [np.array([0, 3]), np.array([1, 4, 5])], 0.9)
    assert sorted(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 1), (3, 4), (3, 5)]


def test_most_pairs_are_ruled_out(monkeypatch):
    random = np.random.default_rng(0)
    # Features of images vary mostly in some dozens of directions.
    vectors = random.normal(size=(600, 40)) @ random.normal(size=(40, 512)) + 0.5 * random.normal(size=(600, 512))
    vectors[500] = vectors[3]
    compared = []
    whole = np.nonzero
    monkeypatch.setattr(np, "nonzero", lambda found: compared.append(found.size) or whole(found))
    found = near_pairs(vectors.astype(np.float16), [np.arange(400), np.arange(400, 600)], 0.98)
    assert (found.first.tolist(), found.second.tolist()) == ([3], [500])
    assert compared[-1] < 400 * 200 / 1000


@pytest.mark.parametrize(("floor", "named"), [(1.0, False), (0.5, True)])
def test_the_closest_pair_is_named_from_the_floor_on(monkeypatch, floor, named):
    monkeypatch.setattr(near_duplicates, "_BLOCK", 16)
    vectors = np.random.default_rng(3).normal(size=(60, 8)).astype(np.float32)
    parts = [np.arange(0, 60, 2), np.arange(1, 60, 2)]
    found = near_pairs(vectors, parts, 0.999, floor=floor)
    assert found.count == 0
    expected = by_comparing_all(vectors, parts, 0.5)
    best = max(expected, key=expected.__getitem__)
    if named:
        assert found.closest is not None
        assert found.closest[:2] == best
        assert found.closest[2] == pytest.approx(expected[best], abs=1e-5)
    else:
        assert found.closest is None


def groups_by_walking(vectors: np.ndarray, threshold: float) -> list[set[int]]:
    """Groups by going from row to row along the pairs of `by_comparing_all`."""
    near = by_comparing_all(vectors, [np.array([row]) for row in range(len(vectors))], threshold)
    left, groups = set(range(len(vectors))), []
    while left:
        group, ahead = set(), [min(left)]
        while ahead:
            row = ahead.pop()
            if row not in group:
                group.add(row)
                ahead += [b if a == row else a for a, b in near if row in (a, b)]
        left -= group
        groups.append(group)
    return groups


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["any", "flat", "bunches"]),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 60),
    width=st.integers(1, 90),
    threshold=st.sampled_from([0.3, 0.9, 0.98]),
    block=st.sampled_from([1, 7, 2048]),
)
def test_groups_are_those_of_walking_along_the_pairs(kind, seed, count, width, threshold, block):
    vectors = vectors_like(kind, np.random.default_rng(seed), count, width).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_BLOCK", block)
        patch.setattr(near_duplicates, "_STRIP", 3)
        found = near_groups(vectors, threshold)
    assert [set(np.flatnonzero(found == group).tolist()) for group in range(found.max() + 1)] == groups_by_walking(
        vectors, threshold
    )


def test_videos_that_are_all_the_same_are_one_group_and_compared_once(monkeypatch):
    monkeypatch.setattr(near_duplicates, "_BLOCK", 16)
    compared = []
    whole = near_duplicates._near
    monkeypatch.setattr(
        near_duplicates, "_near", lambda found, least: compared.append(found.size) or whole(found, least)
    )
    vectors = np.ones((200, 8), np.float32)
    vectors[150:] = np.arange(8)
    assert near_groups(vectors, 0.98).tolist() == [0] * 150 + [1] * 50
    assert sum(compared) < 200 * 200 / 4


def test_groups_that_are_joined_become_one_and_others_stay():
    group = np.array([0, 0, 1, 2, 3, 3])
    joined = join(group, np.array([1, 4]), np.array([2, 5]))
    assert len({*joined[:3].tolist()}) == 1
    assert len(set(joined.tolist())) == 3
