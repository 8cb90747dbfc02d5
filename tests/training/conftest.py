"""Tiny stores of drawn sequences: classes differ in their mean, videos in length, groups in an offset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.extraction.recipe import Recipe
from pipeline.extraction.shards import StoreWriter
from pipeline.extraction.store import CATALOG_FILE, Source
from pipeline.training.dataset import Dataset, open_dataset
from pipeline.videos.catalog import Video, write_catalog

DIMENSIONS, STEPS = 12, 6
MakeStore = Callable[..., Path]


def write_store(
    folder: Path,
    *,
    per_class: int = 12,
    classes: tuple[str, ...] = ("jump", "run", "walk"),
    groups: int = 6,
    separation: float = 2.0,
    sampling: str = f"uniform:{STEPS}",
    longest: int = STEPS,
    splits: bool = False,
    seed: int = 0,
) -> Path:
    """A store of ``per_class`` videos per class; every ``groups``-th video of a class is of the same group."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(len(classes), DIMENSIONS)) * separation
    videos = []
    with StoreWriter(folder, Recipe(sampling, "tiny", "0" * 64, 32, 32), dtype="float32") as store:
        for label, name in enumerate(classes):
            for number in range(per_class):
                steps = longest if number == 0 else int(random.integers(1, longest + 1))
                buffer = store.buffer()
                features = centres[label] + random.normal(size=(steps, DIMENSIONS))
                buffer.append(features, [0.5 * step for step in range(steps)], list(range(steps)))
                split = ("test", "train", "train", "val")[number % 4] if splits else ""
                group = f"g{number % groups}"
                video = Video(f"{name}/{group}_{number}.mp4", folder / f"{name}_{number}.mp4", name, split)
                store.add(video.name, buffer, Source(1, 1, "", frames=steps, duration=1.0 + number))
                videos.append(video)
    write_catalog(videos, folder / CATALOG_FILE)
    return folder


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
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
