"""What is written comes back, or nothing is left."""

from __future__ import annotations

import os

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.videos.reader import open_video
from pipeline.videos.writer import VideoWriter
from tests.media import draw_number, read_number


@pytest.mark.parametrize("fps", [5, 29.97, 23.976, 50])
def test_frames_come_back(tmp_path, fps):
    with VideoWriter(tmp_path / "new" / "a.avi", fps=fps, size=(192, 96)) as video:
        for number in range(40):
            video.write(draw_number(number))
        assert video.frames == 40
    with open_video(tmp_path / "new" / "a.avi") as video:
        assert [read_number(frame.image) for frame in video] == list(range(40))
        assert video.info().fps == pytest.approx(fps, rel=1e-3)
        # The colours too: red is not blue.
        image = next(video.frames([7])).image
    assert np.abs(image.astype(int) - draw_number(7)).mean() < 12
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["a.avi"]


def test_a_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "a.avi").write_bytes(b"old")

    def fail() -> None:
        with VideoWriter(tmp_path / "a.avi", fps=10, size=(192, 96)) as video:
            video.write(draw_number(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "a.avi").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_no_frame_is_an_error(tmp_path):
    with pytest.raises(UserError, match="not a single frame"), VideoWriter(tmp_path / "a.avi", fps=10, size=(16, 16)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_wrong_frames_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a"), VideoWriter(tmp_path / "a.avi", fps=10, size=(16, 16)) as video:
        video.write(np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(ValueError, match="expected a"), VideoWriter(tmp_path / "a.avi", fps=10, size=(16, 16)) as video:
        video.write(np.zeros((16, 16, 3), np.float32))


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dir.avi").mkdir()
    for path, reason in (
        (tmp_path / "a.txt", "must end in"),
        (tmp_path / "file" / "a.avi", "Not a directory|File exists|no folder"),
        (tmp_path / "dir.avi", "it is a folder"),
    ):
        with pytest.raises(UserError, match=reason), VideoWriter(path, fps=10, size=(16, 16)) as video:
            video.write(np.zeros((16, 16, 3), np.uint8))
    for fps, size in ((0, (16, 16)), (float("nan"), (16, 16)), (10, (1, 16))):
        with pytest.raises(UserError, match="cannot write"):
            VideoWriter(tmp_path / "a.avi", fps=fps, size=size)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        VideoWriter(tmp_path / "a.avi", fps=10, size=(16, 16))
