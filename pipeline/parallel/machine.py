"""What this machine has to compute with; nothing heavy is imported to know it."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def other_processors(most: int) -> int:
    """Threads for work beside which other work goes on: all processors but one, at least 1 and at most ``most``."""
    return max(1, min(processors() - 1, most))


# Numbers of mallopt(3); the threshold is the largest that glibc takes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _LARGEST = 64 << 20, 32 << 20


def reuse_freed_memory() -> None:
    """Keep up to 64 MB of freed memory for what comes next, where the C library is glibc; for the whole process.

    It would give every picture's memory back to the system and fetch it anew, zeroed page by page, for the next one:
    1.0 of 2.5 ms of a core that it takes to decode a frame of 720p and turn it into RGB. For programs that decode:
    training, whose pieces of memory are larger and of many sizes, keeps 0.1 GB more resident with it and gains nothing.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _LARGEST)


def cpu_has(*flags: str) -> bool:
    """Whether the processor has one of these, by the names of ``/proc/cpuinfo``; False where there is no such file."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return any(flag in line.split() for flag in flags)
    return False


def computes_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16 faster than in float32."""
    return cpu_has("avx512_bf16", "amx_bf16")
