"""ffmpeg is found, run without a shell and quoted when it fails."""

from __future__ import annotations

import shutil
import threading
import time

import imageio_ffmpeg
import pytest

from pipeline.errors import UserError, VideoError
from pipeline.videos.media import ffmpeg, open_file


@pytest.fixture
def fresh():
    ffmpeg.find_ffmpeg.cache_clear()
    ffmpeg.keep_every_frame.cache_clear()
    yield
    ffmpeg.find_ffmpeg.cache_clear()
    ffmpeg.keep_every_frame.cache_clear()


def test_the_system_comes_first_then_the_wheel(fresh, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/{name}")
    assert ffmpeg.find_ffmpeg() == "/opt/ffmpeg"
    ffmpeg.find_ffmpeg.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert ffmpeg.find_ffmpeg() == imageio_ffmpeg.get_ffmpeg_exe()


def test_none_at_all_is_one_line(fresh, monkeypatch):
    def none():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", none)
    with pytest.raises(UserError, match=r"^no ffmpeg found.*pip install"):
        ffmpeg.run_ffmpeg(["-version"])


@pytest.mark.parametrize(
    ("version", "option"),
    [("4.4.2-0ubuntu0.22.04.1", "-vsync"), ("5.0.1", "-vsync"), ("5.1.6", "-fps_mode"), ("n9.0.2-17", "-fps_mode")]
    + [("N-112233-g2a571b6068", "-fps_mode")],
)
def test_old_versions_get_the_option_they_know(fresh, monkeypatch, tmp_path, version, option):
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho 'ffmpeg version {version} Copyright'\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    assert ffmpeg.keep_every_frame() == (option, "passthrough")


def test_its_own_error_line_is_shown(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"moov atom not found|Invalid data found") as caught:
        ffmpeg.run_ffmpeg(["-i", open_file.file_url(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")])
    assert caught.value.stage == "ffmpeg"
    assert "\n" not in caught.value.reason


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[h264 @ 0x55] error while decoding MB\n[out#0 @ 0x1] No space left on device\nConversion failed!\n",)
        + ("No space left on device",),
        ("Conversion failed!\n", "Conversion failed!"),
        ("", "ffmpeg failed with status 3"),
    ],
)
def test_the_telling_line_is_chosen(text, line):
    assert ffmpeg.error_line(text, 3) == line


def test_nothing_passes_through_a_shell(tmp_path):
    name = tmp_path / "$(touch x); 'a' \"b\" `c`.txt"
    lines: list[str] = []
    ffmpeg.run_ffmpeg(
        ["-f", "lavfi", "-i", "color=size=16x16:duration=1:rate=5", "-f", "framecrc", open_file.file_url(name)],
        on_line=lines.append,
    )
    assert [entry.name for entry in tmp_path.iterdir()] == [name.name]
    assert lines == []


def test_lines_come_as_they_are_written():
    lines: list[str] = []
    source = ["-f", "lavfi", "-i", "color=size=16x16:duration=1:rate=5"]
    ffmpeg.run_ffmpeg([*source, "-f", "framecrc", "-"], on_line=lines.append)
    assert sum(line.startswith("0,") for line in lines) == 5


def test_a_running_ffmpeg_can_be_stopped():
    caught: list[VideoError] = []

    def work() -> None:
        try:
            ffmpeg.run_ffmpeg(["-re", "-f", "lavfi", "-i", "color=duration=60", "-f", "null", "-"])
        except VideoError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not ffmpeg._running:
        time.sleep(0.01)
    ffmpeg.stop_all()
    thread.join(10)
    assert not thread.is_alive()
    assert "killed by signal 9" in caught[0].reason
