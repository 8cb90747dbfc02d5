"""The one way from a video frame to the network's input, shared by extraction and inference."""

from __future__ import annotations

import numpy as np

from pipeline.extraction.recipe import Recipe
from pipeline.lazy import cv2

_INTERPOLATION = {"bilinear": "LINEAR", "bicubic": "CUBIC", "area": "AREA", "nearest": "NEAREST"}  # OpenCV's INTER_


class Preprocessor:
    """Crops and resizes; the network's own scaling of pixel values is part of the network's function.

    Args:
        recipe: gives crop, size, interpolation, and whether grey levels are wanted.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.size = (recipe.height, recipe.width)
        self._crop = recipe.crop == "center"
        self._grey = recipe.input == "grey"
        self._interpolation = getattr(cv2, f"INTER_{_INTERPOLATION[recipe.interpolation]}")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """``(h, w, 3)`` uint8 of any size to ``(height, width, channels)`` uint8, contiguous."""
        if self._crop:
            image = center_crop(image, *self.size)
        height, width = self.size
        if image.shape[:2] != (height, width):
            image = cv2.resize(image, (width, height), interpolation=self._interpolation)
        if self._grey:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
        return np.ascontiguousarray(image)


def center_crop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The largest centred region with the shape height : width; a view, not a copy."""
    rows, columns = image.shape[:2]
    wide = columns * height > rows * width
    keep_rows = rows if wide else max(1, columns * height // width)
    keep_columns = max(1, rows * width // height) if wide else columns
    top, left = (rows - keep_rows) // 2, (columns - keep_columns) // 2
    return image[top : top + keep_rows, left : left + keep_columns]
