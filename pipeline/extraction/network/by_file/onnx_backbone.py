"""An ONNX file as a network of stage one, computed by ONNX Runtime."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.graph import check_sides, reduction, scaling
from pipeline.extraction.network.by_file.network_file import NetworkFile
from pipeline.extraction.network.engines.fixed_batch import FixedBatch
from pipeline.extraction.network.engines.onnxruntime import OnnxSession, check_onnxruntime

_BATCH = 32


class OnnxBackbone(FixedBatch):
    """Stands where a `Backbone` stands.

    Args:
        file: the network.
        size: (height, width) of the images in pixels.
        layer: of its output; see `pipeline.extraction.recipe.LAYERS`.
        batch: images in one call; 0: chosen.
        say: takes a line where an accelerator does not compute it.

    Attributes:
        shape: of one step: (D,).
        file: the network.
        reduction: how its output becomes a vector.
        one_at_a_time: whether the file takes one image, or clip of frames, in a call and no more.

    Raises:
        UserError: ONNX Runtime cannot be used, or the network takes other images or gives another output.
    """

    engine = "onnxruntime"
    precision = "float32"
    accepts_partial_batch = True

    def __init__(
        self,
        file: NetworkFile,
        *,
        size: tuple[int, int],
        layer: str,
        batch: int = 0,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        if file.kind != "onnx":
            raise UserError(f"{file.path} is computed by OpenVINO; ONNX Runtime reads files ending in .onnx")
        check_onnxruntime("`engine=onnxruntime`")
        about = file.description
        self.file, self.name, self.size, self.digest = file, file.name, size, file.digest
        self._session = OnnxSession(file.path, about.output, say)
        check_sides(self._session.sides, size, about, file.path)
        self.one_at_a_time = self._session.sides[0] is not None
        scale = scaling(about)
        # What the file does not tell of its output, one black image, or clip, does.
        black = np.zeros((1, *((about.frames,) if about.frames else ()), *size, 3), np.uint8)
        shown = self._session(scale(black))
        self.reduction = reduction([None, *shown.shape[1:]], layer, about, file.path)
        self._scale = scale
        self.dimensions = self.reduction.dimensions
        self.shape: tuple[int, ...] = (self.dimensions,)
        self.batch = batch or max(1, _BATCH // max(1, about.frames))
        self.batch_reason = "as asked" if batch else "as usual"
        self._pieces = 1 if self.one_at_a_time else self.batch
        self._lock = threading.Lock()

    @property
    def computes(self) -> str:
        """The accelerator; empty for processors."""
        return self._session.computes

    @functools.cached_property
    def _function(self):  # type: ignore[override]
        def call(images: np.ndarray) -> np.ndarray:
            with self._lock:
                parts = [images[start : start + self._pieces] for start in range(0, len(images), self._pieces)]
                return np.concatenate([self.reduction(self._session(self._scale(part))) for part in parts])

        return call
