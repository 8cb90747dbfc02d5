"""What comes before the network, in ONNX's operations: cropping and resizing as OpenCV does it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from pipeline.extraction.recipe import Interpolation, Recipe
from pipeline.inference.export.onnx_graph import GraphMaker, integers


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
    whole, one = np.array(1 << 11, np.float32), np.array(1, np.float32)

    def shares(beyond: str) -> list[str]:
        return [made("Round", made("Mul", share, whole)) for share in (made("Sub", one, beyond), beyond)]

    across = _neighbours(made, columns, width, 0, shares)
    mixed = []
    for row, share in _neighbours(made, rows, height, 0, shares):
        line = _mixed(made, made("Gather", frames, row, axis=1), across, 2, TensorProto.INT32)
        coarse = made("Div", line, np.array(1 << 4, np.int32))
        weighed = made("Mul", coarse, _along(made, share, 1, TensorProto.INT32))
        mixed.append(made("Div", weighed, np.array(1 << 16, np.int32)))
    quarters = made("Add", made("Add", *mixed), np.array(2, np.int32))
    return made("Div", quarters, np.array(4, np.int32))


def _bicubic(made: GraphMaker, frames: str, height: int, width: int) -> str:
    """From ``(n, rows, columns, 3)`` uint8 to ``(n, height, width, 3)`` float32.

    OpenCV's filter is the one with a = -0.75, and smooths nothing where images become smaller. `Resize` has it too, and
    takes eight times as long in ONNX Runtime 1.32.
    Source: https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/resize.cpp (interpolateCubic)
    """
    from onnx import TensorProto

    rows, columns = _sides(made, frames)
    a, one = -0.75, np.array(1, np.float32)

    def shares(beyond: str) -> list[str]:
        first = _polynomial(made, made("Add", beyond, one), a, -5 * a, 8 * a, -4 * a)
        second, third = (_polynomial(made, away, a + 2, -a - 3, 0, 1) for away in (beyond, made("Sub", one, beyond)))
        return [first, second, third, made("Sub", made("Sub", made("Sub", one, first), second), third)]

    lines = _mixed(made, frames, _neighbours(made, rows, height, -1, shares), 1, TensorProto.FLOAT)
    pixels = _mixed(made, lines, _neighbours(made, columns, width, -1, shares), 2, TensorProto.FLOAT)
    # At sharp edges it goes beyond what is there.
    return made("Clip", made("Round", pixels), np.array(0, np.float32), np.array(255, np.float32))


def _neighbours(
    made: GraphMaker, given: str, wanted: int, first: int, shares: Callable[[str], list[str]]
) -> list[tuple[str, str]]:
    """The pixels of a line that each of ``wanted`` pixels is mixed of: for each the names of its places ``(wanted,)``
    int64, and of its shares ``(wanted,)`` float32. Pixels at the border are repeated.

    Args:
        made: takes the nodes.
        given: the name of how many pixels the line has, ``(1,)`` int64.
        wanted: pixels.
        first: of the places, from that of the last pixel that is not beyond the wanted one.
        shares: for each place, from how far the wanted pixel is beyond that one, 0 to 1.
    """
    from onnx import TensorProto

    # Centres of pixels lie at halves: pixel k lies at ((2k + 1) * given / wanted - 1) / 2.
    doubled = made("Sub", made("Mul", given, integers(*range(1, 2 * wanted, 2))), integers(wanted))
    place = made("Div", made("Cast", doubled, to=TensorProto.FLOAT), np.array(2 * wanted, np.float32))
    before = made("Floor", place)
    nearest, last = made("Cast", before, to=TensorProto.INT64), made("Sub", given, integers(1))
    return [
        (made("Max", made("Min", made("Add", nearest, integers(offset)), last), integers(0)), share)
        for offset, share in enumerate(shares(made("Sub", place, before)), first)
    ]


def _mixed(made: GraphMaker, images: str, neighbours: list[tuple[str, str]], side: int, kind: int) -> str:
    """Images ``(n, rows, columns, 3)`` with one ``side`` mixed of `_neighbours`, in numbers of a ``kind``."""
    parts = [
        made("Mul", made("Cast", made("Gather", images, place, axis=side), to=kind), _along(made, share, side, kind))
        for place, share in neighbours
    ]
    return functools.reduce(functools.partial(made, "Add"), parts)


def _along(made: GraphMaker, values: str, side: int, kind: int) -> str:
    """Values of one side of images ``(n, rows, columns, 3)`` so that they can be multiplied with these."""
    return made("Cast", made("Reshape", values, integers(-1, *[1] * (3 - side))), to=kind)


def _polynomial(made: GraphMaker, value: str, *factors: float) -> str:
    """Of rising powers from the last factor on."""
    highest, *others = (np.array(factor, np.float32) for factor in factors)
    found = made("Add", made("Mul", value, highest), others[0])
    for factor in others[1:]:
        found = made("Add", made("Mul", found, value), factor)
    return found


RESIZED: dict[Interpolation, Callable[[GraphMaker, str, int, int], str]] = {"bilinear": _bilinear, "bicubic": _bicubic}
"""How frames ``(n, rows, columns, 3)`` uint8 become ``(n, height, width, 3)``, whole numbers from 0 to 255."""
