"""Splits that can be trusted: shuffled, stratified by class, and with no group on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import UserError
from pipeline.files.text import plural
from pipeline.training.data.dataset import Dataset
from pipeline.videos.catalog.catalog import SPLITS, Video
from pipeline.videos.catalog.splits import Shares, assign_folds, assign_splits


@dataclass(frozen=True)
class Split:
    """Rows of a dataset by what they are for; no row is in two of these."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()
    """What a user should know about it, in sentences."""
    drawn_val: tuple[str, ...] | None = None
    """What a user should know about validation videos that were drawn from those to learn from; None where val is
    the user's own."""

    def __repr__(self) -> str:
        return f"Split(train {len(self.train)}, val {len(self.val)}, test {len(self.test)})"

    def parts(self) -> dict[str, np.ndarray]:
        """The rows by train, val and test."""
        return {name: getattr(self, name) for name in SPLITS}

    def summary(self) -> str:
        """``train 44, val 12, test 16 videos``; members need no val."""
        shown = {name: len(rows) for name, rows in self.parts().items() if len(rows) or name != "val"}
        return ", ".join(f"{name} {count:,}" for name, count in shown.items()) + " videos"

    def without_drawn_val(self) -> Split:
        """The same with drawn validation videos among those to learn from, for members that validate in turn."""
        if self.drawn_val is None:
            return self
        notes = tuple(note for note in self.notes if note not in self.drawn_val)
        return Split(np.sort(np.concatenate([self.train, self.val])), self.val[:0], self.test, notes)


def make_split(
    data: Dataset,
    groups: Sequence[str],
    *,
    seed: int = 0,
    val: float = 0.2,
    test: float = 0.2,
    ignore: bool = False,
    last: bool = False,
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
        last: validation videos are the last ones of the training part, in the order of the catalog, whatever their
            class and group; as some systems do, and wrongly where the catalog is ordered by class.

    Raises:
        UserError: too few groups, or the catalog's split is incomplete.
    """
    given = np.array([video.split for video in data.videos])
    if ignore or not given.astype(bool).any():
        if last:
            raise UserError("`val_last` needs a catalog that says which videos are for training")
        return _drawn(data, groups, seed, val, test)
    if not (given == "train").any():
        raise UserError("the catalog has splits but no training videos; add some, or draw one with `resplit=True`")
    train, held, tested = (np.flatnonzero(given == name) for name in SPLITS)
    notes = []
    unknown = int((given == "").sum())
    if unknown:
        notes.append(f"{plural(unknown, 'video')} without a split are not used")
    drawn = None
    if len(held) and last:
        raise UserError("the catalog has validation videos; leave out `val_last`, or draw a split with `resplit=True`")
    if last:
        train, held = _last(train, val)
        notes.append(f"the last {plural(len(held), 'video')} of train are for validation, of whatever class")
    elif not len(held):
        train, held = _without_test(_rows(data, groups), train, val, seed)
        drawn = [f"{plural(len(held), 'validation video')} taken from train"]
    if not len(tested):
        notes.append("the catalog has no test videos, so nothing is tested")
    return _checked(data, train, held, tested, notes, drawn)


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
    rows = _rows(data, groups)
    fold_of = np.array(assign_folds(rows, folds, seed=seed))
    splits = []
    for fold in range(folds):
        train, held = _without_test(rows, np.flatnonzero(fold_of != fold), val, seed)
        splits.append(_checked(data, train, held, np.flatnonzero(fold_of == fold), [], []))
    return splits


def _rows(data: Dataset, groups: Sequence[str]) -> list[Video]:
    """Rows of a catalog with the classes and groups of the training."""
    triples = zip(data.videos, data.labels, groups, strict=True)
    return [replace(video, label=data.classes[label], group=group) for video, label, group in triples]


def _drawn(data: Dataset, groups: Sequence[str], seed: int, val: float, test: float) -> Split:
    _check_share(val)
    _check_share(test)
    rows = _rows(data, groups)
    notes = []
    for label in data.classes:
        of_class = [row.group for row in rows if row.label == label]
        if len(set(of_class)) == 1:
            videos = plural(len(of_class), "video")
            notes.append(f"class {label!r} has one group only ({videos}): it is trained on and cannot be tested")
    shares = Shares((1 - val) * (1 - test), val * (1 - test), test)
    split_of = np.array([row.split for row in assign_splits(rows, shares, seed=seed)])
    train, held, tested = (np.flatnonzero(split_of == name) for name in SPLITS)
    if not (len(train) and len(held) and len(tested)):
        raise UserError(
            f"found {plural(len(set(groups)), 'group')} among {plural(len(rows), 'video')}, which cannot be divided "
            f"into training, validation and test videos ({len(notes)} of {len(data.classes)} classes have one group "
            "only); add videos, or choose another `group`"
        )
    return _checked(data, train, held, tested, notes, [])


def _without_test(rows: list[Video], places: np.ndarray, val: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide the rows at some places into training and validation."""
    _check_share(val)
    divided = assign_splits([rows[place] for place in places], Shares(1 - val, val, 0), seed=seed)
    held = np.array([row.split == "val" for row in divided])
    if not held.any():
        raise UserError(
            f"found {plural(len({rows[place].group for place in places}), 'group')} among "
            f"{plural(len(places), 'video')}, which cannot be divided into training and held-out videos; add videos, "
            "or choose another `group`"
        )
    return places[~held], places[held]


def _last(places: np.ndarray, val: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows at some places, and the share of the last ones, as Keras's ``validation_split`` counts it."""
    _check_share(val)
    first = int(len(places) * (1 - val))
    if not 0 < first < len(places):
        raise UserError(f"{plural(len(places), 'video')} cannot be divided by `val={val:g}`")
    return places[:first], places[first:]


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise UserError(f"a share of {share:g} for validation or test is impossible; expected more than 0, less than 1")


def _checked(
    data: Dataset,
    train: np.ndarray,
    val: np.ndarray,
    test: np.ndarray,
    notes: list[str],
    drawn: list[str] | None,
) -> Split:
    """The split with what is to be said of it; ``drawn`` is said of validation videos that were drawn."""
    for name, rows in (("train", train), ("val", val), ("test", test)):
        occurring = data.classes_in(rows)
        missing = [label for index, label in enumerate(data.classes) if index not in occurring]
        if missing and len(rows):
            (notes if name != "val" or drawn is None else drawn).append(
                f"no videos of {', '.join(map(repr, missing))} in {name}"
            )
    if len(data.classes_in(train)) < 2:
        raise UserError("the training part has one class only; add videos, or choose another `group` and other splits")
    return Split(train, val, test, (*notes, *(drawn or ())), None if drawn is None else tuple(drawn))
