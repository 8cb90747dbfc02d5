"""What several files of tests need is made once in a run, also where several processes run them side by side."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.files.locking import only_writer


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that ``make`` fills, which tests may read and must not change."""
    mine = factory.getbasetemp()
    shared = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "shared"
    folder, part = shared / name, shared / f"{name}.part"
    while not folder.exists():
        try:
            with only_writer(folder):
                if not folder.exists():
                    shutil.rmtree(part, ignore_errors=True)
                    make(part)
                    part.rename(folder)
        except UserError:  # another process makes it
            time.sleep(0.1)
    return folder
