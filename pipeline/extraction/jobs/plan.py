"""What an extraction has to do: done means the same content and the same recipe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.errors import VideoError
from pipeline.extraction.store.store import Entry
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.failures import FailureLog
from pipeline.videos.catalog.source_file import SourceFile, sha256


@dataclass
class Plan:
    """Every video of a catalog in one of these lists."""

    done: list[Video] = field(default_factory=list)
    """In the store, unchanged."""
    extract: list[Video] = field(default_factory=list)
    """To be decoded and sent through the network."""
    copies: list[tuple[Video, Entry, SourceFile]] = field(default_factory=list)
    """New name, known content: the sequence is copied."""
    twins: list[tuple[Video, Video]] = field(default_factory=list)
    """(video, other): the same content as another one that is to be extracted."""
    failed: list[tuple[Video, VideoError]] = field(default_factory=list)
    """Cannot be opened."""
    failed_before: list[Video] = field(default_factory=list)
    """Failed in an earlier run and did not change since."""


def make_plan(
    videos: Sequence[Video],
    entries: dict[str, Entry],
    failures: FailureLog,
    *,
    retry_failed: bool = False,
    looked_at: Callable[[], None] = lambda: None,
) -> Plan:
    """Compare a catalog with what a store has.

    Size and modification time are compared first; content is hashed only where a name is new or
    changed and the size occurs twice.

    Args:
        videos: what is wanted.
        entries: what the store has, by name.
        failures: what failed before.
        retry_failed: try those again.
        looked_at: called after each video.
    """
    plan = Plan()
    by_size: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries.values():
        by_size[entry.source.size].append(entry)
    new: list[tuple[Video, SourceFile]] = []
    for video in videos:
        looked_at()
        try:
            now = SourceFile.of(video.path)
        except VideoError as error:
            plan.failed.append((video, error))
            continue
        known = entries.get(video.name)
        if known and known.source.same_state(now):
            plan.done.append(video)
        elif failures.knows(video.name, now) and not retry_failed:
            plan.failed_before.append(video)
        else:
            new.append((video, now))
    _find_known_content(plan, new, by_size)
    return plan


def _find_known_content(plan: Plan, new: list[tuple[Video, SourceFile]], by_size: dict[int, list[Entry]]) -> None:
    """Sort new videos into those to extract, and those whose content is in the store or comes twice."""
    sizes: dict[int, int] = defaultdict(int)
    for _, now in new:
        sizes[now.size] += 1
    first: dict[str, Video] = {}
    for video, now in new:
        if sizes[now.size] == 1 and now.size not in by_size:
            plan.extract.append(video)
            continue
        try:
            digest = sha256(video.path)
        except VideoError as error:
            plan.failed.append((video, error))
            continue
        same = next((entry for entry in by_size.get(now.size, ()) if entry.source.sha256 == digest), None)
        if same:
            plan.copies.append((video, same, replace(same.source, mtime_ns=now.mtime_ns)))
        elif digest in first:
            plan.twins.append((video, first[digest]))
        else:
            first[digest] = video
            plan.extract.append(video)
