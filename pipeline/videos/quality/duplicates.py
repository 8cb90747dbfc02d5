"""Videos that are there twice: the same file, or the same images encoded anew, scaled or brightened.

Each video is known by small grey images, evenly spread over it. Two are taken for near duplicates where what moves
in them moves alike and what stands still looks alike; two clips before one background are not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pipeline.lazy import np
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.quality.problems import Problem, VideoFacts

_ALIKE = 0.95  # correlation of what moves
_CLOSE = 12.0  # of 255: mean difference of what stands still, brightness set aside
_BLOCK = 512  # rows compared at a time: bounds the memory


def find_duplicates(videos: Sequence[Video], facts: Sequence[VideoFacts]) -> list[Problem]:
    """Compare every video with every other.

    Args:
        videos: rows of the catalog, which know split and label.
        facts: of those videos, by name.

    Returns:
        One problem for each video that repeats one before it; a fault where they are in two splits or classes.
    """
    rows = {video.name: video for video in videos}
    known = [fact for fact in facts if fact.patches is not None and fact.name in rows]
    problems: list[Problem] = []
    exact: dict[str, list[VideoFacts]] = defaultdict(list)
    for fact in known:
        exact[fact.digest].append(fact)
    for first, *others in exact.values():
        problems += [_problem("exact duplicate", rows[fact.name], rows[first.name]) for fact in others]
    single = [same[0] for same in exact.values()]
    problems += [_problem("near duplicate", rows[second.name], rows[first.name]) for first, second in _alike(single)]
    return problems


def _problem(kind: str, video: Video, earlier: Video) -> Problem:
    apart = []
    if video.split != earlier.split:
        apart.append(f"split {video.split or 'none'} and {earlier.split or 'none'}")
    if video.label != earlier.label:
        apart.append(f"class {video.label or 'none'} and {earlier.label or 'none'}")
    detail = f"of {earlier.name}" + (f" ({', '.join(apart)})" if apart else "")
    return Problem(video.name, f"{kind} across" if apart else kind, detail)


def _alike(facts: Sequence[VideoFacts]) -> list[tuple[VideoFacts, VideoFacts]]:
    """Pairs of near duplicates, each second one once."""
    if len(facts) < 2:
        return []
    stacks = np.stack([fact.patches for fact in facts if fact.patches is not None]).astype(np.float32)
    still = stacks.mean(axis=1).reshape(len(facts), -1)
    moving = stacks.reshape(len(facts), stacks.shape[1], -1) - still[:, None]
    moving = moving.reshape(len(facts), -1)
    strength = np.linalg.norm(moving, axis=1)
    # What a still image of noise would have; below it correlation means nothing.
    moves = strength > 1.0 * np.sqrt(moving.shape[1])
    moving /= np.maximum(strength, 1e-6)[:, None]
    still -= still.mean(axis=1, keepdims=True)
    lengths = np.maximum([fact.duration for fact in facts], 1e-6)
    pairs = []
    seen: set[int] = set()
    for start in range(0, len(facts), _BLOCK):
        rows = slice(start, start + _BLOCK)
        likeness = moving[rows] @ moving.T
        candidate = (likeness > _ALIKE) & moves[rows, None] & moves[None]
        candidate |= ~moves[rows, None] & ~moves[None]
        candidate &= np.abs(np.log(lengths[rows, None] / lengths[None])) < 0.1
        for i, j in zip(*np.nonzero(candidate), strict=True):
            first, second = int(i) + start, int(j)
            if first >= second or second in seen:
                continue
            limit = _CLOSE if moves[first] else 2.0
            if float(np.abs(still[first] - still[second]).mean()) < limit:
                seen.add(second)
                pairs.append((facts[first], facts[second]))
    return pairs
