"""Kills, signals, several writers and full disks: nothing is damaged, and nothing that was finished is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.extraction.store.verify import check_shards
from tests.extraction.conftest import CLIPS_RECIPE, first_and_last
from tests.extraction.jobs.test_extract import contents
from tests.media import write_video

pytestmark = pytest.mark.posix
ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("KILLS", 100))
OF_A_STORE = 100  # kills: all of a store is looked at after each one


def start(
    data: Path, store: Path, *, pause: float, commit_every: float = 0.05, steps: str = "frames", **options
) -> subprocess.Popen:
    """An extraction in a process group of its own, as a terminal starts it."""
    words = map(str, (data, store, pause, commit_every, steps))
    command = [sys.executable, "-m", "tests.extraction.jobs.killable", *words]
    options = {"stderr": subprocess.DEVNULL, **options}
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, text=True, **options)


def many_clips(folder: Path, count: int, frames: int = 10) -> Path:
    for number in range(count):
        write_video(folder / f"{'ab'[number % 2]}/clip{number}", "mjpeg_avi", frames=frames, first=10 * number)
    return folder


def assert_nothing_is_damaged(store: Path) -> None:
    assert [report.problems for report in check_shards(store) if report.problems] == []


def wait_for_a_shard(store: Path, process: subprocess.Popen) -> None:
    while not list(store.glob("shard-*.h5")):
        assert process.poll() is None
        time.sleep(0.01)


def test_two_writers_at_once_do_not_harm_each_other(videos, extract, tmp_path):
    extract(videos, tmp_path / "whole")
    writers = [start(videos, tmp_path / "store", pause=0.01) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert_nothing_is_damaged(tmp_path / "store")
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGTERM, 143, f"stopped by a termination signal; {command.GOES_ON}\n"),
        (signal.SIGINT, 130, f"stopped by Ctrl-C; {command.GOES_ON}\n"),
    ],
)
def test_a_signal_keeps_what_was_finished(number, status, line, extract, tmp_path):
    """Also what no shard had a name for yet: with a commit after an hour all of it would be lost otherwise."""
    data, store = many_clips(tmp_path / "data", 20), tmp_path / "store"
    process = start(data, store, pause=0.1, commit_every=3600, stderr=subprocess.PIPE)
    while not list(store.glob(".unfinished-*.h5")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)
    os.killpg(process.pid, number)  # to the decoders as well, as a terminal and a scheduler do
    assert process.communicate(timeout=30)[1] == line
    assert process.returncode == status
    assert not list(store.glob(".unfinished*"))
    assert_nothing_is_damaged(store)
    assert 0 < len(contents(store)) < 20
    extract(data, store)
    extract(data, tmp_path / "undisturbed")
    assert contents(store) == contents(tmp_path / "undisturbed")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_runs_full_keeps_what_was_finished(extract, tmp_path):
    """A real disk of 17 MiB, of which the store leaves 16 free."""
    data, disk = many_clips(tmp_path / "data", 20), tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=17m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        process = start(data, disk / "store", pause=0.05, stderr=subprocess.PIPE)
        wait_for_a_shard(disk / "store", process)
        (disk / "others").write_bytes(bytes(900 << 10))
        error = process.communicate(timeout=60)[1]
        assert process.returncode == 1
        assert error.startswith("stopped: ")
        assert f"the disk is full; make room: {command.GOES_ON}" in error
        assert error.count("\n") == 1
        assert_nothing_is_damaged(disk / "store")
        assert 0 < len(contents(disk / "store")) < 20
        (disk / "others").unlink()
        extract(data, disk / "store")
        extract(data, tmp_path / "undisturbed")
        assert contents(disk / "store") == contents(tmp_path / "undisturbed")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


OF_CLIPS = {"recipe": CLIPS_RECIPE, "network": first_and_last}


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("kills", "steps"),
    [
        (4, "frames"),
        (3, "clips"),
        pytest.param(30, "clips", marks=pytest.mark.slow, id="clips"),
        pytest.param(KILLS, "frames", marks=pytest.mark.slow, id="asked"),
    ],
)
def test_kills_at_random_moments_damage_and_lose_nothing(kills, steps, tmp_path, extract):
    """kill -9 again and again, also of all decoders and with a second writer on the same store: no damaged shard,
    nothing committed is lost, and the end is as if nothing had been."""
    dice = random.Random(kills)
    in_the_middle = sum(
        kill_extractions(min(OF_A_STORE, kills - done), steps, dice, tmp_path / str(done), extract)
        for done in range(0, kills, OF_A_STORE)
    )
    assert in_the_middle >= kills * 3 // 4, "most must hit a run that was at work"
    print(f"{kills} kills, {in_the_middle} of them in the middle: nothing damaged, nothing lost")


def wait_for_the_end(writer: subprocess.Popen) -> None:
    """A signal that comes while Python runs what it ignores exceptions of, such as a callback of its imports, is lost:
    then the user presses Ctrl-C once more."""
    try:
        writer.wait(20)
    except subprocess.TimeoutExpired:
        writer.send_signal(signal.SIGINT)
        writer.wait(20)


def kill_extractions(kills: int, steps: str, dice: random.Random, folder: Path, extract) -> int:
    """Kill extractions into one store; returns how many were at work then."""
    # Six steps of each.
    data = many_clips(folder / "data", 40 + 2 * kills, 30 if steps == "clips" else 10)
    made_by = OF_CLIPS if steps == "clips" else {}
    extract(data, folder / "undisturbed", **made_by)
    store = folder / "store"
    held: dict[str, tuple] = {}
    in_the_middle = 0
    for _ in range(kills):
        writers = [start(data, store, pause=0.25, steps=steps) for _ in range(dice.choice([1, 1, 2]))]
        # Half of the moments lie anywhere, start-up included; half where shards are being written.
        if dice.random() < 0.5:
            time.sleep(dice.uniform(0.1, 2.0))
        else:
            before = len(list(store.glob("shard-*.h5")))
            while len(list(store.glob("shard-*.h5"))) == before and writers[0].poll() is None:
                time.sleep(0.005)
            time.sleep(dice.uniform(0.0, 0.5))
        for writer in writers:
            number = dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            stop = dice.choice([os.kill, os.killpg])
            if writer.poll() is None:
                in_the_middle += 1
                stop(writer.pid, number)
            time.sleep(dice.uniform(0.0, 0.1))
        for writer in writers:
            wait_for_the_end(writer)
        if (store / "recipe.json").exists():
            assert_nothing_is_damaged(store)
            now = contents(store)
            assert held.items() <= now.items()
            held = now
    assert held
    extract(data, store, **made_by)
    assert contents(store) == contents(folder / "undisturbed")
    assert not list(store.glob(".unfinished*"))
    return in_the_middle
