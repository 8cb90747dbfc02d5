"""Divide videos into train, val and test, or into folds: no group on both sides, every class in its share."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.text import plural
from pipeline.lazy import np
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.official_splits import UCF101_GROUP


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


def groups_of(videos: Sequence[Video], rule: str | None = None) -> tuple[list[str], tuple[str, ...]]:
    """The group of every video.

    Args:
        videos: rows of a catalog.
        rule: None or ``column`` for the catalog's own column, ``none`` for no groups, ``auto`` for the column
            if it is filled and else UCF101's ``_gNN_``, or a regular expression on the name: its first
            parenthesis, or the whole match, names the group.

    Returns:
        A group for each video, its own name where no other is known, and notes for the user.

    Raises:
        UserError: the rule is not a regular expression, or matches no video.
    """
    names = [video.name for video in videos]
    filled = any(video.group for video in videos)
    if rule == "none":
        return names, ()
    if rule == "column" and not filled:
        raise UserError("the catalog has no groups; name them by `group=EXPRESSION`, or fill its column 'group'")
    if rule in (None, "column") or (rule == "auto" and filled):
        alone = sum(not video.group for video in videos) if filled else 0
        notes = (f"{plural(alone, 'video')} without a group in the catalog stand alone",) if alone else ()
        return [video.group or f"video {video.name}" for video in videos], notes
    try:
        pattern = UCF101_GROUP if rule == "auto" else re.compile(rule or "")
    except re.error as error:
        raise UserError(
            f"`group={rule!r}` is not a regular expression ({error}); try for example 'person\\d+'"
        ) from None
    matches = [pattern.search(name) for name in names]
    found = sum(match is not None for match in matches)
    if rule == "auto" and not found:
        return names, ("no groups found in the names or the catalog; each video is its own group",)
    if not found:
        raise UserError(f"`group={rule!r}` matches no video, for example not {names[0]!r}")
    groups = [
        (match[1] if match.lastindex and match[1] is not None else match[0]) if match else f"video {name}"
        for match, name in zip(matches, names, strict=True)
    ]
    missed = len(names) - found
    return groups, ((f"{plural(missed, 'video')} that the group rule does not match stand alone",) if missed else ())


def assign_splits(videos: Sequence[Video], shares: Shares, *, seed: int = 0) -> list[Video]:
    """Give every video a split, whole groups at a time.

    A class that has one group only is in train. Where a class has too few groups for every split, train comes first,
    then test.

    Args:
        videos: rows of a catalog; a video without a group is a group by itself. What their ``split`` says is replaced.
        shares: the wanted shares.
        seed: decides which of several equally good divisions is taken.

    Returns:
        The videos in their order, each with a split.

    Raises:
        UserError: a negative seed.
    """
    # Nothing can be learnt without train, nothing said without test.
    order = ("train", "test", "val")
    wanted = [shares.by_split[split] for split in order]
    return [
        replace(video, split=order[part])
        for video, part in zip(videos, _divide(videos, wanted, seed, lone=0), strict=True)
    ]


def assign_folds(videos: Sequence[Video], folds: int, *, seed: int = 0, keep_lone: bool = False) -> list[int]:
    """The fold of every video, from 0, divided as by `assign_splits`.

    Args:
        videos: rows of a catalog.
        folds: how many.
        seed: decides which of several equally good divisions is taken.
        keep_lone: a group that holds all of a class is in no fold, which is -1.
    """
    if not keep_lone:
        return _divide(videos, [1 / folds] * folds, seed)
    parts = _divide(videos, [*[1 / folds] * folds, 0], seed, lone=folds)
    return [-1 if part == folds else part for part in parts]


def _divide(videos: Sequence[Video], shares: Sequence[float], seed: int, *, lone: int | None = None) -> list[int]:
    """The part of every video, whole groups at a time.

    The largest groups are placed first, each where its classes lack most; the seed decides among equals, and the
    earlier part gets a group where all lack as much. Groups that hold all of a class go to the part ``lone``.
    """
    if seed < 0:
        raise UserError(f"`seed={seed}`: expected 0 or more")
    groups: dict[str, list[int]] = defaultdict(list)
    for place, video in enumerate(videos):
        # A name cannot hold a zero byte, so a video by itself is never taken for a named group.
        groups[video.group or f"\0{video.name}"].append(place)
    totals = Counter(video.label for video in videos)
    here: list[Counter[str]] = [Counter() for _ in shares]
    members = list(groups.values())
    classes = [Counter(videos[place].label for place in of_group) for of_group in members]
    alone = [lone is not None and any(n == totals[label] for label, n in labels.items()) for labels in classes]
    order = np.random.default_rng(seed).permutation(len(members)).tolist()
    parts = [0] * len(videos)
    for group in sorted(order, key=lambda group: (alone[group], len(members[group])), reverse=True):
        labels = classes[group]
        if lone is not None and alone[group]:
            part = lone
        else:
            lacks = [
                (sum(n * (1 - here[place][label] / (share * totals[label])) for label, n in labels.items()), place)
                for place, share in enumerate(shares)
                if share > 0
            ]
            part = max(lacks, key=lambda lack: round(lack[0], 9))[1]
        here[part].update(labels)
        for place in members[group]:
            parts[place] = part
    return parts


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
