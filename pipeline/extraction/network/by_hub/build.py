"""A preset of keras-hub as a Keras model from scaled images, or clips of frames, to one vector for each."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.by_hub.download import check_hub, reason
from pipeline.extraction.network.by_hub.preset import Preset, weights_of
from pipeline.extraction.recipe import MAX_POOL, TOKEN_LAYERS, VECTOR
from pipeline.files.guard.hdf5 import check_weights
from pipeline.lazy import keras, layers, ops


def build_preset(preset: Preset, size: tuple[int, int], layer: str, policy: str | None) -> keras.Model:
    """Load a preset.

    Args:
        preset: which one.
        size: (height, width) of the images in pixels.
        layer: of its output; see `pipeline.extraction.recipe.LAYERS`.
        policy: Keras dtype policy of its layers.

    Returns:
        A model from scaled images ``(n, height, width, 3)``, or clips of frames ``(n, T, height, width, 3)``, to
        ``(n, D)``.

    Raises:
        UserError: keras-hub is missing, the weights cannot be had or do not fit, or the layer does not fit the output.
    """
    check_hub(preset.text)
    if preset.is_local:
        for path in weights_of(Path(preset.text)):
            if path.suffix == ".h5":
                check_weights(path, f"{path}: the file")
    network = _load(preset, size, policy)
    images = keras.Input((*((preset.frames,) if preset.frames else ()), *size, 3))
    found = network(dict.fromkeys(network.input, images) if isinstance(network.input, dict) else images)
    return keras.Model(images, _reduced(found, preset, layer), name=preset.class_name.lower())


def _load(preset: Preset, size: tuple[int, int], policy: str | None) -> Any:
    """The network that sees the images, with its weights."""
    import keras_hub

    # Texts are no part of it, and a tower of a fixed size keeps its own.
    shape = {} if preset.family.tower or not preset.family.any_size else {"image_shape": (*size, 3)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = keras_hub.models.Backbone.from_preset(preset.text, dtype=policy or "float32", **shape)
            if preset.with_texts:
                return keras.Model(model.input["pixel_values"], model.output["vision_embeddings"])
            return getattr(model, preset.family.tower) if preset.family.tower else model
    except Exception as error:  # noqa: BLE001  Keras, keras-hub and what downloads raise of many kinds
        raise UserError(f"{preset.name} cannot be loaded ({reason(error)})") from None


def _reduced(found: Any, preset: Preset, layer: str) -> Any:
    """One vector for each image."""
    if isinstance(found, dict):
        found = found.get("sequence_output", next(iter(found.values())))
    if preset.frames and len(found.shape) == 4:  # tokens of each frame
        found = ops.reshape(found, (-1, found.shape[1] * found.shape[2], found.shape[3]))
    sides = len(found.shape)
    if sides == 3:
        prefix = preset.family.prefix(preset.settings)
        if layer not in TOKEN_LAYERS or (not prefix and layer != "mean"):
            allowed = "cls, mean or cls+mean" if prefix else "mean, since no token comes before those of the patches"
            raise UserError(f"`layer={layer}`: {preset.name} makes tokens; expected {allowed}")
        mean = ops.mean(found[:, prefix:], axis=1) if "mean" in layer else None
        if layer == "mean":
            return mean
        return found[:, 0] if mean is None else ops.concatenate([found[:, 0], mean], axis=-1)
    if sides == 4:
        if layer not in ("avg_pool", MAX_POOL):
            raise UserError(f"`layer={layer}`: {preset.name} makes a map, which is pooled by `pooling`: avg or max")
        pool = layers.GlobalMaxPooling2D if layer == MAX_POOL else layers.GlobalAveragePooling2D
        return pool(name=layer)(found)
    if sides == 2 and layer == VECTOR:
        return found
    raise UserError(f"`layer={layer}`: {preset.name} gives {tuple(found.shape)}; there is no layer to choose")
