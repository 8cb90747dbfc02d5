"""Divides videos into train, val and test: no group on both sides, every class in its share, the same for a seed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import SPLITS, Video

# Who gets a group where all lack as much: nothing can be learnt without train, nothing said without test.
_FIRST = {"train": 2, "test": 1, "val": 0}


@dataclass(frozen=True)
class Shares:
    """How much of the videos each split gets; they need not add up to 1."""

    train: float = 0.7
    val: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        values = (self.train, self.val, self.test)
        if min(values) < 0 or sum(values) <= 0 or self.train <= 0:
            raise UserError(
                f"shares {self.train:g}, {self.val:g}, {self.test:g} cannot be; expected train above 0, val and test "
                f"0 or more"
            )

    @property
    def by_split(self) -> dict[str, float]:
        """Fractions of 1."""
        total = self.train + self.val + self.test
        return {"train": self.train / total, "val": self.val / total, "test": self.test / total}


def group_by(videos: Sequence[Video], pattern: str) -> list[Video]:
    """Give each video the group that a regular expression finds in its name.

    Args:
        videos: rows of a catalog.
        pattern: its first bracket, or all that it matches, is the group; such as ``person\\d+`` or ``(g\\d+)_c``.

    Raises:
        UserError: no regular expression, or a name without a match.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"{pattern!r} is not a regular expression: {error}") from None
    grouped = []
    for video in videos:
        found = expression.search(video.name)
        if found is None:
            raise UserError(f"{pattern!r} matches nothing in {video.name}; expected a part that names its group")
        grouped.append(replace(video, group=found[1] if expression.groups else found[0]))
    return grouped


def assign_splits(videos: Sequence[Video], shares: Shares, *, seed: int = 0) -> list[Video]:
    """Give every video a split, whole groups at a time.

    The largest groups are placed first, each where its classes lack most; the seed decides among equals.
    A video without a group is a group by itself. Where a class has too few groups for every split, train comes first,
    then test.

    Args:
        videos: rows of a catalog; what their ``split`` says is replaced.
        shares: the wanted shares.
        seed: decides which of several equally good divisions is taken.

    Returns:
        The videos in their order, each with a split.
    """
    wanted = shares.by_split
    groups: dict[str, list[int]] = defaultdict(list)
    for place, video in enumerate(videos):
        # A name cannot hold a zero byte, so a video by itself is never taken for a named group.
        groups[video.group or f"\0{video.name}"].append(place)
    totals = Counter(video.label for video in videos)
    here: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    order = [list(groups.values())[i] for i in np.random.default_rng(seed).permutation(len(groups))]
    order.sort(key=len, reverse=True)
    splits = [""] * len(videos)
    for members in order:
        labels = Counter(videos[place].label for place in members)
        lacks = {
            split: sum(n * (1 - here[split][label] / (share * totals[label])) for label, n in labels.items())
            for split, share in wanted.items()
            if share > 0
        }
        best = max(lacks, key=lambda split: (round(lacks[split], 9), _FIRST[split]))
        here[best].update(labels)
        for place in members:
            splits[place] = best
    return [replace(video, split=split) for video, split in zip(videos, splits, strict=True)]


def gaps(videos: Sequence[Video], shares: Shares) -> list[str]:
    """Classes that a split should have and has not, one line each."""
    lines = []
    for label in sorted({video.label for video in videos}):
        there = {video.split for video in videos if video.label == label}
        missing = [split for split, share in shares.by_split.items() if share > 0 and split not in there]
        if missing:
            count = len({video.group or video.name for video in videos if video.label == label})
            lines.append(f"class {label!r} has no videos in {' and '.join(missing)}: it has only {count} group(s)")
    return lines


def arrange(videos: Sequence[Video], folder: Path, *, move: bool) -> list[Video]:
    """Link or move the files to ``folder/<split>/<label>/<name>``.

    Args:
        videos: rows with split and label.
        folder: the new data set.
        move: move the files instead of linking to them.

    Returns:
        The videos at their new places.

    Raises:
        UserError: a file of that name is there already, or two videos would get one name.
    """
    targets: dict[Path, Video] = {}
    for video in videos:
        target = folder / video.split / video.label / video.path.name
        if target in targets:
            # Videos of one name from different folders keep them apart by the folder's name.
            target = target.with_name(f"{video.path.parent.name}_{target.name}")
        if target in targets or target.exists() or target.is_symlink():
            raise UserError(f"{target} exists already; choose an empty folder")
        if not video.path.is_file():
            raise UserError(f"{video.path} does not exist; nothing was {'moved' if move else 'linked'}")
        targets[target] = video
    arranged = []
    for target, video in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if move:
            video.path.replace(target)
        else:
            target.symlink_to(video.path.absolute())
        arranged.append(replace(video, path=target.absolute(), name=target.relative_to(folder).as_posix()))
    return arranged
