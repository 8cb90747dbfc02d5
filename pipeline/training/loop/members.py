"""Which training videos each of several heads is validated on, so that together every video validates once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import UserError
from pipeline.files.text import plural
from pipeline.training.data.dataset import Dataset, Windows
from pipeline.training.data.splits import Split
from pipeline.training.heads.registry import HEADS
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.fit import Pair
from pipeline.training.loop.spec import TrainSpec
from pipeline.videos.catalog.splits import assign_folds

# Members, where no more videos than that are learnt from: they still paid at 4,032, the most that were tried.
DEFAULT, FEW = 5, 5000
_FEWEST = 3  # members, where there are too few groups for the default


@dataclass(frozen=True)
class Members:
    """How the videos to learn from are shared out to several heads, or what one head learns from."""

    count: int
    split: Split
    """Several members learn from drawn validation videos too; val is then the user's own or empty."""
    held_by: np.ndarray
    """``(n,)`` int64, for each row of the dataset the member that is validated on it; -1 for none.

    One head is validated on val where none has a member."""
    notes: tuple[str, ...] = ()
    """What a user should know, in sentences."""

    def pairs(self, learnt: Windows, plain: Windows, val: Windows) -> list[Pair]:
        """What each member learns from, and what it is validated on.

        Args:
            learnt: windows over the training videos and their augmented copies.
            plain: windows over the training videos.
            val: windows over the validation videos, for one head.
        """
        if not (self.held_by >= 0).any():
            return [(learnt, val)]
        copies = learnt.data.labels[len(self.held_by) :]
        held_by = self.held_by
        if len(copies):
            held_by = np.concatenate([held_by, held_by[plain.data.copies.of]])  # type: ignore[union-attr]
        return [
            (_chosen(learnt, held_by[learnt.video] != number), _chosen(plain, held_by[plain.video] == number))
            for number in range(self.count)
        ]


def share_out(data: Dataset, split: Split, groups: Sequence[str], head: HeadSpec, spec: TrainSpec) -> Members:
    """Decide how many heads are trained, and which groups each of them is validated on.

    Groups that hold all of a class are learnt from by all members and validate none.

    Args:
        data: the videos.
        split: which of them are for what.
        groups: a group for each video.
        head: what is trained.
        spec: how; says how many members, or leaves it to the size of the set.

    Raises:
        UserError: more members than groups.
    """
    one = Members(1, split, np.full(len(data), -1, np.int64))
    together = split.without_drawn_val()
    wanted = spec.members if spec.members is not None else _default(head, len(together.train))
    if wanted == 1:
        return _beside_a_leak(one, data, groups, spec.seed)
    rows = [
        replace(data.videos[row], label=data.classes[data.labels[row]], group=groups[row]) for row in together.train
    ]
    held = np.array(assign_folds(rows, wanted, seed=spec.seed, keep_lone=True), np.int64)
    dividable = len({row.group for row, part in zip(rows, held, strict=True) if part >= 0})
    if dividable < wanted:
        if spec.members is not None:
            raise UserError(
                f"`members={wanted}`: each needs a group of training videos to be validated on, and there are "
                f"{dividable} whose classes lie in other groups too; use `members={max(1, dividable)}` or less, add "
                "videos, or choose another `group`"
            )
        if dividable < _FEWEST:
            return _beside_a_leak(one, data, groups, spec.seed)
        wanted = dividable
        held = np.array(assign_folds(rows, wanted, seed=spec.seed, keep_lone=True), np.int64)
    # Large groups can leave a member without any.
    used, numbers = np.unique(held[held >= 0], return_inverse=True)
    held[held >= 0] = numbers
    if len(used) < 2:
        raise UserError(f"`members={wanted}`: the groups of the training videos cannot be divided; use `members=1`")
    held_by = one.held_by.copy()
    held_by[together.train] = held
    notes = [_said(len(used), len(together.train), dividable, asked=spec.members is not None)]
    notes += _gaps(data, together.train, held, groups, len(used))
    return Members(len(used), together, held_by, tuple(notes))


def _beside_a_leak(one: Members, data: Dataset, groups: Sequence[str], seed: int) -> Members:
    """One head whose own validation videos share groups with training is stopped and calibrated by others.

    They are a fifth of the training videos, whole groups, which it does not learn from.
    """
    train, val = one.split.train, one.split.val
    shared = {groups[row] for row in train} & {groups[row] for row in val}
    rows = [replace(data.videos[row], label=data.classes[data.labels[row]], group=groups[row]) for row in train]
    held = np.array(assign_folds(rows, DEFAULT, seed=seed, keep_lone=True)) == 0
    if not shared or not held.any():
        return one
    held_by = one.held_by.copy()
    held_by[train[held]] = 0
    note = (
        f"{plural(len(shared), 'group')} of videos lie in both train and val: "
        f"{plural(int(held.sum()), 'training video')} of other groups decide when training stops, and the temperature"
    )
    return replace(one, held_by=held_by, notes=(note,))


def _default(head: HeadSpec, videos: int) -> int:
    """Networks on frames cost too much to train five times, and published heads are trained as published."""
    return HEADS[head.name].training.get("members") or (1 if videos > FEW else DEFAULT)


def _said(count: int, videos: int, groups: int, *, asked: bool) -> str:
    why = "" if asked else f" (the default for up to {FEW:,} training videos)"
    return (
        f"{count} members are trained, each validated on another {_share(count)} of {videos:,} training videos in "
        f"{groups:,} groups; their probabilities are averaged{why}"
    )


def _share(count: int) -> str:
    return {2: "half", 3: "third", 4: "quarter", 5: "fifth"}.get(count, f"1/{count}")


def _gaps(data: Dataset, train: np.ndarray, held: np.ndarray, groups: Sequence[str], count: int) -> list[str]:
    """Classes that lie in too few groups for every member to be validated on them, and members that never see one."""
    notes = []
    for index, name in enumerate(data.classes):
        of_class = data.labels[train] == index
        if not of_class.any():
            continue
        found = len({groups[row] for row in train[of_class]})
        if found == 1:
            notes.append(f"class {name!r} has one group only: all members learn from it, and none is validated on it")
        elif found < count:
            notes.append(
                f"class {name!r} lies in {found} groups, fewer than the {count} members: not each is validated on it"
            )
        for member in range(count):
            if (held[of_class] == member).all():
                notes.append(f"member {member + 1} learns without class {name!r}, all of which it is validated on")
    return notes


def _chosen(windows: Windows, rows: np.ndarray) -> Windows:
    return replace(windows, video=windows.video[rows], start=windows.start[rows], labels=windows.labels[rows])
