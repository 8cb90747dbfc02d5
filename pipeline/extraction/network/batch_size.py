"""How many images in one call of the network: as many as still make it faster, and as fit into memory.

``python -m benchmarks.extraction.batch_size`` measures both, on the user's machine.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np

from pipeline.extraction.network.engines.keras import has_gpu

_ENOUGH_CPU, _ENOUGH_GPU = 32, 128  # larger ones brought nothing on 2 cores; a GPU has more to fill
_SHARE = 0.5  # of the free memory; others need some as well
_CGROUPS = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def choose_batch(model: keras.Model) -> tuple[int, str]:
    """The number of images in one call of ``model`` on this machine, and the reason in a few words."""
    on_gpu = has_gpu()
    free = free_gpu_memory() if on_gpu else free_memory()
    enough = _ENOUGH_GPU if on_gpu else _ENOUGH_CPU
    if free is None:
        return enough, "free memory is unknown"
    batch = largest_batch(enough, memory_per_picture(model), int(_SHARE * free))
    return batch, "larger is not faster" if batch == enough else f"{free / 1e9:.1f} GB of memory are free"


def largest_batch(enough: int, each: int, room: int) -> int:
    """``enough``, halved until that many images of ``each`` bytes fit into ``room``; at least 1."""
    while enough > 1 and enough * each > room:
        enough //= 2
    return enough


def memory_per_picture(model: keras.Model) -> int:
    """Bytes that computing one image takes at its worst moment.

    A frozen graph frees what it has used, so what counts is its widest place: what goes into a layer and what
    comes out of it, twice, since a fused convolution has a rearranged copy of each.
    """
    widest = max(_bytes_of(layer.input) + _bytes_of(layer.output) for layer in model.layers)
    return 2 * widest


def _bytes_of(tensors) -> int:
    return sum(4 * int(np.prod([side or 1 for side in tensor.shape])) for tensor in keras.tree.flatten(tensors))


def free_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes of main memory that this process may still take; the limits of its control groups count.

    None where the system does not tell.
    """
    found = []
    try:
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        groups = [line.rpartition(":")[2].strip("/") for line in (proc / "self/cgroup").read_text().splitlines()]
    except OSError:
        groups = []
    for group in ["", *groups]:
        for folder in (cgroups / group, cgroups / "memory" / group):
            # A limit on any group above holds as well.
            for place in (folder, *folder.parents):
                if place.is_relative_to(cgroups):
                    found += [left for limit, used in _CGROUPS if (left := _left(place / limit, place / used))]
    return min(found, default=None)


def _left(limit: Path, used: Path) -> int | None:
    try:
        return max(1, int(limit.read_text()) - int(used.read_text()))
    except (OSError, ValueError):  # there is no such group, or its limit is "max"
        return None


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
