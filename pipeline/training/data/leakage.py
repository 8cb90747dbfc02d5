"""Find data leakage: groups or near-duplicate videos on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pipeline.training.data.dataset import Dataset, windows_of
from pipeline.training.data.near_duplicates import near_pairs
from pipeline.training.data.splits import Split
from pipeline.training.data.windows import WindowSpec

COPY_THRESHOLD = 0.9999
THRESHOLD = 0.98  # cosine of centred mean features; see `find_leaks`
_LISTED = 50
_GRID = 16  # pixels of each side of a frame, at most


@dataclass(frozen=True)
class CrossingGroup:
    """A group with videos in several splits."""

    group: str
    splits: dict[str, list[str]]
    """Names of its videos by split."""


@dataclass(frozen=True)
class NearDuplicate:
    """Two videos in different splits that look the same to the network."""

    split: str
    video: str
    other_split: str
    other: str
    cosine: float


@dataclass(frozen=True)
class LeakReport:
    """All leaks of a split."""

    groups: tuple[CrossingGroup, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    """The closest 50, the closest first."""
    near_duplicate_count: int
    """How many there are."""

    def __bool__(self) -> bool:
        return bool(self.groups or self.near_duplicates)

    def to_json(self) -> dict[str, Any]:
        """Plain values, at most 50 of each kind, with the full counts."""
        return {
            "crossing_groups": len(self.groups),
            "near_duplicates": self.near_duplicate_count,
            "groups": [asdict(group) for group in self.groups[:_LISTED]],
            "pairs": [asdict(found) for found in self.near_duplicates],
        }

    def lines(self, count: int = 5) -> list[str]:
        """What to print: the worst of each kind."""
        lines = []
        for crossing in self.groups[:count]:
            where = ", ".join(f"{len(names)} in {split}" for split, names in crossing.splits.items())
            lines.append(f"leak: group {crossing.group!r} crosses the split: {where}")
        for found in self.near_duplicates[:count]:
            lines.append(
                f"leak: {found.video} ({found.split}) is nearly the same as {found.other} ({found.other_split}), "
                f"cosine {found.cosine:.4f}"
            )
        more = max(0, len(self.groups) - count) + max(0, self.near_duplicate_count - count)
        if more:
            most = max(len(self.groups), self.near_duplicate_count)
            listed = "all" if most <= _LISTED else f"the first {_LISTED} of each kind"
            lines.append(f"leak: {more:,} more; report.html and results.json have {listed}")
        return lines


def threshold_for(data: Dataset) -> float:
    """From which cosine on two sequences are near duplicates; to a random network, and in pixels, most look alike."""
    pixels = len(data.shape) == 3
    return COPY_THRESHOLD if pixels or data.sources[0].weights_source.startswith("random") else THRESHOLD


def find_leaks(data: Dataset, split: Split, groups: Sequence[str], *, threshold: float = THRESHOLD) -> LeakReport:
    """Look for groups that cross the split, and for near duplicates sequences on two sides.

    Two sequences are near duplicates where the cosine of their mean features, the mean of all videos subtracted,
    is at least ``threshold``. A copy under another name has 1. Measured with InceptionV3: clips cut side by side
    from one camera reach 0.986, mirrored copies 0.975, and different people doing the same stay below 0.93.

    Args:
        data: the videos.
        split: to examine.
        groups: a group for each video.
        threshold: from which cosine on a pair is named.
    """
    crossing = _crossing(data, split, groups)
    parts = {name: rows for name, rows in split.parts().items() if len(rows)}
    part_of = {int(row): name for name, rows in parts.items() for row in rows}
    pairs = near_pairs(mean_features(data), list(parts.values()), threshold, most=_LISTED)
    columns = (column.tolist() for column in (pairs.first, pairs.second, pairs.cosines))
    near_duplicates = (
        NearDuplicate(part_of[second], data.videos[second].name, part_of[first], data.videos[first].name, cosine)
        for first, second, cosine in zip(*columns, strict=True)
    )
    return LeakReport(crossing, tuple(near_duplicates), pairs.count)


def _crossing(data: Dataset, split: Split, groups: Sequence[str]) -> tuple[CrossingGroup, ...]:
    places: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for part, rows in split.parts().items():
        for row in rows:
            places[groups[row]][part].append(data.videos[row].name)
    return tuple(
        CrossingGroup(group, {part: list(names) for part, names in parts.items()})
        for group, parts in sorted(places.items())
        if len(parts) > 1
    )


def mean_features(data: Dataset) -> np.ndarray:
    """``(n, D)`` in the type of the store, the mean of each sequence; of frames, of some pixels of them."""
    # Enough of a frame to know a copy by, and of a long list of videos no more than features take.
    thin = tuple(slice(None, None, -(-side // _GRID)) for side in data.shape[:2]) if len(data.shape) == 3 else ()
    size = np.empty(data.shape, bool)[thin].size
    means = np.zeros((len(data), size), np.result_type(data.features.dtype, np.float16))
    length = min(64, int(data.steps.max()))
    stretches = windows_of(replace(data, step_labels=None), np.arange(len(data)), WindowSpec(length))
    for rows, features, _ in stretches.blocks():
        videos, of_row = np.unique(stretches.video[rows], return_inverse=True)
        sums = np.zeros((len(videos), size), np.float32)
        np.add.at(sums, of_row, features[:, :, *thin].sum(axis=1, dtype=np.float32).reshape(len(rows), -1))
        means[videos] += (sums / data.steps[videos, None]).astype(means.dtype)
    return means
