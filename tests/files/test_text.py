"""Words, times, sizes and rules as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.files.text import format_time, natural_key, parse_memory, parse_rule, parse_size, parse_time, plural


def test_order_and_wording():
    assert sorted(["clip10", "Clip2", "clip1", "b"], key=natural_key) == ["b", "clip1", "Clip2", "clip10"]
    assert [plural(n, "class", "classes") for n in (0, 1, 1200)] == ["0 classes", "1 class", "1,200 classes"]


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
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(UserError, match="expected for example"):
        parse_memory(text)


def test_rules_are_a_kind_and_maybe_a_number():
    assert parse_rule(" Uniform:20 ", "sampling", "uniform:N") == ("uniform", 20)
    assert parse_rule("all", "sampling", "all") == ("all", None)
    with pytest.raises(UserError, match="sampling 'fps:x': 'x' is not a number; expected fps:F"):
        parse_rule("fps:x", "sampling", "fps:F")
