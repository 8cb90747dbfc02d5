"""The reader by content: what it hands out is the frame that was asked for, in every kind of file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import VideoError
from pipeline.videos.media import open_video
from pipeline.videos.media.reader import FramesMissing
from tests.media import KINDS, draw_number, read_number, uneven_times, write_video

FRAMES = 100
ODD = Path(__file__).parents[4] / "shared" / "videos" / "odd"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reader")
    return {kind: write_video(folder / kind, kind, frames=FRAMES) for kind in KINDS}


def test_numbers_survive_drawing():
    assert [read_number(draw_number(n)) for n in range(0, 4096, 37)] == list(range(0, 4096, 37))


@pytest.mark.parametrize("kind", KINDS)
def test_reads_every_frame_in_order(files, kind):
    with open_video(files[kind]) as video:
        frames = [(frame.index, read_number(frame.image)) for frame in video]
    assert frames == [(n, n) for n in range(FRAMES)]


@pytest.mark.parametrize("kind", KINDS)
def test_counts_frames(files, kind):
    with open_video(files[kind]) as video:
        info = video.info()
        times = video.times()
    assert info.frames == len(times) == FRAMES
    assert (info.width, info.height) == (192, 96)
    assert times[0] == 0
    assert np.all(np.diff(times) > 0)
    if KINDS[kind].steady and kind != "h264_avi":  # AVI keeps no times of display, so B-frames blur them there.
        assert info.fps == pytest.approx(25, rel=1e-3)
        assert np.allclose(times, np.arange(FRAMES) / 25, atol=1.1e-3)
        assert info.duration == pytest.approx(FRAMES / 25, abs=0.05)


def test_keeps_uneven_times(files):
    with open_video(files["h264_vfr_mp4"]) as video:
        assert np.allclose(video.times(), uneven_times(FRAMES), atol=1e-4)
        assert all(frame.time == pytest.approx(video.times()[frame.index]) for frame in video.frames([3, 50, 98]))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_random_requests_give_the_frames_asked_for(files, kind, threads):
    """2,080 frames in 26 x 20 requests of one to seven frames, far apart and close together."""
    rng = np.random.default_rng([threads, list(KINDS).index(kind)])
    with open_video(files[kind], threads=threads) as video:
        times = video.times()
        for _ in range(20):
            wanted = np.sort(rng.choice(FRAMES, rng.integers(1, 8), replace=False))
            frames = list(video.frames(wanted))
            assert [frame.index for frame in frames] == wanted.tolist()
            assert [read_number(frame.image) for frame in frames] == wanted.tolist()
            assert np.allclose([frame.time for frame in frames], times[wanted])


def test_requests_come_after_anything(files):
    """Reading through, half a reading and a scan leave the reader as usable as before."""
    for kind in ("h264_mkv", "mpeg2_ts"):
        with open_video(files[kind]) as video:
            assert sum(1 for _ in video) == FRAMES
            assert video.index.trusted
            stopped = iter(video)
            next(stopped)
            assert [read_number(frame.image) for frame in video.frames([2, 51, 97])] == [2, 51, 97]
            assert video.scan() == FRAMES
            assert [read_number(frame.image) for frame in video.frames([0, 60])] == [0, 60]


def test_wrong_requests_are_refused(files):
    with open_video(files["h264_mp4"]) as video:
        for wanted in ([-1], [FRAMES], [3, 3], [5, 4]):
            with pytest.raises(VideoError, match="frame numbers must rise from 0 to 99"):
                list(video.frames(wanted))
        assert list(video.frames([])) == []


def test_a_seek_starts_at_a_keyframe(files):
    with open_video(files["h264_mp4"]) as video:
        points = video.seek_points()
        assert np.all(points <= video.clock_start + video.times() + 1e-9)
        assert len(np.unique(points)) == len(video.index.key_pts) > 5
    with open_video(files["mpeg2_mpg"]) as video:
        assert video.clock_start > 0.1


def test_sound(tmp_path):
    with open_video(write_video(tmp_path / "a.mp4", sound=True)) as video:
        assert video.has_sound
    with open_video(write_video(tmp_path / "b.mp4")) as video:
        assert not video.has_sound


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "a b'c\"d.mp4", "new\nline.mp4", "視頻 %03d.mp4", "12:30.mp4", "#?&.mp4"]
)
def test_names_of_all_kinds(tmp_path, name):
    with open_video(write_video(tmp_path / name, frames=5)) as video:
        assert [read_number(frame.image) for frame in video] == [0, 1, 2, 3, 4]


def test_a_name_of_bytes_that_are_no_text(tmp_path, monkeypatch):
    source = write_video(tmp_path / "a.mp4", frames=5)
    monkeypatch.chdir(tmp_path)
    name = Path(b"caf\xe9.mp4".decode("utf-8", "surrogateescape"))
    source.rename(name)
    with open_video(name) as video:
        assert video.info().frames == 5


def test_what_cannot_be_opened_says_why(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    cases = {"missing.mp4": "does not exist", "empty.mp4": "empty", "text.mp4": "not a readable media file"}
    for name, reason in cases.items():
        with pytest.raises(VideoError, match=reason) as caught:
            open_video(tmp_path / name)
        assert caught.value.stage == "open"
    with pytest.raises(VideoError):
        open_video(tmp_path)


def test_a_cut_off_file_gives_the_frames_that_are_there(tmp_path):
    whole = write_video(tmp_path / "whole.mkv", "h264_mkv", frames=FRAMES)
    (tmp_path / "half.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with open_video(tmp_path / "half.mkv") as video:
        count = video.scan()
        numbers = [read_number(frame.image) for frame in video]
    assert 20 < count < 80
    assert len(numbers) == count
    assert numbers[: count - 1] == list(range(count - 1))  # The last one may be half an image.


def test_an_error_crosses_processes():
    again = pickle.loads(pickle.dumps(FramesMissing("decode", "frame 3 cannot be decoded")))
    assert isinstance(again, FramesMissing)
    assert (again.stage, again.reason) == ("decode", "frame 3 cannot be decoded")


@pytest.mark.skipif(not ODD.is_dir(), reason="the folder of odd videos is not there")
@pytest.mark.parametrize("path", sorted(ODD.iterdir()) if ODD.is_dir() else [], ids=lambda path: path.name)
def test_odd_files_are_read_or_refused(path):
    """Any file is read the same way twice, or refused with a reason: nothing hangs, nothing else is raised."""
    if path.name == "zero_bytes.webm":
        with pytest.raises(VideoError, match="the file is empty"):
            open_video(path)
        return
    with open_video(path) as video:
        count = video.scan()
        some = sorted({0, count // 2, count - 1})
        scanned = [frame.image for frame in video.frames(some)]
        info = video.info()
    assert all(image.shape == (info.height, info.width, 3) for image in scanned)
    if path.name == "corrupted.mp4":
        return  # What a decoder makes of damage depends on where it started.
    with open_video(path) as video:
        assert len(video.times()) == count
        sought = [frame.image for frame in video.frames(some)]
    assert all(np.array_equal(a, b) for a, b in zip(scanned, sought, strict=True))
