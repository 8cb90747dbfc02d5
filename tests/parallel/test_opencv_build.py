"""Builds of OpenCV that lie over each other, or do not load, are one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import cv2
import pytest

from pipeline.parallel.machine import versions
from pipeline.parallel.opencv_build import BUILDS, opencv_builds, opencv_clash, opencv_missing
from tests.media import write_video

ROOT = Path(__file__).parents[2]


def fake(folder: Path, code: str = "", **builds: str) -> Path:
    """A folder of packages with an OpenCV in it that runs ``code``, and the notes of builds by their versions."""
    (folder / "cv2").mkdir(parents=True)
    (folder / "cv2" / "__init__.py").write_text(code)
    for name, version in builds.items():
        notes = folder / f"{name}-{version}.dist-info"
        notes.mkdir()
        (notes / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
    return folder


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command with the folder before all others."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    line = [sys.executable, str(ROOT / "scripts/list_videos.py"), *words]
    return subprocess.run(line, capture_output=True, text=True, env=environment)


def test_what_is_installed_here_is_known_with_its_version():
    builds = opencv_builds()
    assert builds == {name: metadata.version(name) for name in builds}
    assert any(version.startswith(cv2.__version__.split("-")[0]) for version in builds.values())
    assert opencv_clash(builds) == "" or len(builds) > 1


@pytest.mark.parametrize("build", BUILDS)
def test_the_provenance_names_whichever_build_it_is(tmp_path, monkeypatch, build):
    monkeypatch.syspath_prepend(str(fake(tmp_path, **{build.replace("-", "_"): "4.99.1"})))
    assert versions(*BUILDS)[build] == "4.99.1"


def test_two_builds_are_one_line_of_every_command_but_help(tmp_path):
    folder = fake(tmp_path, f"import sys; sys.path.remove({str(tmp_path)!r}); del sys.modules['cv2']; import cv2")
    both = fake(tmp_path / "both", opencv_python="4.13.0", opencv_python_headless="5.0.0")
    assert list(opencv_builds(both)) == ["opencv-python-headless", "opencv-python"]
    for name in ("opencv_python-4.13.0", "opencv_python_headless-5.0.0"):
        (both / f"{name}.dist-info").rename(folder / f"{name}.dist-info")
    called = call(folder, str(tmp_path / "nowhere"))
    note, error = called.stderr.splitlines()
    assert note.startswith("note: opencv-python-headless 5.0.0 and opencv-python 4.13.0 are both installed")
    assert "pip uninstall -y opencv-python-headless opencv-python, then pip install opencv-python-headless" in note
    assert error.endswith("expected a folder of videos, a video file or a CSV file")
    assert "both installed" not in call(folder, str(tmp_path / "nowhere"), "--quiet").stderr
    assert call(folder, "--help").stderr == ""


@pytest.mark.parametrize(
    ("code", "builds", "line"),
    [
        (
            "raise ImportError('libGL.so.1: cannot open shared object file', name='cv2')",
            {"opencv_python": "4.13.0"},
            "error: OpenCV does not load (libGL.so.1: cannot open shared object file): pip uninstall -y opencv-python, "
            "then pip install opencv-python-headless ",
        ),
        (
            "import nothing_of_this_name",
            {},
            "error: OpenCV does not load (No module named 'nothing_of_this_name'): pip install opencv-python-headless",
        ),
    ],
)
def test_one_that_does_not_load_is_one_line(tmp_path, code, builds, line):
    write_video(tmp_path / "videos" / "a" / "clip.mp4", frames=3)
    called = call(fake(tmp_path, code, **builds), str(tmp_path / "videos"))
    assert (called.returncode, called.stdout) == (2, "")
    assert called.stderr.startswith(line)
    assert called.stderr.count("\n") == 1


def test_another_module_that_is_missing_is_no_fault_of_opencv():
    with pytest.raises(ImportError) as caught:
        import nothing_of_this_name  # type: ignore[import-not-found] # noqa: F401
    assert opencv_missing(caught.value, {}) == ""
