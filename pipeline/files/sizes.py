"""Sizes of pictures as they are written on the command line."""

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
