"""The prediction for one video as files for other programs: JSON, a row for each frame or segment, subtitles."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.files.atomic import atomic_write
from pipeline.files.system import seen_from
from pipeline.files.tables import write_table
from pipeline.files.text import printable
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.segments import UNKNOWN_NAME, PredictedSegment
from pipeline.inference.timeline.smoothing import UNKNOWN

FORMAT = 1


def describe(prediction: VideoPrediction, checkpoint: Path) -> dict[str, Any]:
    """The prediction without its per-frame numbers, ready for JSON; times in seconds."""
    spans = prediction.grid.spans()
    edges = [*prediction.times.tolist(), prediction.info.duration]
    return {
        "format": FORMAT,
        "video": str(prediction.video),
        "checkpoint": str(checkpoint),
        "label": prediction.label,
        "probabilities": _named(prediction.classes, prediction.mean.tolist()),
        "frames": len(prediction.times),
        "fps": round(prediction.info.fps, 6),
        "width": prediction.info.width,
        "height": prediction.info.height,
        "duration": round(prediction.info.duration, 6),
        "steps": len(prediction.grid.frames),
        "note": prediction.grid.note,
        "segments": [
            {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(segment).items()}
            for segment in prediction.segments
        ],
        "windows": [
            {
                "start": round(edges[first], 6),
                "end": round(edges[end], 6),
                "probabilities": _named(prediction.classes, row),
            }
            for (first, end), row in zip(spans.tolist(), prediction.windows.tolist(), strict=True)
        ],
    }


def _named(classes: tuple[str, ...], probabilities: list[float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in zip(classes, probabilities, strict=True)}


def write_json(prediction: VideoPrediction, checkpoint: Path, path: Path) -> None:
    """Write `describe` as JSON."""
    text = json.dumps(describe(prediction, checkpoint), indent=1, ensure_ascii=False)
    with atomic_write(path) as temporary:
        # A file name that is not UTF-8 becomes \udcXX, which JSON reads back.
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def write_frame_table(prediction: VideoPrediction, path: Path) -> None:
    """Write a CSV file with a row for each frame: frame, time, label, and ``p(name)`` of each class."""
    first = ("frame", "time", "label")
    columns = tuple(f"p({name})" for name in prediction.classes)

    def rows():
        for number, (time, label) in enumerate(zip(prediction.times.tolist(), prediction.labels.tolist(), strict=True)):
            row = {
                "frame": number,
                "time": f"{time:.6f}",
                "label": UNKNOWN_NAME if label == UNKNOWN else prediction.classes[label],
            }
            values = prediction.probabilities[number].tolist()
            yield row | {name: f"{value:.6f}" for name, value in zip(columns, values, strict=True)}

    write_table(rows(), (*first, *columns), path)


def write_segments(segments: list[PredictedSegment], video: Path, path: Path) -> None:
    """Write a CSV file: video, start, end, label, probability, first_frame, end_frame.

    Cutting and converting read it as it is, so labels can be corrected in it and learnt from; ``video`` is relative to
    the file for that.
    """
    columns = ("video", "start", "end", "label", "probability", "first_frame", "end_frame")
    name = seen_from(path.parent, video)
    rows = [
        {
            "video": name,
            "start": f"{item.start:.3f}",
            "end": f"{item.end:.3f}",
            "label": item.label,
            "probability": f"{item.probability:.4f}",
            "first_frame": item.first_frame,
            "end_frame": item.end_frame,
        }
        for item in segments
    ]
    write_table(rows, columns, path)


def write_srt(segments: list[PredictedSegment], path: Path) -> None:
    """Write SubRip subtitles, which every player shows: a number, the times, the label with its probability."""
    blocks = [
        f"{number}\n{_clock(item.start)} --> {_clock(item.end)}\n{_one_line(str(item))}\n"
        for number, item in enumerate(segments, 1)
    ]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(blocks), encoding="utf-8", errors="replace")


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


def _one_line(label: str) -> str:
    # Players read <...> as markup.
    return " ".join(printable(label).replace("<", "(").replace(">", ")").split())
