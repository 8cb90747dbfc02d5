"""Tiny stores of drawn sequences: classes differ in their mean, videos in their length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.extraction.store.store import CATALOG_FILE
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.catalog_table import write_catalog
from pipeline.videos.catalog.source_file import SourceFile

DIMENSIONS, STEPS = 12, 6


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
                store.add(video.name, buffer, SourceFile(1, 1, "", frames=steps, duration=1.0 + number))
                videos.append(video)
    write_catalog(videos, folder / CATALOG_FILE)
    return folder
