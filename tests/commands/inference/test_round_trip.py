"""Predictions come back: classify, correct labels, cut, extract, train; each step reads what the last one wrote."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.commands.inference import classify
from pipeline.commands.training import train
from pipeline.commands.videos import convert_labels, cut_clips
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.catalog.catalog import open_catalog
from tests.inference.conftest import checkpoint, clips, store, write_pieces  # noqa: F401 - fixtures


def run(module, *arguments) -> None:
    status = command.run(module.main, [*map(str, arguments), "--quiet"], parser=module.parser)
    assert status == 0, f"{module.__name__} {arguments}"


SMOOTH = ("--smooth", "centred:5", "--min-duration", 1)


@pytest.mark.slow
def test_classify_correct_cut_extract_train(checkpoint, tmp_path):  # noqa: F811
    pieces = ([(0, 40), (2, 40), (1, 40)], [(2, 40), (0, 40), (1, 40)], [(1, 40), (2, 40), (0, 40)])
    for number, what in enumerate(pieces):
        write_pieces(tmp_path / "recordings" / f"{number}.mp4", what)
    run(
        classify,
        checkpoint,
        tmp_path / "recordings",
        "--output",
        tmp_path / "said",
        "--segments",
        "labels.csv",
        *SMOOTH,
    )
    data = tmp_path / "data"
    for number in range(3):
        table = tmp_path / "said" / f"{number}.mp4" / "labels.csv"
        correct(table)
        run(cut_clips, "--segments", table, "--out", data)
        run(convert_labels, table, "--out", tmp_path / f"frames{number}.csv")
        with (tmp_path / f"frames{number}.csv").open() as file:
            assert {row["label"] for row in csv.DictReader(file)} == {"Blue", "Green", "Purple"}
    catalog = open_catalog(data)
    assert (catalog.classes, len({video.group for video in catalog})) == (["Blue", "Green", "Purple"], 3)
    features, new = tmp_path / "features", tmp_path / "new"
    run(extract_features, data, "--out", features, "--backbone", "tiny", "--weights", "random")
    run(train, features, "--out", new, "--epochs", 2, "--members", 1)
    assert Checkpoint.load(new).classes == ("Blue", "Green", "Purple")
    run(classify, new, tmp_path / "recordings" / "0.mp4", "--no-video")


def test_subtitles_are_labels_without_their_percent(checkpoint, tmp_path):  # noqa: F811
    movie = write_pieces(tmp_path / "Match.mp4", [(0, 60), (2, 60)])
    run(classify, checkpoint, movie, "--no-video", "--srt", tmp_path / "Match.srt", *SMOOTH)
    assert "%" in (tmp_path / "Match.srt").read_text()
    correct(tmp_path / "Match.srt")
    run(cut_clips, "--segments", tmp_path / "Match.srt", "--out", tmp_path / "data")  # of the video beside it
    assert open_catalog(tmp_path / "data").classes == ["Blue", "Purple"]


def correct(path: Path) -> None:
    """Call what is Red Purple, as in an editor or a spreadsheet."""
    text = path.read_text()
    assert "Red" in text
    path.write_text(text.replace("Red", "Purple"))
