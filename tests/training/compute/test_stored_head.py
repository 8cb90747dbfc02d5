"""The head that OpenVINO runs says what Keras says, and is used only where it is the head of the model."""

from __future__ import annotations

import functools
import json
import shutil

import keras
import numpy as np
import pytest

from pipeline.extraction.network.engines.openvino import compile_model, compile_once, read_foreign
from pipeline.files.user_cache import UserCache
from pipeline.training.compute import stored_head as module
from pipeline.training.compute.apply_head import run_in_batches
from pipeline.training.compute.backend import compile_head
from pipeline.training.compute.stored_head import HEAD, store_head, stored_head
from pipeline.training.heads.ensemble import average
from pipeline.training.heads.registry import HEADS, build_model, head_spec

pytest.importorskip("openvino")
LENGTH, WIDTH, CLASSES, ROWS = 7, 12, 3, 4
SHAPE = (ROWS, LENGTH, WIDTH)
ON_FEATURES = [name for name, head in HEADS.items() if head.needs == "features" and name != "apriorit"]
FEW = ("mean", "gru", "transformer")  # of each kind one, where minutes count
EACH = [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in ON_FEATURES]


def made(name: str, seed: int, number: int = 0, **settings) -> keras.Model:
    """A head with random weights, those of its normalisation and biases too."""
    rng = np.random.default_rng(17)
    moments = {  # all members of a training have the same
        part: (rng.normal(size=size).astype(np.float32), rng.uniform(0.5, 2, size).astype(np.float32))
        for part, size in (("frames", WIDTH), ("pooled", 2 * WIDTH))
    }
    spec = head_spec(name, **settings)
    model = build_model(spec, length=LENGTH, shape=(WIDTH,), classes=CLASSES, statistics=moments, number=number)
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.3)
    return model


@pytest.fixture(scope="module")
def windows():
    """Masks of every length, and what is not zero behind them."""
    features = np.random.default_rng(1).normal(size=(9, LENGTH, WIDTH)).astype(np.float32) * 2
    return features, np.arange(LENGTH)[None] < np.array([1, 2, 3, 4, 5, 6, 7, 7, 1])[:, None]


def stored(folder, model, windows, shape=SHAPE) -> str:
    model.save(folder / "model.keras")
    by_keras = compile_head(model)
    applied = lambda function: run_in_batches(function or by_keras, *windows, model.output_shape[-1], shape[0])  # noqa: E731
    return store_head(folder, [model], folder / "model.keras", applied, shape)


def loaded(folder, shape=SHAPE):
    return stored_head(folder, folder / "model.keras", shape, CLASSES)


@pytest.mark.parametrize("name", EACH)
def test_every_head_says_what_keras_says(name, windows, tmp_path):
    model = made(name, 3, **({"units": 8, "layers": 2} if "units" in HEADS[name].takes else {}))
    said = stored(tmp_path, model, windows)
    if name == "ecology-lrcnn":  # its recurrent layer keeps a state of its own, which OpenVINO does not know
        assert said.startswith("OpenVINO cannot take it over")
        assert loaded(tmp_path) is None
        return
    assert said == ""
    features, mask = windows
    expected = run_in_batches(compile_head(model), features, mask, CLASSES, ROWS)
    for dtype in (np.float32, np.float16):
        given = features.astype(dtype)
        exact = expected if dtype == np.float32 else run_in_batches(compile_head(model), given, mask, CLASSES, ROWS)
        found = run_in_batches(loaded(tmp_path), given, mask, CLASSES, ROWS)
        np.testing.assert_allclose(found, exact, atol=1e-5 * max(1, np.abs(exact).max()))
    assert np.ptp(expected, axis=0).min() > 1e-2  # the windows differ, and so does what is said of them


@pytest.mark.slow
def test_a_model_of_several_members_is_taken_whole(windows, tmp_path):
    inputs = [keras.Input((LENGTH, WIDTH), name="features"), keras.Input((LENGTH,), dtype="bool", name="mask")]
    members = [made("gru", 4, units=8)(inputs), made("lstm", 5, units=8)(inputs), made("attention", 6, units=8)(inputs)]
    model = keras.Model(inputs, keras.layers.Average()(members))
    assert stored(tmp_path, model, windows) == ""
    expected = run_in_batches(compile_head(model), *windows, CLASSES, ROWS)
    np.testing.assert_allclose(run_in_batches(loaded(tmp_path), *windows, CLASSES, ROWS), expected, atol=1e-5)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("shift", [0, 500])
def test_members_are_averaged_as_keras_averages_them(name, shift, windows, tmp_path):
    """Also where all of them are so sure that the other probabilities are too small for a number."""
    settings = {"units": 8} if "units" in HEADS[name].takes else {}
    members = [made(name, 3 + number, number, **settings) for number in (1, 2, 3)]
    if name != "mlp":  # which averages probabilities itself
        for member in members:
            member.layers[-1].bias.assign([shift, 0, 0])
    model = average(members, temperature=1.7)
    model.save(tmp_path / "model.keras")
    by_keras = compile_head(model)
    applied = lambda function: run_in_batches(function or by_keras, *windows, CLASSES, ROWS)  # noqa: E731
    assert store_head(tmp_path, members, tmp_path / "model.keras", applied, SHAPE, 1.7) == ""
    expected = applied(None)
    np.testing.assert_allclose(applied(loaded(tmp_path)), expected, atol=1e-5 * max(1, np.abs(expected).max()))
    assert np.ptp(expected, axis=0).max() > 1e-2
    assert expected.min() < -200 or not shift or name == "mlp"


def test_a_network_on_frames(tmp_path):
    frames = np.random.default_rng(2).integers(0, 256, (4, LENGTH, 32, 32, 3), dtype=np.uint8)
    mask = np.arange(LENGTH)[None] < np.array([7, 4, 1, 6])[:, None]
    spec = head_spec("timedistributed_convnet", units=8)
    model = build_model(spec, length=LENGTH, shape=(32, 32, 3), classes=CLASSES)
    assert stored(tmp_path, model, (frames, mask), frames.shape) == ""
    found = loaded(tmp_path, frames.shape)(frames, mask)
    np.testing.assert_allclose(found, compile_head(model)(frames, mask), atol=1e-5)


def other_model(folder):
    made("gru", 9, units=8).save(folder / "model.keras")


def cut_short(folder):
    path = folder / HEAD / "network.bin"
    path.write_bytes(path.read_bytes()[:-4])


def one_bit(folder):
    path = folder / HEAD / "network.bin"
    values = bytearray(path.read_bytes())
    values[len(values) // 2] ^= 1
    path.write_bytes(values)


def no_json(folder):
    (folder / HEAD / "head.json").write_text("[1")


def other_json(folder):
    (folder / HEAD / "head.json").write_text(json.dumps({"model": 1}))


def gone(folder):
    shutil.rmtree(folder / HEAD)


@pytest.mark.parametrize("change", [other_model, cut_short, one_bit, no_json, other_json, gone])
def test_what_is_not_the_head_of_the_model_is_not_used(change, windows, tmp_path):
    assert stored(tmp_path, made("gru", 3, units=8), windows) == ""
    assert loaded(tmp_path) is not None
    change(tmp_path)
    assert loaded(tmp_path) is None


def test_a_head_that_says_something_else_is_not_written(windows, tmp_path, monkeypatch):
    compile_, by = module._compile, 1e-3
    monkeypatch.setattr(module, "_compile", lambda *given: lambda *window: compile_(*given)(*window) + by)
    reason = stored(tmp_path, made("gru", 3, units=8), windows)
    assert reason.startswith("OpenVINO's logits differ by ")
    assert not (tmp_path / HEAD).exists()


def test_what_openvino_cannot_take_over_is_left_to_keras(windows, tmp_path, monkeypatch):
    def refuse(members, temperature):
        raise RuntimeError("no rule for\n Operation")

    monkeypatch.setattr(module, "convert_members", refuse)
    reason = stored(tmp_path, made("gru", 3, units=8), windows)
    assert reason == "OpenVINO cannot take it over (no rule for Operation)"
    assert not (tmp_path / HEAD).exists()


def test_a_head_that_was_compiled_for_other_numbers_of_rows_is_not_taken_for_this_one(windows, tmp_path):
    """An earlier version kept it for a fixed number, and named it by that."""
    model = made("mlp", 3)
    assert stored(tmp_path, model, windows) == ""
    facts = {"head": module._digests(tmp_path / HEAD), "shape": SHAPE}
    network = functools.partial(read_foreign, tmp_path / HEAD / module._NETWORK)
    compile_model(network, [SHAPE, SHAPE[:2]], compile_once(UserCache(), facts))
    head = loaded(tmp_path)
    assert head is not None
    features, mask = (part[:1] for part in windows)
    np.testing.assert_allclose(head(features, mask), compile_head(model)(features, mask), atol=1e-5)
