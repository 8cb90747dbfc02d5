"""A part of a catalog: some classes, or videos that are long enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import Catalog


def choose_classes(catalog: Catalog, names: Collection[str]) -> Catalog:
    """The videos of some classes; those of others, or of none, count as skipped.

    Raises:
        UserError: a class that no video has.
    """
    for name in names:
        if name not in catalog.classes:
            there = ", ".join(catalog.classes[:20]) or "none"
            raise UserError(
                f"`classes`: there is no video of {name!r} in {catalog.table or catalog.root}, only {there}"
            )
    kept = set(names)
    videos = tuple(video for video in catalog.videos if video.label in kept)
    skipped = Counter({"of other classes": len(catalog) - len(videos)} if len(videos) < len(catalog) else {})
    return replace(catalog, videos=videos, skipped=catalog.skipped + skipped)


def limit_classes(catalog: Catalog, count: int) -> Catalog:
    """The videos of the first ``count`` classes in natural order; those of others, or of none, count as skipped.

    Raises:
        UserError: the limit is less than 1.
    """
    if count < 1:
        raise UserError(f"`class_limit={count}`: expected 1 or more")
    return choose_classes(catalog, catalog.classes[:count])
