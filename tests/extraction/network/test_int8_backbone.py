"""The whole way of an int8 network, from videos to a checkpoint; needs OpenVINO and NNCF."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.errors import UserError
from pipeline.extraction.jobs import calibrate_int8
from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.extraction.network.openvino_backbone import OpenVinoBackbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.store.store import FeatureStore
from pipeline.inference.classifier import Classifier
from pipeline.training.data.dataset import open_dataset
from pipeline.training.data.splits import make_split
from pipeline.training.experiments.experiment import train
from pipeline.training.experiments.save import save_run
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop.spec import TrainSpec
from pipeline.videos.media import open_video
from tests.inference.conftest import write_pieces

pytest.importorskip("openvino")
pytest.importorskip("nncf")
TINY = ["--backbone", "tiny", "--weights", "random", "--sampling", "uniform:4", "--dtype", "float32", "--workers", "2"]


def extract(data: Path, out: Path, *more: object) -> int:
    return command.run(
        extract_features.main, [str(data), "--out", str(out), *TINY, *map(str, more)], parser=extract_features.parser
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for label in range(3):
        for number in range(4):
            write_pieces(folder / f"{label}/clip{number}", [(label, 8 + number)])
    return folder


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """A store of int8 features."""
    out = tmp_path_factory.mktemp("features") / "int8"
    assert extract(data, out, "--precision", "int8") == 0
    return out


@pytest.fixture
def store(made, tmp_path, monkeypatch):
    """A copy of it, which must not be calibrated again."""

    def calibrated_again(*args: object, **kwargs: object) -> None:
        raise AssertionError("calibrated again")

    monkeypatch.setattr(calibrate_int8, "quantise", calibrated_again)
    return Path(shutil.copytree(made, tmp_path / "store"))


@pytest.fixture(scope="module")
def checkpoint(made, tmp_path_factory):
    dataset = open_dataset(made)
    split = make_split(dataset, np.arange(len(dataset)).astype(str).tolist(), seed=0)
    run = train(dataset, split, head=head_spec("gru", units=8), spec=TrainSpec(epochs=1, members=1))
    folder = tmp_path_factory.mktemp("checkpoints") / "int8"
    save_run(run, folder)
    return folder


def test_features_are_close_to_those_of_floats_and_never_mixed_with_them(data, made, tmp_path, capsys):
    assert extract(data, tmp_path / "float", "--precision", "float32") == 0
    exact, coarse = FeatureStore(tmp_path / "float"), FeatureStore(made)
    for video in exact.entries:
        one, other = exact.read(video).features, coarse.read(video).features
        assert not np.array_equal(one, other)
        cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        assert cosine.min() > 0.99
    assert (coarse.precision, exact.precision) == ("int8", "float32")
    assert coarse.recipe.fingerprint != exact.recipe.fingerprint
    capsys.readouterr()
    assert extract(data, made) == 2
    assert "holds int8 features; add --precision int8, or use another --out" in capsys.readouterr().err
    assert extract(data, tmp_path / "float", "--precision", "int8") == 2
    assert "int8 features are never mixed with them" in capsys.readouterr().err


def test_new_videos_go_through_the_same_network(data, store, tmp_path):
    digest = FeatureStore(store).recipe.quantised
    more = Path(shutil.copytree(data, tmp_path / "more"))
    write_pieces(more / "0/new", [(0, 9)])
    assert extract(more, store, "--precision", "int8") == 0
    assert extract(more, store, "--precision", "int8", "--worker", "2/2") == 0
    assert len(FeatureStore(store).entries) == 13
    other = (tmp_path / "other", "--precision", "int8", "--int8-from", store, "--unlabelled")
    assert extract(more / "0", *other) == 0
    assert FeatureStore(tmp_path / "other").recipe.quantised == digest


def test_a_damaged_network_is_refused(data, store, capsys):
    with (store / "int8/network.bin").open("r+b") as file:
        file.write(b"\1\2\3")
    assert extract(data, store, "--precision", "int8") == 2
    assert "is damaged or another int8 network" in capsys.readouterr().err


def test_the_same_videos_give_the_same_network(data, made, tmp_path):
    assert extract(data, tmp_path / "again", "--precision", "int8") == 0
    # Names of layers are counted up in a process; the numbers are what counts.
    same, other = (place / "int8/network.bin" for place in (made, tmp_path / "again"))
    assert same.read_bytes() == other.read_bytes()


def test_a_checkpoint_classifies_with_the_network_of_its_store(data, made, checkpoint, tmp_path):
    moved = Path(shutil.copytree(checkpoint, tmp_path / "moved"))
    classifier = Classifier.load(moved, batch=4)
    stored = FeatureStore(made).read("1/clip2.mp4")
    with open_video(data / "1/clip2.mp4") as video:
        images = np.stack([classifier.preprocessor(frame.image) for frame in video.frames(stored.frames)])
    np.testing.assert_allclose(classifier.backbone(images), stored.features, atol=1e-4)
    assert classifier.precision_note == ""
    assert classifier.classify(data / "1/clip2.mp4").mean.shape == (3,)


def test_what_a_checkpoint_of_int8_features_refuses(checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"`precision=float32`: .* was trained on int8 features; leave it out"):
        Classifier.load(checkpoint, precision="float32")
    with pytest.raises(UserError, match=r"`weights=random`: .* has its own int8 network in it; leave it out"):
        Classifier.load(checkpoint, weights="random")
    broken = Path(shutil.copytree(checkpoint, tmp_path / "broken"))
    (broken / "int8/network.bin").write_bytes(b"")
    with pytest.raises(UserError, match="is damaged or another int8 network"):
        Classifier.load(broken)
    shutil.rmtree(broken / "int8")
    with pytest.raises(UserError, match="is missing, the int8 network of"):
        Classifier.load(broken)


def test_no_frame_no_calibration(tmp_path, capsys):
    (tmp_path / "data/a").mkdir(parents=True)
    (tmp_path / "data/a/bad.mp4").write_bytes(b"no video")
    assert extract(tmp_path / "data", tmp_path / "store", "--precision", "int8") == 2
    assert "needs frames to calibrate on, and none of a/bad.mp4 can be decoded" in capsys.readouterr().err
    assert not QuantisedNetwork.exists(tmp_path / "store")


@pytest.mark.parametrize(("batch", "precision"), [(1, "float32"), (7, "float32"), (32, "bfloat16")])
def test_openvino_computes_what_keras_computes(batch, precision):
    images = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    exact = Backbone("tiny", weights=WeightsSource("random"))(images)
    backbone = Backbone("tiny", weights=WeightsSource("random"))
    other = OpenVinoBackbone.of(backbone, batch=batch, precision=precision)
    features = other(images)
    cosine = (exact * features).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(features, axis=1)
    assert cosine.min() > (0.999 if precision == "bfloat16" else 0.999999)
