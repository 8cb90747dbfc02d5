"""Augmented copies in a store: made once, seen by the training only."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.commands.extraction import check_features, extract_features
from pipeline.commands.training import train
from pipeline.errors import UserError
from pipeline.extraction.jobs.augmented_copies import AugmentedCopySpec
from pipeline.extraction.store.store import FeatureStore
from pipeline.training.data.dataset import open_dataset, windows_of
from pipeline.training.data.windows import WindowSpec
from tests.media import write_video

RECIPE = ["--backbone", "tiny", "--weights", "random", "--size", "32", "--sampling", "uniform:4", "--workers", "1"]
RECIPE += ["--precision", "float32", "--quiet"]


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movies")
    for label, first in (("low", 0), ("high", 3000)):
        for clip in range(3):
            write_video(folder / label / f"{clip}.mp4", frames=8, fps=4, first=first + 10 * clip, size=(96, 48))
    return folder


@pytest.fixture(scope="module")
def store(movies, tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "copies"
    assert extract_features.main([str(movies), "--out", str(out), *RECIPE, "--augment", "2"]) == 0
    return out


def test_copies_stand_beside_originals_that_are_as_without(store, movies, tmp_path):
    found = FeatureStore(store)
    assert len(found.entries) == 18
    assert len(found.catalog) == 6
    assert extract_features.main([str(movies), "--out", str(tmp_path / "plain"), *RECIPE]) == 0
    plain = FeatureStore(tmp_path / "plain")
    for video in plain.entries:
        original = found.read(video)
        np.testing.assert_array_equal(original.features, plain.read(video).features)
        copies = [found.read(name) for name in found.copies_of(video)]
        assert len(copies) == 2
        for one, other in ((original, copies[0]), (original, copies[1]), (copies[0], copies[1])):
            np.testing.assert_array_equal(one.frames, other.frames)
            assert np.abs(one.features.astype(float) - other.features).mean() > 1e-3
    assert check_features.main([str(store), "--quiet"]) == 0


def test_only_the_training_sees_them(store, tmp_path):
    data = open_dataset(store)
    assert len(data) == 6
    longer, rows = data.with_copies(np.array([0, 4]))
    windows = windows_of(longer, rows, WindowSpec(4))
    assert len(windows) == 6
    assert sorted(windows.labels.tolist()) == sorted([int(data.labels[0])] * 3 + [int(data.labels[4])] * 3)
    found = FeatureStore(store)
    features, _ = windows.gather(np.arange(6))
    wanted = [found.read(name).features for row in (0, 4) for name in found.copies_of(data.names[row])]
    for copy in wanted:
        assert any(np.array_equal(copy, row) for row in features)
    out = tmp_path / "checkpoint"
    settings = ["--head", "mlp", "--units", "4", "--members", "1", "--epochs", "1", "--quiet"]
    assert train.main([str(store), "--out", str(out), *settings]) == 0
    assert "#" not in (out / "predictions.csv").read_text()
    assert '"augmented_copies": 0' not in (out / "results.json").read_text()


def test_the_same_command_goes_on_and_another_kind_is_refused(store, movies, capsys):
    again = [str(movies), "--out", str(store), *RECIPE[:-1]]
    assert extract_features.main([*again, "--augment", "2"]) == 0
    assert "2 augmented copies of each video: all were there" in capsys.readouterr().out
    assert extract_features.main([*again, "--augment", "3"]) == 0
    assert "6 augmented copies" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"has copies varied by flip,.*, not flip; ask for those"):
        extract_features.main([*again, "--augment", "2:flip"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0", "expected a number of copies"),
        ("x", "expected a number"),
        ("2:jitter:1", "for training only"),
        ("2:", "nothing"),
    ],
)
def test_what_is_no_number_of_copies(text, line):
    with pytest.raises(UserError, match=line):
        AugmentedCopySpec.parse(text)
