"""The command: which frames, their names, and that they are a video again."""

from __future__ import annotations

import csv

import pytest

from pipeline.cli import command
from pipeline.commands.videos import extract_frames
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.media import open_video
from tests.media import read_number, write_video


def run(*arguments) -> int:
    return command.run(extract_frames.main, [str(argument) for argument in arguments], parser=extract_frames.parser)


@pytest.mark.parametrize(
    ("rule", "numbers"),
    [("all", list(range(30))), ("every:7", [0, 7, 14, 21, 28]), ("fps:5", list(range(0, 30, 5))), ("first:2", [0, 1])],
)
@pytest.mark.parametrize("form", ["jpg", "png"])
def test_rules_and_formats(tmp_path, capsys, rule, numbers, form):
    video = write_video(tmp_path / "Über 1.mp4", frames=30)
    assert run(video, "--sampling", rule, "--format", form, "--out", tmp_path / "out") == 0
    assert f"{len(numbers)} images of 1 video" in capsys.readouterr().out
    folder = tmp_path / "out" / "Über 1"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"Über 1_{n:05d}.{form}" for n in range(1, len(numbers) + 1)] + ["frames.csv"]
    )
    with open(folder / "frames.csv", encoding="utf-8") as file:
        assert [int(row["frame"]) for row in csv.DictReader(file)] == numbers
    with open_video(folder) as again, open_video(video) as original:
        assert [read_number(frame.image) for frame in again] == numbers
        assert again.times() == pytest.approx(original.times()[numbers] - original.times()[numbers[0]], abs=1e-5)


def test_folders_of_videos_stay_apart(tmp_path, capsys):
    for name in ("train/a/1.mp4", "train/a/1.mkv", "test/b/2.mp4"):
        write_video(tmp_path / "d" / name, frames=3)
    (tmp_path / "d" / "test" / "b" / "bad.mp4").write_text("x")
    assert run(tmp_path / "d", "--out", tmp_path / "out") == 1
    assert "9 images of 3 videos, 1 failed" in capsys.readouterr().out
    catalog = open_catalog(tmp_path / "out")
    assert [(video.name, video.label, video.split) for video in catalog] == [
        ("test/b/2", "b", "test"),
        ("train/a/1.mkv", "a", "train"),
        ("train/a/1.mp4", "a", "train"),
    ]
    assert "bad.mp4,open," in (tmp_path / "out" / "failures.csv").read_text()


def test_nothing_is_overwritten_unasked(tmp_path, capsys):
    video = write_video(tmp_path / "v.mp4", frames=10)
    assert run(video, "--out", tmp_path / "out") == 0
    assert run(video, "--out", tmp_path / "out") == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert run(video, "--out", tmp_path / "out", "--overwrite", "--sampling", "first:2", "--format", "png") == 0
    assert len(list((tmp_path / "out" / "v").iterdir())) == 3
    (tmp_path / "out" / "v" / "notes.txt").touch()
    assert run(video, "--out", tmp_path / "out", "--overwrite") == 2
    assert "also holds notes.txt" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "v").iterdir())) == 4
    (tmp_path / "other" / "v").mkdir(parents=True)
    (tmp_path / "other" / "v" / "v_00001.jpg").touch()  # of the user: there is no table of times
    assert run(video, "--out", tmp_path / "other", "--overwrite") == 2
    assert "did not write it" in capsys.readouterr().err


def test_damaged_packets_do_not_stop_it(tmp_path, capsys):
    video = write_video(tmp_path / "v.mp4", frames=100)
    data = bytearray(video.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(range(200))
    video.write_bytes(data)
    assert run(video, "--sampling", "uniform:40", "--out", tmp_path / "out") == 0
    assert "40 images" in capsys.readouterr().out


def test_wrong_calls(tmp_path, capsys):
    video = write_video(tmp_path / "d" / "v.mp4", frames=3)
    for message, call in {
        "sampling": (video, "--sampling", "sometimes", "--out", tmp_path / "o"),
        "--quality 0": (video, "--quality", 0, "--out", tmp_path / "o"),
        "lies inside the input": (tmp_path / "d", "--out", tmp_path / "d" / "frames"),
        "Not a directory": (video, "--out", video / "x"),
    }.items():
        assert run(*call) == 2, message
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
