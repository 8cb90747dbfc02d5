"""The command: what it prints, what it returns, what it leaves."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands.videos import cut_clips
from pipeline.videos.catalog.catalog import open_catalog
from tests.media import write_video


def run(*arguments) -> int:
    return command.run(cut_clips.main, [str(argument) for argument in arguments], parser=cut_clips.parser)


def test_equal_pieces(tmp_path, capsys):
    video = write_video(tmp_path / "Match.mp4", frames=100)
    out = tmp_path / "data" / "train" / "Football"
    assert run(video, "--every", 3, "--out", out) == 0
    assert capsys.readouterr().out == f"{out}: 2 clips cut (100 frames)\n"
    assert run(video, "--every", 3, "--out", out) == 0
    assert capsys.readouterr().out == f"{out}: 0 clips cut (0 frames), 2 there already\n"
    catalog = open_catalog(tmp_path / "data")
    assert [(video.label, video.split) for video in catalog] == [("Football", "train")] * 2
    assert len({video.group for video in catalog}) == 1
    assert run(video, "--every", 3, "--drop-last", "--overlap", 1, "--out", tmp_path / "b", "--quiet") == 0
    assert len(list((tmp_path / "b").glob("*.mp4"))) == 1
    assert capsys.readouterr().out == ""


def test_a_folder_keeps_its_classes(tmp_path, capsys):
    for name in ("train/Ball/1", "test/Rain/2"):
        write_video(tmp_path / "rec" / f"{name}.mp4", frames=50)
    assert run(tmp_path / "rec", "--every", 1, "--out", tmp_path / "data") == 0
    catalog = open_catalog(tmp_path / "data")
    assert {(video.split, video.label) for video in catalog} == {("train", "Ball"), ("test", "Rain")}
    assert run(tmp_path / "rec", "--every", 1, "--out", tmp_path / "rec" / "clips") == 2
    assert "lies inside the input" in capsys.readouterr().err


def test_segments(tmp_path, capsys):
    write_video(tmp_path / "a b.mp4", frames=100)
    rows = ["video;start;end;label;split", "a b.mp4;0;1,5;Ball;train", "a b.mp4;00:02;00:03;Rain;test"]
    (tmp_path / "s.csv").write_text("\r\n".join(rows), encoding="utf-8-sig")
    assert run("--segments", tmp_path / "s.csv", "--out", tmp_path / "data") == 0
    assert "2 clips cut (63 frames)" in capsys.readouterr().out
    assert [video.name for video in open_catalog(tmp_path / "data")] == [
        "test/Rain/a b_000002.000-000003.000.mp4",
        "train/Ball/a b_000000.000-000001.520.mp4",
    ]


ODD = Path(__file__).parents[4] / "shared" / "videos" / "odd"


@pytest.mark.skipif(not ODD.is_dir(), reason="the folder of odd videos is not there")
@pytest.mark.parametrize("fast", [False, True])
def test_odd_files_are_cut_or_refused_with_a_reason(tmp_path, capsys, fast):
    options = ["--copy"] if fast else ["--preset", "ultrafast"]
    assert run(ODD, "--every", 2, "--out", tmp_path / "out", *options) == 1
    with open(tmp_path / "out" / "failures.csv", encoding="utf-8") as file:
        failed = {Path(row["video"]).name: row["reason"] for row in csv.DictReader(file)}
    # Clips are named by their recording and their times.
    recordings = {path.stem: path.name for path in ODD.iterdir()}
    reasons = {recordings.get(re.sub(r"_[\d.-]+\.mp4$", "", name), name): reason for name, reason in failed.items()}
    expected = {"zero_bytes.webm": "empty"}
    if fast:
        expected |= {"corrupted.mp4": "can be decoded after copying", "discard_first_keyframe.mp4": "edit list"}
    else:
        expected |= {"-video-with-dash-.mp4": "1x1 pixels is too small"}
    # How much of a damaged stretch comes out depends on where its decoding starts.
    assert set(reasons) - {"corrupted.mp4"} == set(expected) - {"corrupted.mp4"}
    assert all(part in reasons[name] for name, part in expected.items())


def test_subtitles_and_copies(tmp_path, capsys):
    video = write_video(tmp_path / "Match.mp4", frames=100)
    (tmp_path / "Match.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nBall\n")
    assert run(video, "--segments", tmp_path / "Match.srt", "--out", tmp_path / "data", "--copy") == 0
    printed = capsys.readouterr().out
    assert "copied at keyframes: clips start 0.04 s early (at most 0.04 s) and end 0.0" in printed
    assert "1 clip cut" in printed
    assert [video.label for video in open_catalog(tmp_path / "data")] == ["Ball"]
    assert run(video, "--segments", tmp_path / "Match.srt", "--out", tmp_path / "data", "--copy") == 0
    assert "1 there already" in capsys.readouterr().out
    assert run("--segments", tmp_path / "Match.srt", "--out", tmp_path / "data") == 2
    assert "was cut with other settings (copied without encoding)" in capsys.readouterr().err


def test_a_bad_video_among_good_ones(tmp_path, capsys):
    good = write_video(tmp_path / "good.mp4", frames=30)
    (tmp_path / "bad.mp4").write_text("no video")
    out = tmp_path / "out"
    assert run(good, tmp_path / "bad.mp4", tmp_path / "gone.mp4", "--every", 1, "--out", out) == 1
    captured = capsys.readouterr()
    assert "2 clips cut (30 frames), 2 failed" in captured.out
    assert "not a readable media file" in captured.err
    with open(out / "failures.csv") as file:
        assert [(row["stage"], row["video"].rpartition("/")[2]) for row in csv.DictReader(file)] == [
            ("open", "bad.mp4"),
            ("open", "gone.mp4"),
        ]
    assert run(good, "--every", 1, "--out", out) == 0
    assert not (out / "failures.csv").exists()


def test_wrong_calls_are_one_line(tmp_path, capsys):
    video = write_video(tmp_path / "v.mp4", frames=30)
    table = tmp_path / "s.csv"
    table.write_text("video,start,end,label\nv.mp4,0,100,Ball\n")
    between = tmp_path / "between.csv"
    between.write_text("video,start,end,label\nv.mp4,0.01,0.02,Ball\n")
    foreign = tmp_path / "taken" / "v_000000.000-000001.000.mp4"
    foreign.parent.mkdir()
    foreign.write_text("mine")
    calls = {
        "reaches past the end": ("--segments", table, "--out", tmp_path / "o"),
        "--every cuts videos, and none was given": ("--every", 3, "--out", tmp_path / "o"),
        "goes with one video or with none": (video, video, "--segments", table, "--out", tmp_path / "o"),
        "--copy copies what is there": (video, "--every", 1, "--copy", "--fps", 5, "--out", tmp_path / "o"),
        "--verify are for encoding": (video, "--every", 1, "--copy", "--quality", 20, "--out", tmp_path / "o"),
        "are for equal pieces": ("--segments", table, "--drop-last", "--out", tmp_path / "o"),
        "are for --segments": (video, "--every", 1, "--clamp", "--out", tmp_path / "o"),
        "pieces of 0 seconds": (video, "--every", 0, "--out", tmp_path / "o"),
        "expected HEIGHTxWIDTH": (video, "--every", 1, "--size", "big", "--out", tmp_path / "o"),
        "is not a clip of this recording": (video, "--every", 1, "--out", tmp_path / "taken"),
        "cannot read": ("--segments", tmp_path / "none.csv", "--out", tmp_path / "o"),
        "Not a directory": (video, "--every", 1, "--out", table / "o"),
        "holds no frame": ("--segments", between, "--out", tmp_path / "o"),
        "at least 1": (video, "--every", 1, "--workers", 0, "--out", tmp_path / "o"),
    }
    for message, call in calls.items():
        assert run(*call) == 2, message
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert foreign.read_text() == "mine"
    assert not (tmp_path / "o").exists()
    assert run(video, "--every", 1, "--out", tmp_path / "taken", "--overwrite") == 0
    assert run(video, "--out", tmp_path / "o") == 2
