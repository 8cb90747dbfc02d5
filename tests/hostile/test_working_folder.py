"""A data folder may hold anything, and may be the working folder: no module and no settings of it are taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.inference.live.preview_window import OpenCvScreen
from tests.media import write_video

ROOT = Path(__file__).parents[2]
MODULES = (
    *("numpy", "pickle", "socket", "json", "random", "typing", "re", "enum", "av", "cv2", "h5py", "pandas", "keras"),
    *("matplotlib", "yaml", "jinja2", "PIL", "tqdm", "tensorflow", "sitecustomize", "usercustomize", "ctypes", "csv"),
    *("multiprocessing", "queue", "secrets", "sklearn", "optuna", "imageio_ffmpeg"),
)
TINY = ("--backbone", "tiny", "--weights", "random", "--sampling", "uniform:4", "--size", "32")
COMMANDS: dict[str, tuple[str, ...]] = {
    "list": ("videos", "--out", "out/list.csv"),
    "check": ("videos", "--out", "out/problems.csv"),
    "explore": ("videos", "--out", "out/page.html"),
    "frames": ("videos/left/clip0.mp4", "--out", "out/frames"),
    "cut": ("videos/left/clip0.mp4", "--every", "0.2", "--out", "out/clips"),
    "split": ("videos", "--out", "out/split.csv"),
    "extract": ("videos", "--out", "out/store", *TINY),
    "check-features": ("out/store",),
    "export-features": ("out/store", "--out", "out/arrays"),
    "train": ("out/store", "--out", "out/run", "--head", "mlp", "--members", "1", "--units", "4", "--epochs", "1"),
    "evaluate": ("out/run", "out/store", "--split", "all"),
    "compare": ("out/run", "--out", "out/compare.html"),
    "search": ("out/store", "--grid", "grid.yaml", "--out", "out/search"),
    "classify": ("out/run", "videos/left/clip0.mp4", "--output", "out/result.avi"),
    "run": ("system.yaml", "--data", "videos", "--out", "out/system"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos, and files that leave a trace where they are run or read."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(4):
        for label in ("left", "right"):
            write_video(folder / f"videos/{label}/clip{number}.mp4", frames=9, first=100 * number + 7 * len(label))
    for name in MODULES:
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'RAN')!r}, 'a').write('{name}\\n')\nraise SystemExit(77)\n"
        )
    os.mkfifo(folder / "matplotlibrc")  # who reads it waits for ever
    (folder / "grid.yaml").write_text("head: [mean]\nunits: [4]\n")
    (folder / "system.yaml").write_text(f"commands:\n  store: extract videos --out $out/store {' '.join(TINY)}\n")
    return folder


def call(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(folder / "settings")}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_no_command_takes_a_module_or_settings_of_the_working_folder(folder):
    """As ``video-pipeline`` runs them: its own folder, and not the working folder, is where Python looks first."""
    (folder / "pipeline.py").write_text((folder / "json.py").read_text().replace("json", "pipeline"))
    door = folder.parent / "door.py"
    door.write_text("import sys\nfrom pipeline.commands import main\nsys.exit(main())\n")
    for verb, words in COMMANDS.items():
        done = call([sys.executable, str(door), verb, *words], folder)
        assert done.returncode == 0, (verb, done.stdout, done.stderr)
        assert not (folder / "RAN").exists(), (verb, (folder / "RAN").read_text())


@pytest.mark.parametrize("door", [["-m", "pipeline", "list"], [str(ROOT / "scripts/list_videos.py")]])
def test_other_doors_take_no_module_of_the_working_folder(door, folder):
    """What is called pipeline.py itself is found before this package by ``python -m pipeline``, which only Python
    could help (``python -P -m pipeline``)."""
    (folder / "pipeline.py").unlink(missing_ok=True)
    done = call([sys.executable, *door, "videos", "--out", "out/list.csv"], folder)
    assert done.returncode == 0, done.stderr
    assert not (folder / "RAN").exists()


def test_matplotlib_takes_no_settings_of_the_working_folder(folder):
    program = (
        "from pipeline.cli.silence import ignore_local_settings as i; i(); import matplotlib, os; "
        "print(matplotlib.matplotlib_fname()); assert os.path.exists('matplotlibrc')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-P", "-c", f"import sys; {program.replace('matplotlib.matplotlib_fname()', '1')}"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_tries_the_screen_takes_no_module_of_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UserError, match="there is no screen here"):
        OpenCvScreen("title")
    assert not (folder / "RAN").exists()
