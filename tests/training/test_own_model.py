"""A model made and trained with plain Keras as a checkpoint: the same predictions, in every command, and no code."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.training import compare_runs, evaluate
from pipeline.errors import UserError
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.data.dataset import windows_of
from pipeline.training.data.splits import make_split
from pipeline.training.data.windows import WindowSpec
from pipeline.videos.catalog.splits import groups_of


@pytest.fixture
def keras():
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def split(data):
    return make_split(data, groups_of(data.videos, r"g\d")[0])


def dense(keras, data, activation="softmax", length=4):
    return keras.Sequential(
        [
            keras.Input((length, *data.shape)),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(len(data.classes), activation=activation),
        ]
    )


def masked(keras, data, length=4):
    steps, mask = keras.Input((length, *data.shape)), keras.Input((length,), dtype="bool")
    state = keras.layers.GRU(5)(steps, mask=mask)
    return keras.Model([mask, steps], keras.layers.Dense(len(data.classes))(state))


def test_predictions_are_those_of_the_model(keras, data, split, tmp_path):
    model = dense(keras, data)
    windows = windows_of(data, split.train, WindowSpec(4))
    features, mask, labels = windows.arrays()
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    model.fit(features, labels, epochs=3, verbose=0)
    Checkpoint.from_model(model, data, tmp_path / "own", split=split)
    loaded = Checkpoint.load(tmp_path / "own")
    assert (loaded.classes, loaded.window, loaded.recipe) == (data.classes, WindowSpec(4), data.recipe)
    whole = mask.all(axis=1)
    np.testing.assert_allclose(
        loaded.predict(features, mask)[whole], model.predict(features[whole], verbose=0), atol=1e-5
    )
    # Padding is zeros for a model without a mask, whatever stands there.
    dirty = np.where(mask[..., None], features, 9)
    np.testing.assert_allclose(loaded.predict(dirty, mask), loaded.predict(features, mask), atol=1e-6)


def test_a_mask_and_logits_are_taken(keras, data, tmp_path):
    model = masked(keras, data)
    checkpoint = Checkpoint.from_model(model, data, tmp_path / "own")
    features, mask, _ = windows_of(data, np.arange(6), checkpoint.window).arrays()
    expected = np.asarray(model([mask, features.astype("float32")]))
    np.testing.assert_allclose(Checkpoint.load(tmp_path / "own").logits(features, mask), expected, atol=1e-5)


def test_commands_take_it(keras, data, store, split, tmp_path, capsys):
    own = Checkpoint.from_model(dense(keras, data), data, tmp_path / "own", split=split).folder
    assert command.run(evaluate.main, [str(own), str(store)], parser=evaluate.parser) == 0
    assert f"{own} on {len(split.test)} test videos" in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert command.run(compare_runs.main, [str(own), "--out", str(page)], parser=compare_runs.parser) == 2
    assert f"{own} has no figures of a validation" in capsys.readouterr().err
    with pytest.raises(UserError, match="exists"):
        Checkpoint.from_model(dense(keras, data), data, own)


def test_what_does_not_fit_is_told(keras, data, tmp_path):
    other = keras.Sequential([keras.Input((4, 3)), keras.layers.Flatten(), keras.layers.Dense(len(data.classes))])
    for model, line in (
        (other, "the model takes"),
        (dense(keras, data, "sigmoid"), "do not sum to 1"),
        (keras.Sequential([dense(keras, data), keras.layers.Dense(7)]), r"the model gives \(None, 7\); expected"),
        (keras.Sequential([keras.layers.Dense(2)]), "the model has the inputs"),
    ):
        with pytest.raises(UserError, match=line):
            Checkpoint.from_model(model, data, tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_no_code_comes_with_it(keras, data, tmp_path):
    model = dense(keras, data)
    model.add(keras.layers.Lambda(lambda values: values))
    with pytest.raises(UserError, match="Lambda"):
        Checkpoint.from_model(model, data, tmp_path / "own")
    # A file that somebody changed is looked at before anything in it is built.
    folder = Checkpoint.from_model(dense(keras, data), data, tmp_path / "own").folder
    with zipfile.ZipFile(folder / "model.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])

    def walk(found):
        if isinstance(found, dict) and found.get("class_name") == "Dense":
            found |= {"module": "os", "class_name": "system"}
        for value in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
            walk(value)

    walk(config)
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        for name, content in (parts | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match=r"holds os\.system"):
        _ = Checkpoint.load(folder).model
