"""Each command that writes, killed at moments over its whole run: what has a name is whole, and the next run ends as if
nothing had been."""

from __future__ import annotations

import os
import random
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.hostile.interruptions.commands import HEAVY, LIGHT, Call, heavy_calls, light_calls
from tests.hostile.interruptions.processes import Forge

pytestmark = pytest.mark.posix
MOMENTS = int(os.environ.get("MOMENTS", 20))
CHEAP = ("list", "cut", "frames", "export", "export one file", "import")


@pytest.mark.parametrize("name", CHEAP)
def test_a_killed_command_is_finished_by_the_next_run(name, light, made, tmp_path):
    kill_again_and_again(light, name, light_calls(made)[name], tmp_path / "out", 2)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", LIGHT)
def test_killed_at_many_moments(name, light, made, tmp_path):
    kill_again_and_again(light, name, light_calls(made)[name], tmp_path / "out", MOMENTS)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", HEAVY)
def test_killed_at_many_moments_while_computing(name, heavy, made, checkpoint, clips, tmp_path):
    if name == "calibration":
        pytest.importorskip("nncf")
    kill_again_and_again(heavy, name, heavy_calls(made, checkpoint, clips)[name], tmp_path / "out", MOMENTS)


def kill_again_and_again(forge: Forge, name: str, call: Call, out: Path, kills: int) -> None:
    """Kill it at ``kills`` moments that are spread over its run, each time from the beginning, and run it again."""
    whole, lasts = undisturbed(forge, call, out)
    dice = random.Random(name)
    in_the_middle, damaged, lost = 0, [], []
    for number in range(kills):
        moment = (number + dice.random()) / kills * lasts
        status, _, seconds = forge.run(call.into(out), kill_after=moment)
        in_the_middle += status is None
        if status is not None:  # it came to its end: the machine is faster than it was, and so are the next moments
            lasts = min(lasts, seconds)
        damaged += [(moment, file) for file in damaged_files(out, whole, call)]
        before = {path: path.stat().st_mtime_ns for path in files_of(out, call.kept)}
        status, said, _ = forge.run([*call.into(out), *call.again])
        if not (status == call.status or (status == 2 and call.refused and call.refused in said)):
            lost.append((moment, f"status {status}: {said[-300:]}"))
        left = call.contents(out)
        lost += [(moment, file) for file in sorted(left.keys() | whole.keys()) if left.get(file) != whole.get(file)]
        lost += [(moment, str(path)) for path, time in before.items() if path.stat().st_mtime_ns != time]
        shutil.rmtree(out)
    print(f"{name}: {kills} moments in {lasts:.1f} s, {in_the_middle} in the middle, {damaged=}, {lost=}")
    assert (damaged, lost) == ([], [])
    assert in_the_middle >= kills // 2, "the machine is much faster than it was at first"


def undisturbed(forge: Forge, call: Call, out: Path) -> tuple[dict[str, object], float]:
    """What a run that nobody disturbs leaves, and its seconds; two of them leave the same."""
    found, lasted = [], []
    for _ in range(2):  # the second one finds in the cache folder what all the others will find
        status, said, seconds = forge.run(call.into(out))
        assert status == call.status, said
        found.append(call.contents(out))
        lasted.append(seconds)
        shutil.rmtree(out)
    assert {file for file in found[0] if found[0][file] != found[1].get(file)} == set()
    return found[0], min(lasted)


def damaged_files(out: Path, whole: dict[str, object], call: Call) -> list[str]:
    """Files that have a name, and neither their last content nor the leave to grow into it."""
    visible = call.contents(out, hidden=False) if out.is_dir() else {}
    return [
        file
        for file, content in visible.items()
        if content != whole.get(file, "no such file") and not any(fnmatch(file, pattern) for pattern in call.grows)
    ]


def files_of(out: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Those below a folder that one of the patterns names."""
    found = [path for pattern in patterns for path in out.glob(pattern)]
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(out).parts)]
