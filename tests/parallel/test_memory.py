"""A limit that a machine can have."""

from __future__ import annotations

from pipeline.parallel.memory import free_memory


def test_some_memory_is_free():
    assert 1 << 20 < free_memory() < 1 << 50
