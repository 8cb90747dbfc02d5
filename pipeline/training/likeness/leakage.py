"""Find data leakage: groups or near-duplicate videos on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.training.data.dataset import Dataset
from pipeline.training.data.splits import Split
from pipeline.training.likeness.groups import THRESHOLD, threshold_for
from pipeline.training.likeness.near_duplicates import near_pairs

NEAR = 0.95  # a pair from here on is worth a look, also where it is not called a leak
_LISTED = 50


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
    threshold: float = THRESHOLD
    """From which cosine on two videos are near-duplicates."""
    closest: NearDuplicate | None = None
    """The closest pair of all, near-duplicate or not; None where none reaches ``NEAR``."""

    def __bool__(self) -> bool:
        return bool(self.groups or self.near_duplicates)

    def to_json(self) -> dict[str, Any]:
        """Plain values, at most 50 of each kind, with the full counts."""
        return {
            "crossing_groups": len(self.groups),
            "near_duplicates": self.near_duplicate_count,
            "groups": [asdict(group) for group in self.groups[:_LISTED]],
            "pairs": [asdict(found) for found in self.near_duplicates],
            "threshold": self.threshold,
            "closest": asdict(self.closest) if self.closest else None,
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


def find_leaks(data: Dataset, split: Split, groups: Sequence[str], *, threshold: float | None = None) -> LeakReport:
    """Look for groups that cross the split, and for near-duplicate sequences on two sides.

    Args:
        data: the videos.
        split: to examine.
        groups: a group for each video.
        threshold: from which cosine on a pair is named; by default `groups.threshold_for` the data.
    """
    threshold = threshold_for(data) if threshold is None else threshold
    crossing = _crossing(data, split, groups)
    parts = {name: rows for name, rows in split.parts().items() if len(rows)}
    part_of = {int(row): name for name, rows in parts.items() for row in rows}
    pairs = near_pairs(data.means, list(parts.values()), threshold, most=_LISTED, floor=NEAR)

    def named(first: int, second: int, cosine: float) -> NearDuplicate:
        names = data.videos[first].name, data.videos[second].name
        return NearDuplicate(part_of[second], names[1], part_of[first], names[0], cosine)

    columns = (column.tolist() for column in (pairs.first, pairs.second, pairs.cosines))
    near_duplicates = tuple(named(*pair) for pair in zip(*columns, strict=True))
    closest = None if pairs.closest is None else named(*pairs.closest)
    return LeakReport(crossing, near_duplicates, pairs.count, threshold, closest)


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
