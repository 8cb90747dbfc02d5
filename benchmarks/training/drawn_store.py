"""A store of sequences that no network made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.extraction.store.store import CATALOG_FILE
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.catalog_table import write_catalog
from pipeline.videos.catalog.source_file import SourceFile

_STEP_SECONDS = 0.5


def write_store(folder: Path, sequences: Iterable[tuple[Any, ...]]) -> None:
    """Write sequences, each with its class, its split, its features ``(t, D)`` and perhaps its group, in that order."""
    videos = []
    with StoreWriter(folder, Recipe("uniform:20", "drawn", "0" * 64, 1, 1)) as writer:
        for number, (label, split, features, *group) in enumerate(sequences):
            steps = len(features)
            buffer = writer.buffer()
            buffer.append(features, [_STEP_SECONDS * step for step in range(steps)], list(range(steps)))
            name = f"{label}/video{number}.mp4"
            writer.add(name, buffer, SourceFile(1, 1, "", frames=steps, duration=_STEP_SECONDS * steps))
            videos.append(Video(name, folder / name, label, split, *group))
    write_catalog(videos, folder / CATALOG_FILE)
