"""What comes before the network, in ONNX's operations: cropping and resizing as OpenCV does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.extraction.recipe import Interpolation, Recipe
from pipeline.inference.export.onnx_graph import GraphMaker, integers

_WHOLE = 1 << 11  # OpenCV has shares of a pixel as whole numbers, so many for all of it


def pixels_of(made: GraphMaker, frames: str, recipe: Recipe, length: int) -> str:
    """Add what crops and resizes the frames of a window.

    Args:
        made: takes the nodes.
        frames: the name of ``(length, rows, columns, 3)`` uint8, or clips of frames ``(length, T, rows, columns, 3)``;
            rows and columns need not be known before the graph runs.
        recipe: gives crop, size and interpolation, which is one of `RESIZED`.
        length: steps of a window.

    Returns:
        The name of ``(length, *recipe.input_shape)`` float32, whole numbers from 0 to 255.
    """
    from onnx import TensorProto

    if recipe.clip:
        sides = made("Slice", made("Shape", frames), integers(2), integers(5))
        frames = made("Reshape", frames, made("Concat", integers(length * recipe.clip), sides, axis=0))
    if recipe.crop == "center":
        frames = _center_crop(made, frames, recipe.height, recipe.width)
    pixels = RESIZED[recipe.interpolation](made, frames, recipe.height, recipe.width)
    pixels = made("Cast", pixels, to=TensorProto.FLOAT)
    return made("Reshape", pixels, integers(length, *recipe.input_shape)) if recipe.clip else pixels


def _center_crop(made: GraphMaker, frames: str, height: int, width: int) -> str:
    """As `pipeline.extraction.inputs.preprocess.center_crop`, for frames whose size is known when the graph runs."""
    rows, columns = _sides(made, frames)
    by_rows, by_columns = made("Mul", rows, integers(width)), made("Mul", columns, integers(height))
    wide = made("Greater", by_columns, by_rows)
    one, two = integers(1), integers(2)
    keep_rows = made("Where", wide, rows, made("Max", one, made("Div", by_columns, integers(width))))
    keep_columns = made("Where", wide, made("Max", one, made("Div", by_rows, integers(height))), columns)
    top = made("Div", made("Sub", rows, keep_rows), two)
    left = made("Div", made("Sub", columns, keep_columns), two)
    start = made("Concat", top, left, axis=0)
    end = made("Concat", made("Add", top, keep_rows), made("Add", left, keep_columns), axis=0)
    return made("Slice", frames, start, end, integers(1, 2))


def _sides(made: GraphMaker, frames: str) -> tuple[str, str]:
    """The names of the numbers of rows and of columns, each ``(1,)`` int64."""
    sides = made("Shape", frames)
    return made("Slice", sides, integers(1), integers(2)), made("Slice", sides, integers(2), integers(3))


def _bilinear(made: GraphMaker, frames: str, height: int, width: int) -> str:
    """From ``(n, rows, columns, 3)`` uint8 to ``(n, height, width, 3)`` int32.

    In the whole numbers of OpenCV, and cut off where it does so: by `Resize` about a tenth of the pixels of noise would
    differ by a grey level, most of them in the same direction.
    Source: https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/resize.cpp (VResizeLinear)
    """
    from onnx import TensorProto

    rows, columns = _sides(made, frames)
    columns_of = _neighbours(made, columns, width, (width, 1))
    mixed = []
    for row, share in _neighbours(made, rows, height, (height, 1, 1)):
        line = made("Gather", frames, row, axis=1)
        parts = [
            made("Mul", made("Cast", made("Gather", line, column, axis=2), to=TensorProto.INT32), part)
            for column, part in columns_of
        ]
        coarse = made("Div", made("Add", *parts), np.array(1 << 4, np.int32))
        mixed.append(made("Div", made("Mul", coarse, share), np.array(1 << 16, np.int32)))
    quarters = made("Add", made("Add", *mixed), np.array(2, np.int32))
    return made("Div", quarters, np.array(4, np.int32))


def _neighbours(made: GraphMaker, given: str, wanted: int, shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """The two pixels of a line that each of ``wanted`` pixels lies between: the names of their places ``(wanted,)``
    int64, and of their shares of `_WHOLE`, int32 of ``shape``.

    Args:
        made: takes the nodes.
        given: the name of how many pixels the line has, ``(1,)`` int64.
        wanted: pixels.
        shape: ``(wanted, 1, ...)``.
    """
    from onnx import TensorProto

    # Centres of pixels lie at halves: pixel k lies at ((2k + 1) * given / wanted - 1) / 2.
    doubled = made("Sub", made("Mul", given, integers(*range(1, 2 * wanted, 2))), integers(wanted))
    place = made("Div", made("Cast", doubled, to=TensorProto.FLOAT), np.array(2 * wanted, np.float32))
    before = made("Floor", place)
    share = made("Round", made("Mul", made("Sub", place, before), np.array(_WHOLE, np.float32)))
    second = made("Reshape", made("Cast", share, to=TensorProto.INT32), integers(*shape))
    first = made("Sub", np.array(_WHOLE, np.int32), second)
    lower, last = made("Cast", before, to=TensorProto.INT64), made("Sub", given, integers(1))
    places = [made("Max", made("Min", each, last), integers(0)) for each in (lower, made("Add", lower, integers(1)))]
    return [(places[0], first), (places[1], second)]


def _bicubic(made: GraphMaker, frames: str, height: int, width: int) -> str:
    """From ``(n, rows, columns, 3)`` uint8 to ``(n, height, width, 3)`` float32, rounded.

    OpenCV's filter is the one with a = -0.75. Neither smooths where images become smaller, both repeat the pixels at
    the border.
    """
    from onnx import TensorProto

    # ONNX Runtime resizes by a cubic filter only where the sides of the image come last. A Transpose would bring them
    # there as well, but its optimiser (1.32) moves that behind the Resize, which then fails when it runs.
    colours = [made("Gather", frames, np.array(colour, np.int64), axis=-1) for colour in range(3)]
    images = made("Concat", *(made("Unsqueeze", each, integers(1)) for each in colours), axis=1)
    images = made("Cast", images, to=TensorProto.FLOAT)
    count = made("Slice", made("Shape", images), integers(0), integers(2))
    sides = made("Concat", count, integers(height, width), axis=0)
    how: dict[str, Any] = {"mode": "cubic", "cubic_coeff_a": -0.75, "coordinate_transformation_mode": "half_pixel"}
    images = made("Round", made("Resize", images, "", "", sides, **how))
    # A cubic filter goes beyond what is there at sharp edges.
    images = made("Clip", images, np.array(0, np.float32), np.array(255, np.float32))
    return made("Transpose", images, perm=[0, 2, 3, 1])


RESIZED: dict[Interpolation, Callable[[GraphMaker, str, int, int], str]] = {"bilinear": _bilinear, "bicubic": _bicubic}
"""How frames ``(n, rows, columns, 3)`` uint8 become ``(n, height, width, 3)``, whole numbers from 0 to 255."""
