"""Text as images, in any alphabet for which a font can be found.

DejaVu Sans, which comes with matplotlib, has Latin, Greek, Cyrillic, Arabic and more. For other characters a font
of the system is looked for that has them, and then the Chinese, Japanese and Korean characters that OpenCV 5 has
built in. What nobody has is drawn as an empty box.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.lazy import cv2

if TYPE_CHECKING:  # and imported where a character is drawn, or is one that needs looking for
    from PIL import ImageFont

BOX = "□"
_OPENCV = "opencv"
_EMOJI_EXTRAS = "\u200d\ufe0e\ufe0f"  # joiner and variation selectors: nothing to be seen
ELLIPSIS = "…"


@functools.lru_cache(maxsize=4096)
def text_mask(text: str, size: int, bold: bool = False) -> np.ndarray:
    """Draw one line of text.

    Args:
        text: any characters; line breaks become spaces.
        size: of the font, in pixels.
        bold: where the font has a bold face.

    Returns:
        ``(line_height(size), width)`` uint8: how much of each pixel is text, 0 to 255. Do not write into it.
    """
    height = line_height(size)
    baseline = round(size * 1.0)
    pieces = [_draw(run, font, size, bold, height, baseline) for run, font in _by_font(" ".join(text.split()))]
    mask = np.concatenate(pieces, axis=1) if pieces else np.zeros((height, 0), np.uint8)
    mask.flags.writeable = False
    return mask


def line_height(size: int) -> int:
    """Pixels from one line to the next."""
    return round(size * 1.3)


def fit_text(text: str, size: int, width: int, bold: bool = False) -> str:
    """``text``, or as much of it as is no wider than ``width`` pixels with an ellipsis after it."""
    text = " ".join(text.split())
    if text_mask(text, size, bold).shape[1] <= width:
        return text
    shortest, longest = 0, len(text)
    while shortest < longest:  # the longest beginning that fits
        middle = (shortest + longest + 1) // 2
        if text_mask(text[:middle].rstrip() + ELLIPSIS, size, bold).shape[1] <= width:
            shortest = middle
        else:
            longest = middle - 1
    return text[:shortest].rstrip() + ELLIPSIS if shortest else ""


def undrawable(text: str) -> str:
    """The characters of ``text`` that no font here has, each once."""
    return "".join(dict.fromkeys(char for char in text if not char.isspace() and _font_for(char) is None))


# -- which font ------------------------------------------------------------------------------------


def _by_font(text: str) -> list[tuple[str, str]]:
    """Cut text into runs with the file of the font that has all their characters."""
    runs: list[tuple[str, str]] = []
    for char in text:
        if char in _EMOJI_EXTRAS:
            continue
        font = _font_for(char)
        char = char if font else BOX
        font = font or _dejavu(False)
        if runs and (runs[-1][1] == font or char == " "):
            runs[-1] = (runs[-1][0] + char, runs[-1][1])
        else:
            runs.append((char, font))
    return runs


@functools.lru_cache(maxsize=65536)
def _font_for(char: str) -> str | None:
    if char in _EMOJI_EXTRAS or char.isascii() or ord(char) in _characters(_dejavu(False)):
        return _dejavu(False)
    for path in _system_fonts():
        if ord(char) in _characters(path):
            return path
    return _OPENCV if _opencv_has(char) else None


@functools.cache
def _dejavu(bold: bool) -> str:
    found = importlib.util.find_spec("matplotlib")  # which takes half a second to import
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf")


@functools.cache
def _system_fonts() -> list[str]:
    """Font files of the system; plain sans-serif faces first, since one of several with a character is as good."""
    from matplotlib.font_manager import findSystemFonts

    return sorted(findSystemFonts(), key=lambda path: ("Sans" not in path, "Regular" not in path, len(path), path))


@functools.lru_cache(maxsize=512)
def _characters(path: str) -> frozenset[int]:
    """Code points that a font file can draw; none if it holds images instead of outlines, or is damaged."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            outlines = any(table in font for table in ("glyf", "CFF ", "CFF2"))
            return frozenset(font.getBestCmap() or ()) if outlines else frozenset()
    except (TTLibError, OSError, KeyError, AssertionError, ValueError):
        return frozenset()


@functools.lru_cache(maxsize=4096)
def _opencv_has(char: str) -> bool:
    if not hasattr(cv2, "FontFace"):  # OpenCV 4
        return False
    unknown = _draw_opencv("?", 24, 32, 24)
    drawn = _draw_opencv(char, 24, 32, 24)
    return bool(drawn.any()) and not np.array_equal(drawn, unknown)


# -- drawing ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _load(path: str, size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(path, size)


def _draw(text: str, font: str, size: int, bold: bool, height: int, baseline: int) -> np.ndarray:
    if font == _OPENCV:
        return _draw_opencv(text, size, height, baseline)
    from PIL import Image, ImageDraw

    face = _load(_dejavu(True) if bold and font == _dejavu(False) else font, size)
    image = Image.new("L", (max(1, round(face.getlength(text))), height))
    ImageDraw.Draw(image).text((0, baseline), text, fill=255, font=face, anchor="ls")
    return np.asarray(image)


def _draw_opencv(text: str, size: int, height: int, baseline: int) -> np.ndarray:
    face = cv2.FontFace("uni")
    white, black = (255, 255, 255), np.zeros((height, size * (len(text) + 1), 3), np.uint8)
    _, _, width, _ = cv2.getTextSize((black.shape[1], height), text, (0, 0), face, size)
    cv2.putText(black, text, (0, baseline), white, face, size)
    return np.ascontiguousarray(black[:, : max(1, min(width, black.shape[1])), 0])
