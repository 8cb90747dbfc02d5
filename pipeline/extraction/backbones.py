"""The frozen network of stage one as one compiled function from pictures to features."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator

import keras
import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.compiled import compile_model, policy_for
from pipeline.extraction.networks import Network, find_network
from pipeline.extraction.recipe import FRAMES
from pipeline.extraction.weights import EXPECTED, WeightsSource, digest_of, load_file, set_random_weights


class Backbone:
    """A frozen network with average-pooled output, on batches of one fixed size.

    Args:
        name: a network of `networks.NETWORKS`.
        weights: ``imagenet``, ``random``, ``random:SEED`` or a file.
        size: (height, width) of the pictures in pixels; the network's own size if None.
        batch: pictures in one call of the compiled function.
        precision: ``float32``, ``bfloat16`` or ``float16`` arithmetic; weights and features stay float32.

    Attributes:
        model: the Keras model, from scaled pictures to features.
        dimensions: the length D of a feature vector.
        shape: of one step: (D,).

    Raises:
        UserError: unknown network, a size below its smallest, weights that cannot be had or do not fit.
    """

    def __init__(
        self,
        name: str,
        *,
        weights: WeightsSource,
        size: tuple[int, int] | None = None,
        batch: int = 32,
        precision: str = "float32",
    ) -> None:
        self.network = find_network(name)
        if self.network.name == FRAMES:
            raise UserError("frames are kept as pictures: no network makes features of them; choose another backbone")
        self.size = self.network.check_size(size)
        self.batch = batch
        self.precision = precision
        self.model = _build(self.network, weights, self.size, policy_for(precision))
        self.dimensions: int = self.model.output_shape[-1]
        self.shape: tuple[int, ...] = (self.dimensions,)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return digest_of(self.model)

    @functools.cached_property
    def _function(self):
        """The compiled function; the first call of it compiles."""
        return compile_model(_with_preprocessing(self.model, self.network), (self.batch, *self.size, 3), self.precision)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of some pictures.

        Args:
            images: ``(n, height, width, 3)`` uint8, RGB, any ``n``.

        Returns:
            ``(n, dimensions)`` float32.
        """
        features = np.empty((len(images), self.dimensions), np.float32)
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            if len(part) < self.batch:
                # The function is compiled for one shape; what fills the batch up is thrown away.
                filled = np.zeros((self.batch, *self.size, 3), np.uint8)
                filled[: len(part)] = part
                features[start : start + len(part)] = self._function(filled)[: len(part)]
            else:
                features[start : start + self.batch] = self._function(part)
        return features


def _build(network: Network, source: WeightsSource, size: tuple[int, int], policy: str) -> keras.Model:
    if not network.constructor:
        if not source.is_random:
            raise UserError(f"backbone {network.name} has random weights only; add --weights random")
        with _dtype_policy(policy):
            model = _tiny(size)
    else:
        constructor = getattr(keras.applications, network.constructor)
        arguments = {"include_top": False, "pooling": "avg", "input_shape": (*size, 3)}
        with _dtype_policy(policy):
            model = _download(constructor, arguments) if source.text == "imagenet" else None
            model = model or constructor(weights=None, **arguments)
    if source.is_random:
        set_random_weights(model, source.seed)
    elif source.text != "imagenet":
        load_file(model, source.text)
    model.trainable = False
    return model


def _download(constructor, arguments: dict) -> keras.Model:
    """ImageNet weights through Keras, which checks the hash of what it downloads and keeps it."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras tells of its download there
            return constructor(weights="imagenet", **arguments)
    except Exception as error:
        reason = " ".join(str(error).split())
        if "URL fetch failure" not in reason and "incomplete or corrupted" not in reason:
            raise
        raise UserError(
            f"the ImageNet weights cannot be downloaded ({reason.rpartition(' -- ')[2]}); "
            f"choose by --weights: {EXPECTED.removeprefix('expected ')}"
        ) from None


@contextlib.contextmanager
def _dtype_policy(policy: str) -> Iterator[None]:
    """The policy under which layers are made; weights are float32 under each of those used here."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _tiny(size: tuple[int, int]) -> keras.Model:
    """Three strided convolutions: fast enough for tests, and it sees colour, edges and place."""
    layers = keras.layers
    picture = keras.Input((*size, 3))
    x = picture
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(picture, x, name="tiny")


def _with_preprocessing(model: keras.Model, network: Network) -> keras.Model:
    """Put the network's own scaling of pixel values in front, so that pictures travel as bytes."""
    picture = keras.Input(model.input_shape[1:], dtype="uint8")
    x = keras.ops.cast(picture, "float32")
    if network.constructor:
        module = importlib.import_module(f"keras.applications.{network.module}")
        x = module.preprocess_input(x)
    else:
        x = x / 127.5 - 1.0
    return keras.Model(picture, model(x, training=False))
