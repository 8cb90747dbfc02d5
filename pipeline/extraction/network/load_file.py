"""A network that is a file, by what is fastest on this machine: OpenVINO on processors, ONNX Runtime elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.graph import Prepared, prepare
from pipeline.extraction.network.by_file.network_file import NetworkFile
from pipeline.extraction.network.by_file.onnx_backbone import OnnxBackbone
from pipeline.extraction.network.engines.choose import Choice
from pipeline.extraction.network.engines.measure import measure
from pipeline.extraction.network.engines.openvino import compile_network, compile_once
from pipeline.extraction.network.kept import KeptNetwork
from pipeline.extraction.network.openvino_backbone import OpenVinoBackbone
from pipeline.extraction.recipe import Recipe
from pipeline.files.user_cache import Say, UserCache
from pipeline.parallel.machine import processors


class FileLoader:
    """Loads a network file as a recipe says.

    Args:
        recipe: gives the size of the images and the layer.
        file: the network.
        kept: where its timings are remembered.
        batch: images in one call; 0: chosen.
        say: takes lines for the user.
    """

    def __init__(self, recipe: Recipe, file: NetworkFile, kept: KeptNetwork, batch: int, say: Say) -> None:
        self._recipe, self._file, self._batch, self._say = recipe, file, batch, say
        self._size = (recipe.height, recipe.width)
        self._cache = UserCache(say)
        self._kept = kept

    @functools.cached_property
    def _prepared(self) -> Prepared:
        return prepare(self._file, self._size, self._recipe.layer)

    def load(self, choice: Choice) -> OpenVinoBackbone | OnnxBackbone:
        """The network as a choice computes it.

        Raises:
            UserError: the file cannot be read, or does not fit the recipe.
        """
        if choice.engine == "onnxruntime":
            return OnnxBackbone(self._file, size=self._size, layer=self._recipe.layer, batch=self._batch, say=self._say)
        facts = {"file": self._file.digest, "size": self._size, "layer": self._recipe.layer}
        ready = self._prepared
        return OpenVinoBackbone(
            self._file.name,
            lambda: ready.model,
            size=self._size,
            frames=self._recipe.clip,
            dimensions=ready.dimensions,
            digest=self._file.digest,
            precision=choice.precision,
            batch=self._batch,
            bytes_per_image=ready.bytes_per_image,
            largest_piece=1 if ready.one_at_a_time else None,
            compile_=lambda shape: compile_once(self._cache, facts | {"shape": shape}),
        )

    def measure(self, choices: Sequence[Choice]) -> dict[Choice, list[float]]:
        """Time a few images on each choice, and remember it."""
        count = max(2, processors())
        images = np.random.default_rng(0).integers(0, 256, (count, *self._recipe.input_shape), dtype=np.uint8)
        _ = self._prepared  # reading it is no part of the measurement
        makers: dict[Choice, Callable[[], Any]] = {
            choice: functools.partial(self._compiled, choice, images.shape) for choice in choices
        }
        found = measure(makers, images, errors=(RuntimeError, MemoryError, UserError))
        timings = {choice: [second / count for second in found.get(choice, ())] for choice in choices}
        self._kept.keep_timings(timings)
        return timings

    def _compiled(self, choice: Choice, shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
        if choice.engine == "onnxruntime":
            return self.load(choice)
        largest = 1 if self._prepared.one_at_a_time else None
        return compile_network(lambda: self._prepared.model, shape, choice.precision, largest=largest)
