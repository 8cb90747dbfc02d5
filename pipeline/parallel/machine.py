"""What this machine has to compute with; nothing heavy is imported to know it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import shutil
import subprocess
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
    try:
        return min(int(line) for line in _ask_nvidia("memory.free")) << 20
    except ValueError:
        return None


def _ask_nvidia(what: str) -> list[str]:
    """A line of each GPU, by ``nvidia-smi``; none where it is not there or does not tell."""
    if shutil.which("nvidia-smi") is None:
        return []
    here = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    only = ["-i", here] if here not in ("", "all") else []
    asked = ["nvidia-smi", *only, f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """What Linux tells of the first processor; nothing elsewhere."""
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
        return {name.strip(): value.strip() for name, _, value in map(_at_colon, first.splitlines())}
    return {}


def _at_colon(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def processor_model() -> str:
    """The model of the processor."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def processor_flags() -> frozenset[str]:
    """What the processor can, by the names of ``/proc/cpuinfo``; empty where there is no such file."""
    return frozenset((_cpuinfo().get("flags") or _cpuinfo().get("Features") or "").split())


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16; whether that is faster than float32 only a measurement tells."""
    return not processor_flags().isdisjoint(("avx512_bf16", "amx_bf16"))


@functools.cache
def gpus(proc: Path = Path("/proc/driver/nvidia/gpus")) -> tuple[str, ...]:
    """The models of the NVIDIA GPUs that this process may use, as the driver tells; a library may see fewer."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return ()
    with contextlib.suppress(OSError):
        lines = [line for path in sorted(proc.glob("*/information")) for line in path.read_text().splitlines()]
        if found := [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]:
            return tuple(found)
    return tuple(_ask_nvidia("name"))


def versions(*packages: str) -> dict[str, str]:
    """The versions of Python and of the packages that are installed, by name."""
    from importlib import metadata  # nothing but this needs it, and --help waits for what is imported

    found = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
