from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inference.drawing.text import ELLIPSIS, fit_text, line_height, text_mask, undrawable


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.sampled_from([8, 13, 40]), st.booleans())
def test_any_text_is_one_line(text, size, bold):
    mask = text_mask(text, size, bold)
    assert mask.dtype == np.uint8
    assert mask.shape[0] == line_height(size)


@pytest.mark.parametrize("text", ["Football", "Ελληνικά", "Русский", "العربية", "Ä g"])
def test_letters_are_drawn_within_the_line(text):
    mask = text_mask(text, 40)
    assert mask.max() == 255
    assert mask[0].max() < 128
    assert mask[-1].max() < 128


def test_different_letters_differ():
    assert not np.array_equal(text_mask("Ж", 30), text_mask("Д", 30))
    assert undrawable("Football Ελληνικά") == ""


@pytest.mark.skipif(not hasattr(cv2, "FontFace"), reason="OpenCV 4 has no Chinese characters")
def test_chinese_japanese_and_korean():
    assert undrawable("足球 ニュース 축구") == ""
    assert not np.array_equal(text_mask("足", 30), text_mask("球", 30))
    assert text_mask("足球 goal", 30).shape[1] > text_mask("足球", 30).shape[1] > 30


def test_what_no_font_has_is_named_and_boxed():
    private = "\U000f0000"
    assert undrawable(f"a{private}b{private}") == private
    np.testing.assert_array_equal(text_mask(private, 20), text_mask("□", 20))


@given(st.text(max_size=60), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_fitting_text_is_no_wider(text, width):
    fitted = fit_text(text, 12, width)
    assert text_mask(fitted, 12).shape[1] <= width or fitted == ""
    assert fitted == " ".join(text.split()) or fitted == "" or fitted.endswith(ELLIPSIS)


def test_as_much_as_fits_is_kept():
    width = text_mask("Commerc" + ELLIPSIS, 20).shape[1]
    assert fit_text("Commercials", 20, width) == "Commerc" + ELLIPSIS
    assert fit_text("Commercials", 20, 1000) == "Commercials"
