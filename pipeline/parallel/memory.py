"""How much memory there is, and how users write it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pipeline.errors import UserError

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_UNKNOWN = 4 << 30  # where the system does not tell
_CGROUP = Path("/sys/fs/cgroup")


def parse_memory(text: str) -> int:
    """Bytes of a size such as ``1.5G``, ``800M`` or ``0``, which has everything read from disk.

    Raises:
        UserError: it is no size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise UserError(f"`memory={text!r}` is no size; expected for example 1.5G or 800M")
    return int(float(match[1]) * _UNITS[match[2]])


def free_memory() -> int:
    """Bytes that this process may still take without swapping, as far as the system tells."""
    free = _UNKNOWN
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        if found:
            free = int(found[1]) << 10
    except OSError:
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    # A container may have less than its machine.
    try:
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        # What files it has read count as used, but give way.
        cached = re.search(r"^file (\d+)", (_CGROUP / "memory.stat").read_text(), re.MULTILINE)
        free = min(free, limit - used + (int(cached[1]) if cached else 0))
    except (OSError, ValueError):
        pass
    return max(0, free)
