"""The five published systems, each run to its end on real clips, with its outputs looked into.

Images are smaller, clips and epochs fewer than published, by ``--set``; nothing else is changed.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks.published_data import Clips, write_recording
from pipeline.cli import command
from pipeline.commands.inference import classify
from pipeline.commands.published import run_config
from pipeline.extraction.inputs.motion import InputMaker
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
    words = [name, "--data", str(data), "--out", str(out)]
    words += ["--weights", str(weights)] if weights else []
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


def recordings(folder: Path, people: dict[str, range], seconds: float) -> Path:
    """Recordings of two actions, ``folder/{train,test}/<Class>/``, each clip again and again."""
    for part, numbers in people.items():
        for label in ("bend", "jack", "wave1"):
            for person in numbers:
                write_recording(
                    Clips(ACTIONS), [(label, person)], seconds, folder / part / label / f"person{person}.mp4"
                )
    return folder


def test_apriorit(capfd, tmp_path):
    data, out = tmp_path / "recordings", tmp_path / "out"
    recordings(data, {"train": range(1, 6), "test": range(8, 10)}, 6)
    # One recording is too short for a piece of 75 frames.
    write_recording(Clips(ACTIONS), [("bend", 6)], 2.5, data / "train" / "bend" / "person6.mp4")
    changes = ("features=--size 75x133", r"model=--epochs 3 --group 'person\d'")
    said = run(capfd, "apriorit", data, out, *changes)
    assert "changed: features has --size 75x133" in said
    rows = [line.split(",") for line in (out / "clips" / "data_file.csv").read_text().splitlines()]
    assert {(row[0], row[1]) for row in rows} == {
        (part, label)
        for part in ("train", "test")
        for label in ("bend", "jack")  # the first two classes
    }
    assert [row[3] for row in rows] == ["75"] * 28
    assert all((out / "clips" / row[0] / row[1] / f"{row[2]}.mp4").is_file() for row in rows)
    assert len(list((out / "images").rglob("*.jpg"))) == 28 * 75
    store = FeatureStore(out / "features")
    assert (store.recipe.height, store.recipe.width, store.recipe.crop) == (75, 133, "none")
    assert {entry.steps for entry in store.entries.values()} == {75}
    arrays = [np.load(path) for path in (out / "sequences").rglob("*.npy")]
    assert [array.shape for array in arrays] == [(75, 2048)] * 28
    checkpoint = Checkpoint.load(out / "checkpoint")
    assert (checkpoint.head.name, checkpoint.window.length) == ("apriorit", 75)
    training = results_of(out / "checkpoint")["training"]
    assert (training["learning_rate"], training["rate_decay"], training["patience"]) == (1e-5, 1e-6, 5)
    assert_evaluated_as_trained(out)
    blocks = re.findall(r"^  frames (\d+) to (\d+): (?:bend|jack) [\d.]+, (?:bend|jack) [\d.]+$", said, re.MULTILINE)
    assert blocks == [("0", "74")]
    with av.open(str(out / "result.avi")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.codec_tag, stream.average_rate) == ("mpeg4", "XVID", 15)
        assert sum(1 for _ in video.decode(stream)) == 75
    # A weight file for each improvement, and each can be applied.
    history = table(out / "checkpoint" / "history.csv")
    kept = sorted((out / "checkpoint" / "weights").iterdir())
    assert kept[-1].name.startswith(f"epoch{results_of(out / 'checkpoint')['best_epoch']:03}-")
    assert 1 <= len(kept) <= len(history)
    words = [str(kept[0]), str(data / "test" / "jack" / "person9.mp4"), "--weights", str(WEIGHTS), "--no-video"]
    words += ["--stride", "75", "--each-window"]
    assert command.run(classify.main, words, parser=classify.parser) == 0
    assert [line.split(":")[0] for line in capfd.readouterr().out.splitlines() if line.startswith("  frames")] == [
        "  frames 0 to 74",
        "  frames 75 to 149",
    ]
    # The same command repeats nothing that took time.
    again = run(capfd, "apriorit", data, out, *changes)
    assert "2 commands run, 6 done before" in again


@pytest.mark.timeout(3000)
def test_apriorit_at_the_published_size(capfd, tmp_path):
    """720 x 1280, 75 steps that are all real; few clips, as each frame takes a quarter of a second."""
    data, out = recordings(tmp_path / "recordings", {"train": range(1, 4), "test": range(9, 10)}, 3), tmp_path / "out"
    run(capfd, "apriorit", data, out, r"model=--epochs 2 --group 'person\d'")
    store = FeatureStore(out / "features")
    assert (store.recipe.height, store.recipe.width) == (720, 1280)
    sequences = [store.read(name) for name in store.entries]
    assert [sequence.features.shape for sequence in sequences] == [(75, 2048)] * 8
    assert all(sequence.frames.tolist() == list(range(75)) for sequence in sequences)
    checkpoint = Checkpoint.load(out / "checkpoint")
    assert (checkpoint.window.length, checkpoint.dimensions) == (75, 2048)
    # Videos differ in their features.
    assert np.ptp(np.stack([sequence.features.mean(axis=0) for sequence in sequences]), axis=0).max() > 0.05
    assert_evaluated_as_trained(out)


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
    said = run(capfd, "keras-example", data, out, "features=--size 96", r"model=--group 'person\d'", video="random:3")
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
    # The GIF: the 20 frames as the network saw them, 10 a second, nothing drawn.
    with av.open(str(out / "result.gif")) as gif:
        assert gif.format.name == "gif"
        frames = list(gif.decode(video=0))
    assert [round(float(frame.pts * frame.time_base), 2) for frame in frames] == pytest.approx(np.arange(20) / 10)
    shown = re.search(r"(\S+\.mp4): \w+ \d+%", said)
    with open_video(shown[1]) as video:
        seen = [frame.image for frame in InputMaker(store.recipe).frames(video, range(20))]
    for frame, image in zip(frames, seen, strict=True):
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - image).mean() < 6
    # As published: the last 30 % of the list, which is ordered by class, and a mask that the first layer only gets.
    published = results_of(out / "checkpoint-as-published")
    assert published["head"]["mask_of"] == "first"
    assert {Path(name).stem.split("_")[0] for name in published["split"]["val"]} == {"wave2"}
    assert len(published["split"]["val"]) == 5 == 15 - int(15 * 0.7)
    assert {Path(name).stem.split("_")[0] for name in results["split"]["val"]} == {"bend", "jack", "wave2"}


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
    assert (head.name, head.base, head.trainable, head.units) == ("image_cnn", "resnet50", 0, (512,))
    training = results_of(out / "checkpoint")["training"]
    assert (training["optimizer"], training["learning_rate"], training["batch"]) == ("sgd", 1e-4, 32)
    assert len(table(out / "checkpoint" / "history.csv")) == 3
    assert cv2.imread(str(out / "checkpoint" / "curves.png")).std() > 0
    assert checkpoint.classes == ("bend", "jack")
    assert_evaluated_as_trained(out)
    assert training["rate_decay"] == 2e-6
    with av.open(str(out / "result.avi")) as written:
        stream = written.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("mjpeg", 30)
    rows = table(out / "result.csv")
    with open_video(video) as reader:
        assert len(rows) == len(reader.times())
    shares = np.array([[float(row["p(bend)"]), float(row["p(jack)"])] for row in rows])
    # A mean over the n answers so far moves by no more than 1/n from frame to frame.
    steps = np.abs(np.diff(shares, axis=0)).max(axis=1)
    assert np.all(steps <= 1 / np.minimum(np.arange(2, len(rows) + 1), 128) + 1e-4)
    assert [row["label"] for row in rows] == [("bend", "jack")[best] for best in shares.argmax(axis=1)]


def test_frame_generators_refuse_weights(capfd, tmp_path):
    (tmp_path / "data").mkdir()
    words = ["frame-generators", "--data", str(tmp_path / "data"), "--weights", "random"]
    assert command.run(run_config.main, words, parser=run_config.parser) == 2
    assert "--weights has no meaning for frame-generators" in capfd.readouterr().err


def test_frame_generators_on_mobilenet(capfd, tmp_path):
    data, out = linked(tmp_path / "videos", people=range(1, 6)), tmp_path / "out"
    changes = ("frames=--size 64", "model=--epochs 2")
    run(capfd, "frame-generators-mobilenet", data, out, *changes, weights="random")
    results = results_of(out / "checkpoint")
    training = results["training"]
    assert (training["optimizer"], training["momentum"], training["learning_rate"]) == ("sgd", 0, 0.01)
    assert (results["head"]["base"], results["head"]["trainable"]) == ("mobilenet", 9)
    assert len(list((out / "checkpoint" / "weights").iterdir())) == 2


def test_frame_generators(capfd, tmp_path):
    data, out = linked(tmp_path / "videos", people=range(1, 8)), tmp_path / "out"
    sizes = tuple(f"{name}=--size 32" for name in ("spread", "sliding", "flow"))
    epochs = tuple(f"{name}=--epochs 2" for name in ("model", "model-sliding", "model-flow"))
    run(capfd, "frame-generators", data, out, *sizes, *epochs, weights=None)
    spread, sliding, flow = (FeatureStore(out / name) for name in ("spread", "sliding", "flow"))
    name = "jack/jack_person1.mp4"
    pictures = spread.read(name).features
    assert (pictures.shape, pictures.dtype) == ((5, 32, 32, 3), np.uint8)
    with open_video(data / name) as video:
        assert 0 < spread.read(name).frames[0] < spread.read(name).frames[-1] < len(video.times()) - 1
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
        losses = [float(row["val_loss"]) for row in table(out / f"checkpoint{suffix}" / "history.csv")]
        assert sorted(path.name for path in (out / f"checkpoint{suffix}" / "weights").iterdir()) == [
            f"epoch{number:03}-{loss:.4f}.weights.h5" for number, loss in enumerate(losses, 1)
        ]
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
        "images": "head: [mlp]\nwindow: [1]\nunits: ['32,16']\ndropout: [0.2]\n",
        "sequences": "head: [concat, ecology-lrcnn]\ncell: [lstm, conv1d]\nwindow: [6]\nstride: [3]\n"
        "units: ['32,16']\n",
        "trainable-images": "head: [image_cnn]\nwindow: [1]\nunits: [16]\ntrainable: [4]\nbase: [tiny]\n",
        "trainable": "head: [lrcn]\nwindow: [6]\nstride: [3]\nunits: [16]\nbase: [tiny]\n",
        "c3d": "head: [ecology-c3d-small]\nwindow: [11]\n",
    }
    changes = [f"vgg16-{pooling}=--backbone inceptionv3 --size 96" for pooling in ("max", "avg")]
    changes += ["frames=--size 32", "clips=--size 54", "network=--base tiny --weights random --epochs 1 --units 16"]
    changes += ["own=--backbone tiny --size 32", "trainable-images=--weights random", "trainable=--weights random"]
    for name, text in grids.items():
        (tmp_path / f"{name}.yaml").write_text(text + ("rounds: [3]\n" if name == "sequences" else ""))
        epochs = 8 if name in ("images", "sequences") else 1
        changes += [f"{name}=--grid {tmp_path / name}.yaml --epochs {epochs}"]
    said = run(capfd, "ecology-grid", data, out, *changes)
    assert "168 frames of 7 videos" in said
    labels = table(out / "labels.csv")
    assert len(labels) == 168
    assert {row["split"] for row in labels} == {"train", "val", "test"}
    truth = {(row["video"], row["file"]): (row["label"], row["split"].replace("val", "valid")) for row in labels}
    models = table(out / "models" / "models.csv")
    # Perceptron, frames side by side, LSTM and convolution on each of three stores, and the networks on frames.
    assert Counter(row["architecture"] for row in models) == {
        "image_MLP_frozen": 3,
        "video_MLP_concat": 3,
        "video_LRCNN_frozen": 7,
        "image_MLP_trainable": 1,
        "C3Dsmall": 1,
    }
    assert {(row["pretrained_model_name"], row["pooling"]) for row in models} >= {
        ("inceptionv3", "max"),
        ("inceptionv3", "avg"),
        ("tiny", "max"),
    }
    for row in models:
        folder = out / "models" / row["model_id"]
        results = results_of(folder)
        assert results["fit_test_acc"] == pytest.approx(float(row["fit_test_acc"]), abs=1e-6)
        assert results["model_param_count"] > 0
        if row["architecture"] == "video_LRCNN_frozen" and row["sequence_model"] in ("LSTM", "Convolution1D"):
            sizes = [results[f"layer_{number}_size"] for number in (1, 2, 3)]
            assert sizes == ([32, 16, 0] if "fit_stopped_epoch3" in results else [16, 0, 0])
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
