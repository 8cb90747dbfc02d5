from __future__ import annotations

import threading

import pytest

from pipeline.parallel.prefetch import prefetch


def test_items_come_in_order():
    with prefetch(range(100), 3) as items:
        assert list(items) == list(range(100))


def test_no_more_than_asked_are_made_ahead():
    made = []

    def make():
        for number in range(100):
            made.append(number)
            yield number

    with prefetch(make(), 2) as items:
        for number in items:
            assert len(made) <= number + 5


def test_an_error_reaches_who_takes():
    def make():
        yield 1
        raise KeyError("here")

    with prefetch(make(), 3) as items:
        assert next(items) == 1
        with pytest.raises(KeyError, match="here"):
            next(items)


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    with prefetch(iter(int, 1), 3) as items:
        assert next(items) == 0
    assert threading.active_count() == before
