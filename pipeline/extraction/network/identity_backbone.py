"""Stage one without a network: the frame cache keeps the raw frames, for networks that are trained whole."""

from __future__ import annotations

import numpy as np

from pipeline.extraction.network.registry import find_network
from pipeline.extraction.recipe import FRAME_CACHE


class IdentityBackbone:
    """Stands where a `Backbone` stands and gives every image back as it came; no Keras is loaded for it.

    Args:
        size: (height, width) of the images in pixels; 112x112 if None.
        batch: images that are handed on together; 0 for 32.
        channels: of an image.

    Attributes:
        shape: of one step: (height, width, channels).
    """

    name = FRAME_CACHE
    digest = ""
    precision = "uint8"
    engine = "none"
    provenance = {"precision": precision, "engine": engine}

    def __init__(self, size: tuple[int, int] | None = None, *, batch: int = 32, channels: int = 3) -> None:
        self.size = find_network(FRAME_CACHE).check_size(size)
        self.batch = batch or 32  # nothing is computed, so memory does not matter
        self.shape: tuple[int, ...] = (*self.size, channels)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """``(n, height, width, channels)`` uint8, as it came."""
        return images
