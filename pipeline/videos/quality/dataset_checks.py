"""What is wrong with a set of videos: outliers of length and size, classes out of balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.lazy import np
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.quality.problems import Problem, VideoFacts


def check_dataset(videos: Sequence[Video], facts: Iterable[VideoFacts]) -> list[Problem]:
    """Problems that only show when all videos are seen: outliers of length and size, classes out of balance.

    Args:
        videos: rows of the catalog.
        facts: of those videos.
    """
    readable = [fact for fact in facts if fact.frames]
    problems = []
    for place in _outliers([fact.duration for fact in readable]):
        middle = float(np.median([fact.duration for fact in readable]))
        problems.append(
            Problem(readable[place].name, "length", f"{readable[place].duration:.2f} s where {middle:.2f} s are usual")
        )
    sides = [float(np.sqrt(fact.width * fact.height)) for fact in readable]
    for place in _outliers(sides):
        fact, side = readable[place], float(np.median(sides))
        problems.append(
            Problem(fact.name, "size", f"{fact.width}x{fact.height} where about {side:.0f}x{side:.0f} is usual")
        )
    counts = Counter(video.label for video in videos if video.label)
    if len(counts) > 1:
        most = counts.most_common(1)[0]
        for label, count in sorted(counts.items()):
            if most[1] > 5 * count:
                problems.append(Problem("", "balance", f"class {label} has {count} videos, {most[0]} has {most[1]}"))
    for split in sorted({video.split for video in videos if video.split}):
        missing = sorted(set(counts) - {video.label for video in videos if video.split == split})
        if missing:
            problems.append(Problem("", "balance", f"{split} has no videos of {', '.join(missing)}"))
    return problems


def _outliers(values: Sequence[float]) -> list[int]:
    """Places of values that are at least four times as large or small as usual, and far outside the spread."""
    if len(values) < 10:
        return []
    logs = np.log(np.maximum(values, 1e-6))
    away = np.abs(logs - np.median(logs))
    limit = max(np.log(4), 5 * 1.4826 * float(np.median(away)))
    return np.flatnonzero(away > limit).tolist()
