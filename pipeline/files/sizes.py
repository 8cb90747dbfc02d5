"""Sizes of images and of memory as users write them."""

from __future__ import annotations

import re

from pipeline.errors import UserError


def parse_size(text: str, *, square: bool = True) -> tuple[int, int]:
    """``720x1280`` is height x width, as everywhere in this project; ``299`` is a square of that side.

    Args:
        text: what the user wrote.
        square: whether one number is enough.

    Returns:
        (height, width) in pixels.

    Raises:
        UserError: another form.
    """
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip().lower())
    if not match or not (match[2] or square):
        expected = "one side such as 299, or HEIGHTxWIDTH" if square else "HEIGHTxWIDTH in pixels, such as 240x320"
        raise UserError(f"size {text!r} is not understood; expected {expected}")
    return int(match[1]), int(match[2] or match[1])


_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_memory(text: str) -> int:
    """Bytes of a size such as ``1.5G``, ``800M`` or ``0``.

    Raises:
        UserError: it is not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise UserError(f"`memory={text!r}` is not a size; expected for example 1.5G or 800M")
    return int(float(match[1]) * _UNITS[match[2]])
