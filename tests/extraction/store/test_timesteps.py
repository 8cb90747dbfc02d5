"""Steps in memory and in shards are the same, however they lie in the files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.timesteps import StoredSteps
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.sampling import Sampling

LENGTHS = {"a": 40, "b": 3, "c": 70, "d": 1, "e": 33}


@pytest.fixture
def folder(tmp_path):
    """Five videos in two shards of different types; chunks are 32 steps, so that longer ones take several."""
    random = np.random.default_rng(0)
    for dtype, names in (("float16", "abc"), ("float32", "de")):
        with StoreWriter(tmp_path, Recipe("all", "tiny", "0" * 64, 32, 32), dtype=dtype) as writer:
            for name in names:
                buffer, steps = writer.buffer(), range(LENGTHS[name])
                buffer.append(random.normal(size=(len(steps), 6)), [0.1 * step for step in steps], list(steps))
                writer.add(name, buffer, SourceFile(1, 1, ""))
    return tmp_path


def check(store: FeatureStore, names: str = "abcde") -> StoredSteps:
    """Compare what is gathered from files and from memory with what the store reads."""
    stored = StoredSteps(store, names)
    loaded = stored.load()
    assert len(stored) == len(loaded) == sum(store.entries[name].steps for name in names)
    assert stored.nbytes == loaded.nbytes
    assert stored.dtype == loaded.dtype
    firsts, counts, expected = [], [], []
    for name in names:
        sequence = store.read(name)
        place = stored.first[name]
        np.testing.assert_array_equal(stored.frames[place : place + len(sequence.frames)], sequence.frames)
        np.testing.assert_array_equal(stored.times[place : place + len(sequence.times)], sequence.times)
        for start in range(0, len(sequence.times), 5):
            part = sequence.features[start : start + 7]
            firsts.append(place + start)
            counts.append(len(part))
            expected.append(np.concatenate([part, np.zeros((7 - len(part), 6))]))
    order = np.random.default_rng(1).permutation(len(firsts))
    for steps in (stored, loaded):
        found = steps.gather(np.array(firsts)[order], np.array(counts)[order], 7)
        assert found.dtype == stored.dtype
        np.testing.assert_array_equal(found, np.stack(expected)[order])
    return stored


def test_what_lies_in_shards_is_what_the_store_reads(folder):
    assert check(FeatureStore(folder)).dtype == np.float32


def test_some_videos_of_a_store(folder):
    assert check(FeatureStore(folder), "ca").dtype == np.float16


def test_a_thinned_store(folder):
    check(FeatureStore(folder, sampling=Sampling.parse("uniform:9")))


def test_shards_that_are_packed_by_other_hands(folder):
    for path in folder.glob("*.h5"):
        with h5py.File(path, "r+") as shard:
            features = shard["features"][:]
            del shard["features"]
            shard.create_dataset("features", data=features, chunks=(1, 8, 6), compression="gzip")
    check(FeatureStore(folder))


def test_a_shard_that_lost_its_end_is_one_clear_line(folder):
    stored = StoredSteps(FeatureStore(folder), "abc")
    path = min(folder.glob("*.h5"))
    with open(path, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(UserError, match="has become shorter"):
        stored.load()
