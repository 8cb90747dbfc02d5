"""The network of a recipe, whichever kind it is: computed by Keras or OpenVINO, quantised, or none for frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.extraction.network.engines.choose import INT8, choose_engine
from pipeline.extraction.network.identity_backbone import IdentityBackbone
from pipeline.extraction.network.int8_backbone import QuantisedBackbone
from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.extraction.network.backbone import Backbone

    AnyBackbone = Backbone | QuantisedBackbone | IdentityBackbone


def load_backbone(
    recipe: Recipe,
    place: Path,
    *,
    weights: WeightsSource | None,
    batch: int,
    engine: str = "auto",
    precision: str = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> AnyBackbone:
    """The network that a recipe asks for.

    Args:
        recipe: of a store or checkpoint; its weights' digest is not compared here.
        place: the store or checkpoint, which holds the int8 network where there is one.
        weights: None for frames and for int8 networks, which have their own.
        batch: images in one call.
        engine: as in `choose.choose_engine`.
        precision: likewise.
        say: takes one line that says what computes.

    Raises:
        UserError: as `Backbone` and `QuantisedNetwork.open`.
    """
    size = (recipe.height, recipe.width)
    if recipe.keeps_pictures:
        return IdentityBackbone(size, batch=batch)
    chosen = choose_engine(engine, INT8 if recipe.quantised else precision)
    named = f"{weights.text} weights" if weights else "quantised"
    if recipe.quantised:
        say(f"{recipe.backbone}, {named}, {chosen}")
        return QuantisedBackbone(QuantisedNetwork.open(place, recipe.quantised), batch=batch)
    # Loading Keras takes seconds, so it comes after what may be refused before.
    from pipeline.extraction.network.backbone import Backbone

    assert weights is not None
    backbone = Backbone(
        recipe.backbone,
        weights=weights,
        size=size,
        batch=batch,
        precision=chosen.precision,
        engine=chosen.name,
        pooling=recipe.pooling,
    )
    say(f"{recipe.backbone}, {named}, {chosen}, batch size {backbone.batch} ({backbone.batch_reason})")
    return backbone
