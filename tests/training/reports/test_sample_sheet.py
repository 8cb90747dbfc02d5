from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.training import show_samples
from pipeline.extraction.inputs.augmentation import FrameAugmentation
from pipeline.extraction.recipe import FRAME_CACHE, PIXELS, Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.extraction.store.store import CATALOG_FILE, FeatureStore
from pipeline.training.data.windows import WindowSpec
from pipeline.training.reports.sample_sheet import draw_samples, seconds_apart
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.catalog_table import write_catalog
from pipeline.videos.catalog.source_file import SourceFile

RED = (255, 0, 0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Six videos of three classes, 5 steps a second; the colour of a frame is its number, but that of ``a0`` is red."""
    folder = tmp_path_factory.mktemp("frames") / "cache"
    recipe = Recipe("fps:5", FRAME_CACHE, "", 8, 12, layer=PIXELS)
    videos = []
    with StoreWriter(folder, recipe) as writer:
        for number, label in enumerate("aabbbc"):
            name, steps = f"{label}/{label}{number}.mp4", 1 if number == 5 else 10
            pictures = np.broadcast_to(np.arange(steps, dtype=np.uint8)[:, None, None, None], (steps, 8, 12, 3))
            pictures = np.full((steps, 8, 12, 3), RED, np.uint8) if number == 0 else pictures
            buffer = writer.buffer()
            buffer.append(pictures, [0.2 * step for step in range(steps)], list(range(steps)))
            writer.add(name, buffer, SourceFile(1, 1, "", frames=steps))
            videos.append(Video(name, folder / name, label))
    write_catalog(videos, folder / CATALOG_FILE)
    return folder


def test_classes_come_in_turn_and_pictures_are_spread(cache):
    samples = draw_samples(FeatureStore(cache), videos=3, columns=4)
    assert [sample.title.split("\n")[1] for sample in samples] == ["a", "b", "c"]
    assert [len(sample.times) for sample in samples] == [4, 4, 1]
    np.testing.assert_allclose(samples[1].times, [0, 0.6, 1.2, 1.8])
    assert samples[1].images[:, 0, 0, 0].tolist() == [0, 3, 6, 9]
    assert len(draw_samples(FeatureStore(cache), videos=100)) == 6


def test_windows_are_shown_one_by_one(cache):
    samples = draw_samples(FeatureStore(cache), videos=100, window=WindowSpec(4, 3))
    of_one = [sample for sample in samples if sample.title.startswith("b/b2")]
    assert [sample.images[:, 0, 0, 0].tolist() for sample in of_one] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]


def test_augmented_ones_stand_by_the_originals(cache):
    plain, varied = draw_samples(FeatureStore(cache), videos=1, augmentation=FrameAugmentation.parse("colour:0.5"))
    assert varied.title == "augmented"
    np.testing.assert_array_equal(plain.times, varied.times)
    assert plain.images.shape == varied.images.shape
    assert not np.array_equal(plain.images, varied.images)


def test_seconds_between_steps(cache):
    assert np.sort(seconds_apart(FeatureStore(cache)))[:5] == pytest.approx(0.2)


def test_the_command(cache, store, tmp_path, capsys):
    def call(*arguments):
        status = command.run(show_samples.main, [str(argument) for argument in arguments], parser=show_samples.parser)
        return status, capsys.readouterr()

    out = tmp_path / "samples.png"
    status, printed = call(cache, "--out", out, "--videos", "2", "--window-seconds", "1", "--stride-seconds", "0.6")
    assert (status, printed.out) == (0, f"{out}: 6 rows; the store has 6 videos\n")
    picture = cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB)
    # One of the two videos is the red one.
    assert (picture == RED).all(axis=-1).mean() > 0.1
    assert "exists; give --overwrite" in call(cache, "--out", out)[1].err
    for arguments, line in (
        (["--window", "4", "--window-seconds", "1"], "--window and --stride count steps"),
        (["--stride-seconds", "1"], "--stride-seconds needs --window-seconds"),
        (["--videos", "0"], "--videos 0: expected 1 or more"),
    ):
        status, printed = call(cache, "--out", tmp_path / "b.png", *arguments)
        assert status == 2
        assert line in printed.err
    assert "holds features, which cannot be looked at" in call(store, "--out", tmp_path / "b.png")[1].err
    assert "expected a name ending in .png" in call(cache, "--out", tmp_path / "b.gif")[1].err
