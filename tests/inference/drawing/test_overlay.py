"""The drawing: there, readable, inside the image, and the same colour for the same class."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.inference.drawing.overlay import Overlay, percent
from pipeline.inference.drawing.palette import GREY, colour_of, hex_of
from pipeline.inference.drawing.text import text_mask
from pipeline.inference.timeline.smoothing import UNKNOWN

NAMES = ("Football", "Commercials", "x" * 200, "足球", "emoji 🙂", "العربية", "", "  ", "a\nb", "%d{}<b>")
SIZES = [(2, 2), (16, 16), (64, 64), (160, 120), (640, 480), (240, 426), (3840, 2160), (1, 300), (300, 3)]


def even(classes: int) -> np.ndarray:
    return np.full(classes, 1 / classes, np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("style", ["bars", "scores", "plain", "none"])
def test_any_size_and_any_name(size, style):
    width, height = size
    overlay = Overlay(NAMES, size, style=style, labels=np.array([0, 1, 2, UNKNOWN]))
    image = np.full((height, width, 3), 128, np.uint8)
    for label in (*range(len(NAMES)), UNKNOWN):
        drawn = overlay.draw(image, even(len(NAMES)), label, 3)
        assert drawn.shape == image.shape
        assert drawn.dtype == np.uint8
    assert np.all(image == 128)  # it is not drawn on itself


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("size", [(64, 64), (640, 480), (1920, 1080)])
def test_text_stands_out_on_any_ground(ground, size):
    image = np.full((size[1], size[0], 3), ground, np.uint8)
    drawn = Overlay(("Football", "Ads"), size).draw(image, np.array([0.8, 0.2], np.float32), 0)
    corner = drawn[: max(12, size[1] // 12), : size[0] // 3].astype(int)
    # White text, and behind it what is much darker.
    assert corner.max() > 200
    assert np.median(corner) < 100


def test_noise_behind_the_text_is_dimmed():
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    overlay = Overlay(("Football", "Ads"), (640, 480))
    drawn = overlay.draw(image, np.array([0.8, 0.2], np.float32), 0)
    assert overlay._panel is not None
    panel = drawn[: overlay._panel.height, : overlay._panel.width]
    assert np.percentile(panel.mean(axis=2), 60) < 100


def test_a_bar_is_as_long_as_its_probability():
    lengths = []
    for probability in (0.0, 0.25, 0.5, 1.0):
        values = np.array([probability, 1 - probability], np.float32)
        drawn = Overlay(("a", "b"), (640, 480)).draw(np.zeros((480, 640, 3), np.uint8), values, 0)
        rows = np.all(drawn == colour_of(0), axis=2)[40:]  # below the heading with its chip
        lengths.append(int(rows.sum(axis=1).max()))
    assert lengths[0] == 0
    assert lengths[1] * 4 == pytest.approx(lengths[3], abs=3)
    assert lengths[2] * 2 == pytest.approx(lengths[3], abs=3)


def test_the_timeline_shows_labels_and_position():
    labels = np.repeat([0, 1, UNKNOWN], 100)
    overlay = Overlay(("a", "b"), (600, 400), labels=labels)
    image = np.zeros((400, 600, 3), np.uint8)
    first = overlay.draw(image, even(2), 0, 0)
    last = overlay.draw(image, even(2), 0, 299)
    assert tuple(first[-1, 100]) == colour_of(0)
    assert tuple(first[-1, 300]) == colour_of(1)
    assert tuple(first[-1, 500]) == GREY
    assert first[-1, 1].min() > 200  # the position is white
    assert last[-1, 599].min() > 200
    assert tuple(last[-1, 1]) == colour_of(0)


def test_where_there_is_no_room_the_important_classes_have_bars():
    names = tuple(f"class {number}" for number in range(30))
    important = np.zeros(30)
    important[[3, 17, 29]] = 1
    overlay = Overlay(names, (640, 480), important=important)
    assert overlay._panel is not None
    rows = overlay._panel.rows
    assert {3, 17, 29} <= set(rows)
    assert rows == sorted(rows)
    assert len(rows) <= 8


def shows(drawn: np.ndarray, text: str, left: int, foot: int, size: int, colour=(255, 255, 255)) -> bool:
    """Whether a line of text stands at a place of a black image, in a colour."""
    mask = text_mask(text, size)
    found = drawn[foot - size :, left:][: mask.shape[0], : mask.shape[1]].astype(int)
    return bool(np.abs(found - mask[..., None].astype(int) * np.asarray(colour) // 255).max() <= 2)


def test_scores_are_sorted_and_rounded_forty_pixels_apart_as_published():
    image = np.zeros((400, 640, 3), np.uint8)
    shares = np.array([0.204, 0.671, 0.125], np.float32)
    drawn = Overlay(("aa", "bb", "cc"), (640, 400), style="scores").draw(image, shares, 0)
    lines = ("bb: 0.67", "aa: 0.20", "cc: 0.12")
    assert all(shows(drawn, text, 40, 40 * place + 40, 28) for place, text in enumerate(lines))
    assert not shows(drawn, "aa: 0.20", 40, 40, 28)
    for place, text in enumerate(lines):  # and nothing else is drawn
        mask = text_mask(text, 28)
        drawn[40 * place + 12 :][: mask.shape[0], 40 : 40 + mask.shape[1]] = 0
    assert drawn.max() == 0


def test_plain_is_the_label_alone():
    image = np.zeros((400, 640, 3), np.uint8)
    overlay = Overlay(("tennis", "football"), (640, 400), style="plain")
    for label, name in ((0, "tennis"), (1, "football"), (UNKNOWN, "unknown")):
        assert shows(overlay.draw(image, even(2), label), f"activity: {name}", 35, 50, 36, (0, 255, 0))
    assert not shows(overlay.draw(image, even(2), 0), "activity: football", 35, 50, 36, (0, 255, 0))


def test_colours_are_stable_and_differ():
    colours = [colour_of(label) for label in range(48)]
    assert len(set(colours)) == 48
    assert colour_of(5) == colours[5]
    assert colour_of(UNKNOWN) == GREY
    assert GREY not in colours
    assert hex_of(0) == "#e69f00"


def test_percentages():
    assert [percent(value) for value in (0, 0.004, 0.006, 0.5, 0.994, 0.999, 0.9996, 1)] == [
        "0%",
        "0%",
        "1%",
        "50%",
        "99%",
        "99%",
        "100%",
        "100%",
    ]
