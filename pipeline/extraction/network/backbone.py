"""The frozen network of stage one as one compiled function from images to features."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.network.by_hub.build import build_preset
from pipeline.extraction.network.by_hub.preset import Preset
from pipeline.extraction.network.engines.batch_size import choose_batch, memory_per_image
from pipeline.extraction.network.engines.fixed_batch import FixedBatch
from pipeline.extraction.network.engines.keras import compile_model, has_gpu, keep_compiled, policy_for
from pipeline.extraction.network.engines.openvino import convert
from pipeline.extraction.network.registry import Network, find_network
from pipeline.extraction.network.weights import EXPECTED, WeightsSource, digest_of, load_file, set_random_weights
from pipeline.extraction.recipe import BY_HUB, FRAME_CACHE, MAX_POOL
from pipeline.lazy import keras


class Backbone(FixedBatch):
    """By Keras: a frozen network whose output is pooled over the image, on batches of one fixed size.

    Args:
        name: a network of `registry.NETWORKS`, or what recipes call a preset of keras-hub.
        weights: ``imagenet``, ``random``, ``random:SEED`` or a file.
        size: (height, width) of the images in pixels; the network's own size if None.
        batch: images in one call of the compiled function; 0: chosen by the free memory.
        precision: ``float32``, ``bfloat16`` or ``float16`` precision; weights and features stay float32.
        layer: of the output; see `pipeline.extraction.recipe.LAYERS`.

    Attributes:
        bytes_per_image: memory that one image, or clip of frames, takes at its worst moment.
        model: the Keras model, from scaled images to features.
        dimensions: the length D of a feature vector.
        shape: of one step: (D,).
        batch: as asked, or as chosen.
        batch_reason: the reason of the choice, for the user.

    Raises:
        UserError: unknown network, a size below its smallest, weights that cannot be had or do not fit.
    """

    engine = "keras"

    def __init__(
        self,
        name: str,
        *,
        weights: WeightsSource,
        size: tuple[int, int] | None = None,
        batch: int = 32,
        precision: str = "float32",
        layer: str = "avg_pool",
    ) -> None:
        preset = weights.preset()
        if preset and not name.startswith(BY_HUB):
            raise UserError(f"`weights={weights.text}`: this is a preset of keras-hub, not the weights of {name}")
        self.network = preset or find_network(name)
        self.name = name if preset else self.network.name
        if self.network.name == FRAME_CACHE:
            raise UserError("frames are kept as raw frames: no network makes features of them; choose another backbone")
        self.size = self.network.check_size(size)
        self.precision = precision
        keep_compiled()
        self.model = build_network(self.network, weights, self.size, layer=layer, policy=policy_for(precision))
        self.model.trainable = False
        self.bytes_per_image = memory_per_image(self.model)
        if batch:
            self.batch = batch
        else:
            frames = self.network.frames or 1
            self.batch, self.batch_reason = choose_batch(self.bytes_per_image, on_gpu=has_gpu(), frames=frames)
        self.dimensions: int = self.model.output_shape[-1]
        self.shape: tuple[int, ...] = (self.dimensions,)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the weights, and of what a preset decides beside them."""
        weights = digest_of(self.model)
        if isinstance(self.network, Preset):
            return hashlib.sha256(f"{weights} {self.network.deciding}".encode()).hexdigest()
        return weights

    @functools.cached_property
    def _function(self):  # type: ignore[override]
        """The compiled function; the first call of it compiles."""
        shape = (self.batch, *self.model.input_shape[1:])
        return compile_model(from_pixels(self.model, self.network), shape, self.precision)

    def converted(self) -> Any:
        """The network, from images to features, as an ``openvino.Model``."""
        return convert(from_pixels(self.model, self.network))


def build_network(
    network: Network | Preset,
    source: WeightsSource | None,
    size: tuple[int, int],
    *,
    layer: str = "avg_pool",
    policy: str | None = None,
) -> keras.Model:
    """A network without its classification layer, from scaled images to ``(n, D)``.

    Args:
        network: which one.
        source: of its weights; None leaves those that Keras starts with, to be loaded afterwards.
        size: (height, width) of the images in pixels.
        layer: of the output; see `pipeline.extraction.recipe.LAYERS`.
        policy: Keras dtype policy of its layers; the one in force if None.

    Raises:
        UserError: weights that cannot be had or do not fit.
    """
    if isinstance(network, Preset):
        return build_preset(network, size, layer, policy)
    pooling = "max" if layer == MAX_POOL else "avg"
    with dtype_policy(policy):
        if not network.constructor:
            if source is not None and source.text == "imagenet":
                raise UserError(f"backbone {network.name} has no ImageNet weights; add `weights=random`")
            model = _tiny(size, pooling)
        else:
            constructor = getattr(keras.applications, network.constructor)
            arguments = {"include_top": False, "pooling": pooling, "input_shape": (*size, 3)}
            imagenet = source is not None and source.text == "imagenet"
            model = _download(constructor, arguments) if imagenet else constructor(weights=None, **arguments)
    if source is not None and source.is_random:
        set_random_weights(model, source.seed)
    elif source is not None and source.text != "imagenet":
        load_file(model, source.text)
    return model


def _download(constructor, arguments: dict) -> keras.Model:
    """ImageNet weights through Keras, which checks the hash of what it downloads and keeps it."""
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():  # Keras tells of its download there
            # "Weights for input shape (224, 224) will be loaded": those of all sizes are the same.
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square", UserWarning)
            return constructor(weights="imagenet", **arguments)
    except Exception as error:
        reason = " ".join(str(error).split())
        if "URL fetch failure" not in reason and "incomplete or corrupted" not in reason:
            raise
        raise UserError(
            f"the ImageNet weights cannot be downloaded ({reason.rpartition(' -- ')[2]}); "
            f"choose by `weights`: {EXPECTED.removeprefix('expected ')}"
        ) from None


@contextlib.contextmanager
def dtype_policy(policy: str | None) -> Iterator[None]:
    """The policy under which layers are made; weights are float32 under each of those used here."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy or before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _tiny(size: tuple[int, int], pooling: str) -> keras.Model:
    """Three strided convolutions: fast enough for tests, and it sees colour, edges and place."""
    layers = keras.layers
    image = keras.Input((*size, 3))
    x = image
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
    x = pool(name=f"{pooling}_pool")(x)
    return keras.Model(image, x, name="tiny")


def from_pixels(model: keras.Model, network: Network | Preset) -> keras.Model:
    """Put the network's own scaling of pixel values in front, so that images travel as bytes."""
    image = keras.Input(model.input_shape[1:], dtype="uint8")
    x = scale_pixels(keras.ops.cast(image, "float32"), network)
    return keras.Model(image, model(x, training=False))


def scale_pixels(pixels: Any, network: Network | Preset) -> Any:
    """Float pixels from 0 to 255, RGB, as the network was trained on them."""
    if isinstance(network, Preset):
        scale, offset = network.scale
        return pixels * np.array(scale, np.float32) + np.array(offset, np.float32)
    if not network.constructor:
        return pixels / 127.5 - 1.0
    return importlib.import_module(f"keras.applications.{network.module}").preprocess_input(pixels)
