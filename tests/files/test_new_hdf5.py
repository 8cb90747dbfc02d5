"""HDF5 where no more can be written: an error, and no crash."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest

from pipeline.files.new_hdf5 import new_hdf5

SMALL = """
import resource, sys
from pathlib import Path
import numpy as np
from pipeline.files.new_hdf5 import new_hdf5

most, rows = int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
try:
    with new_hdf5(Path(sys.argv[1])) as (file, check):
        values = file.create_dataset("x", (rows, 1000), "f4", chunks=(1, 1000), compression="lzf")
        for row in range(rows):
            values[row] = np.random.default_rng(row).random(1000)
            check()
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.posix
@pytest.mark.parametrize("most", [0, 100, 5000, 100_000])
def test_no_room_is_an_error_and_no_crash(most, tmp_path):
    words = [sys.executable, "-c", SMALL, str(tmp_path / "x.h5"), str(most), "100"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "File too large\n", "")


def test_what_is_written_is_there(tmp_path):
    expected = np.random.default_rng(0).random((50, 70))
    with new_hdf5(tmp_path / "x.h5") as (file, check):
        file.create_dataset("x", data=expected, chunks=(5, 7), compression="lzf")
        file["text"] = "é"
        check()
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], expected)
        assert file["text"][()].decode() == "é"


def test_an_error_of_the_caller_is_told_as_it_is(tmp_path):
    def write():
        with new_hdf5(tmp_path / "x.h5") as (file, _):
            file["x"] = np.arange(9)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        write()
