"""A page with the video, a coloured timeline, probability curves and a list of segments; it needs no server."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.pages.page import render_page
from pipeline.files.system import link_from
from pipeline.inference.drawing.palette import hex_of
from pipeline.inference.drawing.render import is_uneven
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.smoothing import UNKNOWN

_TEMPLATE = Path(__file__).with_name("player.html")
_MOST_POINTS = 1500  # of a curve: more than a screen has columns
# What all browsers play; others play more.
_PLAYABLE = {
    ".mp4": ("h264", "av1", "libdav1d", "vp9"),
    ".m4v": ("h264",),
    ".mov": ("h264",),
    ".webm": ("vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d"),
}


def plays_in_browsers(path: Path, codec: str) -> bool:
    """Whether browsers play a file of this extension and codec."""
    return codec in _PLAYABLE.get(path.suffix.lower(), ())


def choose_video(source: Path, codec: str, output: Path | None) -> Path:
    """The file that the page plays: the labelled one if browsers play it, else the video itself.

    Raises:
        UserError: browsers play neither.
    """
    if output is not None and output.suffix.lower() in _PLAYABLE:
        return output
    if plays_in_browsers(source, codec):
        return source
    raise UserError(
        f"browsers play neither {source.name} ({codec}) nor {output.name if output else 'another file'}; "
        "add `output=NAME.mp4`, and the page shows that"
    )


def write_player(prediction: VideoPrediction, video: Path, path: Path) -> None:
    """Write the page; it refers to ``video`` by the way from the page to it, so both can move together.

    Args:
        prediction: what was found.
        video: the file to play.
        path: the page.
    """
    title, source = _printable(prediction.video.name), link_from(path.parent, video)
    text = render_page(_TEMPLATE, title=title, source=source, data=page_data(prediction))
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page_data(prediction: VideoPrediction) -> dict[str, Any]:
    """What the page's script reads: times in seconds, probabilities in percent."""
    frames = len(prediction.times)
    places = np.unique(np.linspace(0, frames - 1, min(frames, _MOST_POINTS)).round().astype(int))
    fps = prediction.info.fps or 25.0
    return {
        "classes": [{"name": name, "colour": hex_of(number)} for number, name in enumerate(prediction.classes)],
        "unknown": hex_of(UNKNOWN),
        "duration": round(prediction.info.duration, 4),
        "frames": frames,
        "fps": round(fps, 6),
        "times": np.round(prediction.times, 4).tolist() if is_uneven(prediction.times) else None,
        "segments": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(segment).items()}
            for segment in prediction.segments
        ],
        "curves": {
            "times": np.round(prediction.times[places], 4).tolist(),
            "values": np.round(prediction.probabilities[places].T * 100, 1).tolist(),
        },
    }


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", errors="replace")
