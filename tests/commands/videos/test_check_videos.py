"""The command: table, exit status, quarantine and repair."""

from __future__ import annotations

import csv
import os

import pytest

from pipeline.cli import command
from pipeline.commands.videos import check_videos
from pipeline.videos.media import open_video
from tests.media import write_video


def run(*arguments) -> int:
    return command.run(check_videos.main, [str(argument) for argument in arguments], parser=check_videos.parser)


@pytest.fixture
def data(tmp_path):
    write_video(tmp_path / "d" / "a" / "good.mp4")
    path = write_video(tmp_path / "d" / "a" / "bad.mov", frames=100, first=500)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(range(150)) * 2
    path.write_bytes(content)
    (tmp_path / "d" / "a" / "none.mp4").write_text("no video")
    return tmp_path / "d"


def test_finds_fixes_and_moves(data, tmp_path, capsys):
    assert run(data, "--out", data / "problems.csv") == 1
    out = capsys.readouterr().out
    assert "3 videos, 2 faults, 0 notes (unreadable 1, damaged 1)" in out
    with open(data / "problems.csv") as file:
        rows = [(row["severity"], row["problem"], row["video"], row["label"]) for row in csv.DictReader(file)]
    assert rows == [("fault", "unreadable", "a/none.mp4", "a"), ("fault", "damaged", "a/bad.mov", "a")]
    call = (data, "--fix", tmp_path / "fixed", "--quarantine", tmp_path / "aside", "--quiet")
    assert run(*call) == 1
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in (data / "a").iterdir()) == ["good.mp4"]
    assert sorted(path.name for path in (tmp_path / "aside" / "a").iterdir()) == ["bad.mov", "none.mp4"]
    with open_video(tmp_path / "fixed" / "a" / "bad.mp4") as video:
        assert 20 < video.scan() < 100
    assert run(data) == 0
    assert "1 video, 0 faults" in capsys.readouterr().out
    assert run(tmp_path / "fixed") == 0


def test_what_was_fixed_is_not_encoded_again_unless_the_video_is_younger(data, tmp_path, capsys):
    assert run(data, "--fix", tmp_path / "fixed") == 1
    fixed = tmp_path / "fixed" / "a" / "bad.mp4"
    before = fixed.stat().st_mtime_ns
    capsys.readouterr()
    assert run(data, "--fix", tmp_path / "fixed") == 1
    assert f"fixed: a/bad.mov -> {fixed} (it was there already)\n" in capsys.readouterr().out
    assert fixed.stat().st_mtime_ns == before
    os.utime(data / "a" / "bad.mov", ns=(before + 1, before + 1))
    assert run(data, "--fix", tmp_path / "fixed", "--quiet") == 2
    assert f"{fixed} exists already" in capsys.readouterr().err


def test_a_healthy_video_of_uneven_size_is_not_encoded_anew(tmp_path, capsys):
    write_video(tmp_path / "data" / "a" / "odd.mkv", "ffv1_mkv", frames=10, size=(193, 97))
    assert run(tmp_path / "data", "--fix", tmp_path / "fixed") == 0
    assert "uneven size" in capsys.readouterr().out
    assert not (tmp_path / "fixed").exists()


def test_wrong_calls(data, tmp_path, capsys):
    for message, call in {
        "lies inside": (data, "--quarantine", data / "aside"),
        "at least 1": (data, "--workers", 0),
        "does not exist": (tmp_path / "none",),
    }.items():
        assert run(*call) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    (tmp_path / "aside" / "a").mkdir(parents=True)
    (tmp_path / "aside" / "a" / "none.mp4").touch()
    assert run(data, "--quarantine", tmp_path / "aside", "--quiet") == 2
    assert "exists already" in capsys.readouterr().err
    assert (data / "a" / "none.mp4").exists()
