"""A real window on a screen that only exists in memory, closed by a real key: OpenCV's and Tk's.

Needs the programs Xvfb and xdotool, and for OpenCV's window a build that has one, in the folder ``opencv-gui`` of the
environment: ``python -m pip install --no-deps --target .venv/opencv-gui opencv-python``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.videos.media.ffmpeg import find_ffmpeg
from tests.media import write_video

ROOT = Path(__file__).parents[3]
WINDOWS = Path(sys.prefix) / "opencv-gui"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("Xvfb") or not shutil.which("xdotool"), reason="needs Xvfb and xdotool"),
]


@pytest.fixture(params=["opencv", "tk"])
def screen(request) -> Iterator[dict[str, str]]:
    """The environment of a process that finds a screen, and the toolkit of the parameter."""
    if request.param == "opencv" and not WINDOWS.is_dir():
        pytest.skip("needs an OpenCV with windows")
    if request.param == "tk" and importlib.util.find_spec("tkinter") is None:
        pytest.skip("needs Tk")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as told:
        display = f":{told.readline().strip()}"
    places = [str(WINDOWS)] * (request.param == "opencv") + [str(ROOT)]
    yield {**os.environ, "DISPLAY": display, "PYTHONPATH": os.pathsep.join(places)}
    server.terminate()
    server.wait()


def asked(environment: dict[str, str], *words: str) -> str:
    return subprocess.run(["xdotool", *words], capture_output=True, text=True, env=environment).stdout.strip()


def test_the_key_q_closes_the_window_and_ends_the_command(make_checkpoint, tmp_path, screen):
    movie = write_video(tmp_path / "a.ts", "mpeg2_ts", frames=50, fps=25)
    endless = [find_ffmpeg(), "-loglevel", "quiet", "-re", "-stream_loop", "-1", "-i", str(movie), "-c", "copy"]
    camera = subprocess.Popen([*endless, "-f", "mpegts", "-"], stdout=subprocess.PIPE)
    command = [sys.executable, "scripts/classify.py", str(make_checkpoint("fps:5", length=4)), "-", "--show"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=camera.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=screen
    )
    assert camera.stdout is not None
    camera.stdout.close()  # the command has it
    try:
        until = time.monotonic() + 240
        while not (window := asked(screen, "search", "--name", "^- - ")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.3)
        time.sleep(1)  # frames are shown
        assert process.poll() is None
        asked(screen, "windowfocus", "--sync", window.splitlines()[0], "key", "q")
        out, said = process.communicate(timeout=60)
    finally:
        process.kill()
        camera.kill()
        camera.wait()
    assert process.returncode == 0, said
    assert out == ""
    assert "standard input: " in said.splitlines()[-1]


def test_a_screen_that_is_gone_is_one_line(make_checkpoint, screen):
    command = [sys.executable, "scripts/classify.py", str(make_checkpoint("fps:5", length=4)), "-", "--show"]
    nowhere = screen | {"DISPLAY": ":4711"}
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=nowhere)
    assert done.returncode == 2
    assert done.stderr == "error: --show: there is no screen here; without --show predictions are JSON lines\n"
