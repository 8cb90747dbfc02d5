"""The parts of the chain in TensorFlow's operations: from frames to pixels, to steps, to probabilities."""

from __future__ import annotations

from typing import Any

from pipeline.extraction.network.backbone import scale_pixels
from pipeline.extraction.recipe import Recipe
from pipeline.inference.classifier import Classifier
from pipeline.training.checkpoint import Checkpoint


def pixels_of(frames: Any, recipe: Recipe, length: int) -> Any:
    """Crop and resize by ``bilinear``.

    Args:
        frames: ``(length, rows, columns, 3)`` uint8, or clips of frames ``(length, T, rows, columns, 3)``; rows and
            columns need not be known before the graph runs.
        recipe: gives crop and size.
        length: steps of a window.

    Returns:
        ``(length, *recipe.input_shape)`` float32, whole numbers from 0 to 255.
    """
    import tensorflow as tf

    height, width = recipe.height, recipe.width
    if recipe.clip:
        frames = tf.reshape(frames, tf.concat([[length * recipe.clip], tf.shape(frames)[2:]], 0))
    if recipe.crop == "center":
        frames = _center_crop(frames, height, width)
    # Without antialiasing and with half-pixel centres this is what OpenCV calls INTER_LINEAR.
    pixels = tf.round(tf.image.resize(tf.cast(frames, tf.float32), (height, width)))
    return tf.reshape(pixels, (length, *recipe.input_shape))


def _center_crop(frames: Any, height: int, width: int) -> Any:
    """As `pipeline.extraction.inputs.preprocess.center_crop`, for frames whose size is known when the graph runs."""
    import tensorflow as tf

    rows, columns = tf.shape(frames)[1], tf.shape(frames)[2]
    wide = columns * height > rows * width
    keep_rows = tf.where(wide, rows, tf.maximum(1, columns * height // width))
    keep_columns = tf.where(wide, tf.maximum(1, rows * width // height), columns)
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return frames[:, top : top + keep_rows, left : left + keep_columns]


def steps_of(pixels: Any, classifier: Classifier) -> Any:
    """What the network of Keras makes of ``pixels``: ``(length, D)`` float32; where the head is a network on frames
    these themselves, uint8."""
    import tensorflow as tf

    network = getattr(classifier.backbone, "model", None)
    if network is None:
        return tf.cast(pixels, tf.uint8)
    scaled = scale_pixels(pixels, classifier.backbone.network)  # type: ignore[union-attr]
    return tf.cast(network(scaled, training=False), tf.float32)


def probabilities_of(steps: Any, mask: Any, checkpoint: Checkpoint) -> Any:
    """What the head says of the steps of one window, ``(length, D)`` with ``mask (length,)`` bool: ``(C,)`` float32."""
    import tensorflow as tf

    logits = checkpoint.model([steps[None], mask[None]], training=False)[0]
    return tf.nn.softmax(logits / checkpoint.temperature)
