"""Labels and probabilities drawn on the frames of a video, readable on any image from 64 pixels to 4K.

bars   the present label, a bar for each class, and along the bottom a timeline of labels with the position
scores every class with its probability, the likeliest first, in white from (40, 40), 40 pixels apart
plain  the label alone, "activity: tennis"
none   the frames as they are

``scores`` and ``plain`` are what two published systems drew:
https://github.com/harvitronix/five-video-classification-methods and
https://pyimagesearch.com/2019/07/15/video-classification-with-keras-and-deep-learning/

What is drawn are patches (`videos.media.canvas`): small regions, made anew only when they change, that are painted
on the image for the screen or into the planes of the image for the encoder.
"""

from __future__ import annotations

import functools

import numpy as np

from pipeline.inference.drawing import Style
from pipeline.inference.drawing.palette import Colour, colour_of
from pipeline.inference.drawing.text import fit_text, line_height, text_mask
from pipeline.inference.timeline.segments import UNKNOWN_NAME
from pipeline.inference.timeline.smoothing import UNKNOWN
from pipeline.videos.media.canvas import Patch, paint

_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
_DIM = 89  # of 255: what is left of the image behind the panel
_MOST_ROWS = 8
_KEPT = 4_000_000  # pixels of headings, and of rows, that are kept for later frames; some 7 bytes each
# As published: where the foot of a line begins, the size of its letters, and the pixels from line to line.
_SCORES_LEFT, _SCORES_STEP, _SCORES_FONT = 40, 40, 28
_LABEL_AT, _LABEL_FONT, _GREEN = (35, 50), 36, (0, 255, 0)


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
        self._panel = _Panel(classes, size, important) if style == "bars" else None
        self._timeline = _Timeline(labels, size) if style == "bars" and labels is not None else None

    def patches(self, probabilities: np.ndarray, label: int, frame: int | None = None) -> list[Patch]:
        """What to paint on a frame, in this order.

        Args:
            probabilities: ``(C,)``.
            label: the class, or -1 for unknown.
            frame: its number, for the timeline.
        """
        if self.style == "plain":
            return [_label_line(UNKNOWN_NAME if label == UNKNOWN else self.classes[label])]
        if self.style == "scores":
            return _scores(self.classes, probabilities)
        found = self._panel.patches(probabilities, label) if self._panel is not None else []
        if self._timeline is not None and frame is not None:
            found += self._timeline.patches(frame)
        return found

    def draw(self, image: np.ndarray, probabilities: np.ndarray, label: int, frame: int | None = None) -> np.ndarray:
        """Draw on a copy of a frame; see `patches`.

        Args:
            image: ``(height, width, 3)`` uint8, RGB.

        Returns:
            ``(height, width, 3)`` uint8, RGB; with style ``none`` the image itself.
        """
        if self.style == "none":
            return image
        image = image.copy()
        for patch in self.patches(probabilities, label, frame):
            paint(image, patch)
        return image


class _Sheet:
    """A patch in the making: at first it leaves the image as it is."""

    def __init__(self, height: int, width: int) -> None:
        self.keep = np.full((height, width), 255, np.uint8)
        self.colour = np.zeros((height, width, 3), np.uint8)

    def dim(self, rows: slice, columns: slice) -> None:
        self.keep[rows, columns] = _DIM

    def fill(self, rows: slice, columns: slice, colour: Colour) -> None:
        self.keep[rows, columns] = 0
        self.colour[rows, columns] = colour

    def text(self, mask: np.ndarray, left: int, top: int, colour: Colour) -> None:
        """Blend ``colour`` in where ``mask`` is text; what does not fit is cut off."""
        height, width = min(mask.shape[0], self.keep.shape[0] - top), min(mask.shape[1], self.keep.shape[1] - left)
        if height <= 0 or width <= 0:
            return
        area = slice(top, top + height), slice(left, left + width)
        share = mask[:height, :width].astype(np.uint16)
        self.keep[area] = self.keep[area] * (255 - share) // 255
        ink = np.asarray(colour, np.uint16) * share[..., None]
        self.colour[area] = (self.colour[area] * (255 - share)[..., None] + ink) // 255

    def patch(self, top: int = 0, left: int = 0) -> Patch:
        return Patch(top, left, self.keep, self.colour)


# -- the panel -------------------------------------------------------------------------------------


class _Panel:
    """The present label, and a row for each class: name, bar, percentage.

    The ground with the names stays for the whole video. What changes is drawn in small patches, and the latest ones are
    kept: a video comes back to the same few percentages again and again.
    """

    def __init__(self, classes: tuple[str, ...], size: tuple[int, int], important: np.ndarray | None) -> None:
        self._classes = classes
        width, height = size
        self._size = size
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
        # At most half of the image, but small ones need more to hold a word.
        most = max(width // 2, min(width, 30 * self.font)) - self.bar - self.percent - 4 * self.pad
        self.names = [fit_text(name, self.font, most) for name in names]
        widest = max((text_mask(name, self.font).shape[1] for name in self.names), default=0)
        self.width = min(width, widest + self.bar + self.percent + 4 * self.pad) if self.rows else width
        self.left = widest + 2 * self.pad
        self.top = top
        self.height = min(height, top + (len(self.rows) * self.line + self.pad if self.rows else 0))
        self._ground = self._draw_ground()
        row = self.line * max(1, self.width - self.left)
        self._heading = functools.lru_cache(max(1, _KEPT // (self.top * self.width)))(self._draw_heading)
        self._row = functools.lru_cache(max(_MOST_ROWS, _KEPT // row))(self._draw_row)

    def patches(self, probabilities: np.ndarray, label: int) -> list[Patch]:
        """The panel in the upper left corner; the same objects as long as nothing to be seen changes."""
        number = "" if label == UNKNOWN else percent(float(probabilities[label]))
        rows = [self._row(place, percent(float(probabilities[row]))) for place, row in enumerate(self.rows)]
        return [self._ground, self._heading(label, number), *rows]

    def _draw_ground(self) -> Patch:
        sheet = _Sheet(max(0, self.height - self.top), self.width)
        sheet.dim(slice(None), slice(None))
        for place, name in enumerate(self.names):
            sheet.text(text_mask(name, self.font), self.pad, place * self.line, _WHITE)
        return sheet.patch(self.top)

    def _draw_heading(self, label: int, number: str) -> Patch:
        across = self._size[0]
        figure = text_mask(number, self.heading, bold=True)
        gap = max(2, self.heading // 2)
        chip = max(2, self.heading // 3)
        left = chip + 2 * self.pad
        name = UNKNOWN_NAME if label == UNKNOWN else self._classes[label]
        room = across - left - gap - figure.shape[1] - self.pad
        text = text_mask(fit_text(name, self.heading, max(0, room), bold=True), self.heading, bold=True)
        head = min(across, left + text.shape[1] + gap + figure.shape[1] + self.pad)
        sheet = _Sheet(min(self.top, self._size[1]), max(self.width, head) if self.rows else head)
        sheet.dim(slice(None), slice(None))
        sheet.fill(slice(self.pad, self.top - self.pad), slice(self.pad, self.pad + chip), colour_of(label))
        sheet.text(text, left, self.pad, _WHITE)
        sheet.text(figure, left + text.shape[1] + gap, self.pad, _WHITE)
        return sheet.patch()

    def _draw_row(self, place: int, share: str) -> Patch:
        """Bar and percentage of the class in row ``place``; bars go by whole percents, so that few differ."""
        sheet = _Sheet(self.line, self.width - self.left)
        length = round(int(share.rstrip("%")) / 100 * self.bar)
        thick = max(2, round(self.font * 0.6))
        begin = (self.line - thick) // 2
        rows = slice(begin, begin + thick)
        sheet.fill(rows, slice(self.bar), (70, 70, 70))
        sheet.fill(rows, slice(length), colour_of(self.rows[place]))
        sheet.text(text_mask(share, self.font), self.bar + self.pad, 0, _WHITE)
        return sheet.patch(self.top + place * self.line, self.left)


def percent(probability: float) -> str:
    """``97%``; 100% only where nothing is left for other classes."""
    return f"{min(round(probability * 100), 99 if probability < 0.9995 else 100)}%"


# -- the timeline ----------------------------------------------------------------------------------


class _Timeline:
    """A strip along the bottom with the label of each column's share of the video, and a mark at the present one."""

    def __init__(self, labels: np.ndarray, size: tuple[int, int]) -> None:
        self._frames = len(labels)
        self._width, height = size
        self._rows = max(3, height // 40)
        self._top = height - self._rows
        sheet = _Sheet(self._rows + 1, self._width)
        sheet.fill(slice(None), slice(None), _BLACK)  # and a line above it
        if len(labels):
            places = np.minimum((np.arange(self._width) + 0.5) * len(labels) / self._width, len(labels) - 1).astype(int)
            colours = {label: colour_of(label) for label in np.unique(labels).tolist()}
            sheet.colour[1:] = np.array([colours[label] for label in labels[places].tolist()], np.uint8)
        self._strip = sheet.patch(self._top - 1)
        self._marked: Patch | None = None

    def patches(self, frame: int) -> list[Patch]:
        if self._top < 1:  # no room for it
            return []
        half = max(1, self._rows // 6)
        at = min(self._width - 1, round((frame + 0.5) * self._width / max(1, self._frames)))
        begin = max(0, at - 2 * half)
        if self._marked is None or self._marked.left != begin:
            # White in black, so that the position shows on every colour.
            sheet = _Sheet(self._rows + 1, at + 2 * half + 1 - begin)
            sheet.fill(slice(None), slice(None), _BLACK)
            sheet.fill(slice(None), slice(max(0, at - half + 1) - begin, at + half - begin), _WHITE)
            self._marked = sheet.patch(self._top - 1, begin)
        return [self._strip, self._marked]


# -- text alone ------------------------------------------------------------------------------------


def _scores(classes: tuple[str, ...], probabilities: np.ndarray) -> list[Patch]:
    """A line for each class, in falling order of their probabilities."""
    order = np.argsort(-probabilities, kind="stable").tolist()
    return [
        _line(f"{classes[row]}: {probabilities[row]:.2f}", _SCORES_FONT, _SCORES_LEFT, _SCORES_STEP * (place + 1))
        for place, row in enumerate(order)
    ]


def _label_line(label: str) -> Patch:
    return _line(f"activity: {label}", _LABEL_FONT, *_LABEL_AT, _GREEN)


@functools.lru_cache(maxsize=256)
def _line(text: str, size: int, left: int, foot: int, colour: Colour = _WHITE) -> Patch:
    """A line of text whose letters stand on the row ``foot``."""
    mask = text_mask(text, size)
    sheet = _Sheet(*mask.shape)
    sheet.text(mask, 0, 0, colour)
    return sheet.patch(foot - size, left)
