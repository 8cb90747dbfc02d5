"""What is written comes back, or nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.videos.media import open_video
from pipeline.videos.media.writer import VideoWriter
from tests.media import draw_number, read_number, uneven_times, write_video


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


@pytest.mark.parametrize("extension", [".avi", ".mp4", ".mkv", ".mov", ".gif"])
@pytest.mark.parametrize("size", [(192, 96), (193, 97), (192, 97)])
def test_every_format_keeps_frames_and_size(tmp_path, extension, size):
    path = tmp_path / f"a{extension}"
    with VideoWriter(path, fps=25, size=size) as video:
        for number in range(12):
            video.write(draw_number(number, width=size[0], height=size[1]))
    with open_video(path) as video:
        assert (video.info().width, video.info().height) == size
        assert video.info().fps == pytest.approx(25, rel=0.01)
        images = [frame.image for frame in video]
    assert [read_number(image) for image in images] == list(range(12))
    error = np.abs(images[7].astype(int) - draw_number(7, width=size[0], height=size[1])).mean()
    assert error < (25 if extension == ".gif" else 12)


@pytest.mark.parametrize(("extension", "unit"), [(".mp4", 1e-4), (".mkv", 1e-3), (".gif", 0.011)])
def test_every_frame_keeps_its_own_time(tmp_path, extension, unit):
    times = uneven_times(30)
    with VideoWriter(tmp_path / f"a{extension}", fps=25, size=(192, 96)) as video:
        for number, time in enumerate(times):
            video.write(draw_number(number), time)
    with open_video(tmp_path / f"a{extension}") as video:
        np.testing.assert_allclose(video.times(), times, atol=unit)
        assert [read_number(frame.image) for frame in video] == list(range(30))


def test_motion_jpeg(tmp_path):
    with VideoWriter(tmp_path / "a.avi", fps=10, size=(192, 96), codec="mjpg") as video:
        for number in range(5):
            video.write(draw_number(number))
    with open_video(tmp_path / "a.avi") as video:
        assert video.info().codec == "mjpeg"
        assert [read_number(frame.image) for frame in video] == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match="expected one of xvid, mjpg"):
        VideoWriter(tmp_path / "b.avi", fps=10, size=(192, 96), codec="vp9")


@pytest.mark.parametrize("extension", [".avi", ".mp4", ".mkv"])
@pytest.mark.parametrize("source", ["h264_mp4", "vp9_webm"])  # AAC, which AVI does not take, and Opus
def test_sound_comes_along(tmp_path, extension, source):
    heard = write_video(tmp_path / "in", source, frames=50, fps=25, sound=True)
    with VideoWriter(tmp_path / f"a{extension}", fps=25, size=(192, 96), sound=heard) as video:
        for number in range(50):
            video.write(draw_number(number))
    assert video.note == ""
    with open_video(tmp_path / f"a{extension}") as video:
        assert video.has_sound
        # The images did not move for it.
        np.testing.assert_allclose(video.times(), np.arange(50) / 25, atol=1e-3)
    with av.open(str(tmp_path / f"a{extension}")) as container:
        tone = list(container.decode(audio=0))
    assert tone[0].time == pytest.approx(0, abs=0.05)
    assert tone[-1].time == pytest.approx(2, abs=0.1)
    assert max(np.abs(frame.to_ndarray().astype(float)).max() for frame in tone) > 0.1
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_no_sound_is_no_error(tmp_path):
    silent = write_video(tmp_path / "in.mp4", frames=5)
    with VideoWriter(tmp_path / "a.mp4", fps=25, size=(192, 96), sound=silent) as video:
        video.write(draw_number(0))
    assert video.note == ""
    with open_video(tmp_path / "a.mp4") as reader:
        assert not reader.has_sound


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
        (tmp_path / "file" / "a.avi", "Not a directory|File exists|not a folder"),
        (tmp_path / "dir.avi", "it is a folder"),
    ):
        with pytest.raises(UserError, match=reason), VideoWriter(path, fps=10, size=(16, 16)) as video:
            video.write(np.zeros((16, 16, 3), np.uint8))
    for fps, size in ((0, (16, 16)), (float("nan"), (16, 16)), (10, (1, 16))):
        with pytest.raises(UserError, match="cannot write"):
            VideoWriter(tmp_path / "a.avi", fps=fps, size=size)


def test_an_unwritable_folder(tmp_path, monkeypatch):
    """As for whoever is not root, whom permissions do not stop."""

    def refuse(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match="no permission"):
        VideoWriter(tmp_path / "a.avi", fps=10, size=(16, 16))


_FULL = """
import resource, signal, sys
sys.path.insert(0, {root!r})
from pipeline.errors import UserError
from pipeline.videos.media.writer import VideoWriter
from tests.media import draw_number
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
try:
    with VideoWriter({path!r}, fps=10, size=(192, 96)) as video:
        for number in range(300):
            video.write(draw_number(number))
except UserError as error:
    print(error)
"""


@pytest.mark.posix
@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.gif"])
def test_a_full_disk_is_noticed(tmp_path, name):
    """No file of this process may grow beyond 12 kB, which the system reports as it does a full disk."""
    script = _FULL.format(root=str(Path(__file__).parents[3]), path=str(tmp_path / name))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"cannot write {tmp_path / name}: " in done.stdout
    assert list(tmp_path.iterdir()) == []
