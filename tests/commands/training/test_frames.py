"""Networks on frames from the frame cache to an exported file, by the commands a user gives."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.commands.inference import classify
from pipeline.commands.training import evaluate, search, train
from pipeline.errors import UserError
from pipeline.extraction.store.store import FeatureStore
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.heads.video_networks import base_of
from pipeline.videos.media import open_video
from tests.media import write_video

SIDE = 32


@pytest.fixture(scope="module", autouse=True)
def no_probe():
    """A probe of memory takes a process of its own, and would not know the base ``tiny``."""
    from pipeline.training.loop import memory_probe

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_probe, "bytes_per_window", lambda step: 0)
        yield


def square(number: int, *, width: int, height: int, step: int) -> np.ndarray:
    """A bright square that moves to the right or, with a negative step, to the left."""
    image = np.full((height, width, 3), 40, np.uint8)
    place = (number * step) % (width - 16)
    image[height // 4 : height // 4 + 16, place : place + 16] = 230
    return image


@pytest.fixture(scope="module")
def movies(tmp_path_factory) -> Path:
    """Eight clips of a square: four go to the left, four to the right."""
    folder = tmp_path_factory.mktemp("movies")
    for label, step in (("left", -4), ("right", 4)):
        for clip in range(4):
            write_video(
                folder / label / f"{clip}.mp4",
                frames=24,
                fps=12,
                size=(64, 64),
                first=5 * clip + (40 if step < 0 else 0),
                draw=lambda number, width, height, step=step: square(number, width=width, height=height, step=step),
            )
    return folder


@pytest.fixture(scope="module")
def store(movies, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("stores") / "frames"
    arguments = ["--backbone", "frames", "--size", str(SIDE), "--sampling", "uniform:6", "--workers", "1", "--quiet"]
    assert extract_features.main([str(movies), "--out", str(out), *arguments]) == 0
    return out


@pytest.fixture(scope="module")
def checkpoint(store, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("checkpoints") / "lrcn"
    options = ["--head", "lrcn", "--base", "tiny", "--weights", "random", "--units", "8", "--epochs", "1"]
    options += ["--fine-tune", "2", "--augment", "flip,shift:0.1,jitter:1", "--accumulate", "2", "--batch", "2"]
    assert train.main([str(store), "--out", str(out), *options, "--quiet"]) == 0
    return out


def test_a_checkpoint_says_what_it_needs_and_how_it_was_trained(checkpoint):
    content = json.loads((checkpoint / "checkpoint.json").read_text())
    assert (content["needs"], content["shape"]) == ("frames", [SIDE, SIDE, 3])
    assert (content["head"]["base"], content["head"]["weights"]) == ("tiny", "random:0")
    results = json.loads((checkpoint / "results.json").read_text())
    assert results["epochs"] == 2  # one in each phase
    assert results["training"]["augment"] == "flip,shift:0.1,jitter:1"
    with (checkpoint / "history.csv").open() as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates[1] == pytest.approx(rates[0] / 10)
    page = (checkpoint / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 2
    assert "32x32x3 values a frame" in page


def channels_of(checkpoint: Path, movie: Path, out: Path) -> int:
    """How many channels a checkpoint takes; it must say the same of a stored sequence and of the file itself."""
    status = command.run(
        classify.main,
        [
            str(checkpoint),
            str(movie),
            "--no-video",
            "--json",
            str(out),
            "--seen",
            str(out.with_suffix(".gif")),
            "--quiet",
        ],
        parser=classify.parser,
    )
    assert status == 0
    said = json.loads(out.read_text())["probabilities"]
    with (checkpoint / "predictions.csv").open() as file:
        stored = next(row for row in csv.DictReader(file) if row["level"] == "video" and movie.match(row["video"]))
    assert said["left"] == pytest.approx(float(stored["p(left)"]), abs=2e-3)
    return Checkpoint.load(checkpoint).shape[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "head", [["c3d_small", "--units", "4"], ["image_cnn", "--base", "tiny", "--weights", "random"]]
)
def test_grey_frames_have_one_channel(movies, tmp_path, head):
    recipe = ["--backbone", "frames", "--size", str(SIDE), "--sampling", "inner:4", "--input", "grey", "--workers", "1"]
    assert extract_features.main([str(movies), "--out", str(tmp_path / "grey"), *recipe, "--quiet"]) == 0
    store = FeatureStore(tmp_path / "grey")
    assert store.shape == (SIDE, SIDE, 1)
    with open_video(movies / "left" / "0.mp4") as video:
        colours = next(frame for frame in video if frame.index == store.read("left/0.mp4").frames[1])
    assert abs(float(store.read("left/0.mp4").features[1].mean()) - colours.image.mean()) < 4
    options = ["--head", *head, "--epochs", "1", "--augment", "flip,colour:0.2"]
    assert train.main([str(tmp_path / "grey"), "--out", str(tmp_path / "c"), *options, "--quiet"]) == 0
    assert channels_of(tmp_path / "c", movies / "left" / "0.mp4", tmp_path / "a.json") == 1


@pytest.mark.slow
def test_colours_beside_motion_for_a_network_trained_end_to_end(store, movies, tmp_path):
    recipe = ["--backbone", "flow", "--size", str(SIDE), "--sampling", "uniform:6", "--workers", "1"]
    assert extract_features.main([str(movies), "--out", str(tmp_path / "flow"), *recipe, "--quiet"]) == 0
    options = ["--fuse", str(tmp_path / "flow"), "--head", "c3d_small", "--units", "4", "--epochs", "1"]
    assert train.main([str(store), "--out", str(tmp_path / "c"), *options, "--quiet"]) == 0
    assert channels_of(tmp_path / "c", movies / "left" / "0.mp4", tmp_path / "a.json") == 6
    words = [*options[:2], "--head", "lrcn", "--base", "tiny", "--weights", "random"]
    with pytest.raises(UserError, match="has a base for frames of three channels"):
        train.main([str(store), "--out", str(tmp_path / "d"), *words, "--quiet"])


@pytest.mark.slow
def test_a_base_that_has_learnt_goes_into_another_network(store, movies, tmp_path):
    """As published: the network of the image perceptron, fine-tuned, reads the frames of the recurrent one."""
    options = ["--base", "tiny", "--weights", "random", "--epochs", "2", "--quiet"]
    image = ["--head", "image_cnn", "--trainable", "all", "--window", "1"]
    assert train.main([str(store), "--out", str(tmp_path / "image"), *image, *options]) == 0
    weights = tmp_path / "image" / "base.weights.h5"
    learnt = base_of(Checkpoint.load(tmp_path / "image").model).get_weights()
    options[3] = str(weights)
    assert train.main([str(store), "--out", str(tmp_path / "lrcn"), "--head", "lrcn", *options]) == 0
    taken = base_of(Checkpoint.load(tmp_path / "lrcn").model).get_weights()
    for one, other in zip(learnt, taken, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not (tmp_path / "lrcn" / "base.weights.h5").exists()  # it was frozen there
    recipe = ["--backbone", "tiny", "--weights", str(weights), "--size", str(SIDE), "--workers", "1", "--quiet"]
    assert extract_features.main([str(movies), "--out", str(tmp_path / "features"), *recipe]) == 0


def test_the_same_answers_from_store_file_and_exported_model(checkpoint, store, movies, tmp_path):
    assert evaluate.main([str(checkpoint), str(store), "--split", "all", "--out", str(tmp_path), "--quiet"]) == 0
    with (tmp_path / "predictions.csv").open() as file:
        from_store = {row["video"]: float(row["p(left)"]) for row in csv.DictReader(file)}
    movie = "left/1.mp4"
    out = tmp_path / "answer.json"
    files = ["--no-video", "--json", str(out), "--quiet"]
    assert classify.main([str(checkpoint), str(movies / movie), *files]) == 0
    window = json.loads(out.read_text())["windows"][0]
    assert window["probabilities"]["left"] == pytest.approx(from_store[movie], abs=1e-3)

    import tensorflow as tf

    assert classify.main([str(checkpoint), "--export", str(tmp_path / "model"), "--quiet"]) == 0
    from pipeline.extraction.store.store import FeatureStore

    frames = FeatureStore(store).read(movie).features
    exported = tf.saved_model.load(str(tmp_path / "model"))
    answer = exported.classify(tf.constant(frames), tf.ones(len(frames), tf.bool))["probabilities"].numpy()
    assert answer[0] == pytest.approx(from_store[movie], abs=1e-3)


def test_long_videos_are_read_in_windows_of_frames(checkpoint, movies, tmp_path):
    movie = write_video(
        tmp_path / "long.mp4",
        frames=200,
        fps=12,
        size=(64, 64),
        draw=lambda number, width, height: square(number, width=width, height=height, step=4),
    )
    out = tmp_path / "answer.json"
    assert classify.main([str(checkpoint), str(movie), "--no-video", "--json", str(out), "--quiet"]) == 0
    answer = json.loads(out.read_text())
    assert len(answer["windows"]) > 10
    assert answer["segments"][-1]["end"] == pytest.approx(200 / 12, abs=0.2)


@pytest.mark.slow
def test_a_grid_over_networks(store, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("head: [lrcn, c3d_small]\nbase: [tiny]\ncell: [gru, conv1d]\nunits: [4]\nbatch: [3]\n")
    out = tmp_path / "search"
    options = ["--grid", str(grid), "--weights", "random", "--epochs", "1", "--out", str(out), "--quiet"]
    assert search.main([str(store), *options]) == 0
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["head"], row["cell"]) for row in rows) == [
        ("c3d_small", ""),
        ("lrcn", "conv1d"),
        ("lrcn", "gru"),
    ]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--head", "gru"], "head gru needs features, and .* holds frames"),
        (["--head", "lrcn", "--base", "inceptionv3", "--weights", "random"], "each side needs at least 75 pixels"),
        (["--head", "c3d_small", "--noise", "0.1"], "--noise is for heads on features"),
        (["--head", "c3d_small", "--fine-tune", "2"], "--fine-tune needs a network with a base"),
        (["--head", "c3d_small", "--augment", "blur:2"], "augmentation 'blur:2' is unknown"),
        (["--head", "lrcn", "--base", "tiny"], "backbone tiny has no ImageNet weights; add --weights random"),
        (["--head", "lrcn", "--base", "frames", "--weights", "random"], "frames is no.? .*network"),
        (["--head", "c3d_small", "--accumulate", "99"], "--accumulate 99: an epoch has 1 step of"),
        (
            ["--head", "c3d_small", "--optimizer", "lyon"],
            "--optimizer: 'lyon' is not one of adam, sgd",
        ),
        (
            ["--head", "c3d_small", "--precision", "int8"],
            "--precision: 'int8' is not one of float32, bfloat16, float16",
        ),
    ],
)
def test_mistakes_are_one_line(store, tmp_path, options, line, capsys):
    argv = [str(store), "--out", str(tmp_path / "out"), *options, "--quiet"]
    assert command.run(train.main, argv, parser=train.parser) == 2
    error = capsys.readouterr().err
    assert re.search(line, error)
    assert error.count("\n") == 1


def test_weights_for_a_checkpoint_that_has_its_own(checkpoint, movies):
    with pytest.raises(UserError, match="has the weights of its network; leave it out"):
        classify.main([str(checkpoint), str(movies / "left" / "1.mp4"), "--weights", "random"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "settings"),
    [
        ("timedistributed_convnet", {"dropout": 0.1}),
        ("lrcn", {"base": "tiny", "weights": "random", "trainable": -1}),
        ("c3d_small", {}),
    ],
)
def test_it_learns_eight_clips_by_heart(store, head, settings):
    from pipeline.training.data.dataset import open_dataset, windows_of
    from pipeline.training.data.windows import WindowSpec
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.fit import fit
    from pipeline.training.loop.spec import TrainSpec

    data = open_dataset(store)
    windows = windows_of(data, np.arange(8), WindowSpec(6))
    spec = TrainSpec(epochs=80, batch=8, patience=80, plateau=80)
    trained = fit(data, windows, windows, head_spec(head, **settings), spec)
    assert (trained.logits(windows).argmax(axis=1) == windows.labels).mean() == 1.0
