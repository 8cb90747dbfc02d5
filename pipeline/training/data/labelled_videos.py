"""Which videos of a store are learnt from: those with features and a label, and of which classes they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.store.store import FeatureStore
from pipeline.training.data.frame_labels import FrameLabels
from pipeline.videos.catalog.catalog import Video


def usable_videos(store: FeatureStore, labels: dict[str, FrameLabels] | None) -> tuple[list[Video], Counter[str]]:
    """The videos that have features and a label, and how many have not, by reason."""
    left_out: Counter[str] = Counter()
    videos = []
    for video in store.catalog:
        if labels is not None:
            known = labels.get(video.name)
            video = replace(video, label=known.most_common() if known else "", split=known.split if known else "")
        if video.name not in store.entries:
            left_out["without features"] += 1
        elif not video.label:
            left_out["without a label"] += 1
        elif store.entries[video.name].steps < 1:
            left_out["without frames"] += 1
        else:
            videos.append(video)
    return videos, left_out


def of_classes(
    videos: list[Video], left_out: Counter[str], folder: Path, only: Collection[str], by_frame: bool
) -> list[Video]:
    """The videos of some classes; the others are counted.

    Raises:
        UserError: a class that no video has, or labels of frames, which a video may have several of.
    """
    if by_frame:
        raise UserError("`classes` are those of whole videos, and here single frames are labelled; leave it out")
    there = {video.label for video in videos}
    for name in only:
        if name not in there:
            raise UserError(f"`classes`: there is no video of {name!r} in {folder}, only {', '.join(sorted(there))}")
    kept = [video for video in videos if video.label in only]
    left_out += Counter({"of other classes": len(videos) - len(kept)})  # nothing where there are none
    return kept


def check_classes(folder: Path, found: tuple[str, ...], wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """The classes of a set: those found, or those that a checkpoint knows.

    Raises:
        UserError: fewer than two, or one that the checkpoint does not know.
    """
    if not found:
        raise UserError(f"{folder} has no labelled videos with features; label them by folder or in a CSV catalog")
    if wanted is None and len(found) < 2:
        raise UserError(f"{folder} has only the class {found[0]!r}; training needs videos of at least two classes")
    if wanted is not None and (unknown := [name for name in found if name not in wanted]):
        raise UserError(
            f"{folder} has videos of {', '.join(map(repr, unknown[:5]))}, which the checkpoint does not know; "
            f"its classes are {', '.join(map(repr, wanted[:20]))}"
        )
    return found if wanted is None else wanted
