"""The command: to frames and back again."""

from __future__ import annotations

import csv

import pytest

from pipeline.cli import command
from pipeline.commands.videos import convert_labels
from tests.media import write_video


def run(*arguments) -> int:
    return command.run(convert_labels.main, [str(argument) for argument in arguments], parser=convert_labels.parser)


def test_there_and_back(tmp_path, capsys):
    write_video(tmp_path / "a.mp4", frames=50)
    write_video(tmp_path / "b.mkv", "h264_mkv", frames=25)
    rows = ["video,start,end,label", "a.mp4,0,0:01,walk", "a.mp4,1,2,run", "b.mkv,0,0.4,run", "b.mkv,0.4,1,walk"]
    (tmp_path / "s.csv").write_text("\n".join(rows))
    assert run(tmp_path / "s.csv", "--out", tmp_path / "labels.csv") == 0
    assert "75 frames" in capsys.readouterr().out
    assert run(tmp_path / "labels.csv", "--to", "segments", "--out", tmp_path / "again.csv") == 0
    with open(tmp_path / "again.csv") as file:
        again = [(row["video"], float(row["start"]), float(row["end"]), row["label"]) for row in csv.DictReader(file)]
    assert again == [
        ("a.mp4", 0, 1, "walk"),
        ("a.mp4", 1, 2, "run"),
        ("b.mkv", 0, pytest.approx(0.4), "run"),
        ("b.mkv", pytest.approx(0.4), 1, "walk"),
    ]


def test_gaps_and_faults_are_reported(tmp_path, capsys):
    write_video(tmp_path / "a.mp4", frames=50)
    (tmp_path / "s.csv").write_text("video,start,end,label\na.mp4,0.2,3,walk\ngone.mp4,0,1,run\n")
    assert run(tmp_path / "s.csv", "--out", tmp_path / "l.csv") == 1
    captured = capsys.readouterr()
    assert "frames 0 to 4 have no label" in captured.err
    assert "reaches past the end" in captured.err
    assert "gone.mp4: open: the file does not exist" in captured.err
    assert "50 frames, 3 reports" in captured.out
    assert run(tmp_path / "s.csv", "--out", tmp_path / "l.csv") == 2
    (tmp_path / "two.csv").write_text("video,start,end,label\na.mp4,0,1,walk\na.mp4,0.9,2,run\n")
    assert run(tmp_path / "two.csv", "--out", tmp_path / "m.csv") == 2
    assert "line 3: frame 23 at 00:00:00.920 has two labels, 'walk'" in capsys.readouterr().err
    (tmp_path / "few.csv").write_text("video,frame,label\na.mp4,0,walk\na.mp4,99,walk\n")
    assert run(tmp_path / "few.csv", "--to", "segments", "--out", tmp_path / "n.csv") == 1
    error = capsys.readouterr().err
    assert "there is no frame '99'; the last is 49" in error
    assert "frames 1 to 49 have no label" in error
