"""The network that a user names: one of keras.applications, a preset of keras-hub, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.network_file import kind_of
from pipeline.extraction.network.registry import find_network
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import (
    BY_FILE,
    BY_HUB,
    FRAME_CACHE,
    MAX_POOL,
    PIXELS,
    TOKEN_LAYERS,
    Crop,
    Interpolation,
    Recipe,
)

_SUFFIXES = (".onnx", ".xml")


class NamedNetwork(Protocol):
    """What is known of a network before it is loaded."""

    @property
    def name(self) -> str:
        """What recipes call it."""

    @property
    def crop(self) -> Crop:
        """How it wants its frames cut."""

    @property
    def interpolation(self) -> Interpolation:
        """How it wants them resized."""

    @property
    def licence(self) -> str:
        """Of its weights; empty where nothing is known of it."""

    @property
    def frames(self) -> int:
        """How many it takes at once for a step; 0 for a network of images."""

    @property
    def layer(self) -> str:
        """Which part of its output is the feature where nobody says."""

    def check_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """(height, width) to use: the network's own if ``size`` is None.

        Raises:
            UserError: it does not take this size.
        """


def choose_network(text: str, weights: str | None = None) -> tuple[NamedNetwork, WeightsSource | None]:
    """The network that ``text`` names, and the source of its weights where that is settled.

    Args:
        text: a name of `registry.NETWORKS`, the path of a network file, or ``hub:`` with the name of a preset or the
            path of its folder.
        weights: what was named as weights; None for nothing.

    Returns:
        The network; its weights: None for frames, and for a network by name where none are named.

    Raises:
        UserError: there is no such network, or it has weights of its own.
    """
    if text.startswith(BY_HUB):
        source = WeightsSource(text)
        preset = source.preset()
        assert preset is not None
        if weights is not None:
            raise UserError(f"`weights={weights}`: {text} has weights of its own; leave it out")
        return preset, source
    path = Path(text)
    if kind_of(path) or path.suffix.lower() in _SUFFIXES or (path.is_dir() and len(path.parts) > 1):
        file = WeightsSource.of_network(text).network_file()
        if weights is not None:
            raise UserError(f"`weights={weights}`: {path.name} has weights of its own; leave it out")
        return file, WeightsSource(text)
    if text.startswith(BY_FILE):
        raise UserError(f"backbone {text!r} is a network from a file; name the file itself")
    try:
        network = find_network(text)
    except UserError as error:
        raise UserError(f"{error}; hub:NAME of keras-hub; or a file ending in .onnx or .xml") from None
    if network.name == FRAME_CACHE or weights is None:
        return network, None
    return network, WeightsSource(weights)


def check_frames(network: NamedNetwork, recipe: Recipe) -> None:
    """Refuse a network that takes other steps than the sampling of a recipe makes: images, or clips of frames.

    Raises:
        UserError: the line names a sampling that fits.
    """
    if network.frames == recipe.clip:
        return
    asked = f"`sampling={recipe.sampling}`: {network.name} takes"
    if not network.frames:
        raise UserError(f"{asked} single images, not clips of frames; choose for example `sampling=uniform:20`")
    fits = f"choose for example `sampling=clips:{network.frames}@8/1`"
    raise UserError(
        f"{asked} clips of {network.frames} frames"
        + (f", not of {recipe.clip}; {fits}" if recipe.clip else f"; {fits}")
    )


def choose_layer(network: NamedNetwork, layer: str | None = None, pooling: str | None = None) -> str:
    """Which part of a network's output is the feature.

    Args:
        network: which one.
        layer: cls, mean or cls+mean, where that was asked for.
        pooling: avg or max, likewise.

    Raises:
        UserError: both are named, or the network has no tokens.
    """
    if network.name == FRAME_CACHE:
        return PIXELS
    if layer and pooling:
        raise UserError("`layer` is for networks that make tokens, `pooling` for those that make maps; name one")
    if layer and network.layer == "avg_pool" and not network.name.startswith(BY_FILE):
        raise UserError(f"`layer={layer}`: {network.name} makes no tokens; its map is pooled by `pooling`: avg or max")
    if pooling:
        if network.layer in TOKEN_LAYERS:
            raise UserError(f"`pooling={pooling}`: {network.name} makes tokens; choose by `layer`: cls, mean, cls+mean")
        return MAX_POOL if pooling == "max" else "avg_pool"
    return layer or network.layer
