"""Colours of classes: stable for each class of a checkpoint, and told apart by people with colour blindness.

Sources: Okabe and Ito 2008, https://jfly.uni-koeln.de/color/ (the first seven), and the scheme "muted" of
Paul Tol, https://sronpersonalpages.nl/~pault/ (the next nine).
"""

from __future__ import annotations

from pipeline.inference.timeline.smoothing import UNKNOWN

Colour = tuple[int, int, int]

_PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (136, 204, 238),
    (68, 170, 153),
    (17, 119, 51),
    (153, 153, 51),
    (221, 204, 119),
    (204, 102, 119),
    (170, 68, 153),
    (136, 34, 85),
    (51, 34, 136),
)
GREY: Colour = (150, 150, 150)


def colour_of(label: int) -> Colour:
    """RGB of a class by its number in the checkpoint; grey for "unknown".

    Beyond 16 classes the same hues come again, lighter and darker by turns.
    """
    if label == UNKNOWN:
        return GREY
    red, green, blue = _PALETTE[label % len(_PALETTE)]
    again = label // len(_PALETTE)
    if not again:
        return red, green, blue
    towards = 255 if again % 2 else 0
    share = 0.45 if again <= 2 else 0.65
    return tuple(round(value + (towards - value) * share) for value in (red, green, blue))  # type: ignore[return-value]


def hex_of(label: int) -> str:
    """The same as ``#rrggbb``."""
    return "#" + "".join(f"{value:02x}" for value in colour_of(label))
