from __future__ import annotations

import sys

import pytest

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.errors import UserError
from pipeline.extraction.jobs.gpus import calls, parse_devices, run_all
from pipeline.extraction.store.verify import check_shards
from pipeline.parallel.machine import processors
from tests.media import write_video


def test_each_device_gets_a_process_with_its_own_part():
    argv = [
        "data",
        "--out",
        "store",
        "--devices=3,5",
        "--overwrite",
        "--workers",
        "7",
        "--worker",
        "2/4",
        "--batch",
        "8",
    ]
    first, second = calls([sys.executable, "x.py"], argv, parse_devices("3,5"), (2, 4))
    same = [sys.executable, "x.py", "data", "--out", "store", "--batch", "8"]
    same += ["--workers", str(max(1, processors() // 2)), "--worker"]
    assert first[0] == [*same, "2/8"]
    assert second[0] == [*same, "6/8"]
    assert [call[1]["CUDA_VISIBLE_DEVICES"] for call in (first, second)] == ["3", "5"]


@pytest.mark.parametrize("parts", [(1, 1), (2, 3)])
def test_the_parts_of_the_devices_are_those_of_the_machine(parts):
    i, n = parts
    videos = list(range(50))
    shares = []
    for command_line, _ in calls(["x.py"], [], ["0", "1", "2"], parts):
        mine, of = map(int, command_line[-1].split("/"))
        shares += videos[mine - 1 :: of]
    assert sorted(shares) == videos[i - 1 :: n]


@pytest.mark.parametrize("text", ["", "first", "0,,1", "1,1", "-1"])
def test_bad_devices_are_one_line(text):
    with pytest.raises(UserError, match="`devices="):
        parse_devices(text)


def test_the_gravest_status_counts():
    code = "import os, sys; sys.exit(int(os.environ['CUDA_VISIBLE_DEVICES']))"
    jobs = [([sys.executable, "-c", code], {"CUDA_VISIBLE_DEVICES": device}) for device in ("0", "1")]
    assert run_all(jobs) == 1
    killed = ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], {})
    assert run_all([jobs[0], killed]) == 2


@pytest.mark.slow
def test_two_processes_fill_one_store(tmp_path):
    """Without GPUs they share the processors, and the result is the same."""
    for number in range(6):
        write_video(tmp_path / f"data/{'ab'[number % 2]}/{number}.mp4", frames=8, first=20 * number)
    arguments = [str(tmp_path / "data"), "--out", str(tmp_path / "store"), "--backbone", "tiny", "--weights", "random"]
    assert (
        command.run(extract_features.main, [*arguments, "--devices", "0,1", "--quiet"], parser=extract_features.parser)
        == 0
    )
    reports = list(check_shards(tmp_path / "store"))
    assert sorted(video for report in reports for video in report.videos) == [
        f"{'ab'[n % 2]}/{n}.mp4" for n in (0, 2, 4, 1, 3, 5)
    ]
    assert len(reports) == 2
