"""One HTML page of a data set that needs nothing else: counts, histograms, strips of frames, problems."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.videos.catalog.catalog import SPLITS
from pipeline.videos.preview.thumbnails import Preview
from pipeline.videos.quality.problems import Problem


def write_dataset_page(previews: Sequence[Preview], problems: Sequence[Problem], path: Path, *, title: str) -> None:
    """Write one HTML file with everything in it: no script, image or style comes from elsewhere.

    Args:
        previews: what to show.
        problems: those with a video are shown beside it, the others above.
        path: the page.
        title: its heading.

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
        rows.append(
            [video.name, video.label, video.split, video.frames or 0, round(video.fps or 0, 3), video.width or 0]
            + [video.height or 0, round(video.duration or 0, 3), listed, base64.b64encode(preview.strip).decode()]
        )
    import jinja2  # here, since readers of strips need none

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    # Inside a script element only "<" can do harm, and names of files may be no UTF-8.
    content = {"rows": rows, "set": by_video.get("", []), "splits": SPLITS}
    data = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace").decode()
    page = environment.get_template("dataset_page.html").render(
        title=title.encode("utf-8", "replace").decode(), data=data.replace("<", "\\u003c")
    )
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
