"""One HTML page of many videos that needs nothing else: counts, histograms, a card for each with its frames, marks."""

from __future__ import annotations

import base64
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.pages.page import render_page
from pipeline.files.system import link_from
from pipeline.videos.catalog.catalog import SPLITS
from pipeline.videos.preview.thumbnails import STRIP, Preview
from pipeline.videos.quality.problems import Problem

_TEMPLATE = Path(__file__).with_name("dataset_page.html")


@dataclass(frozen=True)
class Guess:
    """What a classifier says of one video, as a card shows it."""

    label: str
    """The predicted class, or "unknown"."""
    best: Sequence[tuple[str, float]]
    """The most probable classes with their probabilities, the first one first."""
    page: Path | None = None
    """A page of this video alone."""


def write_dataset_page(
    previews: Sequence[Preview],
    problems: Sequence[Problem],
    path: Path,
    *,
    title: str,
    guesses: Mapping[str, Guess] | None = None,
    classes: Sequence[str] = (),
) -> None:
    """Write one HTML file with everything in it: no script, image or style comes from elsewhere.

    Labels can be corrected in it and saved as ``corrections.csv`` (path, video, label, split, group, prediction), which
    is a catalog as extracting and listing take it.

    Args:
        previews: what to show.
        problems: those with a video are shown beside it, the others above.
        path: the page; it links the videos relative to its folder.
        title: its heading.
        guesses: predictions by the names of the videos; with them the least certain video comes first.
        classes: labels to choose from besides those that the videos have.

    Raises:
        UserError: the page cannot be written.
    """
    by_video: Mapping[str, list[list[str]]] = defaultdict(list)
    for problem in problems:
        by_video[problem.video].append([problem.kind, problem.detail])
    rows = []
    for preview in previews:
        video = preview.video
        listed = list(by_video.get(video.name, []))
        if preview.error and not listed:
            listed = [["unreadable", preview.error]]
        guess = (guesses or {}).get(video.name, Guess("", ()))
        rows.append(
            [video.name, video.label, video.split, video.group, video.frames or 0, round(video.fps or 0, 3)]
            + [video.width or 0, video.height or 0, round(video.duration or 0, 3), listed]
            + [base64.b64encode(preview.strip).decode(), link_from(path.parent, video.path)]
            + [os.path.abspath(video.path), [(name, round(value, 4)) for name, value in guess.best], guess.label]
            + [link_from(path.parent, guess.page) if guess.page is not None else ""]
        )
    content = {"rows": rows, "set": by_video.get("", []), "splits": SPLITS, "predicted": guesses is not None}
    # Inside a script element only "<" can do harm, and names of files may be no UTF-8.
    data = json.dumps(content | {"classes": list(classes)}, separators=(",", ":")).replace("<", "\\u003c")
    page = render_page(_TEMPLATE, title=title.encode("utf-8", "replace").decode(), data=data, shots=STRIP)
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
