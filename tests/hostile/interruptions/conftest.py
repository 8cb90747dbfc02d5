"""What the tests of interruptions share: what commands read, and the forges that make them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.interruptions.commands import make_inputs
from tests.hostile.interruptions.processes import Forge
from tests.inference.conftest import checkpoint, clips, store  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """Of commands that compute nothing."""
    with contextlib.closing(Forge(tmp_path_factory.mktemp("light") / "said", heavy=False)) as forge:
        yield forge


@pytest.fixture(scope="session")
def heavy(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Iterator[Forge]:
    """Of commands that compute; a search is there for those that report."""
    with contextlib.closing(Forge(tmp_path_factory.mktemp("heavy") / "said", heavy=True)) as forge:
        words = ("search", made / "store", "--grid", made / "grid.yaml", "--labels", made / "labels.csv")
        status, said, _ = forge.run((*words, "--epochs", 2, "--out", made / "search"))
        assert status == 0, said
        yield forge
