"""The frozen network in int8: computing with one that was quantised, by OpenVINO; Keras is not loaded."""

from __future__ import annotations

import functools

from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.engines.fixed_batch import FixedBatch
from pipeline.extraction.network.engines.openvino import CONCURRENT_CALLS, check_openvino, compile_network, read
from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.extraction.network.registry import find_network


class QuantisedBackbone(FixedBatch):
    """Stands where a `Backbone` stands, with an int8 network in its place.

    Args:
        quantised: the network on disk.
        batch: images in one call of the compiled function; 32 if 0.

    Attributes:
        digest: SHA-256 of the weights that it was quantised from.
        shape: of one step: (D,).

    Raises:
        UserError: OpenVINO is not installed.
    """

    precision = INT8
    engine = "openvino"
    concurrent_calls = CONCURRENT_CALLS
    accepts_partial_batch = True

    def __init__(self, quantised: QuantisedNetwork, *, batch: int = 32) -> None:
        check_openvino(f"the int8 network of {quantised.folder.parent}")
        about = quantised.about
        self.network = find_network(about.backbone)
        self.size = (about.height, about.width)
        self.batch = batch or 32
        self.digest = about.weights_digest
        self.dimensions = about.dimensions
        self.shape: tuple[int, ...] = (about.dimensions,)
        self._model = quantised.model

    @functools.cached_property
    def _function(self):  # type: ignore[override]
        return compile_network(read(self._model), (self.batch, *self.size, 3), INT8)
