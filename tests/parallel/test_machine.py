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
