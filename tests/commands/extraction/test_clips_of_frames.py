"""Networks of clips of frames through everything: only motion in a clip tells the class; file, folder, live, labels."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands.extraction import check_features, describe, export_features, extract_features
from pipeline.commands.inference import classify
from pipeline.commands.training import evaluate, show_samples, train
from pipeline.commands.videos import extract_frames
from pipeline.extraction.store.store import FeatureStore
from pipeline.inference.classifier import Classifier
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.training.data.dataset import open_dataset
from pipeline.videos.media import open_video
from tests.commands.extraction.test_network_files import fails, run
from tests.extraction.network.by_file.clip_networks import write_clip_onnx
from tests.extraction.network.by_file.networks import write_onnx
from tests.media import write_video

pytest.importorskip("openvino")
pytest.importorskip("onnx")
FRAMES, FPS, SIDE, PAIRS = 32, 8, 64, 12
SAMPLING = "clips:4@8/0.5"
TRAIN = ("--head", "mean", "--epochs", 150, "--val", 0.25, "--test", 0.25, "--group", "none", "--learning-rate", 0.01)


def draw_bar(position: int, *, width: int, height: int) -> np.ndarray:
    """A light bar, 16 pixels wide, at a place of the image, which goes round."""
    image = np.full((height, width, 3), 40, np.uint8)
    image[:, (np.arange(width) - position) % width < 16] = 220
    return image


def write_bar(path: Path, positions: list[int]) -> Path:
    return write_video(
        path,
        "ffv1_mkv",
        frames=len(positions),
        fps=FPS,
        size=(SIDE, SIDE),
        draw=lambda number, width, height: draw_bar(positions[number], width=width, height=height),
    )


def moving(phase: int, count: int = FRAMES) -> list[int]:
    return [(phase + 4 * number) % SIDE for number in range(count)]


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Videos in pairs of the same frames, forwards and backwards; a network of clips, its store, and a head on it."""
    folder = tmp_path_factory.mktemp("clips")
    dice = np.random.default_rng(0)
    for number in range(PAIRS):
        positions = moving(int(dice.integers(SIDE)))
        write_bar(folder / f"data/Right/{number}.mkv", positions)
        write_bar(folder / f"data/Left/{number}.mkv", positions[::-1])
    network = write_clip_onnx(folder / "net.onnx")
    store = ("--out", folder / "store", "--backbone", network, "--sampling", SAMPLING, "--dtype", "float32")
    assert run(extract_features, folder / "data", *store) == 0
    assert run(train, folder / "store", "--out", folder / "head", "--window", 4, *TRAIN) == 0
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def accuracy(checkpoint: Path) -> dict[str, float]:
    return json.loads((checkpoint / "results.json").read_text())["accuracy"]


@pytest.mark.slow
def test_only_motion_within_a_clip_tells_the_class(work, tmp_path):
    """Head, frames and videos are the same; single frames of a video and of its reverse are the same set of frames."""
    assert accuracy(work / "head") == {"train": 1.0, "val": 1.0, "test": 1.0}
    image = write_onnx(tmp_path / "image.onnx")
    single = ("--out", tmp_path / "store", "--backbone", image, "--sampling", "all", "--dtype", "float32")
    assert run(extract_features, work / "data", *single) == 0
    assert run(train, tmp_path / "store", "--out", tmp_path / "head", "--window", 4, *TRAIN) == 0
    answers = defaultdict(list)
    for row in rows_of(tmp_path / "head/predictions.csv"):
        if row["level"] == "video":
            answers[Path(row["video"]).name].append(float(row["p(Left)"]))
    pairs = [pair for pair in answers.values() if len(pair) == 2]
    assert pairs
    np.testing.assert_allclose(*zip(*pairs, strict=True), atol=1e-4)  # so one of two is wrong
    assert accuracy(tmp_path / "head")["test"] <= 0.7


def test_what_classify_computes_is_what_is_stored(work, tmp_path):
    video = work / "data/Right/3.mkv"
    assert run(classify, work / "head", video, "--no-video", "--json", tmp_path / "one.json") == 0
    assert json.loads((tmp_path / "one.json").read_text())["label"] == "Right"
    classifier = Classifier.load(work / "head")
    found = classifier.classify(video)
    assert found.grid.frames.tolist() == [4 * step for step in range(8)]
    assert (found.grid.spans()[0, 0], found.grid.spans()[-1, 1]) == (0, FRAMES)
    stored = FeatureStore(work / "store").read("Right/3.mkv")
    assert stored.frames.tolist() == found.grid.frames.tolist()
    windows = [stored.features[start:end] for start, end in zip(found.grid.starts, found.grid.ends, strict=True)]
    expected = classifier.checkpoint.predict(np.stack(windows).astype(np.float32), np.ones((len(windows), 4), bool))
    np.testing.assert_allclose(found.windows, expected, atol=1e-4)


def test_a_folder_with_and_without_a_store_and_all_files(work, tmp_path, capsys):
    (tmp_path / "more").mkdir()
    for number in range(3):
        (tmp_path / f"more/{number}.mkv").write_bytes((work / f"data/Left/{number}.mkv").read_bytes())
    (tmp_path / "more/bad.mkv").write_bytes(b"no video" * 99)
    folder = (classify, work / "head", tmp_path / "more")
    assert run(*folder, "--output", tmp_path / "out/labelled.mp4", "--html", tmp_path / "out/all.html") == 1
    rows = {row["video"]: row for row in rows_of(tmp_path / "out/predictions.csv")}
    assert [rows[f"{number}.mkv"]["prediction"] for number in range(3)] == ["Left"] * 3
    assert "bad.mkv" in (tmp_path / "out/failures.csv").read_text()
    assert (tmp_path / "out/0.mkv/labelled.mp4").is_file()
    (tmp_path / "more/bad.mkv").unlink()
    capsys.readouterr()
    assert run(*folder, "--output", tmp_path / "known", "--store", work / "store", quiet=False) == 0
    assert "3 videos classified, 3 of them from features of " in capsys.readouterr().out
    for row in rows_of(tmp_path / "known/predictions.csv"):
        assert float(row["probability"]) == pytest.approx(float(rows[row["video"]]["probability"]), abs=1e-3)


def test_segments_follow_the_motion(work, tmp_path):
    there = moving(0, 40)
    video = write_bar(tmp_path / "turns.mkv", there + there[::-1])
    files = ("--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv", "--html", tmp_path / "a.html")
    assert run(classify, work / "head", video, "--stride", 1, "--output", tmp_path / "a.mp4", *files) == 0
    segments = json.loads((tmp_path / "a.json").read_text())["segments"]
    assert [segment["label"] for segment in segments] == ["Right", "Left"]
    assert segments[0]["end"] == pytest.approx(5.0, abs=1.01)
    assert segments[-1]["end"] == pytest.approx(10.0, abs=0.01)
    assert len(rows_of(tmp_path / "a.csv")) == 80


@pytest.mark.parametrize("frames", [3, 4, 5])
def test_a_video_of_about_one_clip_is_one_step(frames, work, tmp_path):
    video = write_bar(tmp_path / "short.mkv", moving(8, frames))
    found = Classifier.load(work / "head").classify(video)
    assert (found.grid.frames.tolist(), len(found.windows), len(found.times)) == ([0], 1, frames)


def test_live_gives_the_windows_of_the_file(work):
    video = work / "data/Left/5.mkv"
    whole = Classifier.load(work / "head").classify(video, ClassifySpec(stride=1))
    classifier = Classifier.load(work / "head", batch=1)
    classifier.warm_up()
    with open_video(video) as reader:
        moments = list(classifier.stream(reader, ClassifySpec(stride=1)))
    fresh = [moment for moment in moments if moment.fresh]
    assert [moment.frame.index for moment in fresh] == [3 + 4 * step for step in range(8)]  # as the clip is complete
    full = np.stack([moment.probabilities for moment in fresh if moment.steps == 4])
    np.testing.assert_allclose(full, whole.windows, atol=1e-4)
    assert classifier.classes[moments[-1].label] == "Left"


@pytest.mark.slow
def test_labels_of_frames_are_those_of_the_clips(work, tmp_path):
    """Each video is labelled by halves; a clip has the label of most of its frames."""
    lines = ["video,frame,label"]
    for side, names in (("Right", ("up", "down")), ("Left", ("down", "up"))):
        for number in range(PAIRS):
            lines += [f"{side}/{number}.mkv,{frame},{names[frame >= 14]}" for frame in range(0, FRAMES, 2)]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    data = open_dataset(work / "store", frame_labels=tmp_path / "labels.csv")
    row = data.names.index("Right/0.mkv")
    labels = [data.classes[label] for label in data.step_labels[data.places_of(row)]]
    # The clip of frames 12 to 15 has one labelled frame of each; the earlier one counts.
    assert labels == ["up"] * 4 + ["down"] * 4
    words = ("--labels", tmp_path / "labels.csv", "--window", 2, "--epochs", 2, "--val", 0.25, "--test", 0.25)
    assert run(train, work / "store", "--out", tmp_path / "head", *words) == 0


@pytest.mark.slow
def test_two_stores_of_the_same_clips_are_joined_and_no_others(work, tmp_path, capsys):
    other = write_clip_onnx(tmp_path / "other.onnx", "tokens", layout="channels-first", seed=3)
    assert (
        run(extract_features, work / "data", "--out", tmp_path / "b", "--backbone", other, "--sampling", SAMPLING) == 0
    )
    words = ("--window", 4, "--epochs", 2, "--val", 0.25, "--test", 0.25, "--group", "none")
    assert run(train, work / "store", "--fuse", tmp_path / "b", "--out", tmp_path / "head", *words) == 0
    video = work / "data/Right/3.mkv"
    assert run(classify, tmp_path / "head", video, "--no-video", "--json", tmp_path / "a.json") == 0
    image = write_onnx(tmp_path / "image.onnx")
    for name, sampling, network in (("c", "fps:2", image), ("d", "clips:4@4/0.5", other)):
        assert (
            run(
                extract_features, work / "data", "--out", tmp_path / name, "--backbone", network, "--sampling", sampling
            )
            == 0
        )
        for pair in ((work / "store", tmp_path / name), (tmp_path / name, work / "store")):
            words = ("--fuse", pair[1], "--out", tmp_path / "none")
            fails(capsys, "clips of frames are joined with the same clips only", train, pair[0], *words)


def test_varied_copies_are_varied_as_a_whole(work, tmp_path):
    words = ("--out", tmp_path / "store", "--backbone", work / "net.onnx", "--sampling", SAMPLING, "--augment")
    assert run(extract_features, work / "data/Left", "--unlabelled", *words, "1:flip,colour:0.2") == 0
    store = FeatureStore(tmp_path / "store")
    own, copy = store.read("0.mkv"), store.read("0.mkv#1")
    assert own.ends.times.tolist() == copy.ends.times.tolist()
    assert own.frames.tolist() == copy.frames.tolist()
    assert not np.allclose(own.features, copy.features, atol=1e-2)


def test_a_store_is_resumed_thinned_evaluated_checked_and_exported(work, tmp_path, capsys):
    words = ("--out", work / "store", "--backbone", work / "net.onnx", "--sampling", SAMPLING, "--dtype", "float32")
    assert run(extract_features, work / "data", *words, quiet=False) == 0
    assert "0 videos extracted; 24 were there" in capsys.readouterr().out
    assert run(check_features, work / "store") == 0
    assert run(evaluate, work / "head", work / "store") == 0
    assert (
        run(train, work / "store", "--sampling", "clips:4@8/1", "--out", tmp_path / "thin", "--epochs", 1, *TRAIN[4:])
        == 0
    )
    assert run(export_features, work / "store", "--out", tmp_path / "all.h5") == 0
    capsys.readouterr()
    fails(
        capsys, "holds features, which cannot be looked at", show_samples, work / "store", "--out", tmp_path / "a.png"
    )
    fails(
        capsys,
        "need not hold the frames of fps:1",
        train,
        work / "store",
        "--sampling",
        "fps:1",
        "--out",
        tmp_path / "x",
    )
    other = ("--out", work / "store", "--backbone", work / "net.onnx", "--sampling", "clips:4@8/1")
    fails(capsys, "sampling clips:4@8/1, not clips:4@8/0.5", extract_features, work / "data", *other)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of keras-hub 0.32
def test_a_preset_of_keras_hub_goes_the_same_way(work, tmp_path, capsys):
    pytest.importorskip("keras_hub")
    from tests.extraction.network.by_hub.presets import write_preset

    preset = write_preset(tmp_path / "net", "videoprism", licence="apache-2.0")
    words = (extract_features, work / "data", "--out", tmp_path / "store", "--backbone", f"hub:{preset}", "--sampling")
    fails(capsys, "hub:net takes clips of 4 frames; choose for example --sampling clips:4@8/1", *words, "fps:2")
    assert run(*words, SAMPLING, quiet=False) == 0
    assert "hub:net: licence of the weights: apache-2.0" in capsys.readouterr().out
    assert run(*words, SAMPLING, quiet=False) == 0
    assert "24 were there" in capsys.readouterr().out
    assert FeatureStore(tmp_path / "store").shape == (8,)
    assert run(train, tmp_path / "store", "--out", tmp_path / "head", "--epochs", 2, *TRAIN[4:]) == 0
    video = work / "data/Right/3.mkv"
    assert run(classify, tmp_path / "head", video, "--no-video", "--json", tmp_path / "said.json") == 0
    assert run(classify, tmp_path / "head", "--export", tmp_path / "whole") == 0
    assert (tmp_path / "whole/saved_model.pb").is_file()


def test_it_says_what_it_counts(work, tmp_path, capsys):
    words = ("--out", tmp_path / "store", "--backbone", work / "net.onnx", "--sampling", "clips:4@8/2")
    assert run(extract_features, work / "data", *words, quiet=False) == 0
    assert "24 videos extracted; 48 steps in " in (said := capsys.readouterr().out)
    assert " steps/s" in said


def test_describe_names_the_sampling(tmp_path, capsys):
    path = write_clip_onnx(tmp_path / "net.onnx", description=False)
    assert run(describe, path, quiet=False) == 0
    said = capsys.readouterr().out
    assert "frames: 4 (told from the input: extract with --sampling clips:4@F/S)" in said
    assert "layout: time-first" in said


@pytest.mark.parametrize(
    ("backbone", "words", "said"),
    [
        ("net", ["--sampling", "uniform:20"], "takes clips of 4 frames; choose for example --sampling clips:4@8/1"),
        ("net", [], "takes clips of 4 frames; choose for example --sampling clips:4@8/1"),
        ("net", ["--sampling", "fps:2"], "--sampling fps:2: file:net takes clips of 4 frames"),
        (
            "net",
            ["--sampling", "clips:8@8/1"],
            "takes clips of 4 frames, not of 8; choose for example --sampling clips:4@8/1",
        ),
        ("net", ["--sampling", "clips:4@0/1"], "needs 0.001 to 1000 frames a second, not F=0"),
        ("net", ["--sampling", "clips:4@8/inf"], "needs 0.001 to 86400 s from clip to clip, not S=inf"),
        ("net", ["--sampling", "clips:4@nan/1"], "not F=nan"),
        ("net", ["--sampling", "clips:4@1e9/1"], "not F=1e+09"),
        ("net", ["--sampling", "clips:999@8/1"], "needs 1 to 256 frames in a clip, not T=999"),
        ("net", ["--sampling", "clips:4"], "expected clips:T@F/S"),
        ("net", ["--sampling", SAMPLING, "--reuse-static"], "--reuse-static compares single frames; leave it out with"),
        ("net", ["--sampling", SAMPLING, "--input", "difference"], "--input difference shows a network the motion"),
        ("net", ["--sampling", SAMPLING, "--input", "grey"], "--input grey shows a network the motion"),
        ("net", ["--sampling", SAMPLING, "--precision", "int8"], "is for networks of single images; leave it out"),
        ("image", ["--sampling", SAMPLING], "file:image takes single images, not clips of frames; choose for example"),
        ("tiny", ["--sampling", SAMPLING, "--weights", "random"], "tiny takes single images, not clips of frames"),
        ("frames", ["--sampling", SAMPLING], "a frame cache keeps single frames; take --sampling fps:F"),
        ("flow", ["--sampling", SAMPLING], "a frame cache keeps single frames"),
        (
            "bare",
            ["--sampling", SAMPLING],
            "of 5 sides, (?, 3, 4, 16, 16): clips of frames; say by frames in its description",
        ),
        ("other", ["--sampling", "clips:8@8/1"], "takes clips of 4 frames, and its description has frames 8"),
    ],
)
def test_what_does_not_fit_is_one_line(backbone, words, said, work, tmp_path, capsys):
    made = {
        "net": lambda: work / "net.onnx",
        "image": lambda: write_onnx(tmp_path / "image.onnx"),
        "bare": lambda: write_clip_onnx(tmp_path / "bare.onnx", layout="channels-first", said=None),
        "other": lambda: write_clip_onnx(tmp_path / "other.onnx", said=8),
    }
    network = made.get(backbone, lambda: backbone)()
    if backbone == "bare":  # a network of images by its description, so the sampling is refused before the file is read
        fails(
            capsys,
            "takes single images",
            extract_features,
            work / "data",
            "--out",
            tmp_path / "x",
            "--backbone",
            network,
            *words,
        )
        words = ["--sampling", "uniform:2"]
    fails(capsys, said, extract_features, work / "data", "--out", tmp_path / "x", "--backbone", network, *words)
    assert not list((tmp_path / "x").glob("shard*"))


def test_elsewhere_they_are_one_line(work, tmp_path, capsys):
    video = work / "data/Right/3.mkv"
    fails(
        capsys,
        "clips of frames are for networks",
        extract_frames,
        video,
        "--out",
        tmp_path / "x",
        "--sampling",
        SAMPLING,
    )
    fails(capsys, "net.onnx is an ONNX file, which TensorFlow", classify, work / "head", "--export", tmp_path / "x")
    fails(capsys, "--clip-seconds has no meaning", classify, work / "head", video, "--no-video", "--clip-seconds", 2)
    image = write_onnx(tmp_path / "image.onnx")
    fails(capsys, "takes single images, not clips", classify, work / "head", video, "--no-video", "--weights", image)
    other = write_clip_onnx(tmp_path / "other.onnx", frames=8)
    fails(capsys, "takes clips of 8 frames, not of 4", classify, work / "head", video, "--no-video", "--weights", other)


@pytest.mark.slow
def test_the_whole_chain_as_one_file_sees_motion(work, tmp_path):
    """Windows are made by what is noted beside the file, and by nothing else of this project."""
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    assert run(classify, work / "head", "--export", tmp_path / "whole.onnx") == 0
    about = json.loads((tmp_path / "whole.classes.json").read_text())
    chain = runtime.InferenceSession(tmp_path / "whole.onnx")
    classifier = Classifier.load(work / "head", precision="float32")
    for label in ("Left", "Right"):
        video = work / f"data/{label}/3.mkv"
        with open_video(video) as reader:
            images = np.stack([frame.image for frame in reader.frames(range(FRAMES))])
        clip = about["clip"]
        starts = np.arange(0, FRAMES / FPS - clip["frames"] / clip["fps"] + 1e-6, clip["apart"])
        ticks = starts[:, None] + np.arange(clip["frames"]) / clip["fps"]
        steps = images[np.rint(ticks * FPS).astype(int)]
        found = classifier.classify(video, ClassifySpec(stride=1))
        assert len(found.windows) == len(steps) - about["steps"] + 1
        for start, expected in enumerate(found.windows):
            window = {"frames": steps[start : start + about["steps"]], "mask": np.ones(about["steps"], bool)}
            (said,) = chain.run(None, window)
            np.testing.assert_allclose(said, expected, atol=1e-3)
            assert about["classes"][int(said.argmax())] == label
