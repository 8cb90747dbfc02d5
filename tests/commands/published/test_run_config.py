"""The five published systems, each run to its end on real clips, with its outputs looked into.

Images are smaller, clips and epochs fewer than published, by ``--set``; nothing else is changed.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.published import run_config
from pipeline.extraction.store.store import FeatureStore
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.media import open_video

SHARED = Path(__file__).parents[3].parent / "shared"
ACTIONS = SHARED / "videos" / "actions"
WEIGHTS = SHARED / "weights" / "inception_v3_2015_notop_92of94.weights.h5"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not WEIGHTS.exists() or not ACTIONS.exists(), reason="needs ../shared"),
]


def clips(label: str, people) -> list[Path]:
    """The clips of an action by some people, without the mirrored copies."""
    found = [ACTIONS / label / f"{label}_person{person}.mp4" for person in people]
    return [path for path in found if path.exists()]


def linked(folder: Path, labels=("bend", "jack"), people=range(1, 10)) -> Path:
    """``folder/<Class>/`` with links to clips."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        for path in clips(label, people):
            (folder / label / path.name).symlink_to(path)
    return folder


def run(capfd, name, data, out, *settings, weights=WEIGHTS, video=None) -> str:
    """Run a system to its end and return what was printed."""
    words = [name, "--data", str(data), "--out", str(out), "--weights", str(weights)]
    words += ["--video", str(video)] if video else []
    words += [word for setting in settings for word in ("--set", setting)]
    status = command.run(run_config.main, words, parser=run_config.parser)
    captured = capfd.readouterr()
    assert (status, captured.err) == (0, ""), captured.out[-2000:]
    assert re.search(
        rf"{re.escape(str(out))}: {name}, accuracy train [\d.]+, val [\d.]+.*; \d+ commands run", captured.out
    )
    return captured.out


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def results_of(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "results.json").read_text())


def assert_evaluated_as_trained(out: Path, checkpoint="checkpoint", evaluation="evaluation") -> None:
    accuracy = results_of(out / checkpoint)["accuracy"]["test"]
    assert results_of(out / evaluation)["accuracy"] == pytest.approx(accuracy)


def test_apriorit(capfd, tmp_path):
    data, out = linked(tmp_path / "recordings", labels=("bend", "jack", "wave1"), people=range(1, 8)), tmp_path / "out"
    changes = ("features=--size 75x133 --sampling every:5", r"model=--window 15 --epochs 2 --group 'person\d'")
    changes += ("result=--stride 15",)
    said = run(capfd, "apriorit", data, out, *changes)
    assert "changed: features has --size 75x133 --sampling every:5" in said
    rows = table(out / "data_file.csv")
    assert {row["label"] for row in rows} == {"bend", "jack"}  # the first two classes
    assert max(int(row["frames"]) for row in rows) == 75
    store = FeatureStore(out / "features")
    assert (store.recipe.height, store.recipe.width, store.recipe.crop) == (75, 133, "none")
    arrays = {path.stem: np.load(path) for path in (out / "sequences").rglob("*.npy")}
    assert len(arrays) == len(rows)
    assert all(array.shape[1] == 2048 and len(array) <= 15 for array in arrays.values())
    checkpoint = Checkpoint.load(out / "checkpoint")
    assert (checkpoint.head.name, checkpoint.window.length) == ("apriorit", 15)
    training = results_of(out / "checkpoint")["training"]
    assert (training["learning_rate"], training["rate_decay"], training["patience"]) == (1e-5, 1e-6, 5)
    assert_evaluated_as_trained(out)
    with av.open(str(out / "result.avi")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.codec_tag, stream.average_rate) == ("mpeg4", "XVID", 15)
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    shown = re.search(r"(\S+\.mp4): \w+ \d+%, (\d+) frames, (\d+) windows?", said)
    assert len(frames) == int(shown[2]) <= 75
    assert int(shown[3]) == 1  # one answer for each block of 75 frames
    # The same command repeats nothing that took time.
    again = run(capfd, "apriorit", data, out, *changes)
    assert again.count("# done before:") == 5
    assert "2 commands run, 5 done before" in again


def test_keras_example(capfd, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    for part, people in (("train", range(1, 6)), ("test", (6, 7))):
        (data / part).mkdir(parents=True)
        lines = ["video_name,tag"]
        for label in ("bend", "jack", "wave2"):
            for path in clips(label, people):
                (data / part / path.name).symlink_to(path)
                lines.append(f"{path.name},{label}")
        (data / f"{part}.csv").write_text("\n".join(lines) + "\n")
    said = run(capfd, "keras-example", data, out, "features=--size 96", r"model=--group 'person\d'")
    store = FeatureStore(out / "features")
    sequence = store.read("test/jack_person6.mp4")
    assert (sequence.features.shape, sequence.frames.tolist()) == ((20, 2048), list(range(20)))
    results = results_of(out / "checkpoint")
    assert results["epochs"] == 10
    history = table(out / "checkpoint" / "history.csv")
    losses = [float(row["val_loss"]) for row in history]
    assert results["best_epoch"] == 1 + int(np.argmin(losses))
    assert {Path(name).parts[0] for name in results["split"]["test"]} == {"test"}
    assert len(results["split"]["val"]) in (3, 6)  # whole people, about 30 %
    assert_evaluated_as_trained(out)
    shares = {name: float(share) for name, share in re.findall(r"^  (\w+): ([\d.]+)%$", said, re.MULTILINE)}
    assert shares.keys() == {"bend", "jack", "wave2"}
    assert sum(shares.values()) == pytest.approx(100, abs=0.1)
    with av.open(str(out / "result.gif")) as gif:
        assert gif.format.name == "gif"
        pictures = [frame.to_ndarray(format="rgb24") for frame in gif.decode(video=0)]
    assert len(pictures) > 20
    assert any(np.any(picture != pictures[0]) for picture in pictures[1:])


def test_rolling_average(capfd, tmp_path):
    data, out = tmp_path / "images", tmp_path / "out"
    for label in ("bend", "jack"):
        (data / label).mkdir(parents=True)
        for path in clips(label, range(1, 6)):
            with open_video(path) as video:
                for frame in video.frames(range(0, 48, 8)):
                    cv2.imwrite(str(data / label / f"{path.stem}_{frame.index}.jpg"), frame.image[..., ::-1])
    video = clips("jack", [7])[0]
    changes = ("images=--size 64", "model=--epochs 3")
    said = run(capfd, "rolling-average", data, out, *changes, weights="random", video=video)
    assert "weighted avg" in said  # the classification report
    split = results_of(out / "checkpoint")["split"]
    count = sum(map(len, split.values()))
    assert len(split["test"]) / count == pytest.approx(0.25, abs=0.05)
    checkpoint = Checkpoint.load(out / "checkpoint")
    head = checkpoint.head
    assert (head.name, head.base, head.trainable, head.units) == ("image_cnn", "resnet50", 0, 512)
    training = results_of(out / "checkpoint")["training"]
    assert (training["optimizer"], training["learning_rate"], training["batch"]) == ("sgd", 1e-4, 32)
    assert len(table(out / "checkpoint" / "history.csv")) == 3
    assert cv2.imread(str(out / "checkpoint" / "curves.png")).std() > 0
    assert checkpoint.classes == ("bend", "jack")
    assert_evaluated_as_trained(out)
    rows = table(out / "result.csv")
    with open_video(video) as reader:
        assert len(rows) == len(reader.times())
    shares = np.array([[float(row["bend"]), float(row["jack"])] for row in rows])
    # A mean over the n answers so far moves by no more than 1/n from frame to frame.
    steps = np.abs(np.diff(shares, axis=0)).max(axis=1)
    assert np.all(steps <= 1 / np.minimum(np.arange(2, len(rows) + 1), 128) + 1e-4)
    assert [row["label"] for row in rows] == [("bend", "jack")[best] for best in shares.argmax(axis=1)]


def test_frame_generators(capfd, tmp_path):
    data, out = linked(tmp_path / "videos", people=range(1, 8)), tmp_path / "out"
    sizes = tuple(f"{name}=--size 32" for name in ("spread", "sliding", "flow"))
    epochs = tuple(f"{name}=--epochs 2" for name in ("model", "model-sliding", "model-flow"))
    run(capfd, "frame-generators", data, out, *sizes, *epochs)
    spread, sliding, flow = (FeatureStore(out / name) for name in ("spread", "sliding", "flow"))
    name = "jack/jack_person1.mp4"
    pictures = spread.read(name).features
    assert (pictures.shape, pictures.dtype) == ((5, 32, 32, 3), np.uint8)
    with open_video(data / name) as video:
        chosen = list(video.frames(spread.read(name).frames))
    assert np.abs(pictures[2].mean() - chosen[2].image.mean()) < 5  # pixels of that frame, made small
    assert np.median(np.diff(sliding.read(name).times)) == pytest.approx(0.2, abs=0.03)
    right, down, speed = np.moveaxis(flow.read(name).features.astype(float) - (128, 128, 0), -1, 0)
    assert np.hypot(right, down).max() > 10  # something moves
    assert np.corrcoef(np.hypot(right, down).ravel(), speed.ravel())[0, 1] > 0.8
    pictures = [cv2.imread(str(out / f"samples{suffix}.png")) for suffix in ("", "-sliding", "-flow")]
    assert all(picture.std() > 5 for picture in pictures)
    assert pictures[0].shape[0] > 1.5 * pictures[2].shape[0]  # varied rows below the originals
    split = results_of(out / "checkpoint")["split"]
    assert len(split["val"]) / (len(split["val"]) + len(split["train"])) == pytest.approx(0.33, abs=0.12)
    training = results_of(out / "checkpoint")["training"]
    assert training["augment"].startswith("flip")
    windows = results_of(out / "checkpoint-sliding")["measured"]["test"]
    assert windows["windows"] > windows["videos"]  # they slide
    for suffix in ("", "-sliding", "-flow"):
        checkpoint = Checkpoint.load(out / f"checkpoint{suffix}")
        assert (checkpoint.head.name, checkpoint.window.length) == ("timedistributed_convnet", 5)
        assert checkpoint.needs == "frames"
        assert_evaluated_as_trained(out, f"checkpoint{suffix}", f"evaluation{suffix}")
    page = (out / "comparison.html").read_text()
    assert all(f"checkpoint{suffix}" in page for suffix in ("", "-sliding", "-flow"))
    answer = json.loads((out / "result.json").read_text())
    assert answer["label"] in ("bend", "jack")
    with open_video(out / "result.mp4") as video:
        assert len(video.times()) > 20


def frame_folders(folder: Path, people) -> Path:
    """A folder of frames for each person, who first does one thing and then another, and labels by file."""
    lines = ["video,frame,label"]
    for person in people:
        name, number = f"video_{person}", 0
        (folder / name).mkdir(parents=True)
        for label in ("jack", "bend") if person % 2 else ("bend", "jack"):
            with open_video(clips(label, [person])[0]) as video:
                for frame in video.frames(range(0, 48, 4)):
                    number += 1
                    cv2.imwrite(str(folder / name / f"{name}_{number:05}.jpg"), frame.image[..., ::-1])
                    lines.append(f"{name},{name}_{number:05}.jpg,{label}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_ecology_grid(capfd, tmp_path):
    data, out = frame_folders(tmp_path / "data", range(1, 8)), tmp_path / "out"
    grids = {
        "images": "head: [mlp]\nwindow: [1]\nlayers: [2]\nunits: [32]\ndropout: [0.2]\n",
        "sequences": "head: [concat, lstm, conv1d]\nwindow: [6]\nstride: [3]\nlayers: [1]\nunits: [32]\n",
        "trainable": "head: [c3d_small]\nwindow: [6]\nstride: [3]\n",
    }
    changes = ["features=--backbone inceptionv3 --size 96", "frames=--size 32"]
    for name, text in grids.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        epochs = 2 if name == "trainable" else 8
        changes += [f"{name}=--grid {tmp_path / name}.yaml --epochs {epochs}"]
    said = run(capfd, "ecology-grid", data, out, *changes)
    assert "168 frames of 7 videos" in said
    labels = table(out / "labels.csv")
    assert len(labels) == 168
    assert {row["split"] for row in labels} == {"train", "val", "test"}
    truth = {(row["video"], row["file"]): (row["label"], row["split"].replace("val", "valid")) for row in labels}
    models = table(out / "models" / "models.csv")
    assert sorted(row["architecture"] for row in models) == [
        "C3Dsmall",
        "image_MLP_frozen",
        "video_LRCNN_frozen",
        "video_LRCNN_frozen",
        "video_MLP_concat",
    ]
    for row in models:
        folder = out / "models" / row["model_id"]
        results = results_of(folder)
        assert results["fit_test_acc"] == float(row["fit_test_acc"])
        assert results["model_param_count"] > 0
        frames = table(folder / "frame_predictions.csv")
        assert {(f["video"], f["frame"]): (f["label"], f["split"]) for f in frames} == truth
        wrong = [f["error"] == "1" for f in frames]
        assert wrong == [f["prediction"] != f["label"] for f in frames]
        for picture in ("loss_curve.png", "confusion_matrix.png"):
            assert cv2.imread(str(folder / picture)).std() > 0
    best = min(models, key=lambda row: float(row["fit_val_loss"]))
    assert best is models[0]
    # People doing two quite different things are told apart by the frozen network's features.
    assert max(float(row["fit_test_acc"]) for row in models) > 0.8
    answer = table(out / "result.csv")
    assert len(answer) == 24
    assert {row["label"] for row in answer} <= {"bend", "jack"}
    assert "video_" in (out / "page.html").read_text()
