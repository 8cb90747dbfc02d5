"""Sequences of frames varied as `FrameAugmentation` says: one warp of each frame, the same for a whole sequence.

Keras' own random layers draw for every image of a batch, and each of them interpolates anew. Here all of flip,
rotation, zoom, shift and shear are one `keras.ops.image.affine_transform`, with one matrix for all frames of a
sequence, so that pixels are interpolated once.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.extraction.inputs.augmentation import NUMBERS, FrameAugmentation

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue; ITU-R BT.601
_GREY = 127.5


@keras.saving.register_keras_serializable(package="pipeline")
class AugmentFrames(keras.layers.Layer):
    """Varies frames ``(batch, L, H, W, 3)`` uint8 with their mask ``(batch, L)``, each row in its own way.

    Args:
        augmentation: what is varied.
        seed: of the numbers that are drawn.
    """

    def __init__(self, augmentation: FrameAugmentation, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.augmentation = augmentation
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames: Any, mask: Any) -> Any:
        """Frames of the same shape and type."""
        rows, length = ops.shape(frames)[0], frames.shape[1]
        if self.augmentation.jitter:
            frames = self._jitter(frames, mask, rows, length)
        numbers = keras.random.uniform((rows, NUMBERS), seed=self.seed_generator)
        return vary(frames, numbers, self.augmentation)

    def _jitter(self, frames: Any, mask: Any, rows: Any, length: int) -> Any:
        most = self.augmentation.jitter
        apart = keras.random.randint((rows, length), -most, most + 1, seed=self.seed_generator)
        last = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True) - 1
        steps = ops.clip(ops.arange(length)[None] + ops.cast(apart, "int32"), 0, last)
        # Padding stays what it is.
        steps = ops.where(mask, steps, ops.arange(length)[None])
        flat = ops.reshape(frames, (-1, *frames.shape[2:]))
        places = ops.reshape(steps + length * ops.arange(rows)[:, None], (-1,))
        return ops.reshape(ops.take(flat, places, axis=0), (-1, length, *frames.shape[2:]))


def vary(frames: Any, numbers: Any, augmentation: FrameAugmentation) -> Any:
    """Warp and colour frames; all of a row in the same way.

    Args:
        frames: ``(batch, L, H, W, 3)`` uint8.
        numbers: ``(batch, NUMBERS)`` float32 from 0 to 1 that decide how.
        augmentation: what is varied, and by how much.

    Returns:
        The same shape and type.
    """
    length, height, width, channels = frames.shape[1:]
    # From -1 to 1, as columns.
    flip, turn, zoom, across, down, slant, bright, contrast, colour = ops.unstack(numbers * 2 - 1, NUMBERS, axis=1)
    x = ops.cast(ops.reshape(frames, (-1, height, width, channels)), "float32")
    a = augmentation
    if a.flip or a.rotate or a.zoom or a.shift or a.shear:
        angle = turn * math.radians(a.rotate)
        scale = 1 / (1 + zoom * a.zoom)
        mirror = ops.where(flip > 0, -1.0, 1.0) if a.flip else ops.ones_like(flip)
        cos, sin, lean = ops.cos(angle) * scale, ops.sin(angle) * scale, slant * a.shear
        # Where each pixel comes from, about the centre of the image: mirrored, slanted, turned, zoomed.
        matrix = (mirror * cos, mirror * (lean * cos - sin), sin, lean * sin + cos)
        middle = ((width - 1) / 2, (height - 1) / 2)
        shift = (across * a.shift * width, down * a.shift * height)
        x0 = middle[0] + shift[0] - matrix[0] * middle[0] - matrix[1] * middle[1]
        y0 = middle[1] + shift[1] - matrix[2] * middle[0] - matrix[3] * middle[1]
        none = ops.zeros_like(angle)
        transform = ops.stack([matrix[0], matrix[1], x0, matrix[2], matrix[3], y0, none, none], axis=1)
        x = ops.image.affine_transform(x, ops.repeat(transform, length, axis=0), "bilinear", fill_mode="nearest")
    if a.colour:

        def of_sequence(value: Any) -> Any:
            return ops.repeat(value, length, axis=0)[:, None, None, None]

        grey = ops.sum(x * np.array(_LUMA, np.float32), axis=-1, keepdims=True)
        x = grey + (x - grey) * of_sequence(1 + colour * a.colour)
        x = (x - _GREY) * of_sequence(1 + contrast * a.colour) + _GREY + of_sequence(bright * a.colour * 255)
    x = ops.cast(ops.clip(ops.round(x), 0, 255), "uint8")
    return ops.reshape(x, (-1, length, height, width, channels))


def augmenter(augmentation: FrameAugmentation, numbers: np.ndarray) -> Any:
    """A function that varies images ``(n, H, W, 3)`` uint8 of one sequence, or clips of frames ``(n, T, H, W, 3)``, in
    one way, however it is divided."""

    def call(images: np.ndarray) -> np.ndarray:
        one_by_one = images.reshape(1, -1, *images.shape[-3:])
        return np.asarray(vary(one_by_one, ops.convert_to_tensor(numbers), augmentation)).reshape(images.shape)

    return call
