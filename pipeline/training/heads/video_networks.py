"""Networks on frames: masked classifiers of a sequence of frames, each one function.

A function takes the frames ``(batch, L, H, W, C)`` uint8, the mask ``(batch, L)``, its `HeadSpec` and the number of
classes, and returns logits ``(batch, classes)``; it scales the pixels itself. What holds for each of them at
inference: frames in the padding change nothing, and a padded window gives the same as the same window cropped.

The frames of all windows go through the layers of one image as one batch, which is what Keras' TimeDistributed
computes step by step. Its batch normalisation is told which frames are padding. A base of keras.applications cannot
be told; with weights of its own it runs in inference mode (https://keras.io/guides/transfer_learning/), and where it
is learnt from scratch, padding is filled with the first frame of the window while it is trained and applied.
"""

from __future__ import annotations

from typing import Any

from pipeline.extraction.network.registry import find_network
from pipeline.extraction.network.weights import WeightsSource
from pipeline.lazy import keras, layers, ops
from pipeline.training.heads.layers import (
    POSITIONS,
    as_weights,
    cell,
    dense_behind,
    encoder_block,
    masked_mean,
    to_logits,
)
from pipeline.training.heads.spec import ALL_LAYERS, HeadSpec

_PATCH, _TUBELET = 16, 2  # pixels and frames of a token of the transformer


# -- parts -----------------------------------------------------------------------------------------


def _base_features(x: Any, mask: Any, spec: HeadSpec) -> Any:
    """``(batch, L, D)``: what the base makes of every frame, pooled over the image."""
    from pipeline.extraction.network.backbone import build_network, scale_pixels

    length, height, width = x.shape[1:4]
    network = find_network(spec.base or "")
    base = build_network(
        network,
        WeightsSource(spec.weights) if spec.weights else None,
        (height, width),
        layer=f"{spec.pooling or 'avg'}_pool",
    )
    set_trainable(base, spec.trainable or 0)
    from_nothing = spec.from_nothing
    if from_nothing:
        x = ops.where(mask[:, :, None, None, None], x, x[:, :1])
    x = ops.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x  # grey
    pixels = scale_pixels(ops.cast(_as_images(x), "float32"), network)
    features = base(pixels) if from_nothing else base(pixels, training=False)
    return ops.reshape(features, (-1, length, features.shape[-1]))


def _as_images(x: Any) -> Any:
    """``(batch, L, ...)`` as ``(batch L, ...)``."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def set_trainable(base: keras.Model, count: int) -> None:
    """Let the last ``count`` layers of a base learn, or all of them for `ALL_LAYERS`."""
    base.trainable = True
    first = 0 if count == ALL_LAYERS else len(base.layers) - count
    for place, layer in enumerate(base.layers):
        # Each by itself: a model that is trainable already does not tell its layers again.
        layer.trainable = place >= first


def base_of(model: keras.Model) -> keras.Model | None:
    """The base within a model of `registry.build_model`; None where it has none."""
    return next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)


def _scaled(x: Any) -> Any:
    """Pixels from -1 to 1."""
    return ops.cast(x, "float32") / 127.5 - 1.0


# -- networks on single frames ---------------------------------------------------------------------


def image_cnn(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A classifier of single frames, whose probabilities are averaged over the real ones."""
    x = _base_features(x, mask, spec)
    for width in spec.widths:
        x = layers.Dense(width, activation="relu")(x)
        x = layers.Dropout(spec.dropout)(x)
    probabilities = layers.Softmax(dtype="float32")(layers.Dense(classes)(x))
    return ops.log(ops.maximum(masked_mean(probabilities, mask), 1e-7))


def concat_frames(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A classifier of the features of all frames side by side."""
    x = _base_features(x, mask, spec)
    x = layers.Flatten()(x * as_weights(mask))
    for width in spec.widths:
        x = layers.Dense(width, activation="relu")(layers.Dropout(spec.dropout)(x))
    return to_logits(x, spec, classes)


def lrcn(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A base with recurrent layers, or convolutions over time, on its features; their outputs are averaged.

    Source: Donahue et al. 2015, https://arxiv.org/abs/1411.4389
    """
    x = layers.LayerNormalization()(_base_features(x, mask, spec))
    for width in spec.widths:
        if spec.cell == "conv1d":
            x = layers.Conv1D(width, spec.kernel, padding="same", activation="relu")(x * as_weights(mask))
        else:
            x = cell(spec.cell or "lstm")(width, return_sequences=True)(x, mask=mask)
        x = layers.Dropout(spec.dropout)(x)
    return layers.Dense(classes)(dense_behind(masked_mean(x, mask), spec))


def timedistributed_convnet(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Four double blocks of convolutions for each frame, pooled by their maximum, a recurrent and several dense layers.

    Source: Ferlet 2019, "Training a neural network with an image sequence", https://medium.com/smileinnovation
    """
    length = x.shape[1]
    real = ops.reshape(mask, (-1, 1, 1))
    x = _scaled(_as_images(x))
    for filters in (64, 128, 256, 512):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        pixels = ops.logical_and(ops.ones_like(x[..., 0], dtype="bool"), real)
        x = layers.BatchNormalization(momentum=0.9)(x, mask=pixels)
        # Operations, as layers that pool would warn of the mask.
        x = ops.max(x, axis=(1, 2)) if filters == 512 else ops.max_pool(x, 2)
    return _dense_stack(ops.reshape(x, (-1, length, x.shape[-1])), mask, spec, classes)


def timedistributed_mobilenet(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """As `timedistributed_convnet`, with the last layers of MobileNet in the place of the convolutions."""
    return _dense_stack(_base_features(x, mask, spec), mask, spec, classes)


def _dense_stack(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    x = cell(spec.cell or "gru")(spec.width)(x, mask=mask)
    for width in (1024, 512, 128):
        x = layers.Dropout(spec.dropout)(layers.Dense(width, activation="relu")(x))
    return layers.Dense(classes)(layers.Dense(64, activation="relu")(x))


# -- networks on space and time --------------------------------------------------------------------


def c3d(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Eight convolutions over space and time; made for 16 frames of 112 x 112 pixels.

    What is left of time after four halvings, one step of 16 frames, is averaged, so that other lengths go too.

    Source: Tran et al. 2015, https://arxiv.org/abs/1412.0767
    """
    x, mask = _convolved(x, mask, ((64,), (128,), (256, 256), (512, 512), (512, 512)))
    # The mean over time; places of the image stay apart.
    x = masked_mean(ops.reshape(x, (-1, x.shape[1], x.shape[2] * x.shape[3] * x.shape[4])), mask)
    for _ in range(2):
        x = layers.Dropout(spec.dropout)(layers.Dense(spec.width, activation="relu")(x))
    return layers.Dense(classes)(x)


def c3d_small(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """Four convolutions over space and time, averaged over both, and one dense layer."""
    x, mask = _convolved(x, mask, ((32,), (64,), (128,), (128,)))
    x = masked_mean(ops.mean(x, axis=(2, 3)), mask)
    x = layers.Dense(spec.width, activation="relu")(x)
    return to_logits(x, spec, classes)


def ecology_c3d_small(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """The published small C3D: six convolutions that see whole neighbourhoods only; time is never halved.

    Made for 16 frames of 112 x 112 pixels. Padding is zero, as a black frame is.

    Source: https://github.com/alxcnwy/Deep-Neural-Networks-for-Video-Classification
    """
    x = _masked(ops.cast(x, "float32") / 255.0, mask)
    for size, filters in ((3, (32,)), (3, (64,)), (3, (128, 128)), (2, (256, 256))):
        for count in filters:
            x = layers.Conv3D(count, size, activation="relu")(x)
        x = layers.MaxPooling3D((1, 2, 2))(x)
    x = layers.Flatten()(x)
    for width in (256, 128):
        x = layers.Dropout(0.5)(layers.Dense(width)(x))
    return layers.Dense(classes)(x)


def _convolved(x: Any, mask: Any, blocks: tuple[tuple[int, ...], ...]) -> tuple[Any, Any]:
    """Blocks of convolutions 3 x 3 x 3, each with a maximum over 2 x 2 x 2; the first one keeps all steps.

    Padding is set to zero before each convolution, as is what lies beyond the end of a window, and zero never
    exceeds the maximum of what a ReLU let through: so a padded window gives what a cropped one gives.
    """
    x = _masked(_scaled(x), mask)
    for number, block in enumerate(blocks):
        for filters in block:
            x = layers.Conv3D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
            x = _masked(x, mask)
        steps = 1 if number == 0 else 2
        x = layers.MaxPooling3D((steps, 2, 2), padding="same")(x)
        mask = mask[:, ::steps]
    return x, mask


def _masked(x: Any, mask: Any) -> Any:
    return x * ops.cast(mask, x.dtype)[:, :, None, None, None]


def video_transformer(x: Any, mask: Any, spec: HeadSpec, classes: int) -> Any:
    """A transformer over the patches of each two frames, then one over time: the factorised encoder of ViViT.

    Source: Arnab et al. 2021, https://arxiv.org/abs/2103.15691
    """
    size = (_TUBELET, _PATCH, _PATCH)
    tokens = layers.Conv3D(spec.width, size, strides=size, padding="same")(_masked(_scaled(x), mask))
    steps, rows, columns = tokens.shape[1:4]
    mask = mask[:, ::_TUBELET]
    x = ops.reshape(tokens, (-1, rows * columns, spec.width))
    x = _with_positions(x, ops.ones_like(x[:, :, 0], dtype="int32"), rows * columns)
    for _ in range(spec.layers):
        x = encoder_block(x, spec)
    x = ops.reshape(ops.mean(x, axis=1), (-1, steps, spec.width))
    if steps == 1:  # attention wants something to choose from
        x, mask = ops.pad(x, ((0, 0), (0, 1), (0, 0))), ops.pad(mask, ((0, 0), (0, 1)))
    x = _with_positions(x, ops.cast(mask, "int32"), POSITIONS - 1)
    for _ in range(spec.layers):
        x = encoder_block(x, spec, sees=ops.expand_dims(mask, 1))
    return to_logits(masked_mean(layers.LayerNormalization(epsilon=1e-6)(x), mask), spec, classes)


def _with_positions(x: Any, counted: Any, most: int) -> Any:
    """Add a learnt vector for each position, counted from 1 over what is 1 in ``counted (batch, n)``."""
    positions = ops.minimum(ops.cumsum(counted, axis=1), most)
    return x + layers.Embedding(most + 1, x.shape[-1])(positions)
