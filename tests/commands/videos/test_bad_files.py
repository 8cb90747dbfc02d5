"""Files that hang or crash a decoder, and what is no file at all: every command names them and does the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands.videos import check_videos, explore, list_videos
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


@pytest.mark.parametrize(
    ("main", "out", "summary"),
    [
        (list_videos.main, "list.csv", "4 videos cannot be read"),
        (check_videos.main, "problems.csv", "(unreadable 4"),
        (explore.main, "page.html", "4 videos cannot be read"),
    ],
)
def test_four_bad_files_cost_themselves_only(main, out, summary, data, tmp_path, capsys):
    arguments = [str(data), "--out", str(tmp_path / out), "--timeout", "1.5", "--workers", "2"]
    assert command.run(main, arguments) == 1
    said = capsys.readouterr()
    assert summary in said.out
    for name, reason in REASONS.items():
        (line,) = [line for line in (said.out + said.err).splitlines() if f"b/{name}.mp4" in line]
        assert reason in line
    assert "a/one.mp4" not in said.err
    assert "a/one.mp4" in (tmp_path / out).read_text() or main is check_videos.main
