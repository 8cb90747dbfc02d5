"""A look at a set of videos: one page that needs nothing else, and contact sheets."""

from __future__ import annotations

import base64
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.files.atomic import atomic_write
from pipeline.files.tables import natural_key, read_numbered
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import TIMEOUT, run_each
from pipeline.videos.catalog.catalog import SPLITS, Video
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import FramesMissing, VideoInfo
from pipeline.videos.media.sampling import Sampling
from pipeline.videos.quality.checks import Problem

STRIP = 6  # frames
_PAGE_BYTES = 24_000_000  # all strips together: a page beyond 30 MB opens slowly
# Height of a strip in pixels and quality of its JPEG, the best first; the first that fits the page is taken.
_STEPS = ((96, 75), (80, 65), (64, 60), (54, 50), (45, 40), (36, 32), (28, 25))


@dataclass(frozen=True)
class Preview:
    """What the page shows of one video."""

    video: Video
    """With its frames counted; without where it cannot be read."""
    strip: bytes = b""
    """JPEG: frames evenly spread over the video, side by side."""
    error: str = ""
    """Why there is no strip."""


def read_previews(videos: Sequence[Video], *, workers: int = 2, timeout: float = TIMEOUT) -> Iterator[Preview]:
    """Read a strip of frames from each video; yields them in the order of the videos.

    A video on which the decoder crashes or hangs has an error and no strip.

    Args:
        videos: rows of a catalog.
        workers: processes at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """
    budget = _PAGE_BYTES * 3 // 4 // max(1, len(videos))  # base64 makes four bytes of three
    jobs = [(video, (video.path, budget)) for video in videos]
    for video, read in run_each(_read_strip, jobs, workers=workers, timeout=timeout, ordered=True):
        if isinstance(read, VideoError):
            yield Preview(video, error=str(read))
        else:
            info, strip = read
            yield Preview(video.counted(info), strip)


def _read_strip(heartbeat: Heartbeat, path: Path, budget: int) -> Iterator[tuple[VideoInfo, bytes]]:
    """The best strip of at most ``budget`` bytes, or the smallest one."""
    with open_video(path, threads=1, alive=heartbeat) as reader:
        try:
            images = _images(reader)
        except FramesMissing:
            reader.scan()
            images = _images(reader)
        info = reader.info()
    strip = b""
    for height, quality in _STEPS:
        strip = _strip(images, height, quality)
        if len(strip) <= budget:
            break
    yield info, strip


def _images(reader) -> list[np.ndarray]:
    indices = Sampling("uniform", STRIP).indices(reader.times())
    # Kept small at once: six frames of a large video would be 150 MB.
    return [_scaled(frame.image, _STEPS[0][0]) for frame in reader.frames(indices)]


def _scaled(image: np.ndarray, height: int) -> np.ndarray:
    width = min(4 * height, max(8, round(image.shape[1] * height / image.shape[0])))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _strip(images: Sequence[np.ndarray], height: int, quality: int) -> bytes:
    row = np.hstack([_scaled(image, height) for image in images])
    return cv2.imencode(".jpg", row[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


# -- the page --------------------------------------------------------------------------------------


def read_problems(path: Path) -> list[Problem]:
    """Read the table that check_videos.py writes.

    Raises:
        UserError: it is another table.
    """
    rows = [row for _, row in read_numbered(path)]
    if rows and not {"problem", "video", "detail"} <= set(rows[0]):
        raise UserError(f"{path} has the columns {', '.join(rows[0])}; expected the table that check_videos.py writes")
    return [Problem(row["video"], row["problem"], row["detail"]) for row in rows]


def write_dataset_page(looks: Sequence[Preview], problems: Sequence[Problem], path: Path, *, title: str) -> None:
    """Write one HTML file with everything in it: no script, picture or style comes from elsewhere.

    Args:
        looks: what to show.
        problems: those with a video stand beside it, the others above.
        path: the page.
        title: its heading.

    Raises:
        UserError: the page cannot be written.
    """
    by_video: Mapping[str, list[list[str]]] = defaultdict(list)
    for problem in problems:
        by_video[problem.video].append([problem.kind, problem.detail])
    rows = []
    for look in looks:
        video = look.video
        listed = list(by_video.get(video.name, []))
        if look.error and not listed:
            listed = [["unreadable", look.error]]
        rows.append(
            [video.name, video.label, video.split, video.frames or 0, round(video.fps or 0, 3), video.width or 0]
            + [video.height or 0, round(video.duration or 0, 3), listed, base64.b64encode(look.strip).decode()]
        )
    import jinja2  # here, since readers of strips need none

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    # Inside a script element only "<" can do harm, and names of files may be no UTF-8.
    data = json.dumps({"rows": rows, "set": by_video.get("", []), "splits": SPLITS}, separators=(",", ":"))
    page = environment.get_template("dataset_page.html").render(
        title=title.encode("utf-8", "replace").decode(), data=data.replace("<", "\\u003c")
    )
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


# -- contact sheets --------------------------------------------------------------------------------


def write_sheets(looks: Sequence[Preview], folder: Path, *, rows: int = 20) -> list[Path]:
    """Write ``folder/<split>_<class>.png`` (and ``_2.png``, ...): a strip and the name of each video.

    Args:
        looks: what to show; those without a strip are left out.
        folder: made where it is missing.
        rows: videos on a sheet.

    Returns:
        The sheets.

    Raises:
        UserError: a sheet cannot be written.
    """
    groups: dict[str, list[Preview]] = defaultdict(list)
    for look in looks:
        if look.strip:
            parts = [part for part in (look.video.split, look.video.label) if part]
            groups["_".join(parts).replace("/", "_") or "videos"].append(look)
    sheets = []
    for name, members in sorted(groups.items(), key=lambda item: natural_key(item[0])):
        for start in range(0, len(members), rows):
            number = "" if len(members) <= rows else f"_{start // rows + 1}"
            path = folder / f"{name}{number}.png"
            picture = _sheet(members[start : start + rows])
            try:
                with atomic_write(path) as temporary:
                    temporary.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
            except OSError as error:
                raise UserError(f"cannot write {path}: {error.strerror}") from None
            sheets.append(path)
    return sheets


def _sheet(looks: Sequence[Preview]) -> np.ndarray:
    from matplotlib import font_manager  # It brings Pillow and a font, and takes a second to load.
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 13)
    pictures = (Image.open(io.BytesIO(look.strip)) for look in looks)
    strips = [np.asarray(picture.convert("RGB")) for picture in pictures]
    width = max(360, *(strip.shape[1] for strip in strips))
    sheet = Image.new("RGB", (width, sum(strip.shape[0] + 22 for strip in strips)), "white")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for look, strip in zip(looks, strips, strict=True):
        name = "".join(sign if sign.isprintable() else "?" for sign in look.video.name)
        draw.text((4, top + 3), f"{name}   {look.video.duration or 0:.2f} s", fill="black", font=font)
        sheet.paste(Image.fromarray(strip), (0, top + 22))
        top += strip.shape[0] + 22
    return np.asarray(sheet)
