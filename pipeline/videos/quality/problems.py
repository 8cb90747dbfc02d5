"""What can be wrong with a video or a set of videos, and the facts that it is judged by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError
from pipeline.files.tables import read_table, write_table
from pipeline.files.text import natural_key
from pipeline.lazy import np
from pipeline.videos.catalog.catalog import Video

PROBLEMS_FILE = "problems.csv"
COLUMNS = ("severity", "problem", "video", "label", "split", "detail")

Severity = Literal["fault", "note"]
KINDS: dict[str, Severity] = {
    "unreadable": "fault",
    "no video": "fault",
    "damaged": "fault",
    "truncated": "fault",
    "exact duplicate across": "fault",
    "near duplicate across": "fault",
    "exact duplicate": "note",
    "near duplicate": "note",
    "header": "note",
    "edit list": "note",
    "gap": "note",
    "variable rate": "note",
    "rotated": "note",
    "uneven size": "note",
    "dark": "note",
    "frozen": "note",
    "length": "note",
    "size": "note",
    "balance": "note",
}
"""Every kind of problem. A fault makes a video unfit; a note is worth knowing."""


@dataclass(frozen=True)
class Problem:
    """Something about a video, or about a class."""

    video: str
    """Its name in the catalog; empty where a whole class is meant."""
    kind: str
    """One of ``KINDS``."""
    detail: str
    """One line with the numbers."""

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind]


@dataclass(frozen=True)
class VideoFacts:
    """What was seen while a video was decoded."""

    name: str
    frames: int = 0
    """Decoded."""
    fps: float = 0.0
    width: int = 0
    height: int = 0
    """As shown, after rotation."""
    duration: float = 0.0
    """Seconds."""
    bytes: int = 0
    digest: str = ""
    """SHA-256 of the file."""
    brightest: float = 0.0
    """0..255: of the sampled frames, scaled to a few pixels."""
    motion: float = 0.0
    """0..255: how much the patch that changes most does."""
    patches: np.ndarray | None = None
    """``(SAMPLES, SIDE, SIDE)`` uint8: small grey images, evenly spread, for finding duplicates."""
    problems: tuple[Problem, ...] = field(default=())

    def __repr__(self) -> str:
        return f"VideoFacts({self.name}, {self.frames} frames, {len(self.problems)} problems)"


def sort_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Faults first, then by kind and video."""
    kinds = list(KINDS)
    return sorted(
        problems, key=lambda problem: (problem.severity, kinds.index(problem.kind), natural_key(problem.video))
    )


def write_problems(problems: Iterable[Problem], videos: Iterable[Video], path: Path) -> None:
    """Write a table that `read_problems` reads, with the label and split of each video."""
    known = {video.name: video for video in videos}
    nothing = Video("", path)
    rows = []
    for problem in problems:
        video = known.get(problem.video, nothing)
        values = (problem.severity, problem.kind, problem.video, video.label, video.split, problem.detail)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    write_table(rows, COLUMNS, path)


def read_problems(path: Path) -> list[Problem]:
    """Read the table that check_videos.py writes.

    Raises:
        UserError: it is another table.
    """
    rows = read_table(path)
    if rows and not {"problem", "video", "detail"} <= set(rows[0]):
        raise UserError(f"{path} has the columns {', '.join(rows[0])}; expected the table that check_videos.py writes")
    return [Problem(row["video"], row["problem"], row["detail"]) for row in rows]


def read_duplicates(path: Path) -> list[tuple[str, str]]:
    """Names of videos that a table of check_videos.py calls copies of others, with the name of the other.

    A table that is not there, or is another one, names none.
    """
    try:
        problems = read_problems(path) if path.is_file() else []
    except UserError:
        return []
    pairs = []
    for problem in problems:
        if " duplicate" in problem.kind:
            # The name is all that follows, or all before the last parenthesis, which says how far they are apart.
            other = problem.detail.removeprefix("of ")
            apart = problem.kind.endswith(" across")
            pairs.append((problem.video, other.rpartition(" (")[0] if apart else other))
    return pairs
