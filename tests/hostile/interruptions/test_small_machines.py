"""Commands that write and compute nothing, where there is too little of something: it is enough, or one line says what
there is too little of; what was finished is whole, and with more of it the same command ends as if nothing had been."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.hostile.interruptions.commands import Call, heavy_calls, light_calls
from tests.hostile.interruptions.processes import Forge
from tests.hostile.interruptions.test_kills import damaged_files, undisturbed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(0),
    pytest.mark.skipif(sys.platform != "linux", reason="what Linux can limit"),
]
WRITING = ("list", "explore", "cut", "frames", "check", "export", "export one file", "import")
LIMITS = {
    "64 files": {"NOFILE": 64},
    "4 GB of addresses": {"AS": 4_000_000_000},
    "files of 100 KB": {"FSIZE": 100 << 10},
    "files of 8 KB": {"FSIZE": 8 << 10},
    "files of 1 KB": {"FSIZE": 1 << 10},
}
ROOMS = {"of 4 KB": "size=4k", "of 40 KB": "size=40k", "of 400 KB": "size=400k", "read-only": "ro,size=20m"}
Narrow = Callable[[], AbstractContextManager[object]]
Most = dict[str, int] | None
_whole: dict[str, dict[str, object]] = {}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of them write, so that what a run leaves that nobody disturbs is made once."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture
def out(place: Path) -> Iterator[Path]:
    yield place / "out"
    shutil.rmtree(place / "out", ignore_errors=True)


@pytest.fixture
def disk(place: Path) -> Iterator[Path]:
    """A disk of 20 MB in its place."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def mounted_as(disk: Path, options: str) -> Iterator[None]:
    """The disk is another one for a while."""
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw,size=20m", disk], check=True)


def is_borne(
    forge: Forge,
    name: str,
    call: Call,
    out: Path,
    *,
    narrow: Narrow = nullcontext,
    limits: dict[str, int] | None = None,
) -> None:
    """What a command makes of too little is as this file promises."""
    whole = _whole.get(name) or undisturbed(forge, call, out)[0]
    _whole[name] = whole
    with narrow():
        status, said, _ = forge.run(call.into(out), limits=limits)
    lines = said.splitlines()
    assert "Traceback" not in said
    if status != call.status:
        assert status in (0, 1, 2), said
        failed = [line for line in lines if line.startswith(("failed: ", "cannot be fixed: "))]
        stopped = [line for line in lines if line.startswith(("error: ", "stopped: "))]
        assert len(stopped) == 1 or (status == 1 and failed and not stopped), said
    assert [file for file in damaged_files(out, whole, call) if not file.endswith("failures.csv")] == []
    status, said, _ = forge.run([*call.into(out), *call.again])
    assert status == call.status or (status == 2 and call.refused and call.refused in said), said
    left = call.contents(out)
    assert {file for file in left.keys() | whole.keys() if left.get(file) != whole.get(file)} == set()


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", WRITING)
def test_a_limit_is_borne(name, limit, light, made, out):
    is_borne(light, name, light_calls(made)[name], out, limits=LIMITS[limit])


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("name", WRITING)
def test_a_small_disk_is_borne(name, room, light, made, disk):
    is_borne(light, name, light_calls(made)[name], disk / "out", narrow=lambda: mounted_as(disk, ROOMS[room]))


@pytest.mark.parametrize("name", ["train", "search", "classify", "classify a folder"])
def test_a_full_disk_is_no_traceback_while_computing(name, heavy, made, checkpoint, clips, disk):
    with mounted_as(disk, "size=100k"):
        status, said, _ = heavy.run(heavy_calls(made, checkpoint, clips)[name].into(disk / "out"))
    assert status in (0, 1, 2), said
    assert "Traceback" not in said
