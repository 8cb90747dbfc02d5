from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.files.sizes import parse_size


@pytest.mark.parametrize(("text", "size"), [("299", (299, 299)), ("720x1280", (720, 1280)), (" 224X224 ", (224, 224))])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "1x2x3", "-5", "3.5", "123456"])
def test_sizes_that_are_none(text):
    with pytest.raises(UserError, match="not understood; expected one side such as 299"):
        parse_size(text)


@pytest.mark.parametrize("text", ["320", "x", "ax3", "-2x4", "2.5x3"])
def test_where_both_sides_are_needed(text):
    with pytest.raises(UserError, match="expected HEIGHTxWIDTH"):
        parse_size(text, square=False)
