"""Two runs into one folder: the second one is refused in one line, and what the first one writes is as if it had been
alone."""

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
@pytest.mark.parametrize("name", ["train", "members", "folds", "search", "report", "classify a folder"])
def test_two_runs_into_one_folder_are_never_mixed(name, heavy, made, checkpoint, clips, tmp_path):
    call, out = heavy_calls(made, checkpoint, clips)[name], tmp_path / "out"
    assert heavy.run(call.into(out))[0] == 0
    whole = call.contents(out)
    out.rename(tmp_path / "alone")
    first = start(*call.into(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("out/**/.lock-*")):
        assert first.poll() is None
        time.sleep(0.01)
    status, said = finish(*call.into(out))
    assert status == 2
    assert "another run is writing" in said
    assert said.count("\n") == 1
    assert first.wait(200) == 0
    assert call.contents(out) == whole
