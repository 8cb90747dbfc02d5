"""Videos and images that somebody made to do harm: each costs itself only."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands import load
from pipeline.errors import VideoError
from pipeline.parallel.limits import Limits, limits, use_limits
from pipeline.parallel.workers import run_each
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media import open_video
from pipeline.videos.quality.checks import check_videos
from tests.media import Kind, write_video

PICTURE = Kind("gif", "gif", "rgb8")


def run(verb: str, *words: object) -> int:
    opened = load(verb)
    return command.run(opened.main, [str(word) for word in words], parser=opened.parser)


def reason(path: Path) -> str:
    """Why a video cannot be used, by the worker of every command."""
    ((_, found),) = run_each(_read, [(path, (path,))], workers=1, timeout=20)
    assert isinstance(found, VideoError)
    return found.reason


def _read(heartbeat, path):
    with open_video(path, heartbeat=heartbeat) as video:
        yield video.info(), len(list(video.frames()))


@pytest.fixture
def new_limits():
    yield use_limits
    use_limits(Limits())


# -- playlists -------------------------------------------------------------------------------------

PLAYLISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
    "list.m3u8.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "address.mp4": "#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:1/x.ts\n",
    "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "image%05d.mp4": "x",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_is_no_video(name, tmp_path):
    write_video(tmp_path / "secret.mp4", frames=5)
    (tmp_path / name).write_text(PLAYLISTS[name])
    assert "media file" in reason(tmp_path / name)


def test_a_long_playlist_takes_no_time(tmp_path):
    write_video(tmp_path / "secret.mp4", frames=5)
    (tmp_path / "long.mp4").write_text("ffconcat version 1.0\n" + "file secret.mp4\n" * 200_000)
    began = time.monotonic()
    assert "a playlist names other files" in reason(tmp_path / "long.mp4")
    assert time.monotonic() - began < 10


# -- sizes -----------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    """The head of an image of this size, and too little of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_a_huge_image_is_not_decoded(name, tmp_path):
    (tmp_path / name).write_bytes(png(32_000, 32_000))
    assert "more than 67,108,864 pixels (limit: most_pixels)" in reason(tmp_path / name)


def test_a_huge_moving_picture_is_not_decoded(tmp_path):
    path = write_video(tmp_path / "a", PICTURE, frames=3)
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 32_000, 32_000)
    path.write_bytes(content)
    assert "most_pixels" in reason(path)


@pytest.mark.parametrize("kind", ["h264_mp4", "mpeg4_avi", "vp9_webm"])
def test_the_limit_of_pixels_is_an_option(kind, tmp_path, capsys):
    path = write_video(tmp_path / "data/x/a", kind, frames=5)
    assert run("list", tmp_path / "data", "--out", tmp_path / "t.csv", "--most-pixels", 1000) == 1
    assert "more than 1,000 pixels (limit: most_pixels)" in capsys.readouterr().err
    assert run("list", tmp_path / "data", "--out", tmp_path / "t.csv") == 0, capsys.readouterr().err
    assert limits() == Limits()
    assert run("list", path, "--most-pixels", "-1") == 2
    assert "--most-pixels -1: expected a number above 0" in capsys.readouterr().err


def test_a_video_that_grows_within_is_not_decoded(tmp_path, new_limits):
    """The container says one size, and the images have another."""
    path = write_video(tmp_path / "a", "h264_mp4", frames=5, size=(640, 480))
    content = bytearray(path.read_bytes())
    for place in range(len(content) - 4):
        if content[place : place + 4] == b"avc1" and content[place + 28 : place + 32] == struct.pack(">HH", 640, 480):
            content[place + 28 : place + 32] = struct.pack(">HH", 16, 16)
    path.write_bytes(content)
    new_limits(Limits(most_pixels=10_000))
    assert reason(path)


def test_more_frames_than_the_file_can_hold(tmp_path):
    """80 million samples of a byte each, in a file of a few kilobytes."""
    path = write_video(tmp_path / "a", "h264_mp4", frames=30)
    content = bytearray(path.read_bytes())
    count = 80_000_000
    place = content.index(b"stsz") + 8
    content[place : place + 8] = struct.pack(">II", 1, count)
    place = content.index(b"stts") + 12
    content[place : place + 4] = struct.pack(">I", count)
    place = content.index(b"stsc") + 16
    content[place : place + 4] = struct.pack(">I", count)
    path.write_bytes(content)
    began = time.monotonic()
    facts = list(check_videos([Video("a", path)], workers=1, timeout=20))
    assert facts[0].problems
    assert time.monotonic() - began < 20


def test_memory_is_limited(tmp_path, new_limits):
    new_limits(Limits(most_memory=0.1))
    ((_, found),) = run_each(_fill, [(0, (1 << 30,))], workers=1)
    assert "it takes more than 0.1 GB of memory (limit: most_memory)" in found.reason
    new_limits(Limits(most_memory=2.0))
    ((_, found),) = run_each(_fill, [(0, (1 << 28,))], workers=1)
    assert found == 1 << 28


def _fill(heartbeat, size):
    yield len(np.ones(size, np.uint8))


# -- time stamps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [1e6, 1e9, 1e13])
def test_time_stamps_that_jump_are_named(gap, tmp_path, capsys):
    seconds = [0.04 * number for number in range(20)]
    path = write_video(
        tmp_path / "data/x/a.mkv", "h264_mkv", frames=20, times=[*seconds[:10], *(t + gap for t in seconds[10:])]
    )
    assert "jump by" in reason(path)
    out = tmp_path / "out"
    words = ("--backbone", "tiny", "--weights", "random", "--sampling", "fps:2", "--size", "24x48")
    assert run("extract", tmp_path / "data", "--out", out, *words) == 1
    assert "most_gap" in (out / "failures.csv").read_text()
    assert run("frames", tmp_path / "data", "--sampling", "fps:2", "--out", tmp_path / "frames") == 1
    assert run("cut", tmp_path / "data", "--every", "1", "--out", tmp_path / "clips") == 1
    assert "Traceback" not in capsys.readouterr().err


def test_the_limits_of_time_are_options(tmp_path, capsys):
    write_video(tmp_path / "data/x/a.mkv", "h264_mkv", frames=4, times=[0, 1, 2, 5000])
    arguments = ("list", tmp_path / "data", "--out", tmp_path / "t.csv")
    assert run(*arguments) == 1
    assert (
        "the time stamps jump by 4,998 s after 2.000 s, more than 3600 s (limit: most_gap)" in capsys.readouterr().err
    )
    assert run(*arguments, "--most-gap", 5000) == 0
    assert run(*arguments, "--most-gap", 5000, "--most-hours", 1) == 1
    assert "it lasts 1 hours, more than 1 (limit: most_hours)" in capsys.readouterr().err


def test_times_of_images_that_jump_are_named(tmp_path):
    for number in range(3):
        (tmp_path / "video").mkdir(exist_ok=True)
        write = __import__("cv2").imwrite
        write(str(tmp_path / f"video/{number}.png"), np.zeros((8, 8, 3), np.uint8))
    for last, word in (("1e300", "jump"), ("nan", "do not rise"), ("inf", "do not rise"), ("-1", "do not rise")):
        (tmp_path / "video/frames.csv").write_text(f"file,time\n0.png,0\n1.png,1\n2.png,{last}\n")
        assert word in reason(tmp_path / "video")


# -- what is no file -------------------------------------------------------------------------------


@pytest.mark.parametrize("beside", [None, "empty.mp4"])
@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("list", ("--out", "t.csv")),
        ("explore", ("--out", "p.html")),
        ("explore", ("--out", "p.html", "--check")),
        ("check", ("--out", "p.csv")),
        ("cut", ("--every", "1", "--out", "clips")),
        ("frames", ("--out", "frames")),
        ("extract", ("--out", "store", "--backbone", "tiny", "--weights", "random", "--size", "24x48")),
    ],
)
def test_pipes_sockets_and_devices_are_not_opened(verb, more, beside, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/x"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.mp4")
    os.mkfifo(folder / "other.mp4")
    (folder / "zero.mp4").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("data/x/socket.mp4")
        if beside:
            (folder / beside).touch()
        assert run(verb, "data", *more) in (1, 2)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "not a regular file" in said.err + "".join(path.read_text() for path in tmp_path.glob("*.csv"))


@pytest.mark.parametrize("table", ["labels.csv", "segments.csv", "data_file.csv"])
def test_tables_that_are_pipes_are_not_opened(table, tmp_path, capsys):
    write_video(tmp_path / "data/x/a.mp4", frames=5)
    os.mkfifo(tmp_path / "data" / table)
    verbs = {"labels.csv": "prepare-labels", "segments.csv": "convert-labels"}
    verb = verbs.get(table, "list")
    words = ["--labels", tmp_path / "data" / table] if verb == "prepare-labels" else []
    source = tmp_path / "data" / table if verb == "convert-labels" else tmp_path / "data"
    assert run(verb, source, *words, "--out", tmp_path / "out.csv") in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_limits_reach_every_worker(new_limits):
    new_limits(Limits(most_gap=7))
    ((_, found),) = run_each(_limits, [(0, ())], workers=1)
    assert found == 7
    os.environ["VIDEO_PIPELINE_LIMITS"] = json.dumps({"most_gap": "x", "surprise": 1})
    assert limits() == Limits()


def _limits(heartbeat):
    yield limits().most_gap
