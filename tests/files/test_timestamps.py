"""Times as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.files.timestamps import format_time, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12", 12), ("12.5", 12.5), ("12,5", 12.5), (".5", 0.5), ("90", 90), ("1:02", 62), ("01:02.25", 62.25)]
    + [("1:00:00", 3600), ("00:01:02.345", 62.345), ("00:01:02,345", 62.345), ("100:00", 6000), (" 3 ", 3)],
)
def test_reads_all_forms(text, seconds):
    assert parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "abc", "-3", "1:60", "1:60:00", "1:2:3:4", "1:-2", "1e3", "nan", "1.2.3", "5s"])
def test_refuses_others_and_says_where(text):
    with pytest.raises(UserError, match=r"^segments\.csv, line 3: .*expected seconds"):
        parse_time(text, "segments.csv, line 3")


@given(st.integers(0, 10**9))
def test_what_is_written_is_read_back(milliseconds):
    assert parse_time(format_time(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-6)
