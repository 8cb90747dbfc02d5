from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.files.sizes import parse_memory, parse_size


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


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("100", 100), ("1.5G", 3 << 29), ("800 MB", 800 << 20), ("2GiB", 2 << 30), (".5k", 512)],
)
def test_sizes_of_memory(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "1 EB", "1.5.2M"])
def test_what_is_not_a_size_of_memory_is_refused(text):
    with pytest.raises(UserError, match="expected for example"):
        parse_memory(text)
