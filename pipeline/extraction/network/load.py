"""The network of a recipe, whichever kind it is: computed by Keras or OpenVINO, quantised, or none for frames."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.graph import is_transformer, prepare
from pipeline.extraction.network.by_file.network_file import NetworkFile
from pipeline.extraction.network.chosen import check_frames
from pipeline.extraction.network.engines.choose import (
    INT8,
    Choice,
    allowed,
    allowed_for_file,
    fastest,
    gpu_computes,
    idle_gpu,
    idle_gpu_of_files,
    machine_line,
)
from pipeline.extraction.network.engines.openvino import broken, compile_network, convert
from pipeline.extraction.network.identity_backbone import IdentityBackbone
from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.extraction.network.kept import KeptNetwork
from pipeline.extraction.network.load_file import FileLoader
from pipeline.extraction.network.openvino_backbone import OpenVinoBackbone
from pipeline.extraction.network.registry import find_network
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import BY_FILE, BY_HUB, Recipe
from pipeline.files.user_cache import Say, UserCache
from pipeline.parallel.machine import processors

if TYPE_CHECKING:
    import keras

    from pipeline.extraction.network.backbone import Backbone
    from pipeline.extraction.network.by_file.onnx_backbone import OnnxBackbone
    from pipeline.extraction.network.engines.keras import NetworkFunction

    FloatBackbone = Backbone | OpenVinoBackbone | OnnxBackbone
    AnyBackbone = FloatBackbone | IdentityBackbone


def load_backbone(
    recipe: Recipe,
    place: Path,
    *,
    weights: WeightsSource | None,
    batch: int,
    engine: str = "auto",
    precision: str = "auto",
    measure: bool = False,
    say: Say = lambda line: None,
) -> AnyBackbone:
    """The network that a recipe asks for.

    Args:
        recipe: of a store or checkpoint; its weights' digest is not compared here.
        place: the store or checkpoint, which holds the int8 network where there is one.
        weights: None for frames and for int8 networks, which have their own.
        batch: images in one call.
        engine: as in `choose.allowed`; of what is allowed the fastest is taken, by a measurement of seconds that is
            remembered for this machine.
        precision: likewise.
        measure: measure anew.
        say: takes one line that says what computes, and what is to be noted of it.

    Raises:
        UserError: as `Backbone` and `QuantisedNetwork.open`.
    """
    if recipe.keeps_images:
        return IdentityBackbone((recipe.height, recipe.width), batch=batch, channels=recipe.channels)
    if recipe.quantised and measure:
        raise UserError("`measure=True`: an int8 network is computed by OpenVINO in any case; leave it out")
    file = None if recipe.quantised or weights is None else _file_of(recipe, weights)
    if weights is not None and not recipe.quantised:  # an int8 network is one of images
        check_frames(file or weights.preset() or find_network(recipe.backbone), recipe)
    wanted = INT8 if recipe.quantised else precision
    choices = allowed_for_file(file.kind, engine, wanted) if file else allowed(engine, wanted)
    if note := idle_gpu_of_files() if file else idle_gpu():
        say(f"note: {note}")
    if engine == "auto" and not file and (reason := broken()):
        say(f"note: OpenVINO {reason}; Keras computes")
    backbone: FloatBackbone
    if recipe.quantised:
        backbone = OpenVinoBackbone.quantised(QuantisedNetwork.open(place, recipe.quantised), batch=batch)
    else:
        assert weights is not None
        kept = KeptNetwork(UserCache(say), recipe, weights)
        loader = FileLoader(recipe, file, kept, batch, say) if file else _Float(recipe, weights, kept, batch)
        choice, measured = _by_time(choices, kept, loader, measure)
        backbone = loader.load(choice)
        backbone.measured = measured
    named = "quantised"
    if weights and not recipe.quantised:
        named = weights.text if weights.is_network else f"{weights.text} weights"
    computes = machine_line(Choice(backbone.engine, backbone.precision))
    measured = f" ({backbone.measured})" if backbone.measured else ""
    say(f"{recipe.backbone}, {named}: {computes}{measured}, batch size {backbone.batch} ({backbone.batch_reason})")
    return backbone


class Convertible(NamedTuple):
    """A float network on its way to another form."""

    model: Any
    """``openvino.Model``, from images to features."""
    digest: str
    dimensions: int
    attends: bool
    """Whether it is a transformer."""


def read_network(recipe: Recipe, weights: WeightsSource) -> Convertible:
    """The float network of a recipe, as OpenVINO has it.

    Raises:
        UserError: as `load_backbone`.
    """
    size = (recipe.height, recipe.width)
    if file := _file_of(recipe, weights):
        ready = prepare(file, size, recipe.layer)
        return Convertible(ready.model, file.digest, ready.dimensions, ready.attends)
    from pipeline.extraction.network.backbone import Backbone

    backbone = Backbone(recipe.backbone, weights=weights, size=size, batch=1, layer=recipe.layer)
    model = backbone.converted()
    return Convertible(model, backbone.digest, backbone.dimensions, is_transformer(model))


def _file_of(recipe: Recipe, weights: WeightsSource) -> NetworkFile | None:
    """The network itself, where it is a file.

    Raises:
        UserError: one is expected and weights are named, or the other way round.
    """
    by_file, by_hub = recipe.backbone.startswith(BY_FILE), recipe.backbone.startswith(BY_HUB)
    if by_hub and not weights.is_preset:
        raise UserError(f"`weights={weights.text}`: {recipe.backbone} is a preset of keras-hub; name that one")
    if by_file and not weights.is_file:
        raise UserError(f"`weights={weights.text}`: {recipe.backbone} is a network from a file; name that file")
    if weights.is_network and not (by_file or by_hub):
        raise UserError(f"`weights={weights.text}`: this is a network, not the weights of {recipe.backbone}")
    return weights.network_file() if by_file else None


def _by_time(
    choices: Sequence[Choice], kept: KeptNetwork, loader: _Float | FileLoader, measure: bool
) -> tuple[Choice, str]:
    """What is fastest of ``choices``, and what that rests on; the first one where there is nothing to choose."""
    if len(choices) == 1:
        return choices[0], ""
    timings = {} if measure else kept.timings()
    if not timings.keys() >= set(choices):
        timings = loader.measure(choices)
    timings = {each: timings[each] for each in choices if timings.get(each)}
    if not timings:
        return choices[0], ""
    what = "measured on its first layers" if isinstance(loader, _Float) else "measured"
    return fastest(timings), f"{what}: {_in_words(timings)}"


class _Float:
    """Loads a network that is not quantised; Keras builds it only where something is to be converted or measured."""

    def __init__(self, recipe: Recipe, weights: WeightsSource, kept: KeptNetwork, batch: int) -> None:
        self._recipe, self._weights, self._batch, self._kept = recipe, weights, batch, kept
        self._built: dict[str, Backbone] = {}

    def load(self, choice: Choice) -> Backbone | OpenVinoBackbone:
        """The network as a choice computes it."""
        if choice.engine == "keras":
            return self._build(choice.precision)
        found = self._kept.find(choice.precision, self._batch)
        return found or self._kept.keep(self._build("float32"), choice.precision, self._batch)

    def _build(self, precision: str) -> Backbone:
        # Loading Keras takes seconds, so it comes after what may be refused before.
        from pipeline.extraction.network.backbone import Backbone

        recipe = self._recipe
        if precision not in self._built:
            self._built[precision] = Backbone(
                recipe.backbone,
                weights=self._weights,
                size=(recipe.height, recipe.width),
                batch=self._batch,
                precision=precision,
                layer=recipe.layer,
            )
        return self._built[precision]

    def measure(self, choices: Sequence[Choice]) -> dict[Choice, list[float]]:
        """Time all that may compute on this machine, whatever was asked for, and remember it."""
        from pipeline.extraction.network.engines.keras import computing_errors
        from pipeline.extraction.network.engines.measure import measure

        choices = allowed()
        self._build("float32")  # loading it is no part of the measurement
        count = self._build("float32").batch if gpu_computes() else min(32, max(4, 2 * processors()))
        shape = (max(1, count // max(1, self._recipe.clip)), *self._recipe.input_shape)
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        if choices[0].engine == "openvino":
            _ = self._converted_layers  # nor is that
        # Engines come close to each other; what another precision brings is what has to be known.
        order = sorted(choices, key=lambda choice: choice.engine != choices[0].engine)
        prepare = {choice: functools.partial(self._compiled, choice, shape) for choice in order}
        found = measure(prepare, images, errors=computing_errors())
        timings = {choice: [second / shape[0] for second in found.get(choice, ())] for choice in choices}
        self._kept.keep_timings(timings)
        return timings

    def _compiled(self, choice: Choice, shape: tuple[int, ...]) -> NetworkFunction:
        """The first layers of the network, as a choice computes them."""
        from pipeline.extraction.network.engines.keras import compile_model, policy_for

        if choice.engine == "openvino":
            return compile_network(lambda: self._converted_layers, shape, choice.precision)
        return compile_model(self._first_layers(policy_for(choice.precision)), shape, choice.precision)

    @functools.cached_property
    def _converted_layers(self) -> Any:
        return convert(self._first_layers("float32"))

    def _first_layers(self, policy: str) -> keras.Model:
        """For timing: what its weights are does not matter."""
        from pipeline.extraction.network.backbone import build_network, from_pixels
        from pipeline.extraction.network.engines.measure import first_layers

        recipe = self._recipe
        model, network = self._build("float32").model, self._build("float32").network
        if policy != "float32":
            size = (recipe.height, recipe.width)
            model = build_network(network, None, size, layer=recipe.layer, policy=policy)
        # A layer in the middle of a network of clips of frames may hold their frames one by one.
        return from_pixels(model if recipe.clip else first_layers(model), network)


def _in_words(timings: Mapping[Choice, Sequence[float]]) -> str:
    """Times in images a second."""
    rates = ", ".join(f"{choice} {1 / statistics.median(seconds):,.1f}" for choice, seconds in timings.items())
    return f"{rates} images/s"
