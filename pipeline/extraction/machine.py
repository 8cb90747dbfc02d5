"""What this machine has to compute with; nothing heavy is imported to know it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
