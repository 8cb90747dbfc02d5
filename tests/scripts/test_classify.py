"""The command: its files, its lines, its refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import command
from pipeline.videos.reader import open_video
from scripts.classify import main
from tests.inference.conftest import CLASSES, checkpoint, clips, make_checkpoint, store, write_pieces  # noqa: F401 - fixtures
from tests.media import write_video


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    return write_pieces(tmp_path / "movie.mp4", [(0, 50), (2, 50)])


def run(*argv: object) -> int:
    return command.run(main, [str(item) for item in argv])


def test_all_files(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    out = tmp_path / "new"
    status = run(
        *(checkpoint, movie, "--output", out / "result.avi", "--json", out / "a.json", "--csv", out / "a.csv"),
        *("--segments", out / "s.csv", "--srt", out / "a.srt", "--smooth", "centred:5", "--min-duration", 1),
    )
    assert status == 0
    with open_video(out / "result.avi") as video:
        assert (video.info().frames, video.info().fps) == (100, pytest.approx(10))
        assert (video.info().width, video.info().height) == (96, 64)
    content = json.loads((out / "a.json").read_text())
    assert [segment["label"] for segment in content["segments"]] == ["Blue", "Red"]
    assert content["frames"] == 100
    assert sum(content["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert f"100 frames, {len(content['windows'])} windows, 2 segments" in capsys.readouterr().out
    with (out / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(100))
    np.testing.assert_allclose([float(row["time"]) for row in rows], np.arange(100) / 10, atol=1e-6)
    for row in rows:
        assert row["label"] == max(CLASSES, key=lambda name: float(row[name]))
    with (out / "s.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["Blue", "Red"]
    assert (out / "a.srt").read_text().startswith("1\n00:00:00,000 --> 00:00:0")
    assert sorted(path.name for path in out.iterdir()) == ["a.csv", "a.json", "a.srt", "result.avi", "s.csv"]


def test_data_only_and_quiet(checkpoint, movie, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    assert run(checkpoint, movie, "--frames", "none", "--json", "a.json", "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "movie.mp4"]


def test_the_lines(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    assert run(checkpoint, movie, "--output", tmp_path / "r.mp4", "--smooth", "centred:5", "--min-duration", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("note: longer than the training clips: read in windows of 2 s (the median of training)")
    assert lines[1].startswith("  00:00:00.000 - 00:00:0")
    assert lines[1].split()[3] == "Blue"
    assert lines[-1].endswith(f"2 segments; wrote {tmp_path / 'r.mp4'}")


def test_the_default_is_result_avi(checkpoint, movie, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    assert run(checkpoint, movie, "--quiet", "--fps", 15, "--style", "plain", "--codec", "mjpg") == 0
    with open_video("result.avi") as video:
        assert (video.info().frames, video.info().codec) == (100, "mjpeg")
        assert video.info().fps == pytest.approx(15)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--stride", "0"], "--stride 0: expected 1 or more steps"),
        (["--stride", "99"], "--stride 99: expected 1 to 8 steps, so that windows leave no gap"),
        (["--smooth", "box:3"], "smoothing 'box' is unknown; expected none, mean:K"),
        (["--abstain", "7"], "--abstain 7: expected a probability from 0 to 1"),
        (["--min-duration", "-1"], "--min-duration -1: expected seconds, 0 or more"),
        (["--fps", "0"], "--fps 0: expected more than 0"),
        (["--output", "a.webm"], "the name of the output must end in one of .avi, .mp4"),
        (["--output", "movie.mp4"], "movie.mp4 is the video itself"),
        (["--json", "a.csv", "--csv", "a.csv"], "a.csv is named for two outputs"),
        (["--json", "movie.mp4/a.json"], "is no folder"),
        (["--weights", "random:5"], "was trained on features of tiny with other weights"),
        (["--weights", "nowhere.h5"], "--weights nowhere.h5: there is no such file"),
    ],
)
def test_wrong_calls_are_one_line(checkpoint, movie, tmp_path, capsys, monkeypatch, arguments, line):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    before = movie.read_bytes()
    assert run(checkpoint, "movie.mp4", *arguments) == 2
    error = capsys.readouterr().err.splitlines()
    assert len([text for text in error if text.startswith("error: ")]) == 1
    assert line in error[-1]
    assert movie.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["movie.mp4"]


def test_wrong_inputs_are_one_line(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    for folder, video, line in (
        (tmp_path, movie, "is no checkpoint"),
        (checkpoint, tmp_path / "missing.mp4", "the file does not exist"),
        (checkpoint, tmp_path / "empty.mp4", "the file is empty (0 bytes)"),
        (checkpoint, tmp_path / "text.mp4", "not a readable media file"),
    ):
        assert run(folder, video, "--output", tmp_path / "out.avi") == 2
        error = capsys.readouterr().err.splitlines()
        assert error[-1].startswith("error: ")
        assert line in error[-1]
    assert not (tmp_path / "out.avi").exists()


def test_strange_class_names(make_checkpoint, tmp_path, capsys):  # noqa: F811
    names = ("🏒\U000f0000 hockey", "x" * 200, "time")
    folder = make_checkpoint("fps:5", classes=names)
    video = write_video(tmp_path / "a.mp4", frames=12, size=(64, 64))
    status = run(
        folder, video, "--output", tmp_path / "r.avi", "--csv", tmp_path / "r.csv", "--srt", tmp_path / "r.srt"
    )
    assert status == 0
    assert "of the class names; they are drawn as boxes" in capsys.readouterr().out
    with (tmp_path / "r.csv").open() as file:
        row = next(csv.DictReader(file))
    assert list(row) == ["frame", "time", "label", names[0], names[1], "time_class"]
    assert row["label"] in names
