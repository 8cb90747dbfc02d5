"""A network that is a file through everything: describe, extract, resume, train, fuse, int8, classify, live, export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.extraction import describe, extract_features
from pipeline.commands.inference import classify
from pipeline.commands.training import train
from pipeline.extraction.store.store import FeatureStore
from pipeline.inference.classifier import Classifier
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.media import open_video
from tests.extraction.network.by_file.networks import write_onnx
from tests.inference.conftest import write_pieces

pytest.importorskip("openvino")
pytest.importorskip("onnx")


def run(module, *arguments, quiet: bool = True) -> int:
    words = [*map(str, arguments), *(["--quiet"] if quiet else [])]
    return command.run(module.main, words, parser=module.parser)


TRAIN = ("--head", "mean", "--members", 1, "--epochs", 2, "--val", 0.25, "--test", 0.25, "--group", "none")


def fails(capsys, said: str, module, *arguments) -> None:
    assert run(module, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert said in lines[0]


@pytest.fixture
def data(tmp_path) -> Path:
    """Two colours, four clips of each."""
    for number in range(8):
        write_pieces(tmp_path / f"data/{'Red' if number % 2 else 'Blue'}/{number}.mp4", [(number % 2, 24)])
    return tmp_path / "data"


@pytest.fixture
def network(tmp_path) -> Path:
    """A network that makes tokens, described as the command does it."""
    path = write_onnx(tmp_path / "net.onnx", "tokens", description=None)
    assert run(describe, path) == 0
    return path


def test_describe_says_what_it_guessed_and_replaces_nothing(tmp_path, capsys):
    path = write_onnx(tmp_path / "net.onnx", "tokens", description=None)
    assert run(describe, path, quiet=False) == 0
    said = capsys.readouterr().out
    assert "scaling: imagenet (the file does not say" in said
    assert "net.yaml: written, " in said.splitlines()[-1]
    before = path.with_suffix(".yaml").read_text()
    fails(capsys, "net.yaml exists; give --overwrite", describe, path)
    assert path.with_suffix(".yaml").read_text() == before


def test_everything_works_with_it(data, network, tmp_path, capsys):
    store, head = tmp_path / "features", tmp_path / "head"
    extract = (extract_features, data, "--out", store, "--backbone", network, "--sampling", "every:4", "--precision")
    assert run(*extract, "float32", quiet=False) == 0
    out = capsys.readouterr().out
    assert "file:net: licence of the weights: unknown" in out
    recipe = json.loads((store / "recipe.json").read_text())
    assert (recipe["recipe"]["backbone"], recipe["recipe"]["layer"]) == ("file:net", "cls")
    assert next(iter(recipe["weights"].values()))["licence"] == "unknown"
    assert FeatureStore(store).shape == (6,)
    assert run(*extract, "float32", quiet=False) == 0
    assert "0 videos extracted; 8 were there" in capsys.readouterr().out  # never twice, and no network is loaded
    assert run(train, store, "--out", head, "--window", 4, *TRAIN) == 0
    assert Checkpoint.load(head).sources[0].licence == "unknown"
    assert run(classify, head, data / "Red/1.mp4", "--no-video", "--csv", tmp_path / "said.csv") == 0

    # What classify computes is what is stored.
    classifier = Classifier.load(head)
    name = next(iter(sorted(FeatureStore(store).entries)))
    stored = next(iter(FeatureStore(store).sequences([name])))
    with open_video(data / name) as reader:
        images = [classifier.preprocessor(frame.image) for frame in reader.frames(stored.frames.tolist())]
    found = classifier.backbone(np.stack(images))
    np.testing.assert_allclose(found, stored.features, rtol=2e-3, atol=2e-3)  # stored in float16
    with open_video(data / "Red/1.mp4") as reader:
        assert list(classifier.stream(reader.frames(range(24))))

    # Another file, or another description, is not the network of the checkpoint.
    write_onnx(network, "tokens", seed=1, description=None)
    fails(
        capsys,
        "was trained on features of file:net with other weights",
        classify,
        head,
        data / "Red/1.mp4",
        "--no-video",
    )
    fails(capsys, "weights digest", *extract, "float32")
    network.unlink()
    fails(
        capsys, "which is not there any more; name them by --weights", classify, head, data / "Red/1.mp4", "--no-video"
    )
    moved = write_onnx(tmp_path / "elsewhere.onnx", "tokens", description=None)
    moved.with_suffix(".yaml").write_text((tmp_path / "net.yaml").read_text())
    assert run(classify, head, data / "Red/1.mp4", "--no-video", "--weights", moved, "--overwrite") == 0
    fails(
        capsys,
        "is a network from a file; name that file",
        classify,
        head,
        data / "Red/1.mp4",
        "--no-video",
        "--weights",
        "random",
    )


@pytest.mark.slow
def test_it_is_fused_with_another_network(data, network, tmp_path):
    both = tmp_path / "one", tmp_path / "other"
    same = ("--sampling", "every:4", "--quiet")
    assert run(extract_features, data, "--out", both[0], "--backbone", network, "--layer", "cls+mean", *same) == 0
    assert run(extract_features, data, "--out", both[1], "--backbone", "tiny", "--weights", "random", *same) == 0
    assert FeatureStore(both[0]).shape == (12,)
    assert run(train, both[0], "--fuse", both[1], "--out", tmp_path / "head", "--window", 4, *TRAIN) == 0
    assert Checkpoint.load(tmp_path / "head").shape == (76,)
    assert run(classify, tmp_path / "head", data / "Red/1.mp4", "--no-video", "--json", tmp_path / "said.json") == 0


def test_int8_is_calibrated_once_and_carried_along(data, network, tmp_path, capsys):
    pytest.importorskip("nncf")
    store, head = tmp_path / "features", tmp_path / "head"
    extract = (extract_features, data, "--out", store, "--backbone", network, "--precision", "int8")
    assert run(*extract) == 0
    assert run(*extract, quiet=False) == 0
    assert "calibrating" not in capsys.readouterr().out
    assert run(train, store, "--out", head, *TRAIN) == 0
    network.unlink()  # the int8 network is in the checkpoint
    assert run(classify, head, data / "Red/1.mp4", "--no-video", "--json", tmp_path / "said.json") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "random"], "net.onnx has weights of its own; leave it out"),
        (["--pooling", "max"], "makes tokens; choose by --layer"),
        (["--layer", "cls", "--pooling", "avg"], "name one"),
        (["--size", "24"], "takes images of 16x16 pixels, not 24x24"),
        (["--engine", "keras"], "--engine keras does not compute networks that are files"),
    ],
)
def test_an_option_without_meaning_is_refused(words, said, data, network, tmp_path, capsys):
    capsys.readouterr()
    fails(capsys, said, extract_features, data, "--out", tmp_path / "x", "--backbone", network, *words)


def test_tokens_need_a_layer(data, tmp_path, capsys):
    path = write_onnx(tmp_path / "net.onnx", "tokens", layer=None)
    fails(
        capsys, "gives many tokens for each image", extract_features, data, "--out", tmp_path / "x", "--backbone", path
    )
    assert run(extract_features, data, "--out", tmp_path / "x", "--backbone", path, "--layer", "mean", "--quiet") == 0


def test_a_layer_is_not_for_networks_that_make_maps(data, tmp_path, capsys):
    words = ("--out", tmp_path / "x", "--backbone", "tiny", "--weights", "random", "--layer", "cls")
    fails(capsys, "tiny makes no tokens; its map is pooled by --pooling: avg or max", extract_features, data, *words)


@pytest.mark.slow
def test_it_is_exported_with_its_head(data, network, tmp_path, capsys):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    store, head = tmp_path / "features", tmp_path / "head"
    extract = (extract_features, data, "--out", store, "--backbone", network, "--sampling", "every:4")
    assert run(*extract, "--dtype", "float32") == 0
    assert run(train, store, "--out", head, "--window", 4, *TRAIN) == 0
    fails(capsys, "which TensorFlow does not compute; choose a name ending in .onnx", classify, head, "--export", "x")
    assert run(classify, head, "--export", tmp_path / "whole.onnx", quiet=False) == 0
    assert "whole.classes.json: frames and mask of one window to probabilities" in capsys.readouterr().out
    chain = runtime.InferenceSession(tmp_path / "whole.onnx")
    found = Classifier.load(head, precision="float32").classify(data / "Red/1.mp4", ClassifySpec(stride=1))
    with open_video(data / "Red/1.mp4") as reader:
        frames = np.stack([frame.image for frame in reader.frames(found.grid.frames.tolist())])
    for start, end, expected in zip(found.grid.starts, found.grid.ends, found.windows, strict=True):
        (said,) = chain.run(None, {"frames": frames[start:end], "mask": np.ones(4, bool)})
        np.testing.assert_allclose(said, expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of keras-hub 0.32
def test_a_preset_of_keras_hub_goes_the_same_way(data, tmp_path, capsys):
    pytest.importorskip("keras_hub")
    from tests.extraction.network.by_hub.presets import write_preset

    preset = write_preset(tmp_path / "net", "dinov2", licence="mit")
    store, head = tmp_path / "features", tmp_path / "head"
    extract = (extract_features, data, "--out", store, "--backbone", f"hub:{preset}")
    assert run(*extract, quiet=False) == 0
    assert "hub:net: licence of the weights: mit" in capsys.readouterr().out
    recipe = json.loads((store / "recipe.json").read_text())["recipe"]
    assert (recipe["backbone"], recipe["layer"], recipe["height"]) == ("hub:net", "cls+mean", 16)
    assert run(*extract, quiet=False) == 0
    assert "8 were there" in capsys.readouterr().out
    fails(capsys, "layer cls, not cls+mean", *extract, "--layer", "cls")
    assert run(train, store, "--out", head, *TRAIN) == 0
    assert run(classify, head, data / "Red/1.mp4", "--no-video", "--json", tmp_path / "said.json") == 0
    assert run(classify, head, "--export", tmp_path / "whole") == 0
    assert (tmp_path / "whole/saved_model.pb").is_file()
    write_preset(tmp_path / "net", "dinov2", seed=1)
    fails(
        capsys,
        "was trained on features of hub:net with other weights",
        classify,
        head,
        data / "Red/1.mp4",
        "--no-video",
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of keras-hub 0.32
def test_a_preset_is_fused_quantised_and_classifies_live(data, tmp_path, capsys):
    pytest.importorskip("keras_hub")
    pytest.importorskip("nncf")
    from tests.extraction.network.by_hub.presets import write_preset

    preset = write_preset(tmp_path / "net", "dinov2")
    same, hub = ("--sampling", "every:4"), ("--backbone", f"hub:{preset}")
    one, other, int8 = tmp_path / "one", tmp_path / "other", tmp_path / "int8"
    assert run(extract_features, data, "--out", one, *hub, *same) == 0
    assert run(extract_features, data, "--out", other, "--backbone", "tiny", "--weights", "random", *same) == 0
    window = ("--window", 4, *TRAIN)
    assert run(train, one, "--fuse", other, "--out", tmp_path / "fused", *window) == 0
    assert run(train, one, "--out", tmp_path / "head", *window) == 0
    movie = data / "Red/1.mp4"
    assert run(classify, tmp_path / "fused", movie, "--no-video", "--json", tmp_path / "fused.json") == 0

    # Live it says of full windows what it says of those of the file: a step of each fourth frame, and four in a window.
    classifier, spec = Classifier.load(tmp_path / "head", batch=1), ClassifySpec(stride=1)
    with open_video(movie) as reader:
        said = [one for one in classifier.stream(reader.frames(range(24)), spec) if one.fresh and one.steps == 4]
    assert [one.frame.index for one in said] == [12, 16, 20]
    whole = classifier.classify(movie, spec)
    np.testing.assert_allclose([one.probabilities for one in said], whole.windows, atol=1e-4)

    assert run(extract_features, data, "--out", int8, *hub, *same, "--precision", "int8") == 0
    assert run(extract_features, data, "--out", int8, *hub, *same, "--precision", "int8", quiet=False) == 0
    said = capsys.readouterr().out
    assert "8 were there" in said
    assert "calibrating" not in said
    cosines = []
    for name in FeatureStore(one).entries:
        exact, coarse = (FeatureStore(store).read(name).features.astype(np.float32) for store in (one, int8))
        norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(coarse, axis=1)
        cosines += ((exact * coarse).sum(axis=1) / norms).tolist()
    assert min(cosines) > 0.98
    assert run(train, int8, "--out", tmp_path / "coarse", *window) == 0
    assert run(classify, tmp_path / "coarse", movie, "--no-video", "--json", tmp_path / "coarse.json") == 0
