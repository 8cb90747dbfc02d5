"""Files that hang or crash a decoder, and what is not a file at all: every command names them and does the others."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands.videos import (
    check_videos,
    convert_labels,
    cut_clips,
    explore,
    extract_frames,
    list_videos,
    prepare_labels,
)
from tests.media import write_video

REASONS = {
    "crashes": "the decoder crashed (SIGSEGV)",
    "hangs": "the decoder hung: no sign of life for 1.5 s",
    "pipe": "this is a pipe, not a regular file",
    "zero": "this is a device, not a regular file",
}


@pytest.fixture
def data(tmp_path, sabotage) -> Path:
    """Two good videos in the class a, and four that nobody can read in the class b."""
    folder = tmp_path / "data"
    for name in ("a/one", "a/two", "b/hangs", "b/crashes"):
        write_video(folder / f"{name}.mp4", frames=10, first=len(name) * ord(name[-1]))
    os.mkfifo(folder / "b/pipe.mp4")
    (folder / "b/zero.mp4").symlink_to("/dev/zero")
    return folder


def cut(option: str, value: str, argv: list[str]) -> int:
    return cut_clips.main([option, value, *argv])


@pytest.mark.parametrize(
    ("main", "out", "summary"),
    [
        (list_videos.main, "list.csv", "4 videos cannot be read"),
        (check_videos.main, "problems.csv", "(unreadable 4"),
        (explore.main, "page.html", "4 videos cannot be read"),
        (extract_frames.main, "frames", "20 images of 2 videos, 4 failed"),
        (partial(cut, "--every", "0.2"), "clips", "4 clips cut (20 frames), 4 failed"),
    ],
)
def test_four_bad_files_cost_themselves_only(main, out, summary, data, tmp_path, capsys):
    arguments = [str(data), "--out", str(tmp_path / out), "--timeout", "1.5", "--workers", "2"]
    assert command.run(main, arguments) == 1
    said = capsys.readouterr()
    assert summary in said.out
    check_reports(said.out + said.err)
    assert "a/one.mp4" not in said.err


@pytest.mark.parametrize(
    ("table", "text"),
    [("labels.csv", "video,frame,label\n{}"), ("times.csv", "video,start,end,label\n{}")],
)
def test_labels_of_files_that_cannot_be_read_are_reported(table, text, data, tmp_path, capsys):
    names = [path.relative_to(data).as_posix() for path in sorted(data.rglob("*.mp4"))]
    rows = [f"{name},{number},walk" for name in names for number in range(10)]
    if table == "times.csv":
        rows = [f"{name},0,1,walk" for name in names]
    (data / table).write_text(text.format("\n".join(rows)))
    arguments = [str(data), "--labels", str(data / table), "--out", str(tmp_path / "out.csv"), "--timeout", "1.5"]
    assert command.run(prepare_labels.main, [*arguments, "--shares", "0.5", "0.5", "0"]) == 1
    check_reports(capsys.readouterr().err)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 21
    if table == "times.csv":
        arguments = [str(data / table), "--out", str(tmp_path / "all.csv"), "--timeout", "1.5"]
        assert command.run(convert_labels.main, arguments) == 1
        check_reports(capsys.readouterr().err)
        assert len((tmp_path / "all.csv").read_text().splitlines()) == 21


def check_reports(said: str) -> None:
    for name, reason in REASONS.items():
        (line,) = [line for line in said.splitlines() if f"b/{name}.mp4" in line]
        assert reason in line
