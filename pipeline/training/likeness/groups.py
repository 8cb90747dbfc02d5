"""Groups by sight: near-identical videos, and those that ``check`` has found to be copies, stand on one side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.files.text import plural
from pipeline.training.data.dataset import Dataset
from pipeline.training.likeness.near_duplicates import join, near_groups, number
from pipeline.training.likeness.own_likeness import COPY_THRESHOLD, measured_threshold
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.splits import groups_of
from pipeline.videos.quality.problems import PROBLEMS_FILE, read_duplicates

THRESHOLD = 0.98  # see `threshold_for`
_MEASURED = "inceptionv3"
_PARTS, _CLASSES = 3, 2  # a split needs groups for train, val and test, of two classes at least


def threshold_for(data: Dataset) -> float:
    """From which cosine of mean features on, the mean of all videos subtracted, two videos are near-duplicates.

    A copy under another name has 1. Measured with InceptionV3: clips cut side by side from one camera reach 0.986,
    mirrored copies 0.975, and different people doing the same stay below 0.93. To another network it is measured on
    these videos; see `own_likeness`. To a random network, and in pixels, most videos look alike.
    """
    if len(data.shape) == 3 or data.sources[0].weights_source.startswith("random"):
        return COPY_THRESHOLD
    if all(source.recipe.backbone == _MEASURED for source in data.sources):
        return THRESHOLD
    return measured_threshold(data) or THRESHOLD


def groups_for(data: Dataset, rule: str | None = None) -> tuple[list[str], tuple[str, ...]]:
    """The group of every video, by what is known of it and by what it looks like.

    Args:
        data: the videos.
        rule: None for the groups of the catalog or of UCF101's names, and by sight where there are none; ``similar``
            for those and by sight in any case; otherwise as for `groups_of`. With None and ``similar``, videos that
            ``check`` has found to be copies of each other are in one group.

    Returns:
        A group for each video, its own name where it stands alone, and notes for the user.

    Raises:
        UserError: see `groups_of`; or by sight, which was asked for, nothing is left to divide.
    """
    if rule not in (None, "similar"):
        return groups_of(data.videos, rule)
    known, notes = groups_of(data.videos, "auto")
    unknown = known == data.names
    found = number(np.unique(known, return_inverse=True)[1])
    copies = _copies(data.videos)
    if len(copies):
        found = join(found, *copies.T)
        notes += (f"{plural(len(copies), 'pair')} of copies in {PROBLEMS_FILE} stand on one side",)
    if not (unknown or rule == "similar"):
        return _named(found, known), notes
    seen = near_groups(data.means, threshold_for(data))
    first = np.unique(seen, return_index=True)[1]
    alike = number(join(found, np.arange(len(data)), first[seen]))
    notes = tuple(note for note in notes if not note.startswith("no groups"))
    count, most = int(alike.max()) + 1, int(found.max()) + 1
    if count == most:
        return _named(found, known), notes
    of_class = [len(set(alike[data.labels == label])) for label in range(len(data.classes))]
    if sum(groups >= _PARTS for groups in of_class) < _CLASSES:
        all_in = (
            f"all {len(data):,} videos fall into {plural(count, 'group')} of near-identical ones, too few to divide"
        )
        if rule == "similar":
            raise UserError(f"`group=similar`: {all_in}; add videos, or choose another `group`")
        return _named(found, known), (
            *notes,
            f"{all_in}: they are split apart, and what is said of the test videos holds for nothing but such copies",
        )
    return _named(alike, known), (
        *notes,
        f"{len(data):,} videos fall into {count:,} groups of near-identical ones; `group=none` splits them apart",
    )


def _named(group: np.ndarray, known: Sequence[str]) -> list[str]:
    """Each group by what its first video's was called before."""
    first = np.unique(group, return_index=True)[1]
    return [known[row] for row in first[group]]


def _copies(videos: Sequence[Video]) -> np.ndarray:
    """``(m, 2)`` int64, rows of videos that ``check`` has found to be copies, where its table lies in their folder."""
    folders: dict[Path, dict[str, int]] = defaultdict(dict)
    for row, video in enumerate(videos):
        path, end = video.path.as_posix(), f"/{video.name}"
        if path.endswith(end):
            folders[Path(path.removesuffix(end))][video.name] = row
    pairs = [
        (rows[name], rows[other])
        for folder, rows in folders.items()
        for name, other in read_duplicates(folder / PROBLEMS_FILE)
        if name in rows and other in rows
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)
