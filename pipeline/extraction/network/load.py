"""The network of a recipe, whichever kind it is: computed by Keras or OpenVINO, quantised, or none for frames."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.network.engines.choose import (
    INT8,
    Choice,
    allowed,
    fastest,
    gpu_computes,
    idle_gpu,
    machine_line,
)
from pipeline.extraction.network.engines.openvino import broken, compile_network, convert
from pipeline.extraction.network.identity_backbone import IdentityBackbone
from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.extraction.network.kept import KeptNetwork
from pipeline.extraction.network.openvino_backbone import OpenVinoBackbone
from pipeline.extraction.network.registry import find_network
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.files.user_cache import Say, UserCache
from pipeline.parallel.machine import processors

if TYPE_CHECKING:
    import keras

    from pipeline.extraction.network.backbone import Backbone
    from pipeline.extraction.network.engines.keras import NetworkFunction

    AnyBackbone = Backbone | OpenVinoBackbone | IdentityBackbone


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
    if recipe.keeps_pictures:
        return IdentityBackbone((recipe.height, recipe.width), batch=batch, channels=recipe.channels)
    if recipe.quantised and measure:
        raise UserError("`measure=True`: an int8 network is computed by OpenVINO in any case; leave it out")
    choices = allowed(engine, INT8 if recipe.quantised else precision)
    if note := idle_gpu():
        say(f"note: {note}")
    if engine == "auto" and (reason := broken()):
        say(f"note: OpenVINO {reason}; Keras computes")
    backbone: Backbone | OpenVinoBackbone
    if recipe.quantised:
        backbone = OpenVinoBackbone.quantised(QuantisedNetwork.open(place, recipe.quantised), batch=batch)
    else:
        assert weights is not None
        backbone = _Float(recipe, weights, batch, say).load(choices, measure)
    named = f"{weights.text} weights" if weights else "quantised"
    computes = machine_line(Choice(backbone.engine, backbone.precision))
    measured = f" ({backbone.measured})" if backbone.measured else ""
    say(f"{recipe.backbone}, {named}: {computes}{measured}, batch size {backbone.batch} ({backbone.batch_reason})")
    return backbone


class _Float:
    """Loads a network that is not quantised; Keras builds it only where something is to be converted or measured."""

    def __init__(self, recipe: Recipe, weights: WeightsSource, batch: int, say: Say) -> None:
        self._recipe, self._weights, self._batch, self._say = recipe, weights, batch, say
        self._kept = KeptNetwork(UserCache(say), recipe, weights)
        self._built: dict[str, Backbone] = {}

    def load(self, choices: Sequence[Choice], measure: bool) -> Backbone | OpenVinoBackbone:
        """The network by what is fastest of ``choices``."""
        choice, measured = choices[0], ""
        if len(choices) > 1:
            timings = {} if measure else self._kept.timings()
            if not timings.keys() >= set(choices):
                timings = self._measure()
            timings = {each: timings[each] for each in choices if timings.get(each)}
            if timings:
                choice, measured = fastest(timings), _in_words(timings)
        backbone = self._loaded(choice)
        backbone.measured = measured
        return backbone

    def _loaded(self, choice: Choice) -> Backbone | OpenVinoBackbone:
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
                pooling=recipe.pooling,
            )
        return self._built[precision]

    def _measure(self) -> dict[Choice, list[float]]:
        """Time all that may compute on this machine, and remember it."""
        from pipeline.extraction.network.engines.keras import computing_errors
        from pipeline.extraction.network.engines.measure import measure

        choices = allowed()
        self._build("float32")  # loading it is no part of the measurement
        count = self._build("float32").batch if gpu_computes() else min(32, max(4, 2 * processors()))
        shape = (count, self._recipe.height, self._recipe.width, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        if choices[0].engine == "openvino":
            _ = self._converted_layers  # nor is that
        # Engines come close to each other; what another precision brings is what has to be known.
        order = sorted(choices, key=lambda choice: choice.engine != choices[0].engine)
        prepare = {choice: functools.partial(self._compiled, choice, shape) for choice in order}
        found = measure(prepare, images, errors=computing_errors())
        timings = {choice: [second / count for second in found.get(choice, ())] for choice in choices}
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

        network = find_network(self._recipe.backbone)
        model = self._build("float32").model
        if policy != "float32":
            model = build_network(network, None, (self._recipe.height, self._recipe.width), policy=policy)
        return from_pixels(first_layers(model), network)


def _in_words(timings: Mapping[Choice, Sequence[float]]) -> str:
    """What was measured, in images a second."""
    rates = ", ".join(f"{choice} {1 / statistics.median(seconds):,.1f}" for choice, seconds in timings.items())
    return f"measured on its first layers: {rates} images/s"
