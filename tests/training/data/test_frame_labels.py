"""Labels of single frames: windows take them over, frames get predictions, mistakes in the file are told."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.data.dataset import open_dataset, windows_of
from pipeline.training.data.frame_labels import FrameLabels
from pipeline.training.data.splits import make_split
from pipeline.training.data.windows import WindowSpec
from pipeline.training.experiments.experiment import train
from pipeline.training.experiments.save import save_run
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop.spec import TrainSpec


@pytest.fixture
def labelled(make_store, tmp_path):
    """A store and a table: even videos are 'calm' up to frame 2 and 'wild' after, odd ones are calm."""
    store = make_store(sampling="all")
    lines = ["video,frame,label"]
    for number, (name, length) in enumerate((video.name, 6) for video in open_dataset(store).videos):
        lines += [f"{name},{frame},{'wild' if number % 2 == 0 and frame > 2 else 'calm'}" for frame in range(length)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(lines) + "\n")
    return store, table


def test_a_window_has_the_label_of_most_of_its_frames(labelled):
    data = open_dataset(labelled[0], frame_labels=labelled[1])
    assert data.classes == ("calm", "wild")
    windows = windows_of(data, np.arange(len(data)), WindowSpec(3))
    for row in range(len(windows)):
        late = windows.start[row] >= 3
        assert data.classes[windows.labels[row]] == ("wild" if late and windows.video[row] % 2 == 0 else "calm")


def test_frames_without_a_label_are_not_used(labelled):
    store, table = labelled
    lines = [line for line in table.read_text().splitlines() if line.split(",")[1] not in ("0", "1", "2")]
    table.write_text("\n".join(lines) + "\n")
    data = open_dataset(store, frame_labels=table)
    assert windows_of(data, np.arange(len(data)), WindowSpec(3)).start.min() == 3


def test_frames_get_predictions(labelled, tmp_path):
    data = open_dataset(labelled[0], frame_labels=labelled[1])
    run = train(
        data,
        make_split(data, data.names),
        head=head_spec("mean"),
        window=WindowSpec(3, 1),
        spec=TrainSpec(epochs=2, members=1),
    )
    folder = save_run(run, tmp_path / "checkpoint").folder
    with open(folder / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["level"] for row in rows} == {"window", "frame"}
    frames = [(row["video"], int(row["start"])) for row in rows if row["level"] == "frame"]
    assert len(set(frames)) == len(frames) == int(data.steps.sum())


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("video,frame,label\nnobody.mp4,0,calm\n", "'nobody.mp4' is not in"),
        ("video,label\na,b\n", "expected video,frame,label"),
        ("video,frame,label\n{name},x,calm\n", "frame number"),
        ("video,frame,label\n{name},1,calm\n{name},1,wild\n", "two labels"),
        ("video,frame,label,split\n{name},1,calm,train\n{name},2,calm,test\n", "splits test and train"),
        ("video,frame,label\n", "no rows"),
        ("video,frame,label\n{name},1,calm\n", "only the class 'calm'"),
    ],
)
def test_mistakes_in_the_table_are_told(store, data, tmp_path, text, part):
    table = tmp_path / "labels.csv"
    table.write_text(text.format(name=data.videos[0].name))
    with pytest.raises(UserError, match=part):
        open_dataset(store, frame_labels=table)


def test_a_clip_of_frames_has_the_label_of_most_of_its_labelled_frames():
    labels = FrameLabels({0: "a", 1: "a", 2: "b", 4: "b", 5: "b", 9: "c"})
    firsts, lasts = np.array([0, 1, 1, 6, 6, 9]), np.array([3, 2, 5, 8, 9, 20])
    assert labels.within(firsts, lasts) == ["a", "a", "b", None, "c", "c"]
    single = np.arange(10)
    assert labels.within(single, single) == ["a", "a", "b", None, "b", "b", None, None, None, "c"]
    assert FrameLabels().within(single, single) == [None] * 10
