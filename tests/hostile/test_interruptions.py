"""Everything that writes, killed at any moment, on a small machine, and twice at a time: nothing is half or mixed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.files.locking import only_writer
from tests.inference.conftest import checkpoint, clips, store  # noqa: F401 - fixtures
from tests.media import write_video

ROOT = Path(__file__).parents[2]
DOOR = "import sys; from pipeline.commands import main; sys.exit(main())"
KILLS = int(os.environ.get("KILLS", 20))


def words_of(verb: str, *words: object) -> list[str]:
    return [sys.executable, "-P", "-c", DOOR, verb, *map(str, words)]


def start(verb: str, *words: object, before: str = "", **options) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = words_of(verb, *words)
    if before:
        command = ["bash", "-c", f'{before}; exec "$@"', "bash", *command]
    return subprocess.Popen(command, env=environment, start_new_session=True, **options)


def finish(verb: str, *words: object, before: str = "") -> tuple[int, str]:
    process = start(verb, *words, before=before, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, error = process.communicate(timeout=250)
    return process.returncode, error or out


# -- kills -----------------------------------------------------------------------------------------


@pytest.fixture
def calls(tmp_path, checkpoint, clips, store):  # noqa: F811
    """By name: the command, and the folder or file that it makes."""
    out = tmp_path / "out"
    grid = tmp_path / "grid.yaml"
    grid.write_text("head: [mean, gru]\nunits: [4, 8]\n")
    video = next((clips / "Blue").iterdir())
    quick = ("--units", 4, "--epochs", 3)
    return {
        "train": ("train", store, "--out", out / "run", *quick, "--overwrite"),
        "folds": ("train", store, "--out", out / "folds", *quick, "--folds", 3, "--overwrite"),
        "search": ("search", store, "--grid", grid, "--out", out / "search", "--epochs", 2),
        "cut": ("cut", clips, "--every", 0.5, "--out", out / "clips"),
        "classify": ("classify", checkpoint, video, "--output", out / "result.avi", "--overwrite"),
        "classify a folder": ("classify", checkpoint, clips, "--output", out / "folder"),
        "export": ("export-features", store, "--out", out / "arrays", "--overwrite"),
        "list": ("list", clips, "--out", out / "list.csv"),
        "explore": ("explore", clips, "--out", out / "page.html", "--overwrite"),
    }


def names(folder: Path) -> set[str]:
    """All that lies there, without the clock in the names of some files."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "name",
    ["train", "folds", "search", "cut", "classify", "classify a folder", "export", "list", "explore"],
)
def test_a_command_that_was_killed_is_finished_by_the_next_run(name, calls, tmp_path):
    began = time.monotonic()
    status, said = finish(*calls[name])
    assert status == 0, said
    lasts = time.monotonic() - began
    whole = names(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    dice = random.Random(name)
    for _ in range(KILLS):
        process = start(*calls[name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.2, 1.0) * lasts)
        stop = dice.choice([os.kill, os.killpg])
        stop(process.pid, signal.SIGKILL)
        process.wait(30)
        time.sleep(0.2)  # until its children have ended
    status, said = finish(*calls[name])
    assert status == 0, said
    left = {entry for entry in names(tmp_path / "out") ^ whole if not entry.endswith(".state.npz")}
    assert left == set()


# -- two at a time ---------------------------------------------------------------------------------


def test_the_second_writer_is_refused(tmp_path):
    folder = tmp_path / "new" / "run"
    program = (
        "import sys, time; from pathlib import Path; from pipeline.files.locking import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('holds', flush=True); time.sleep(100)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holds\n"
        with pytest.raises(UserError, match="another run is writing"), only_writer(folder):
            pass
        with only_writer(folder.with_name("other")):
            pass
        other.kill()
    with only_writer(folder):
        pass
    assert list(folder.parent.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "search"])
def test_two_runs_into_one_folder_are_never_mixed(name, calls):
    first = start(*calls[name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lock = None
    while lock is None and first.poll() is None:
        folder = Path(calls[name][calls[name].index("--out") + 1])
        lock = next(folder.parent.glob(".lock-*"), None) if folder.parent.exists() else None
        time.sleep(0.01)
    status, said = finish(*calls[name])
    assert status == 2
    assert "another run is writing" in said
    assert first.wait(200) == 0


# -- small machines --------------------------------------------------------------------------------

LIMITS = ("ulimit -n 64", "ulimit -v 4000000", "ulimit -f 8", "ulimit -f 1", "ulimit -v 900000")
TINY = ("--backbone", "tiny", "--weights", "random", "--sampling", "uniform:4", "--size", "32")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what the shell of Linux can limit")
@pytest.mark.parametrize(
    "limit", ["ulimit -n 64", "ulimit -v 4000000", "ulimit -f 8", "ulimit -f 1", "ulimit -v 900000"]
)
@pytest.mark.parametrize("verb", ["list", "check", "explore", "cut", "extract", "frames"])
def test_a_small_machine_is_enough_or_is_one_line(verb, limit, tmp_path):
    for number in range(6):
        write_video(tmp_path / f"data/{'ab'[number % 2]}/{number}.mp4", frames=9, first=20 * number)
    out = {"list": "t.csv", "check": "p.csv", "explore": "p.html"}.get(verb, "out")
    more = {"cut": ("--every", 0.2), "extract": TINY}.get(verb, ())
    status, said = finish(verb, tmp_path / "data", "--out", tmp_path / out, *more, before=limit)
    assert "Traceback" not in said
    if status not in (0, 1):
        assert said.count("\n") == 1, said
    assert not list(tmp_path.rglob(".unfinished*")) or status != 0
    more += ("--overwrite",) * (verb == "frames")
    assert finish(verb, tmp_path / "data", "--out", tmp_path / out, *more)[0] in (0, 1)
    assert not list(tmp_path.rglob(".unfinished*"))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount")
@pytest.mark.slow
def test_a_full_disk_is_one_line(calls, tmp_path):
    disk = tmp_path / "out"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        for name in ("train", "search", "cut", "classify", "classify a folder", "export", "explore"):
            status, said = finish(*calls[name])
            assert status in (0, 1, 2), name
            assert "Traceback" not in said, name
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
