"""A disk that runs full is named in one line, what is finished is kept, and the same command goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import command
from tests.inference.conftest import checkpoint, clips, store  # noqa: F401 - fixtures
from tests.media import write_video

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a small disk")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of a size, such as ``300k``; called again, it grows."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(size: str) -> Path:
        again = ["-o", f"remount,size={size}"] if os.path.ismount(folder) else ["-o", f"size={size}", "-t", "tmpfs"]
        if subprocess.run(["mount", *again, "tmpfs", folder], capture_output=True).returncode:
            pytest.skip("this machine lets nobody mount")
        return folder

    yield sized
    subprocess.run(["umount", "--lazy", folder], capture_output=True)


def call(*words: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own: a library may crash it."""
    line = [sys.executable, "-m", "pipeline", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT)


def noise(number: int, *, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def test_cut_names_the_disk_and_goes_on(disk, tmp_path):
    movie = write_video(tmp_path / "movie.mp4", frames=100, size=(256, 256), draw=noise)
    words = ("cut", movie, "--every", 0.4, "--out", disk("1m") / "clips")
    done = call(*words)
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(
        rf"stopped: {tmp_path}/disk/clips: No space left on device.*; make room: {command.GOES_ON}\n", done.stderr
    )
    kept = sorted(path.name for path in (tmp_path / "disk/clips").glob("*.mp4"))
    assert 0 < len(kept) < 10
    disk("50m")
    done = call(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{10 - len(kept)} clips cut" in done.stdout
    assert f"{len(kept)} there already" in done.stdout


@pytest.mark.slow
def test_export_is_one_line(disk, checkpoint, tmp_path):  # noqa: F811
    done = call("classify", checkpoint, "--export", disk("8m") / "model")
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("stopped: ")
    assert "No space left on device (" in done.stderr
    assert done.stderr.endswith("make room: nothing was written\n")
    assert list((tmp_path / "disk").iterdir()) == []
