import os
import platform
import subprocess
import sys

import pytest

from pipeline.parallel import machine


@pytest.mark.parametrize(("has", "most", "expected"), [(1, 16, 1), (2, 16, 1), (8, 16, 7), (64, 16, 16), (4, 2, 2)])
def test_one_processor_is_left_to_other_work(has, most, expected, monkeypatch):
    monkeypatch.setattr(machine, "processors", lambda: has)
    assert machine.other_processors(most) == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back at once")
def test_freed_memory_is_used_again():
    """In a process of its own, since it is set for a whole process: pieces of 3 MB cost page faults only once."""
    program = """
import ctypes, resource
from pipeline.parallel.machine import reuse_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        piece = libc.malloc(3_000_000)
        ctypes.memset(piece, 1, 3_000_000)
        other = libc.malloc(3_000_000)
        ctypes.memset(other, 1, 3_000_000)
        libc.free(piece)
        libc.free(other)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults())
reuse_freed_memory()
faults()
print(faults())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < 100 < before


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 4_096_000),
        ({"memory.max": "max", "memory.current": "5"}, 4_096_000),
        ({"job/memory.max": "3000000", "job/memory.current": "1000000"}, 2_000_000),
        # The limit of a group above, and one of the older kind of control groups
        ({"job/memory.max": "max", "job/memory.current": "7", "memory.max": "10", "memory.current": "4"}, 6),
        ({"memory/job/memory.limit_in_bytes": "900", "memory/job/memory.usage_in_bytes": "100"}, 800),
        ({"job/memory.max": "10", "job/memory.current": "40"}, 0),
        # Files that were read give way; those in memory do not.
        ({"memory.max": "90", "memory.current": "50", "memory.stat": "file 9\nactive_file 3\ninactive_file 4"}, 47),
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
    assert machine.free_memory(tmp_path / "proc", tmp_path / "groups") == free


def test_where_nobody_tells_which_processors_are_ours(monkeypatch):
    """As on Windows and macOS."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert machine.processors() == 6


@pytest.mark.parametrize("asks", [True, False], ids=["pages", "nothing"])
def test_where_the_system_tells_nothing(tmp_path, monkeypatch, asks):
    if not asks:  # as on Windows
        monkeypatch.delattr(os, "sysconf", raising=False)
    assert 1 << 20 < machine.free_memory(tmp_path, tmp_path) < 1 << 50
    assert machine.free_gpu_memory() is None or machine.free_gpu_memory() > 0
