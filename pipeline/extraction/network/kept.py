"""What the user's cache keeps of a frozen network: the network as OpenVINO reads it, and how fast each engine is.

With both a network is there within a second, and Keras, whose import alone takes several, is not needed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.extraction.network.engines.choose import Choice, backend
from pipeline.extraction.network.engines.openvino import compile_once, read, save_network
from pipeline.extraction.network.openvino_backbone import OpenVinoBackbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.files.user_cache import UserCache
from pipeline.parallel.machine import gpus, processor_flags, processor_model, processors, versions

if TYPE_CHECKING:
    from pipeline.extraction.network.backbone import Backbone

_NETWORKS, _TIMINGS = "networks", "timings"
_MODEL, _ABOUT = "network.xml", "about.json"
_MADE_BY = 1  # raise it where the same facts give another network


@dataclass(frozen=True)
class _About:
    """What is known of a converted network."""

    digest: str
    dimensions: int
    bytes_per_image: int


class KeptNetwork:
    """The entries of one network.

    Args:
        cache: where they are.
        recipe: which network, at which size.
        weights: its weights.
    """

    def __init__(self, cache: UserCache, recipe: Recipe, weights: WeightsSource) -> None:
        self._cache = cache
        self._name, self._size, self._frames = recipe.backbone, (recipe.height, recipe.width), recipe.clip
        network: dict[str, Any] = {"backbone": self._name, "size": self._size}
        if weights.is_network:
            network |= {"is": weights.key(), "layer": recipe.layer}
        made = versions("keras", "tensorflow", "openvino")
        self._facts = network | {"pooling": recipe.pooling, "made by": [_MADE_BY, made]}
        self._weights = weights
        self._machine = network | {
            "processor": [processor_model(), sorted(processor_flags()), processors()],
            "gpus": gpus(),
            "versions": made | versions(backend(), "jaxlib"),
            "backend": backend(),
        }

    @functools.cached_property
    def _network(self) -> dict[str, Any]:
        return self._facts | {"weights": self._weights.key()}

    def find(self, precision: str, batch: int) -> OpenVinoBackbone | None:
        """The converted network; None where it is not kept."""
        folder = self._cache.find(_NETWORKS, self._network)
        if folder is None:
            return None
        try:
            about = _About(**json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._cache.drop(folder, "cannot be read")
            return None
        return self._backbone(about, functools.partial(read, folder / _MODEL), precision, batch)

    def keep(self, backbone: Backbone, precision: str, batch: int) -> OpenVinoBackbone:
        """Convert a network, and keep it where that can be."""
        model = backbone.converted()
        about = _About(backbone.digest, backbone.dimensions, backbone.bytes_per_image)

        def write(folder: Path) -> None:
            save_network(model, folder / _MODEL)
            (folder / _ABOUT).write_text(json.dumps(asdict(about)), encoding="utf-8")

        self._cache.keep(_NETWORKS, self._network, write)
        return self._backbone(about, lambda: model, precision, batch)

    def _backbone(self, about: _About, model: Callable[[], Any], precision: str, batch: int) -> OpenVinoBackbone:
        return OpenVinoBackbone(
            self._name,
            model,
            size=self._size,
            frames=self._frames,
            precision=precision,
            batch=batch,
            compile_=lambda shape: compile_once(self._cache, self._network | {"shape": shape}),
            **asdict(about),
        )

    def timings(self) -> dict[Choice, list[float]]:
        """What was measured on this machine; empty where nothing was."""
        folder = self._cache.find(_TIMINGS, self._machine)
        try:
            rows = json.loads((folder / _ABOUT).read_text(encoding="utf-8")) if folder else []
            return {Choice(engine, precision): list(map(float, seconds)) for engine, precision, seconds in rows}
        except (OSError, ValueError, TypeError):
            return {}

    def keep_timings(self, timings: Mapping[Choice, Sequence[float]]) -> None:
        """Remember a measurement instead of an earlier one."""
        rows = [[*choice, list(seconds)] for choice, seconds in timings.items()]
        self._cache.forget(_TIMINGS, self._machine)
        self._cache.keep(_TIMINGS, self._machine, lambda folder: _write(folder, rows))


def _write(folder: Path, rows: list[list[Any]]) -> None:
    (folder / _ABOUT).write_text(json.dumps(rows), encoding="utf-8")
