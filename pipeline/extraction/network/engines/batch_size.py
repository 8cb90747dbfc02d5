"""How many images in one call of the network: as many as still make it faster, and as fit into memory.

``python -m benchmarks.extraction.batch_size`` measures both, on the user's machine.
"""

from __future__ import annotations

import numpy as np

from pipeline.lazy import keras
from pipeline.parallel.machine import free_gpu_memory, free_memory

_ENOUGH_CPU, _ENOUGH_GPU = 32, 128  # larger ones brought nothing on 2 cores; a GPU has more to fill
_SHARE = 0.5  # of the free memory; others need some as well


def choose_batch(each: int, *, on_gpu: bool, frames: int = 1) -> tuple[int, str]:
    """The number of images, or of clips of ``frames`` frames, of ``each`` bytes in one call on this machine, and why so
    many, in a few words."""
    free = free_gpu_memory() if on_gpu else free_memory()
    enough = max(1, (_ENOUGH_GPU if on_gpu else _ENOUGH_CPU) // frames)
    if free is None:
        return enough, "free memory is unknown"
    batch = largest_batch(enough, each, int(_SHARE * free))
    return batch, "larger is not faster" if batch == enough else f"{free / 1e9:.1f} GB of memory are free"


def largest_batch(enough: int, each: int, room: int) -> int:
    """``enough``, halved until that many images of ``each`` bytes fit into ``room``; at least 1."""
    while enough > 1 and enough * each > room:
        enough //= 2
    return enough


def memory_per_image(model: keras.Model) -> int:
    """Bytes that computing one image takes at its worst moment.

    A frozen graph frees what it has used, so what counts is its widest place: what goes into a layer and what
    comes out of it, twice, since a fused convolution has a rearranged copy of each.
    """
    widest = max(_bytes_of(layer.input) + _bytes_of(layer.output) for layer in model.layers)
    return 2 * widest


def _bytes_of(tensors) -> int:
    return sum(4 * int(np.prod([side or 1 for side in tensor.shape])) for tensor in keras.tree.flatten(tensors))
