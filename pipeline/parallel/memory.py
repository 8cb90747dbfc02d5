"""How much memory there is."""

from __future__ import annotations

import os
import re
from pathlib import Path

_UNKNOWN = 4 << 30  # where the system does not tell
_CGROUP = Path("/sys/fs/cgroup")


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
