"""Sizes as users write them, and a limit that a machine can have."""

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.parallel.memory import free_memory, parse_memory


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("100", 100), ("1.5G", 3 << 29), ("800 MB", 800 << 20), ("2GiB", 2 << 30), (".5k", 512)],
)
def test_sizes(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "1 EB", "1.5.2M"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError, match="expected for example"):
        parse_memory(text)


def test_some_memory_is_free():
    assert 1 << 20 < free_memory() < 1 << 50
