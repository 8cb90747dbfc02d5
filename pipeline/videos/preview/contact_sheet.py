"""Contact sheets: the strips of many videos, one under another, as PNG."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.text import natural_key, printable
from pipeline.lazy import cv2, np
from pipeline.videos.preview.thumbnails import Preview


def write_sheets(previews: Sequence[Preview], folder: Path, *, rows: int = 20) -> list[Path]:
    """Write ``folder/<split>_<class>.png`` (and ``_2.png``, ...): a strip and the name of each video.

    Args:
        previews: what to show; those without a strip are left out.
        folder: made where it is missing.
        rows: videos on a sheet.

    Returns:
        The sheets.

    Raises:
        UserError: a sheet cannot be written.
    """
    groups: dict[str, list[Preview]] = defaultdict(list)
    for preview in previews:
        if preview.strip:
            parts = [part for part in (preview.video.split, preview.video.label) if part]
            groups["_".join(parts).replace("/", "_") or "videos"].append(preview)
    sheets = []
    for name, members in sorted(groups.items(), key=lambda item: natural_key(item[0])):
        for start in range(0, len(members), rows):
            number = "" if len(members) <= rows else f"_{start // rows + 1}"
            path = folder / f"{name}{number}.png"
            image = _sheet(members[start : start + rows])
            try:
                with atomic_write(path) as temporary:
                    temporary.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
            except OSError as error:
                raise UserError(f"cannot write {path}: {error.strerror}") from None
            sheets.append(path)
    return sheets


def _sheet(previews: Sequence[Preview]) -> np.ndarray:
    from matplotlib import font_manager  # It brings Pillow and a font, and takes a second to load.
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 13)
    strips = [np.asarray(Image.open(io.BytesIO(preview.strip)).convert("RGB")) for preview in previews]
    width = max(360, *(strip.shape[1] for strip in strips))
    sheet = Image.new("RGB", (width, sum(strip.shape[0] + 22 for strip in strips)), "white")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for preview, strip in zip(previews, strips, strict=True):
        draw.text(
            (4, top + 3),
            f"{printable(preview.video.name)}   {preview.video.duration or 0:.2f} s",
            fill="black",
            font=font,
        )
        sheet.paste(Image.fromarray(strip), (0, top + 22))
        top += strip.shape[0] + 22
    return np.asarray(sheet)
