"""Splits that can be trusted: shuffled, stratified by class, and with no group on both sides."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.errors import UserError
from pipeline.files.tables import plural
from pipeline.training.data.dataset import Dataset
from pipeline.videos.catalog.catalog import SPLITS, Video
from pipeline.videos.catalog.official_splits import UCF101_GROUP


@dataclass(frozen=True)
class Split:
    """Rows of a dataset by part; no row is in two parts."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()
    """What a user should know about it, in sentences."""

    def __repr__(self) -> str:
        return f"Split(train {len(self.train)}, val {len(self.val)}, test {len(self.test)})"

    def parts(self) -> dict[str, np.ndarray]:
        """The rows by the name of the part."""
        return {name: getattr(self, name) for name in SPLITS}

    def summary(self) -> str:
        """``train 44, val 12, test 16 videos``."""
        return ", ".join(f"{name} {len(rows):,}" for name, rows in self.parts().items()) + " videos"


# -- groups ----------------------------------------------------------------------------------------


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
        UserError: the expression is none, or matches no video.
    """
    names = [video.name for video in videos]
    filled = any(video.group for video in videos)
    if rule == "none":
        return names, ()
    if rule == "column" and not filled:
        raise UserError("the catalog has no groups; name them by `group=EXPRESSION`, or fill its column 'group'")
    if rule in (None, "column") or (rule == "auto" and filled):
        return [video.group or f"video {video.name}" for video in videos], ()
    try:
        pattern = UCF101_GROUP if rule == "auto" else re.compile(rule or "")
    except re.error as error:
        raise UserError(f"`group={rule!r}` is no regular expression ({error}); try for example 'person\\d+'") from None
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


# -- splitting -------------------------------------------------------------------------------------


def make_split(
    data: Dataset, groups: Sequence[str], *, seed: int = 0, val: float = 0.2, test: float = 0.2, ignore: bool = False
) -> Split:
    """One split: the catalog's where it has one, else a drawn one.

    The catalog's train part is kept; where it has no val part, that is taken from train and never from test.

    Args:
        data: the videos.
        groups: a group for each of them.
        seed: of the shuffling.
        val: share of the training videos for validation.
        test: share of all videos for the test.
        ignore: draw a split although the catalog has one.

    Raises:
        UserError: too few groups, or the catalog's split is incomplete.
    """
    given = np.array([video.split for video in data.videos])
    if ignore or not given.astype(bool).any():
        return _drawn(data, groups, seed, val, test)
    if not (given == "train").any():
        raise UserError("the catalog has splits but no training videos; add some, or draw one with `resplit=True`")
    train, held, tested = (np.flatnonzero(given == name) for name in SPLITS)
    notes = []
    unknown = int((given == "").sum())
    if unknown:
        notes.append(f"{plural(unknown, 'video')} without a split are not used")
    if not len(held):
        train, held = _carve(data.labels, groups, train, val, seed)
        notes.append(f"{plural(len(held), 'validation video')} taken from train")
    if not len(tested):
        notes.append("the catalog has no test videos, so nothing is tested")
    return _checked(data, groups, train, held, tested, notes)


def make_folds(data: Dataset, groups: Sequence[str], folds: int, *, seed: int = 0, val: float = 0.2) -> list[Split]:
    """Splits whose test parts together are all videos, each once.

    Args:
        data: the videos.
        groups: a group for each of them.
        folds: how many.
        seed: of the shuffling.
        val: share of each fold's training videos for validation.

    Raises:
        UserError: fewer groups than folds.
    """
    if folds < 2:
        raise UserError(f"`folds={folds}`: expected 2 or more")
    count = len(set(groups))
    if count < folds:
        raise UserError(f"`folds={folds}` needs at least {folds} groups of videos, found {count}")
    rows = np.arange(len(data))
    splits = []
    for rest, test in _k_fold(data.labels, groups, rows, folds, seed):
        train, held = _carve(data.labels, groups, rest, val, seed)
        splits.append(_checked(data, groups, train, held, test, []))
    return splits


def _drawn(data: Dataset, groups: Sequence[str], seed: int, val: float, test: float) -> Split:
    notes: list[str] = []
    count_of = {
        label: len({group for group, of in zip(groups, data.labels, strict=True) if of == label})
        for label in range(len(data.classes))
    }
    lone = [label for label, count in count_of.items() if count == 1]
    for label in lone:
        videos = plural(int((data.labels == label).sum()), "video")
        notes.append(
            f"class {data.classes[label]!r} has one group only ({videos}): it is trained on and cannot be tested"
        )
    # A class in one piece can be on one side only; on the other it would be tested without having been seen.
    kept_groups = {group for group, label in zip(groups, data.labels, strict=True) if label in lone}
    kept = np.array([group in kept_groups for group in groups])
    free = np.flatnonzero(~kept)
    if not len(free):
        raise UserError(
            f"each class has one group only ({plural(len(kept_groups), 'group')} in all), so nothing can be held out "
            "for validation and test; add videos, or check `group`"
        )
    rest, tested = _carve(data.labels, groups, free, test, seed)
    train, held = _carve(data.labels, groups, rest, val, seed)
    return _checked(data, groups, np.sort(np.concatenate([train, np.flatnonzero(kept)])), held, tested, notes)


def _carve(
    labels: np.ndarray, groups: Sequence[str], rows: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divide ``rows`` into the rest and a share of whole groups."""
    if not 0 < share < 1:
        raise UserError(f"a share of {share:g} for validation or test is impossible; expected more than 0, less than 1")
    count = len({groups[row] for row in rows})
    if count < 2:
        raise UserError(
            f"found {plural(count, 'group')} among {plural(len(rows), 'video')}, which cannot be divided into "
            "training and held-out videos; add videos, or check `group`"
        )
    if share > 0.5:
        part, rest = _carve(labels, groups, rows, 1 - share, seed)
        return rest, part
    wanted = max(2, min(round(1 / share), count))
    # Few groups may leave a class out of a part; somewhat larger parts, or another of them, may have all.
    candidates = (
        candidate
        for folds in range(wanted, max(1, wanted - 3), -1)
        for candidate in _k_fold(labels, groups, rows, folds, seed)
    )
    best, fewest = None, len(rows)
    for rest, part in candidates:
        missing = sum(len(set(labels[rows]) - set(labels[side])) for side in (rest, part))
        if missing < fewest:
            best, fewest = (rest, part), missing
        if not missing:
            break
    assert best is not None  # there is at least one fold, and it lacks fewer classes than there are videos
    return best


def _k_fold(labels: np.ndarray, groups: Sequence[str], rows: np.ndarray, folds: int, seed: int):
    """Yield (rest, part) of ``rows`` by scikit-learn's StratifiedGroupKFold."""
    largest = int(np.bincount(labels[rows]).max())
    splitter = StratifiedGroupKFold(max(2, min(folds, largest)), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer videos than folds; what that means for the user is said by `_checked`.
        warnings.simplefilter("ignore", UserWarning)
        for rest, part in splitter.split(rows, labels[rows], [groups[row] for row in rows]):
            yield rows[rest], rows[part]


def _checked(
    data: Dataset, groups: Sequence[str], train: np.ndarray, val: np.ndarray, test: np.ndarray, notes: list[str]
) -> Split:
    for name, rows in (("train", train), ("val", val), ("test", test)):
        occurring = data.classes_in(rows)
        missing = [label for index, label in enumerate(data.classes) if index not in occurring]
        if missing and len(rows):
            notes.append(f"no videos of {', '.join(map(repr, missing))} in {name}")
    if len(data.classes_in(train)) < 2:
        raise UserError("the training part has one class only; add videos, or check `group` and the splits")
    return Split(train, val, test, tuple(notes))
