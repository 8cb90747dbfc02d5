"""Verifies every entry of a store and says what has to be extracted again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_file import ENDS, open_shard
from pipeline.extraction.store.store import SHARDS, Entry, format_of, read_entries, read_recipe
from pipeline.files.guard.hdf5 import attribute
from pipeline.lazy import h5py, np
from pipeline.videos.catalog.catalog import Catalog

_BYTES_AT_ONCE = 32 << 20


@dataclass
class ShardReport:
    """What is wrong with one shard."""

    path: Path
    videos: list[str] = field(default_factory=list)
    """The videos in it, as far as they can be read."""
    problems: list[str] = field(default_factory=list)


def check_shards(folder: Path) -> Iterator[ShardReport]:
    """Read every value of every shard; yields a report per shard, with no problems if it is good.

    Raises:
        UserError: the folder is not a store.
    """
    recipe = read_recipe(folder)
    for path in sorted(folder.glob(SHARDS)):
        report = ShardReport(path)
        try:
            entries = [entry for _, entry in read_entries(path, recipe)]
            report.videos = [entry.video for entry in entries]
            with open_shard(path) as shard:
                for entry in entries:
                    report.problems += [
                        f"{entry.video}: {problem}" for problem in _check_entry(shard, entry, recipe.clip > 0)
                    ]
                report.problems += [*_check_recipe(shard, recipe), *_check_shape(shard["features"], recipe)]
        except UserError as error:
            report.problems.append(str(error))
        yield report


def _check_recipe(shard: h5py.File, recipe: Recipe) -> Iterator[str]:
    stored = Recipe.from_json(str(attribute(shard, "recipe", str)))
    if stored.fingerprint != attribute(shard, "fingerprint", str):
        yield "its recipe does not match its own fingerprint"
    if attribute(shard, "format", int) != format_of(recipe):
        yield f"not of format {format_of(recipe)}"
    if stored != recipe:
        yield f"made by another recipe ({stored.differences(recipe)})"


def _check_shape(features: h5py.Dataset, recipe: Recipe) -> Iterator[str]:
    expected = (recipe.height, recipe.width, recipe.channels)
    if recipe.keeps_images and (features.shape[2:] != expected or features.dtype != np.uint8):
        yield f"expected images of shape {expected} in uint8, found {features.shape[2:]} in {features.dtype}"


def _check_entry(shard: h5py.File, entry: Entry, of_clips: bool) -> Iterator[str]:
    features, mask = shard["features"], shard["mask"][entry.row]
    steps = entry.steps
    if steps < 1:
        yield "no real step"
    if features.shape[1] != len(mask) or not (mask[:steps].all() and not mask[steps:].any()):
        yield "the mask does not match the features"
    times = shard["times"][entry.row, :steps]
    if not np.isfinite(times).all() or np.any(np.diff(times) < 0):
        yield "the times do not rise"
    frames = shard["frames"][entry.row, :steps]
    if np.any(np.diff(frames) < (0 if of_clips else 1)):  # clips of a slow video may begin with the same frame
        yield "the frame numbers do not rise"
    if of_clips:
        end_times, end_frames = (shard[name][entry.row, :steps] for name in ENDS)
        if not (np.isfinite(end_times).all() and np.all(end_times > times) and np.all(end_frames >= frames)):
            yield "clips of frames that end before they begin"
    at_once = max(1, _BYTES_AT_ONCE // (features.dtype.itemsize * math.prod(features.shape[2:])))
    for start in range(0, steps, at_once):
        if not np.isfinite(features[entry.row, start : min(steps, start + at_once)]).all():
            yield "features that are not finite"
            break


def missing_videos(catalog: Catalog, present: set[str]) -> list[str]:
    """Videos of the catalog that no good shard holds."""
    return [video.name for video in catalog if video.name not in present]


def set_aside(report: ShardReport) -> Path:
    """Move a bad shard into ``damaged/`` beside it, so that the next extraction makes its videos again."""
    place = report.path.parent / "damaged"
    place.mkdir(exist_ok=True)
    return report.path.rename(place / report.path.name)
