"""Two runs into one folder: the second one is refused in one line, and the first one is not disturbed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from pipeline.errors import UserError
from pipeline.files.locking import only_writer
from tests.hostile.interruptions.commands import heavy_calls
from tests.hostile.interruptions.processes import ROOT, finish, start

pytestmark = pytest.mark.posix


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
def test_the_second_of_two_runs_into_one_folder_is_refused(name, heavy, made, checkpoint, clips, tmp_path):
    call, out = heavy_calls(made, checkpoint, clips)[name], tmp_path / "out"
    first = start(*call.into(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("out/**/.lock-*")):
        assert first.poll() is None
        time.sleep(0.01)
    status, said = finish(*call.into(out))
    assert status == 2
    assert "another run is writing" in said
    assert said.count("\n") == 1
    assert first.wait(200) == 0
    assert any(name.endswith("results.json") for name in call.contents(out))
