"""Turn labels of stretches into labels of frames, and back.

To frames (from our CSV, ELAN, VIA, BORIS, .srt or .vtt): writes video,frame,time,label, one row for each frame.
    convert_labels.py segments.csv --out labels.csv --background none
To segments (from video,frame,label, or file,label of a folder of frames): writes video,start,end,label.
    convert_labels.py labels.csv --to segments --out segments.csv
Frames without a label, times out of range and stretches without a frame are reported, and the exit status is 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.commands.worker_options import add_workers, check_workers
from pipeline.errors import UserError, VideoError
from pipeline.files.replacing import refuse_existing
from pipeline.files.tables import write_table
from pipeline.files.text import plural
from pipeline.lazy import np
from pipeline.videos.catalog.times import read_times
from pipeline.videos.labels.annotation_formats import read_annotations
from pipeline.videos.labels.frame_labels import place_labels, read_frame_labels
from pipeline.videos.labels.segments import COLUMNS, Segment, find_segments, label_frames
from pipeline.videos.media.image_folder import image_names

Labels = TypeVar("Labels")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/convert_labels.py segments.csv --out labels.csv")
    made.add_argument("labels", type=Path, metavar="FILE", help="labels of stretches, or of frames with --to segments")
    made.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    made.add_argument("--to", choices=("frames", "segments"), default="frames", help="what to make")
    made.add_argument("--video", type=Path, help="the video, where FILE does not name it")
    made.add_argument("--tier", default="", help="take this tier (ELAN) or attribute (VIA) only")
    made.add_argument("--background", default="", metavar="LABEL", help="the label of frames in no stretch")
    made.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add_workers(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    check_workers(args)
    if args.to == "segments" and args.tier:
        raise UserError("--tier is of annotations of stretches, not of labels of frames; leave it out")
    refuse_existing(args.out, overwrite=args.overwrite)
    reports: list[str] = []
    if args.to == "frames":
        rows = _to_frames(args, reports)
        write_table(rows, ("video", "frame", "time", "label"), args.out)
    else:
        rows = _to_segments(args, reports)
        write_table(rows, COLUMNS, args.out)
    for report in reports:
        print(report, file=sys.stderr)
    what = plural(len(rows), "frame" if args.to == "frames" else "segment")
    command.say(args.quiet)(f"{args.out}: {what}" + (f", {plural(len(reports), 'report')}" if reports else ""))
    return command.SOME_FAILED if reports else command.OK


def _to_frames(args, reports: list[str]) -> list[dict]:
    rows = []
    by_video: dict[Path, list[Segment]] = {}
    for segment in read_annotations(args.labels, video=args.video, tier=args.tier).segments:
        by_video.setdefault(segment.video, []).append(segment)
    for path, segments, duration, times in _opened(list(by_video.items()), args, reports):
        labelled = label_frames(times, duration, segments, background=args.background)
        reports += [f"{path}: {report}" for report in labelled.reports]
        name = _relative(path, args.out)
        rows += [
            {"video": name, "frame": frame, "time": f"{times[frame]:.6f}", "label": label}
            for frame, label in enumerate(labelled.labels)
        ]
    return rows


def _to_segments(args, reports: list[str]) -> list[dict]:
    rows = []
    by_video = read_frame_labels(args.labels)
    named = [(args.video or args.labels.parent / name, labels) for name, labels in by_video.items()]
    for path, labels, duration, times in _opened(named, args, reports):
        files = image_names(path) if path.is_dir() else []
        labelled = place_labels(labels, files, times, duration, background=args.background)
        reports += [f"{path}: {report}" for report in labelled.reports]
        rows += [
            {
                "video": _relative(path, args.out),
                "start": f"{segment.start:.6f}",
                "end": f"{segment.end:.6f}",
                "label": segment.label,
            }
            for segment in find_segments(path, times, duration, labelled.labels)
        ]
    return rows


def _opened(
    labelled: Sequence[tuple[Path, Labels]], args, reports: list[str]
) -> Iterator[tuple[Path, Labels, float, np.ndarray]]:
    """Path, labels, duration in seconds and times of the frames of the videos that can be read."""
    jobs = [((path, labels), path) for path, labels in labelled]
    for (path, labels), read in read_times(jobs, workers=args.workers, timeout=args.timeout):
        if isinstance(read, VideoError):
            reports.append(f"{path}: {read}")
        else:
            yield path, labels, read[0].duration, read[1]


def _relative(path: Path, out: Path) -> str:
    """How the table names a video: from its own folder where it lies below it, else by the full path."""
    try:
        return path.absolute().relative_to(out.absolute().parent).as_posix()
    except ValueError:
        return str(path.absolute())
