from __future__ import annotations

import json
from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.errors import UserError
from pipeline.extraction.features.static_frames import (
    CHECKED,
    FRESH,
    REUSED,
    Reuse,
    SpreadFeatures,
    StaticFrames,
    reusing,
)
from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.recipe import FRAME_CACHE, PIXELS, Recipe
from pipeline.extraction.store.store import FeatureStore
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.media import open_video
from tests.extraction.conftest import RECIPE, column_means
from tests.media import write_video

DENSE = replace(RECIPE, sampling="all")
STATIC = replace(DENSE, reuse_static=1.0)


def still(number: int, *, width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def fading(number: int, *, width: int, height: int) -> np.ndarray:
    """Gains a third of a grey level with each frame."""
    return np.full((height, width, 3), 120 + number // 3, np.uint8)


class Counting:
    """The network of the tests, with the number of images that it saw; what fills a batch up is black."""

    def __init__(self) -> None:
        self.pictures = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.pictures += int(images.any(axis=(1, 2, 3)).sum())
        return column_means(images)


@pytest.fixture
def scenes(tmp_path):
    for name, draw in (("still", still), ("fading", fading)):
        write_video(tmp_path / f"data/{name}.mkv", "ffv1_mkv", frames=120, draw=draw)
    write_video(tmp_path / "data/moving.mkv", "ffv1_mkv", frames=40)
    return tmp_path / "data"


def test_a_static_camera_goes_through_the_network_once(scenes, extract, tmp_path):
    network = Counting()
    progress = extract(scenes, recipe=STATIC, network=network, dtype="float32")
    extract(scenes, tmp_path / "plain", recipe=DENSE, dtype="float32")
    reused, true = FeatureStore(tmp_path / "store"), FeatureStore(tmp_path / "plain")
    one, other = reused.read("still.mkv"), true.read("still.mkv")
    np.testing.assert_array_equal(one.features, other.features)
    assert one.frames.tolist() == list(range(120))
    np.testing.assert_array_equal(one.times, other.times)
    # Every frame of a moving video is new: nothing changes.
    np.testing.assert_array_equal(reused.read("moving.mkv").features, true.read("moving.mkv").features)
    # Small changes add up, so no feature is ever further off than the threshold.
    error = np.abs(reused.read("fading.mkv").features - true.read("fading.mkv").features)
    assert 0 < error.max() <= 1
    reuse = progress.reuse
    assert (reuse.frames, progress.frames) == (280, 280)
    assert 119 + 90 < reuse.reused < 119 + 110  # of the fading one about every sixth frame is new
    assert network.pictures == 280 - reuse.reused + reuse.checked
    # From the fourth on every 32nd of those that reuse a feature in each video.
    assert reuse.checked == len(range(4, 120, 32)) + len(range(4, reuse.reused - 119 + 1, 32))


def test_the_error_is_measured_and_kept(scenes, extract, tmp_path):
    progress = extract(scenes, recipe=STATIC)
    assert 0.999 < progress.reuse.worst <= progress.reuse.cosines / progress.reuse.checked <= 1.0001
    with h5py.File(next((tmp_path / "store").glob("shard-*.h5"))) as shard:
        kept = json.loads(shard.attrs["reuse_static"])
        assert shard.attrs["precision"] == "float32"
    assert (kept["frames"], kept["reused"], kept["checked"]) == (280, progress.reuse.reused, progress.reuse.checked)
    assert kept["cosine_worst"] == progress.reuse.worst


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_size_of_batches_does_not_matter(scenes, extract, tmp_path, batch):
    extract(scenes, recipe=STATIC, batch=batch, dtype="float32")
    for sequence in FeatureStore(tmp_path / "store").sequences(["fading.mkv", "still.mkv"]):
        with open_video(scenes / sequence.video) as video:
            pictures = np.stack([cv2.resize(frame.image, (48, 24)) for frame in video])
        features = reusing(column_means, 1.0)  # as a live image has it
        parts = [features(pictures[start : start + batch]) for start in range(0, len(pictures), batch)]
        np.testing.assert_allclose(sequence.features, np.concatenate(parts), atol=1e-4)


def test_a_network_that_fails_costs_that_video_only(scenes, tmp_path):
    def network(images):
        features = column_means(images)
        features[np.abs(features[:, 0] - 90) < 3] = np.nan
        return features

    extraction = Extraction(open_catalog(scenes), tmp_path / "store", STATIC, None, ExtractionSpec(batch=8))
    extraction.look()
    with extraction.decode() as pool:
        progress = extraction.run(pool, network, {"precision": "float32"})
    assert (progress.done, progress.failed) == (2, 1)
    assert "features are not finite" in extraction.failures()["still.mkv"]


def test_images_are_compared_with_the_last_one_that_counted():
    static = StaticFrames(2.0)
    levels = np.array([10, 11, 12, 13, 14, 12, 10], np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (7, 4, 4, 3)).copy()
    assert [static.use_of(image) for image in images] == [FRESH, REUSED, REUSED, FRESH, REUSED, REUSED, FRESH]


def test_some_images_are_compared_only_where_that_is_asked_for():
    image = np.zeros((4, 4, 3), np.uint8)
    for check in (False, True):
        static = StaticFrames(1.0, check=check)
        uses = [static.use_of(image) for _ in range(100)]
        assert [place for place, use in enumerate(uses) if use == CHECKED] == ([4, 36, 68] if check else [])


def test_features_are_spread_over_the_frames_of_many_messages():
    uses = np.array([FRESH, REUSED, CHECKED, FRESH, FRESH, REUSED, REUSED, CHECKED, REUSED, FRESH], np.uint8)
    own = np.array([[1.0], [1.5], [2.0], [3.0], [3.5], [4.0]], np.float32)
    for length in range(1, 11):
        reuse = Reuse()
        spread, found = SpreadFeatures(reuse), []
        taken = 0
        for start in range(0, len(uses), length):
            part = uses[start : start + length]
            count = int(np.count_nonzero(part != REUSED))
            found.append(spread.spread(own[taken : taken + count] if count else None, part))
            taken += count
        assert np.concatenate(found)[:, 0].tolist() == [1, 1, 1, 2, 3, 3, 3, 3, 3, 4]
        assert (reuse.frames, reuse.reused, reuse.checked) == (10, 6, 2)


def test_what_is_said():
    reuse = Reuse(frames=1000, reused=900)
    assert str(reuse) == "90.0% of 1,000 frames reused a feature"
    reuse.compare(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    reuse.compare(np.array([1.0, 0.0]), np.array([0.6, 0.8]))
    assert str(reuse).endswith("on 2 of them its cosine to their own is 0.8000 on average and 0.6000 at worst")
    other = Reuse(frames=10)
    other.merge(reuse)
    assert (other.frames, other.checked, other.worst) == (1010, 2, 0.6)


def test_the_command(scenes, tmp_path, capsys):
    def call(*arguments):
        fixed = [str(scenes), "--out", str(tmp_path / "s"), "--backbone", "tiny", "--weights", "random"]
        return command.run(
            extract_features.main,
            [*fixed, "--sampling", "all", "--unlabelled", *arguments],
            parser=extract_features.parser,
        )

    assert call("--reuse-static", "300") == 2
    assert "--reuse-static 300: expected grey levels" in capsys.readouterr().err
    assert call("--reuse-static") == 0
    assert "of 280 frames reused a feature; on 8 of them its cosine" in capsys.readouterr().out
    assert FeatureStore(tmp_path / "s").recipe.reuse_static == 1.0
    assert call() == 2
    assert "reuse static 0.0, not 1.0" in capsys.readouterr().err
    assert "reuse_static" not in DENSE.to_dict()
    with pytest.raises(UserError, match="there is no feature to reuse"):
        Recipe("all", FRAME_CACHE, "", 24, 24, layer=PIXELS, reuse_static=1)
