"""What cannot be exported is one line, before anything is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands.inference.classify import main, parser
from pipeline.errors import UserError
from pipeline.extraction.network.by_file.network_file import NetworkFile
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.inference.classifier import Classifier
from pipeline.inference.export.whole_chain import check_export, export
from pipeline.training.checkpoint import Checkpoint
from tests.extraction.network.by_file.networks import SIDE, WIDTH, write_onnx, write_xml

keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("needs TensorFlow", allow_module_level=True)
pytest.importorskip("onnx")


def of_recipe(checkpoint: Path, **changes) -> Checkpoint:
    whole = Checkpoint.load(checkpoint)
    return replace(whole, sources=(replace(whole.sources[0], recipe=replace(whole.recipe, **changes)),))


def refused(said: str, path: Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(UserError, match=said) as error:
        check_export(path, checkpoint)
    assert "\n" not in str(error.value)


def test_a_network_of_another_engine(checkpoint, tmp_path):
    pytest.importorskip("openvino")
    other = Classifier.load(checkpoint, engine="openvino", precision="float32", batch=16)
    with pytest.raises(UserError, match="load the classifier with `engine=keras`"):
        export(other, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_command(checkpoint, tmp_path, capsys):
    assert command.run(main, [str(checkpoint), "--export", str(tmp_path / "model")], parser=parser) == 0
    assert (tmp_path / "model" / "saved_model.pb").is_file()
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{tmp_path / 'model'}: ")
    assert command.run(main, [str(checkpoint), "--export", str(tmp_path / "model")], parser=parser) == 2
    assert "it exists; choose another name" in capsys.readouterr().err


def test_places_and_formats(checkpoint, tmp_path):
    whole = Checkpoint.load(checkpoint)
    refused(r"expected a folder \(SavedModel\) or a name ending in \.tflite", tmp_path / "model.pb", whole)
    (tmp_path / "file").touch()
    refused("is not a folder", tmp_path / "file" / "model", whole)
    refused("it exists; choose another name", tmp_path / "file", whole)
    (tmp_path / "net.classes.json").touch()
    refused(r"net\.classes\.json exists; choose another name", tmp_path / "net.onnx", whole)


@pytest.mark.parametrize("name", ["model", "net.tflite", "net.onnx"])
def test_what_no_format_holds(name, checkpoint, tmp_path):
    for interpolation in ("area", "nearest"):
        said = f"by {interpolation}, .* only bilinear and bicubic can be exported"
        refused(said, tmp_path / name, of_recipe(checkpoint, interpolation=interpolation))
    refused(
        "has an int8 network in it, which only OpenVINO computes; train on float features",
        tmp_path / name,
        of_recipe(checkpoint, quantised="ab" * 32),
    )


@pytest.mark.parametrize("name", ["model", "net.tflite"])
def test_cubic_filters_are_for_onnx(name, checkpoint, tmp_path):
    cubic = of_recipe(checkpoint, interpolation="bicubic")
    refused(r"resizes images by bicubic, .* choose a name ending in \.onnx", tmp_path / name, cubic)
    pytest.importorskip("tf2onnx")
    check_export(tmp_path / "net.onnx", cubic)


@pytest.fixture
def by_file(make_checkpoint):
    """An untrained checkpoint of the features of a network that is a file."""

    def make(path: Path) -> Checkpoint:
        recipe = Recipe("all", "file:net", NetworkFile.open(path).digest, SIDE, SIDE, layer="vector")
        return Checkpoint.load(make_checkpoint(shape=(WIDTH,), sources=(FeatureSource(recipe, str(path)),)))

    return make


@pytest.mark.parametrize("name", ["model", "net.tflite"])
def test_tensorflow_does_not_compute_onnx_files(name, by_file, tmp_path):
    checkpoint = by_file(write_onnx(tmp_path / "net.onnx"))
    said = r"net\.onnx is an ONNX file, which TensorFlow does not compute; choose a name ending in \.onnx"
    refused(said, tmp_path / name, checkpoint)


@pytest.mark.parametrize("name", ["model", "net.tflite", "whole.onnx"])
def test_files_that_are_not_onnx_are_joined_with_nothing(name, by_file, tmp_path):
    pytest.importorskip("openvino")
    network = write_xml(tmp_path / "net.xml", write_onnx(tmp_path / "net.onnx"))
    said = r"net\.xml is of OpenVINO, and .* extract and train with the network as an \.onnx file"
    refused(said, tmp_path / name, by_file(network))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").write_bytes(b"\x08\x01")
    (tmp_path / "saved.yaml").write_bytes((tmp_path / "net.yaml").read_bytes())
    refused(r"saved is a SavedModel, and .* only ONNX", tmp_path / name, by_file(tmp_path / "saved"))


def test_one_file_holds_two_gigabytes(by_file, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", external="net.data")
    checkpoint = by_file(path)
    with (tmp_path / "net.data").open("r+b") as file:
        file.truncate(5 << 29)  # a file of holes
    refused(r"the network has 2\.7 GB, and one ONNX file holds 2 GB", tmp_path / "whole.onnx", checkpoint)


def test_a_file_that_is_gone_or_is_another_one(by_file, tmp_path, capsys):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    path = write_onnx(tmp_path / "net.onnx")
    checkpoint = by_file(path)
    words = [str(checkpoint.folder), "--export", str(tmp_path / "whole.onnx")]
    write_onnx(path, seed=1)
    assert command.run(main, words, parser=parser) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "was trained on features of file:net with other weights" in said[0]
    path.unlink()
    refused("which is not there any more; name them by `weights`", tmp_path / "whole.onnx", checkpoint)
    assert not (tmp_path / "whole.onnx").exists()
