"""Files are whole or not there, and what killed writers leave is removed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.files.atomic import atomic_write, publish_folder, remove_abandoned

KILLED = """
import os, sys
from pathlib import Path
from pipeline.files.atomic import UnfinishedFile, scratch_folder
folder = Path(sys.argv[1])
UnfinishedFile(folder / "result.avi").temporary.write_text("half")
with scratch_folder(folder) as made:
    (made / "clip.mp4").write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_a_failure_changes_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(path) as temporary:
        temporary.write_bytes((tmp_path / "nothing").read_bytes())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_it_may_be_read_by_whom_the_user_lets(tmp_path):
    mask = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(mask)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_write(tmp_path / "other.txt") as temporary:
        living = temporary
        assert remove_abandoned(tmp_path) == 0
        living.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_of_two_folders_the_first_stays(tmp_path):
    with publish_folder(tmp_path / "a") as second:
        (second / "below").mkdir()
        (second / "below" / "x").write_text("second")
        with publish_folder(tmp_path / "a") as first:
            (first / "x").write_text("first")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "x"]
