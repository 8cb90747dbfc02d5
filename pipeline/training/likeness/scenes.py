"""Scenes that tell the class: where each class was filmed in places of its own, drawn test videos promise too much.

Videos whose mean features are alike are taken for one scene, at several degrees of likeness: with InceptionV3, clips of
one surveillance camera hang together from a cosine of 0.5 to 0.9 on, and clips of others lie below. A linear rule tells
the class of each video from its first step alone, when it knows all other videos. Where it does not when it knows
only those of other scenes, neither by the first step nor by the mean of all, and no scene has two classes, such
a rule knows places and not what happens in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.training.data.dataset import Dataset
from pipeline.training.data.splits import Split
from pipeline.training.data.windows import some_pixels

_MOST = 1500  # videos that are looked at: their likeness is a square table
_FEWEST = 6  # videos of a class that can be judged
_DEGREES = np.arange(0.95, 0.29, -0.05)  # mean cosines from which on two videos are in one scene
_PURE = 0.9  # share of a scene's videos that are of the class
_LOST = 0.3  # of what a rule is above chance, at most so much is left in other scenes
_MATES = 2  # other videos of its class in a video's scene, on average: fewer are a few copies
_NEARLY_ALL = 0.75  # of its class in a video's scene, on average: above it there is no other scene to learn from
_ONE, _ONE_FIRST = 0.6, 0.5  # cosines of means and of first steps from which on a class that is one scene is one place
_RIDGE = 0.1


@dataclass(frozen=True)
class SceneTest:
    """How well the classes are told from the first step of a video."""

    seen: np.ndarray
    """``(C,)`` float64, the share of each class that is told rightly from all other videos."""
    unseen: np.ndarray
    """``(C,)`` float64, the share that is told rightly from videos of other scenes, by the first step or by the mean
    of all, whichever tells more; nan for classes that no scene gives away."""
    alone: np.ndarray
    """``(C,)`` bool, whether all videos of a class are one scene, with no other class in it."""

    @property
    def told(self) -> np.ndarray:
        """``(C,)`` bool, the classes that their scenes give away."""
        return self.alone | np.isfinite(self.unseen)


def scene_warning(data: Dataset, split: Split, groups: Sequence[str]) -> str:
    """A sentence where scenes give the classes of the training videos away; empty where they do not.

    Args:
        data: the videos.
        split: the videos for training and validation are looked at, never those for the test.
        groups: a group for each video, which is a scene as well.
    """
    if data.step_labels is not None:
        return ""
    rows = np.sort(np.concatenate([split.train, split.val]))
    if len(rows) > _MOST:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MOST, replace=False))
    first = data.features.gather(data.offsets[rows], np.ones(len(rows), np.int64), 1)
    found = told_by_scenes(
        some_pixels(first, data.shape)[:, 0].astype(np.float32),
        data.means[rows].astype(np.float32),
        data.labels[rows],
        len(data.classes),
        np.unique([groups[row] for row in rows], return_inverse=True)[1],
    )
    return _sentence(found, data.classes)


def _sentence(found: SceneTest, classes: Sequence[str]) -> str:
    chance, lost = 1 / len(classes), np.isfinite(found.unseen)
    if lost.any() and 2 * found.told.sum() >= len(classes):
        return (
            f"the scene tells the class: from its first frame alone a clip is told rightly in "
            f"{found.seen[lost].mean():.0%} of cases where its scene is known, and in {found.unseen[lost].mean():.0%} "
            f"where it is not (chance {chance:.0%}), so expect little of clips from other places, and film each class "
            "in the places of the others"
        )
    if found.alone.any():
        named = ", ".join(repr(classes[index]) for index in np.flatnonzero(found.alone)[:5])
        return (
            f"the scene may tell the class: all clips of {named} look alike from the first frame on, as if from one "
            "place, and no other class looks so; expect little of them from other places, and of other classes there"
        )
    return ""


def told_by_scenes(
    steps: np.ndarray, means: np.ndarray, labels: np.ndarray, classes: int, groups: np.ndarray
) -> SceneTest:
    """Find the classes that scenes give away.

    Args:
        steps: ``(n, D)`` float32, the first step of each video.
        means: ``(n, D)`` float32, the mean of its steps.
        labels: ``(n,)`` int64.
        classes: how many.
        groups: ``(n,)`` int64, the group of each video; where groups hold several videos they are looked at as scenes.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    rules = [_LeftOut(features, labels, classes) for features in (steps, means)]
    seen = rules[0].recalls(np.arange(len(labels)))
    unseen, alone = np.full(classes, np.nan), np.zeros(classes, bool)
    chance = 1 / classes
    count = np.bincount(labels, minlength=classes)
    enough = (count >= _FEWEST) & (seen >= (1 + chance) / 2)
    if not enough.any():
        return SceneTest(seen, unseen, alone)
    alike = _likeness(steps, labels, classes) >= _ONE_FIRST
    tree = linkage(squareform(_distances(means), checks=False), "average")
    levels = [(float(degree), fcluster(tree, 1 - degree, "distance")) for degree in _DEGREES]
    if len(set(groups.tolist())) < len(groups):
        levels.append((0.0, groups))
    for degree, scenes in levels:
        recalls = np.maximum(*(rule.recalls(scenes) for rule in rules))
        here, pure = _spread(scenes, labels, classes)
        own = enough & (pure >= _PURE)
        several = (here * (count - 1) >= _MATES) & (here <= _NEARLY_ALL)
        lost = own & several & (recalls <= chance + _LOST * (seen - chance))
        unseen = np.where(lost, np.fmin(unseen, recalls), unseen)
        alone |= own & (here > _NEARLY_ALL) & (degree >= _ONE) & alike
    return SceneTest(seen, unseen, alone)


def _distances(vectors: np.ndarray) -> np.ndarray:
    """``(n, n)``: 1 minus the cosine of the vectors, their mean subtracted."""
    units = _units(vectors)
    distances = np.clip(1 - units @ units.T, 0, 2).astype(np.float64)
    np.fill_diagonal(distances, 0)
    return (distances + distances.T) / 2


def _likeness(vectors: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """``(C,)`` the mean cosine of two vectors of a class, the mean of all subtracted; 0 where there are no two."""
    units, count = _units(vectors), np.bincount(labels, minlength=classes)
    sums = np.zeros((classes, units.shape[1]))
    np.add.at(sums, labels, units)
    return ((sums**2).sum(axis=1) - count) / np.maximum(count * (count - 1), 1)


def _units(vectors: np.ndarray) -> np.ndarray:
    centred = vectors - vectors.mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1), 1e-9)[:, None]


def _spread(scenes: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """What share of its class, and of its scene, the videos in a video's scene are that are of its class; by class."""
    table = np.zeros((int(scenes.max()) + 1, classes))
    np.add.at(table, (scenes, labels), 1)
    count = np.maximum(table.sum(axis=0), 1)
    others = table * np.maximum(table - 1, 0) / np.maximum(count - 1, 1)
    pure = table * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    return others.sum(axis=0) / count, pure.sum(axis=0) / count


class _LeftOut:
    """Ridge regression on classes, and what it says of videos when they and others are left out: exact, fitted once.

    With the hat matrix H, the residuals of the videos that are left out are those of the fit on all, multiplied by the
    inverse of their block of I - H.

    Args:
        steps: ``(n, D)``.
        labels: ``(n,)``.
        classes: how many.
    """

    def __init__(self, steps: np.ndarray, labels: np.ndarray, classes: int) -> None:
        scaled = (steps - steps.mean(axis=0)) / np.maximum(steps.std(axis=0), 1e-6)
        products = (scaled @ scaled.T).astype(np.float64)
        products = products / max(float(np.trace(products)) / len(products), 1e-9) + 1  # 1 for a constant
        self._hat = products @ np.linalg.inv(products + _RIDGE * np.eye(len(products)))
        self._targets = np.eye(classes)[labels] - 1 / classes
        self._residuals = self._targets - self._hat @ self._targets
        self._labels, self._classes = labels, classes

    def recalls(self, blocks: np.ndarray) -> np.ndarray:
        """``(C,)`` share of each class that is told rightly when the video's block is left out; 0 where none is there.

        Args:
            blocks: ``(n,)`` int64.
        """
        said = np.empty_like(self._targets)
        for block in np.unique(blocks):
            rows = np.flatnonzero(blocks == block)
            rest = np.eye(len(rows)) - self._hat[np.ix_(rows, rows)]
            said[rows] = self._targets[rows] - np.linalg.solve(rest, self._residuals[rows])
        right = said.argmax(axis=1) == self._labels
        count = np.bincount(self._labels, minlength=self._classes)
        return np.bincount(self._labels, weights=right, minlength=self._classes) / np.maximum(count, 1)
