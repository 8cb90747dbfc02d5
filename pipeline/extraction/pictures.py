"""Stage one without a network: the frame cache keeps the pictures themselves, for networks that are trained whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.extraction.networks import find_network
from pipeline.extraction.recipe import FRAMES
from pipeline.extraction.weights import WeightsSource

if TYPE_CHECKING:
    from pipeline.extraction.backbones import Backbone


class Pictures:
    """Stands where a `Backbone` stands and gives every picture back as it came; no Keras is loaded for it.

    Args:
        size: (height, width) of the pictures in pixels; 112x112 if None.
        batch: pictures that are handed on together; 0 for 32.

    Attributes:
        shape: of one step: (height, width, 3).
    """

    digest = ""
    precision = "uint8"

    def __init__(self, size: tuple[int, int] | None = None, *, batch: int = 32) -> None:
        self.network = find_network(FRAMES)
        self.size = self.network.check_size(size)
        self.batch = batch or 32  # nothing is computed, so memory does not matter
        self.shape: tuple[int, ...] = (*self.size, 3)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """``(n, height, width, 3)`` uint8, as it came."""
        return images


def load_backbone(
    name: str, *, weights: WeightsSource | None, size: tuple[int, int] | None, batch: int, precision: str
) -> Backbone | Pictures:
    """The network of a recipe, or what stands in its place for a frame cache.

    Args:
        name: a network of `networks.NETWORKS`, or ``frames``.
        weights: None for frames only.
        size: (height, width) of the pictures in pixels; the network's own if None.
        batch: pictures in one call.
        precision: as in `compiled.choose_precision`, ``auto`` among them.

    Raises:
        UserError: as `Backbone`.
    """
    if name == FRAMES:
        return Pictures(size, batch=batch)
    # Loading Keras takes seconds, so it comes after what may be refused before.
    from pipeline.extraction.backbones import Backbone
    from pipeline.extraction.compiled import choose_precision

    assert weights is not None
    return Backbone(name, weights=weights, size=size, batch=batch, precision=choose_precision(precision)[0])
