from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.ray_cluster import RaySpec, _check_address, run_on_ray
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.verify import check_shards
from pipeline.videos.catalog.catalog import open_catalog
from tests.media import write_video

RANDOM = WeightsSource("random")


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:1", "127.0.0.1:port"])
def test_an_address_that_does_not_answer_is_one_line(address):
    with pytest.raises(UserError, match="`ray_address="):
        _check_address(address)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_lost_worker_costs_nothing(tmp_path):
    """Two workers, one killed in the middle: all videos are there once, and equal to those of a local run."""
    pytest.importorskip("ray")
    data = tmp_path / "data"
    for number in range(80):
        write_video(data / f"{'ab'[number % 2]}/clip{number}", "mjpeg_avi", frames=30, first=40 * number)
    script = [sys.executable, "scripts/extract_features.py", str(data), "--backbone", "tiny", "--weights", "random"]
    subprocess.run([*script, "--sampling", "all", "--out", str(tmp_path / "local")], check=True)
    local, folder = FeatureStore(tmp_path / "local"), tmp_path / "store"
    extraction = Extraction(open_catalog(data), folder, local.recipe, RANDOM, ExtractionSpec(workers=1))
    extraction.look()
    killed: list[int] = []  # how many videos were done then

    def kill_one(progress) -> None:
        if not killed:
            os.kill(_pid_of_a_worker(), signal.SIGKILL)
            killed.append(progress.done)

    progress = run_on_ray(extraction, RANDOM, "float32", RaySpec(workers=2), show=kill_one)
    assert killed[0] < 80
    assert (progress.done, progress.failed) == (80, 0)
    assert [report.problems for report in check_shards(folder) if report.problems] == []
    names = [video for report in check_shards(folder) for video in report.videos]
    assert sorted(names) == sorted(local.entries)
    store = FeatureStore(folder)
    for name in local.entries:
        found, expected = store.read(name), local.read(name)
        assert found.times.tolist() == expected.times.tolist()
        assert found.frames.tolist() == expected.frames.tolist()
        # Other videos share the batches, which moves the last digit.
        np.testing.assert_allclose(found.features, expected.features, rtol=1e-2, atol=1e-3)


def _pid_of_a_worker() -> int:
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            if words.startswith(b"ray::_Worker"):
                return int(process.name)
    raise AssertionError("no Ray worker is alive")
