"""List the videos of a folder (or CSV file) with their labels, and count their frames.

Folders: DATA/<Class>/... or DATA/{train,val,test}/<Class>/...
CSV: columns path (or video_name) and label (or tag), optionally split and group.
Written is what --out names, such as DATA/data_file.csv, which then counts more than the folders. A table that is
there keeps its labels, splits, groups and own columns; frames and sizes are counted anew. Where DATA is a CSV file,
such as corrections.csv of a page, its labels, splits and groups count more than those of the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.commands.catalog_options import CatalogOptions
from pipeline.commands.worker_options import add_workers, check_workers
from pipeline.errors import UserError
from pipeline.files.replacing import refuse_existing
from pipeline.files.text import natural_key, plural
from pipeline.videos.catalog.catalog import TABLE, Catalog, Video
from pipeline.videos.catalog.catalog_table import CHOICES, FACTS, update_catalog, write_catalog
from pipeline.videos.catalog.chosen import limit_classes
from pipeline.videos.catalog.published_table import write_rows
from pipeline.videos.catalog.splits import groups_of
from pipeline.videos.catalog.times import count_videos


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/list_videos.py data --out data/data_file.csv")
    made.add_argument("source", metavar="DATA", help="folder of videos, or a CSV file")
    made.add_argument("--out", type=Path, help="the table to write; without it the videos are counted only")
    made.add_argument(
        "--decode", action="store_true", help="count by decoding every frame (slow, sees all damage), not by packets"
    )
    add_options(made, CatalogOptions)
    made.add_argument("--class-limit", type=int, metavar="N", help="keep the first N classes, in natural order")
    made.add_argument(
        "--group", metavar="REGEX", help="write groups by what is in the names, such as person[0-9]+; or 'auto'"
    )
    made.add_argument("--min-frames", type=int, default=0, metavar="N", help="leave shorter videos out")
    made.add_argument(
        "--format",
        choices=("table", "apriorit"),
        default="table",
        help="apriorit: no header; split, class, file name without extension, frames, as that published system has",
    )
    made.add_argument("--overwrite", action="store_true", help="write the table anew and drop what it held")
    add_workers(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    check_workers(args)
    say = command.say(args.quiet)
    if args.out is None and args.overwrite:
        raise UserError("--overwrite replaces the table that --out names; add --out, or leave it out")
    if args.out is None and args.format != "table":
        raise UserError(f"--format {args.format} is of the table that --out names; add --out, or leave it out")
    catalog = _chosen(args, say)
    if args.format == "apriorit":
        refuse_existing(args.out, overwrite=args.overwrite)
    counted, failed = _count(args, catalog)
    videos = [video for video in counted if (video.frames or 0) >= args.min_frames]
    for line in _write(args, catalog, videos):
        say(line)
    parts = [f"{args.out or args.source}: {catalog.summary()}"]
    if short := len(counted) - len(videos):
        parts.append(f"{plural(short, 'video')} of fewer than {plural(args.min_frames, 'frame')} left out")
    if failed:
        parts.append(f"{plural(failed, 'video')} cannot be read")
    if not args.out:
        parts.append(f"nothing was written; --out {catalog.root / TABLE} keeps the table")
    say("; ".join(parts))
    return command.SOME_FAILED if failed else command.OK


def _chosen(args: argparse.Namespace, say: command.Say) -> Catalog:
    """The videos to list, with the groups that were asked for."""
    catalog = from_args(CatalogOptions, args).open(args.source, use_table=not args.overwrite)
    if args.class_limit is not None:
        catalog = limit_classes(catalog, args.class_limit)
    if args.group:
        groups, notes = groups_of(catalog.videos, args.group)
        rows = zip(catalog.videos, groups, strict=True)
        catalog = replace(catalog, videos=tuple(replace(video, group=group) for video, group in rows))
        for note in notes:
            say(f"note: {note}")
    return catalog


def _count(args: argparse.Namespace, catalog: Catalog) -> tuple[list[Video], int]:
    """The videos that can be read, with their frames counted, and how many cannot."""
    videos: list[Video] = []
    with command.progress(len(catalog), "video", args.quiet) as bar:
        for video, error in count_videos(
            catalog.videos, decode=args.decode, workers=args.workers, timeout=args.timeout
        ):
            bar.update()
            if error is None:
                videos.append(video)
            else:
                print(f"failed: {video.name}: {error}", file=sys.stderr)
    return videos, len(catalog) - len(videos)


def _write(args: argparse.Namespace, catalog: Catalog, videos: Sequence[Video]) -> list[str]:
    """Write what --out names; lines to say of it, or of the classes where nothing is written."""
    if args.out is None:
        return _by_class(videos)
    if args.format == "apriorit":
        write_rows((_published_row(video, args.out) for video in videos), args.out)
        return []
    if args.overwrite:
        write_catalog(videos, args.out)
        return []
    replaced = [*FACTS, *(["group"] if args.group else []), *(["label"] if args.class_level else [])]
    if catalog.table == Path(args.source):
        replaced += CHOICES
    return [f"note: {line}" for line in update_catalog(videos, args.out, replaced).lines(args.out, args.source)]


def _by_class(videos: Sequence[Video]) -> list[str]:
    """A line for each class: how many videos, frames and seconds."""
    lines = []
    for label in sorted({video.label for video in videos}, key=natural_key):
        rows = [video for video in videos if video.label == label]
        frames, seconds = sum(video.frames or 0 for video in rows), sum(video.duration or 0 for video in rows)
        lines.append(f"  {label or '(no label)'}: {plural(len(rows), 'video')}, {frames:,} frames, {seconds:,.1f} s")
    return lines


def _published_row(video: Video, table: Path) -> tuple[str, str, str, int]:
    """A row of the published table.

    Raises:
        UserError: the video is not where that table looks for it.
    """
    folder = table.parent.absolute() / video.split / video.label
    if video.path.parent != folder:
        raise UserError(
            f"{video.path} is not right in {folder}, where a table of format apriorit beside it looks; "
            f"write it with `out` into the folder that holds <split>/<Class>/"
        )
    return video.split, video.label, video.path.stem, video.frames or 0
