"""Labels and probabilities drawn on the frames of a video, readable on any picture from 64 pixels to 4K.

bars   the present label, a bar for each class, and along the bottom a timeline of labels with the position
plain  every class with its probability in white, 40 pixels apart, as the first published systems drew them
none   the frames as they are
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from pipeline.inference.colours import Colour, colour_of
from pipeline.inference.segments import UNKNOWN_NAME
from pipeline.inference.smoothing import UNKNOWN
from pipeline.inference.text import fit, line_height, text_mask

Style = Literal["bars", "plain", "none"]
STYLES = ("bars", "plain", "none")
_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
_DIM = 0.35  # what is left of the picture behind the panel
_MOST_ROWS = 8
_PLAIN_STEP = 40  # pixels from line to line


class Overlay:
    """Draws on frames of one size.

    Args:
        classes: names.
        size: (width, height) of the frames in pixels.
        style: what to draw.
        labels: ``(n,)`` class of each frame of the video, for the timeline; without them there is none.
        important: ``(C,)`` how much each class matters in this video: where there is no room for all classes
            those with the largest numbers get a bar. By default the first ones do.
    """

    def __init__(
        self,
        classes: tuple[str, ...],
        size: tuple[int, int],
        *,
        style: Style = "bars",
        labels: np.ndarray | None = None,
        important: np.ndarray | None = None,
    ) -> None:
        self.classes = classes
        self.size = size
        self.style = style
        width, height = size
        self._frames = 0 if labels is None else len(labels)
        self._strip = None if labels is None else _timeline(labels, width, max(3, height // 40))
        self._panel = _Panel(classes, size, important) if style == "bars" else None

    def draw(self, image: np.ndarray, probabilities: np.ndarray, label: int, frame: int | None = None) -> np.ndarray:
        """Draw on a copy of a frame.

        Args:
            image: ``(height, width, 3)`` uint8, RGB.
            probabilities: ``(C,)``.
            label: the class, or -1 for unknown.
            frame: its number, for the timeline.

        Returns:
            ``(height, width, 3)`` uint8, RGB; with style ``none`` the image itself.
        """
        if self.style == "none":
            return image
        image = image.copy()
        if self._panel is None:
            _draw_plain(image, self.classes, probabilities)
            return image
        self._panel.draw(image, probabilities, label)
        if self._strip is not None and frame is not None:
            _draw_timeline(image, self._strip, frame, self._frames)
        return image


# -- the panel -------------------------------------------------------------------------------------


class _Panel:
    """The present label and a row for each class: name, bar, percentage. What never changes is drawn once."""

    def __init__(self, classes: tuple[str, ...], size: tuple[int, int], important: np.ndarray | None) -> None:
        self._classes = classes
        width, height = size
        self.font = max(9 if min(size) < 200 else 11, min(size) // 28)
        self.heading = max(9, round(self.font * 1.3)) if self.font > 9 else 9
        self.pad = max(1, self.font // 3)
        self.line = line_height(self.font)
        top = line_height(self.heading) + 2 * self.pad
        room = height - max(3, height // 40) - top - 2 * self.pad
        rows = min(len(classes), _MOST_ROWS, room // self.line) if width >= 14 * self.font else 0
        order = np.arange(len(classes)) if important is None else np.argsort(-important, kind="stable")
        # Rows stay where they are from the first frame to the last, in the order of the classes.
        self.rows: list[int] = sorted(order[:rows].tolist())
        self.percent = text_mask("100%", self.font).shape[1]
        self.bar = min(6 * self.font, width // 5)
        names = [classes[row] for row in self.rows]
        # At most half of the picture, but small ones need more to hold a word.
        most = max(width // 2, min(width, 30 * self.font)) - self.bar - self.percent - 4 * self.pad
        self.names = [fit(name, self.font, most) for name in names]
        widest = max((text_mask(name, self.font).shape[1] for name in self.names), default=0)
        self.width = min(width, widest + self.bar + self.percent + 4 * self.pad) if self.rows else width
        self.left = widest + 2 * self.pad
        self.top = top
        self.height = min(height, top + (len(self.rows) * self.line + self.pad if self.rows else 0))
        self._ground = self._draw_ground()

    def _draw_ground(self) -> np.ndarray:
        """``(height, width, 3)`` uint8: what is added to the dimmed picture."""
        ground = np.zeros((self.height, self.width, 3), np.uint8)
        for place, name in enumerate(self.names):
            put_text(ground, text_mask(name, self.font), self.pad, self._row(place), _WHITE)
        return ground

    def _row(self, place: int) -> int:
        return self.top + place * self.line

    def draw(self, image: np.ndarray, probabilities: np.ndarray, label: int) -> None:
        name = UNKNOWN_NAME if label == UNKNOWN else self._classes[label]
        probability = float(probabilities.max() if label == UNKNOWN else probabilities[label])
        number = text_mask(percent(probability), self.heading, bold=True)
        gap = max(2, self.heading // 2)
        chip = max(2, self.heading // 3)
        left = chip + 2 * self.pad
        room = image.shape[1] - left - gap - number.shape[1] - self.pad
        text = text_mask(fit(name, self.heading, max(0, room), bold=True), self.heading, bold=True)
        head_width = min(image.shape[1], left + text.shape[1] + gap + number.shape[1] + self.pad)
        width = max(self.width, head_width) if self.rows else head_width
        _dim(image, min(self.height, self.top), width)
        if self.rows:
            below = image[self.top : self.height, : self.width]
            _dim(image[self.top :], self.height - self.top, self.width)
            # Names are white on black, so adding what is dark loses nothing.
            cv2.add(below, self._ground[self.top :], dst=below)
        bottom = self.top - self.pad
        image[self.pad : bottom, self.pad : self.pad + chip] = colour_of(label)
        put_text(image, text, left, self.pad, _WHITE)
        put_text(image, number, left + text.shape[1] + gap, self.pad, _WHITE)
        for place, row in enumerate(self.rows):
            self._draw_bar(image, self._row(place), float(probabilities[row]), colour_of(row))

    def _draw_bar(self, image: np.ndarray, top: int, probability: float, colour: Colour) -> None:
        thick = max(2, round(self.font * 0.6))
        begin = top + (self.line - thick) // 2
        full = image[begin : begin + thick, self.left : self.left + self.bar]
        full[:] = 70
        full[:, : round(probability * full.shape[1])] = colour
        put_text(image, text_mask(percent(probability), self.font), self.left + self.bar + self.pad, top, _WHITE)


def percent(probability: float) -> str:
    """``97%``; 100% only where nothing is left for other classes."""
    return f"{min(round(probability * 100), 99 if probability < 0.9995 else 100)}%"


def _dim(image: np.ndarray, height: int, width: int) -> None:
    area = image[:height, :width]
    cv2.convertScaleAbs(area, dst=area, alpha=_DIM)


def put_text(image: np.ndarray, mask: np.ndarray, left: int, top: int, colour: Colour) -> None:
    """Blend ``colour`` into ``image`` where ``mask`` is text; what does not fit is cut off."""
    height = min(mask.shape[0], image.shape[0] - top)
    width = min(mask.shape[1], image.shape[1] - left)
    if height <= 0 or width <= 0:
        return
    area = image[top : top + height, left : left + width]
    share = mask[:height, :width, None].astype(np.uint16)
    area[:] = (area * (255 - share) + np.asarray(colour, np.uint16) * share + 127) // 255


# -- the timeline ----------------------------------------------------------------------------------


def _timeline(labels: np.ndarray, width: int, height: int) -> np.ndarray:
    """``(height, width, 3)`` uint8: the label of each column's share of the video."""
    strip = np.zeros((height, width, 3), np.uint8)
    if len(labels):
        places = np.minimum((np.arange(width) + 0.5) * len(labels) / width, len(labels) - 1).astype(int)
        colours = {label: colour_of(label) for label in np.unique(labels).tolist()}
        strip[:] = np.array([colours[label] for label in labels[places].tolist()], np.uint8)
    return strip


def _draw_timeline(image: np.ndarray, strip: np.ndarray, frame: int, frames: int) -> None:
    height, width = strip.shape[:2]
    top = image.shape[0] - height
    if top < 1:
        return
    image[top:] = strip
    image[top - 1] = 0
    half = max(1, height // 6)
    at = min(width - 1, round((frame + 0.5) * width / max(1, frames)))
    # White in black, so that the position shows on every colour.
    image[top - 1 :, max(0, at - 2 * half) : at + 2 * half + 1] = _BLACK
    image[top - 1 :, max(0, at - half + 1) : at + half] = _WHITE


# -- the plain style -------------------------------------------------------------------------------


def _draw_plain(image: np.ndarray, classes: tuple[str, ...], probabilities: np.ndarray) -> None:
    size = 28
    for place, (name, probability) in enumerate(zip(classes, probabilities.tolist(), strict=True)):
        mask = text_mask(f"{name}: {probability:.4f}", size)
        # The first line's foot is at 40 pixels, as in the published code, and each other's 40 below.
        put_text(image, mask, 20, _PLAIN_STEP * (place + 1) - size, _WHITE)
