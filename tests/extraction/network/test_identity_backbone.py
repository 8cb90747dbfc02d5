from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.extraction import export_features, import_features
from pipeline.errors import UserError
from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.identity_backbone import IdentityBackbone
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import FRAME_CACHE, PIXELS, Recipe
from pipeline.extraction.store import shard_writer, store
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.verify import check_shards
from pipeline.videos.media import open_video
from pipeline.videos.media.sampling import Sampling
from tests.media import read_number

ROOT = Path(__file__).parents[3]
SIZE = (24, 48)
RECIPE = Recipe("uniform:6", FRAME_CACHE, "", *SIZE, crop="none", layer=PIXELS)
KEEP = IdentityBackbone(SIZE, batch=8)


@pytest.fixture
def cache(videos, extract, tmp_path):
    extract(videos, recipe=RECIPE, network=KEEP)
    return tmp_path / "store"


def test_the_cache_holds_the_pictures_that_were_picked(cache):
    opened = FeatureStore(cache)
    assert opened.shape == (*SIZE, 3)
    for video in opened.catalog:
        sequence = opened.read(video.name)
        assert sequence.features.dtype == np.uint8
        with open_video(video.path) as reader:
            picked = Sampling.parse("uniform:6").indices(reader.times())
            numbers = [read_number(frame.image) for frame in reader.frames(picked)]
        assert [read_number(picture) for picture in sequence.features] == numbers
        assert sequence.frames.tolist() == picked.tolist()


def test_pictures_are_compressed_one_by_one_and_padding_takes_no_room(cache):
    with h5py.File(next(cache.glob("shard-*.h5"))) as shard:
        features = shard["features"]
        assert (features.shape, features.chunks) == ((6, 6, *SIZE, 3), (1, 1, *SIZE, 3))
        assert features.compression == "lzf"
        real = int(shard["mask"][:].sum())
        assert real < 36  # the clips of four frames are padded
        assert features.id.get_num_chunks() == real


def test_a_second_run_does_nothing_and_a_twin_is_copied(cache, videos, extract, monkeypatch):
    monkeypatch.setattr(store, "_PIECE_BYTES", 3 * 24 * 48 * 3)  # copied in pieces, as long sequences are
    shutil.copy(videos / "left/clip1.avi", videos / "right/twin.avi")
    progress = extract(videos, recipe=RECIPE, network=KEEP)
    assert (progress.done, progress.copied) == (0, 1)
    opened = FeatureStore(cache)
    np.testing.assert_array_equal(opened.read("right/twin.avi").features, opened.read("left/clip1.avi").features)
    assert [piece.features.shape[0] for piece in opened.pieces("right/twin.avi")] == [3, 3]
    assert [report.problems for report in check_shards(cache)] == [[], []]


def test_long_sequences_wait_on_disk(videos, extract, tmp_path, monkeypatch, cache):
    monkeypatch.setattr(shard_writer, "SPILL_BYTES", 2 * 24 * 48 * 3)
    extract(videos, tmp_path / "spilled", recipe=RECIPE, network=KEEP)
    one, other = FeatureStore(cache), FeatureStore(tmp_path / "spilled")
    for video in one.entries:
        np.testing.assert_array_equal(one.read(video).features, other.read(video).features)


def test_a_dense_cache_is_read_at_a_sparser_sampling(cache, videos, extract, tmp_path):
    extract(videos, tmp_path / "dense", recipe=replace(RECIPE, sampling="all"), network=KEEP)
    thinned = FeatureStore(tmp_path / "dense", sampling=Sampling.parse("uniform:6"))
    for sequence in thinned.sequences(thinned.entries):
        np.testing.assert_array_equal(sequence.features, FeatureStore(cache).read(sequence.video).features)


def test_a_damaged_cache_is_found(cache):
    with h5py.File(next(cache.glob("shard-*.h5")), "a") as shard:
        shard["features"].id.write_direct_chunk((0, 0, 0, 0, 0), b"no lzf" * 10)
    assert any("damaged" in problem for report in check_shards(cache) for problem in report.problems)


def test_the_cache_is_exported_as_it_is_and_not_imported(cache, tmp_path, capsys):
    assert (
        command.run(
            export_features.main, [str(cache), "--out", str(tmp_path / "arrays")], parser=export_features.parser
        )
        == 0
    )
    assert "6 sequences of 24x48x3 pixels a step" in capsys.readouterr().out
    arrays = np.load(tmp_path / "arrays/left/clip1.avi.npy")
    np.testing.assert_array_equal(arrays, FeatureStore(cache).read("left/clip1.avi").features)
    assert (
        command.run(
            export_features.main, [str(cache), "--out", str(tmp_path / "all.h5")], parser=export_features.parser
        )
        == 0
    )
    with h5py.File(tmp_path / "all.h5") as file:
        row = file["names"].asstr()[:].tolist().index("left/clip1.avi")
        np.testing.assert_array_equal(file["features"][row, : len(arrays)], arrays)
    (tmp_path / "list.csv").write_text("file,label\nleft/clip1.avi,left\n")
    arguments = [str(tmp_path / "arrays"), "--labels", str(tmp_path / "list.csv"), "--out", str(tmp_path / "i")]
    assert command.run(import_features.main, arguments, parser=import_features.parser) == 2
    assert "expected an array of shape (steps, features), found (6, 24, 48, 3)" in capsys.readouterr().err


def test_frames_are_no_features_and_have_no_network(cache):
    with pytest.raises(UserError, match=r"holds frames \(24x48x3\), not features"):
        _ = FeatureStore(cache).dimensions
    with pytest.raises(UserError, match="frames are kept as raw frames: no network makes features of them"):
        Backbone("frames", weights=WeightsSource("random"))
    assert isinstance(load_backbone(RECIPE, cache, weights=None, batch=4), IdentityBackbone)


def test_no_network_is_loaded_for_frames(videos, tmp_path):
    store = tmp_path / "made"
    code = (
        "import sys; from pipeline.cli import command; from pipeline.commands.extraction import extract_features as e;"
        "status = command.run(e.main, sys.argv[1:], parser=e.parser);"
        "print(status, any(name in sys.modules for name in ('tensorflow', 'keras', 'jax', 'torch')))"
    )

    fixed = [str(videos), "--out", str(store), "--backbone", "frames"]

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *fixed, *arguments], cwd=ROOT, capture_output=True, text=True
        )

    assert call("--size", "16x20").stdout.splitlines()[-1] == "0 False"
    opened = FeatureStore(store)
    assert (opened.shape, opened.recipe.layer, opened.recipe.weights_digest) == ((16, 20, 3), "pixels", "")
    refused = call("--dtype", "float32")
    assert (refused.stdout, refused.stderr) == (
        "2 False\n",
        "error: --dtype float32: frames are kept as raw frames, in uint8\n",
    )
    for option in ("--weights random", "--pooling max", "--precision bfloat16"):
        refused = call(*option.split())
        assert (refused.stdout, refused.stderr) == (
            "2 False\n",
            f"error: {option}: frames are kept as raw frames, and no network computes; leave it out\n",
        )
