"""What this machine has to compute with; nothing heavy is imported to know it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import subprocess
from importlib import metadata
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
_PAGE = 1 << 12


def reuse_freed_memory() -> None:
    """Keep up to 64 MB of freed memory for what comes next, where the C library is glibc; for the whole process.

    Otherwise it gives the memory of every image back to the system and fetches it anew for the next one, zeroed page by
    page: 1.0 of 2.5 ms of a core that it takes to decode a frame of 720p and turn it into RGB. For programs that
    decode: training, whose pieces of memory are larger and of many sizes, keeps 0.1 GB more resident and gains nothing.
    """
    _mallopt(_KEPT, _LARGEST)


def return_freed_memory() -> None:
    """Give freed memory back to the system at once, where the C library is glibc: what is resident is then in use."""
    _mallopt(_PAGE, _PAGE)


def _mallopt(kept: int, largest: int) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, kept)
        mallopt(_MMAP_THRESHOLD, largest)


_UNKNOWN = 4 << 30  # free bytes where the system does not tell
_CGROUPS = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
_FILES = ("active_file", "inactive_file")


def free_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of main memory that this process may still take without swapping, as far as the system tells.

    The limits of its control groups, of version 1 or 2, and of those above them count. Files that were read count
    as used there, but give way.
    """
    found, groups = [], []
    with contextlib.suppress(OSError):
        lines = (proc / "meminfo").read_text().splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
        groups = [line.rpartition(":")[2].strip("/") for line in (proc / "self/cgroup").read_text().splitlines()]
    for group in ["", *groups]:
        for folder in (cgroups / group, cgroups / "memory" / group):
            for place in (folder, *folder.parents):
                if place.is_relative_to(cgroups):
                    found += [left for names in _CGROUPS if (left := _left(place, *names)) is not None]
    if not found and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return min(found, default=_UNKNOWN)


def _left(group: Path, limit: str, used: str) -> int | None:
    """Bytes that a control group may still take; None where there is no such group, or its limit is "max"."""
    try:
        left = int((group / limit).read_text()) - int((group / used).read_text())
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError, ValueError):
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        left += sum(int(stat.get(f"total_{name}", stat.get(name, 0))) for name in _FILES)
    return max(0, left)


def free_gpu_memory() -> int | None:
    """Bytes that are free on the fullest GPU of this machine; None where ``nvidia-smi`` does not tell."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.split()
        return min(int(line) for line in lines) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


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


def versions(*packages: str) -> dict[str, str]:
    """The versions of Python and of the packages that are installed, by name."""
    found = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
