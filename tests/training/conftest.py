"""Tiny stores for the tests of stage two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.training.data.dataset import Dataset, open_dataset
from tests.training.stores import write_store


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """`write_store` into a new folder at each call."""
    made: list[Path] = []

    def make(**options) -> Path:
        made.append(write_store(tmp_path / f"store{len(made)}", **options))
        return made[-1]

    return make


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the tests that only read."""
    return write_store(tmp_path_factory.mktemp("features") / "drawn")


@pytest.fixture(scope="session")
def data(store: Path) -> Dataset:
    return open_dataset(store)
