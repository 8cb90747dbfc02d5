"""A store that is streamed from its shards trains exactly as one in memory, well shuffled and with bounded memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training.data import batches as module
from pipeline.training.data.batches import batches, order_of_an_epoch
from pipeline.training.data.dataset import open_dataset, windows_of
from pipeline.training.data.feature_augmentation import FeatureAugmentation
from pipeline.training.data.windows import WindowSpec
from pipeline.training.heads.normalisation import statistics_of
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop.fit import fit
from pipeline.training.loop.spec import TrainSpec

SIZE = 4


@pytest.fixture
def streamed(store):
    return open_dataset(store, memory=0)


@pytest.fixture
def rounds(monkeypatch):
    """Rounds of two batches of 4 windows of 3 steps of 12 float32, in blocks of two."""
    monkeypatch.setattr(module, "_ROUND", 8 * 144)
    monkeypatch.setattr(module, "_NEIGHBOURS", 2 * 144)


def every_window(data):
    return windows_of(data, np.arange(len(data)), WindowSpec(3, 2))


@pytest.mark.parametrize(
    "augmentation",
    [FeatureAugmentation(), FeatureAugmentation(random_windows=True), FeatureAugmentation(noise=0.1, mixup=0.2)],
)
def test_the_batches_are_those_from_memory(data, streamed, rounds, augmentation):
    assert data.features.in_memory
    assert not streamed.features.in_memory
    moments = (np.zeros(12, np.float32), np.ones(12, np.float32))
    mine, theirs = (
        list(
            batches(
                every_window(part),
                size=SIZE,
                classes=3,
                random=np.random.default_rng(3),
                augmentation=augmentation,
                moments=moments,
            )
        )
        for part in (streamed, data)
    )
    assert len(mine) == len(theirs) == -(-len(every_window(data)) // SIZE)
    for one, other in zip(mine, theirs, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_streamed_training_ends_with_the_weights_of_one_in_memory(data, streamed, rounds):
    results = []
    for part in (streamed, data):
        rows = np.random.default_rng(0).permutation(len(part))
        train, val = (windows_of(part, chosen, WindowSpec(3, 2)) for chosen in (rows[8:], rows[:8]))
        results.append(fit(part, train, val, head_spec("mean"), TrainSpec(epochs=3, batch=SIZE, learning_rate=0.01)))
    mine, theirs = results
    for left, right in zip(mine.model.get_weights(), theirs.model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert [replace(row, seconds=0) for row in mine.schedule.history] == [
        replace(row, seconds=0) for row in theirs.schedule.history
    ]


def test_what_is_read_through_is_the_same(data, streamed, monkeypatch):
    monkeypatch.setattr("pipeline.training.data.dataset.BLOCK_BYTES", 10 * 144)
    for name, (mean, variance) in statistics_of(every_window(data)).items():
        np.testing.assert_array_equal(statistics_of(every_window(streamed))[name], (mean, variance))
    np.testing.assert_allclose(streamed.means, data.means, rtol=1e-4, atol=1e-5)
    blocks = list(every_window(streamed).blocks(4))
    assert len(blocks) > 2
    assert {len(rows) for rows, *_ in blocks[:-1]} == {8}
    np.testing.assert_array_equal(
        np.sort(np.concatenate([rows for rows, *_ in blocks])), np.arange(len(every_window(data)))
    )


def test_every_round_has_its_share_of_every_class(data, rounds):
    """Videos lie class by class in the store."""
    windows = every_window(data)
    assert (np.diff(windows.labels[np.argsort(windows.places)]) != 0).sum() == 2
    orders = [order_of_an_epoch(windows, np.random.default_rng(seed), SIZE) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(*orders[:2])
    assert (orders[0] != orders[2]).any()
    np.testing.assert_array_equal(np.sort(orders[0]), np.arange(len(windows)))
    whole = len(windows) // 8 * 8
    counts = np.stack([np.bincount(labels, minlength=3) for labels in windows.labels[orders[0]][:whole].reshape(-1, 8)])
    expected = 8 * np.bincount(windows.labels) / len(windows)
    assert np.abs(counts - expected).max() < 4, "a block of two at each end"


def test_windows_larger_than_a_block_are_each_taken_once(streamed, rounds, monkeypatch):
    monkeypatch.setattr(module, "_NEIGHBOURS", 100)  # less than the 144 bytes of a window
    windows = every_window(streamed)
    order = order_of_an_epoch(windows, np.random.default_rng(0), SIZE)
    assert sorted(order) == list(range(len(windows)))


def test_a_round_reads_neighbours_together(data, rounds):
    windows = every_window(data)
    order = order_of_an_epoch(windows, np.random.default_rng(0), SIZE)
    rank = np.empty(len(windows), int)
    rank[np.argsort(windows.places)] = np.arange(len(windows))
    jumps = sum((np.diff(np.sort(rank[order[start : start + 8]])) > 1).sum() + 1 for start in range(0, len(order), 8))
    assert jumps < 0.7 * len(windows), "seeks"
