from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.network import batch_size
from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.batch_size import choose_batch, free_memory, largest_batch, memory_per_picture
from pipeline.extraction.network.weights import WeightsSource


@given(st.integers(1, 10**9), st.integers(0, 10**12))
def test_the_largest_batch_that_fits(each, room):
    batch = largest_batch(32, each, room)
    assert batch in (1, 2, 4, 8, 16, 32)
    assert batch == 1 or batch * each <= room
    assert batch == 32 or 2 * batch * each > room


def test_little_memory_makes_small_batches(monkeypatch):
    made = Backbone("tiny", weights=WeightsSource("random"), size=(64, 64), batch=0)
    assert (made.batch, made.batch_reason) == (32, "larger is not faster")
    each = memory_per_picture(made.model)
    assert each == 2 * 4 * (64 * 64 * 3 + 32 * 32 * 16)
    monkeypatch.setattr(batch_size, "free_memory", lambda: 2 * 5 * each)
    assert choose_batch(made.model) == (4, "0.0 GB of memory are free")
    larger = Backbone("tiny", weights=WeightsSource("random"), size=(128, 128), batch=0)
    assert larger.batch == 1
    monkeypatch.setattr(batch_size, "free_memory", lambda: None)
    assert choose_batch(made.model)[0] == 32


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 4_096_000),
        ({"memory.max": "max", "memory.current": "5"}, 4_096_000),
        ({"job/memory.max": "3000000", "job/memory.current": "1000000"}, 2_000_000),
        # The limit of a group above, and one of the older kind of control groups
        ({"job/memory.max": "max", "job/memory.current": "7", "memory.max": "10", "memory.current": "4"}, 6),
        ({"memory/job/memory.limit_in_bytes": "900", "memory/job/memory.usage_in_bytes": "100"}, 800),
        ({"job/memory.max": "10", "job/memory.current": "40"}, 1),
    ],
)
def test_the_limits_of_control_groups_count(tmp_path, files, free):
    for name, text in {
        "proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    4000 kB\n",
        "proc/self/cgroup": "0::/job\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    assert free_memory(tmp_path / "proc", tmp_path / "groups") == free


def test_where_the_system_tells_nothing(tmp_path):
    assert free_memory(tmp_path, tmp_path) is None
    assert batch_size.free_gpu_memory() is None or batch_size.free_gpu_memory() > 0
