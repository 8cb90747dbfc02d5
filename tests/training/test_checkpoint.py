"""Checkpoints: the same answers before and after, however they are asked for, and nothing half written."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.checkpoint import Checkpoint, write_folder
from pipeline.training.compute.apply_head import probabilities_of
from pipeline.training.data.dataset import windows_of
from pipeline.training.data.splits import make_split
from pipeline.training.data.windows import WindowSpec
from pipeline.training.experiments.experiment import train
from pipeline.training.experiments.save import save_run
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop.spec import TrainSpec
from pipeline.videos.catalog.splits import groups_of


@pytest.fixture(scope="module")
def run(data):
    split = make_split(data, groups_of(data.videos, r"g\d")[0])
    return train(
        data, split, head=head_spec(units=8), window=WindowSpec(4, 2), spec=TrainSpec(epochs=3, batch=8, members=1)
    )


@pytest.fixture(scope="module")
def checkpoint(run, tmp_path_factory):
    return save_run(run, tmp_path_factory.mktemp("checkpoints") / "drawn")


@pytest.fixture
def windows(data, checkpoint):
    all_windows = windows_of(data, np.arange(len(data)), checkpoint.window)
    return all_windows.gather(np.arange(len(all_windows)))


def test_loading_gives_what_was_saved(run, checkpoint, data):
    loaded = Checkpoint.load(checkpoint.folder)
    assert loaded == checkpoint
    assert loaded.classes == data.classes
    assert loaded.recipe == data.recipe
    assert loaded.window == WindowSpec(4, 2)
    assert loaded.head == head_spec(units=8)
    test = run.predictions["test"]
    again = loaded.predict(*test.windows.gather(np.arange(len(test.windows))))
    np.testing.assert_allclose(again, probabilities_of(test.window_logits, loaded.temperature), atol=1e-5)


def test_batch_size_and_order_do_not_matter(checkpoint, windows):
    features, mask = windows
    together = checkpoint.predict(features, mask)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    one_by_one = [checkpoint.predict(features[i : i + 1], mask[i : i + 1])[0] for i in range(len(features))]
    np.testing.assert_allclose(one_by_one, together, atol=1e-5)
    sixty_four = np.resize(np.arange(len(features)), 64)
    np.testing.assert_allclose(
        checkpoint.predict(features[sixty_four], mask[sixty_four]), together[sixty_four], atol=1e-5
    )
    order = np.random.default_rng(0).permutation(len(features))
    np.testing.assert_allclose(checkpoint.predict(features[order], mask[order]), together[order], atol=1e-5)


def test_float16_features_are_taken(checkpoint, windows):
    features, mask = windows
    half = checkpoint.predict(features.astype(np.float16), mask)
    np.testing.assert_allclose(half, checkpoint.predict(features, mask), atol=0.02)


def test_no_windows_give_no_rows(checkpoint, windows):
    assert checkpoint.predict(windows[0][:0], windows[1][:0]).shape == (0, 3)


def test_rows_of_padding_only_and_other_shapes_are_refused(checkpoint, windows):
    features, mask = windows[0][:3], windows[1][:3].copy()
    mask[1] = False
    with pytest.raises(UserError, match="row 1 has no real step"):
        checkpoint.predict(features, mask)
    with pytest.raises(UserError, match="do not fit"):
        checkpoint.predict(features[:, :2], mask[:, :2])


def test_time_scale_is_that_of_the_training_clips(run, checkpoint, data):
    durations = data.durations[run.split.train]
    scale = checkpoint.time_scale
    assert (scale.shortest, scale.longest) == (durations.min(), durations.max())
    assert scale.median == np.median(durations)
    assert scale.step is None, "a recipe by count has no fixed step"


def test_a_recipe_by_rate_keeps_its_step(make_store):
    from pipeline.training.data.dataset import open_dataset

    data = open_dataset(make_store(sampling="fps:2"))
    assert data.time_scale(np.arange(len(data))).step == pytest.approx(0.5)


def test_the_folder_holds_what_the_design_says(checkpoint):
    names = {path.name for path in checkpoint.folder.iterdir()}
    assert names >= {
        "model.keras",
        "checkpoint.json",
        "results.json",
        "history.csv",
        "predictions.csv",
        "curves.png",
        "confusion_matrix.png",
    }
    results = checkpoint.metrics
    assert set(results["accuracy"]) == set(results["log_loss"]) == {"train", "val", "test"}
    assert {"seconds", "epochs", "parameters", "seed"} <= set(results)
    assert os.listdir(checkpoint.folder.parent) == [checkpoint.folder.name], "something unfinished was left behind"


def test_the_model_opens_in_plain_keras_without_code(checkpoint, windows):
    import keras

    model = keras.saving.load_model(checkpoint.folder / "model.keras", safe_mode=True, compile=False)
    np.testing.assert_allclose(
        probabilities_of(np.asarray(model([windows[0][:8], windows[1][:8]], training=False)), checkpoint.temperature),
        checkpoint.predict(windows[0][:8], windows[1][:8]),
        atol=1e-5,
    )
    with zipfile.ZipFile(checkpoint.folder / "model.keras") as archive:
        assert "Lambda" not in archive.read("config.json").decode()


def copy_of(checkpoint: Checkpoint, folder):
    import shutil

    shutil.copytree(checkpoint.folder, folder)
    return folder


def test_a_newer_format_is_refused_in_one_line(checkpoint, tmp_path):
    folder = copy_of(checkpoint, tmp_path / "newer")
    values = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(values | {"format": 99}))
    with pytest.raises(UserError, match="format 99") as error:
        Checkpoint.load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("checkpoint.json", "{", "cannot be read"),
        ("checkpoint.json", '{"format": 1}', "damaged"),
        ("model.keras", "no zip", "is damaged"),
    ],
)
def test_damage_is_told(checkpoint, tmp_path, name, content, part):
    folder = copy_of(checkpoint, tmp_path / "damaged")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=part):
        Checkpoint.load(folder).predict(np.ones((1, 4, 12), np.float32), np.ones((1, 4), bool))


@pytest.mark.parametrize("members", [0, 10**9, "many", None])
def test_impossible_numbers_of_members_are_damage(checkpoint, tmp_path, members):
    folder = copy_of(checkpoint, tmp_path / "hostile")
    values = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(values | {"members": members}))
    with pytest.raises(UserError, match="damaged"):
        Checkpoint.load(folder)


def test_a_checkpoint_of_format_1_has_one_member(checkpoint, tmp_path):
    folder = copy_of(checkpoint, tmp_path / "old")
    values = json.loads((folder / "checkpoint.json").read_text())
    del values["members"]
    (folder / "checkpoint.json").write_text(json.dumps(values | {"format": 1}))
    assert Checkpoint.load(folder).members == 1


def test_no_checkpoint_is_told(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint\.json is missing"):
        Checkpoint.load(tmp_path)


def write_half(folder):
    with write_folder(folder, overwrite=True) as temporary:
        (temporary / "checkpoint.json").write_text("half")
        raise KeyboardInterrupt


def test_an_existing_folder_is_kept_unless_it_may_be_replaced(tmp_path):
    folder = tmp_path / "kept"
    with write_folder(folder, overwrite=False) as temporary:
        (temporary / "checkpoint.json").write_text("first")
    with pytest.raises(UserError, match="`overwrite=True`"), write_folder(folder, overwrite=False):
        pytest.fail("the folder was offered")
    with pytest.raises(KeyboardInterrupt):
        write_half(folder)
    assert (folder / "checkpoint.json").read_text() == "first"
    with write_folder(folder, overwrite=True) as temporary:
        (temporary / "checkpoint.json").write_text("second")
    assert (folder / "checkpoint.json").read_text() == "second"
    assert os.listdir(tmp_path) == ["kept"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    with pytest.raises(UserError, match="is not a checkpoint"), write_folder(tmp_path / "photos", overwrite=True):
        pytest.fail("the folder was offered")
