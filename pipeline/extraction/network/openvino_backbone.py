"""The frozen network as OpenVINO computes it, in float or quantised in int8; Keras is not loaded for it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.extraction.network.engines.batch_size import choose_batch
from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.engines.fixed_batch import FixedBatch
from pipeline.extraction.network.engines.openvino import (
    CONCURRENT_CALLS,
    Compile,
    check_openvino,
    compile_anew,
    compile_network,
    read_foreign,
)
from pipeline.extraction.network.int8_model import QuantisedNetwork

if TYPE_CHECKING:
    from pipeline.extraction.network.backbone import Backbone


class OpenVinoBackbone(FixedBatch):
    """Stands where a `Backbone` stands.

    Args:
        name: what recipes call the network.
        model: gives the ``openvino.Model``, from images to features.
        size: (height, width) of the images in pixels.
        dimensions: length D of a feature vector.
        digest: SHA-256 of the weights.
        precision: ``float32``, ``bfloat16`` or ``int8``.
        batch: images, or clips of frames, in one call of the compiled function; 0: chosen by the free memory.
        bytes_per_image: memory that one of them takes.
        frames: how many it takes at once; 0 for a network of images.
        compile_: of the shape of a batch; by default always anew.
        largest_piece: images that the network takes at a time at most; None for as many as are fast.

    Attributes:
        shape: of one step: (D,).
    """

    engine = "openvino"
    concurrent_calls = CONCURRENT_CALLS
    accepts_partial_batch = True

    def __init__(
        self,
        name: str,
        model: Callable[[], Any],
        *,
        size: tuple[int, int],
        dimensions: int,
        digest: str,
        precision: str = "float32",
        batch: int = 32,
        bytes_per_image: int = 0,
        compile_: Callable[[tuple[int, ...]], Compile] = lambda shape: compile_anew,
        largest_piece: int | None = None,
        frames: int = 0,
    ) -> None:
        self.name = name
        self.size = size
        self.precision = precision
        self.digest = digest
        self.dimensions = dimensions
        self.shape: tuple[int, ...] = (dimensions,)
        self._model, self._compile, self._largest = model, compile_, largest_piece
        if batch:
            self.batch = batch
        else:
            self.batch, self.batch_reason = choose_batch(bytes_per_image, on_gpu=False, frames=frames or 1)
        self._input = (*((frames,) if frames else ()), *size, 3)
        self._lock = threading.Lock()

    @classmethod
    def of(cls, backbone: Backbone, *, precision: str = "float32", batch: int = 32) -> OpenVinoBackbone:
        """A network that Keras holds."""
        return cls(
            backbone.name,
            backbone.converted,
            size=backbone.size,
            frames=backbone.network.frames,
            dimensions=backbone.dimensions,
            digest=backbone.digest,
            precision=precision,
            batch=batch,
        )

    @classmethod
    def quantised(cls, quantised: QuantisedNetwork, *, batch: int = 0) -> OpenVinoBackbone:
        """An int8 network.

        Raises:
            UserError: OpenVINO cannot be used.
        """
        check_openvino(f"the int8 network of {quantised.folder.parent}")
        about = quantised.about
        return cls(
            about.backbone,
            functools.partial(read_foreign, quantised.model),
            size=(about.height, about.width),
            dimensions=about.dimensions,
            digest=about.weights_digest,
            precision=INT8,
            batch=batch or 32,
        )

    @functools.cached_property
    def _compiled(self) -> Callable[[Any], Any]:
        shape = (self.batch, *self._input)
        return compile_network(self._model, shape, self.precision, self._compile(shape), largest=self._largest)

    @property
    def _function(self):  # type: ignore[override]
        with self._lock:  # two calls may come at once, and it is compiled once
            return self._compiled
