"""List the videos of a folder (or CSV file) with their labels, and count their frames.

Folders: DATA/<Class>/... or DATA/{train,val,test}/<Class>/...
CSV: columns path (or video_name) and label (or tag), optionally split and group.
A table that is there keeps its labels, splits, groups and own columns; frames and sizes are counted anew.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.commands.catalog_options import CatalogOptions
from pipeline.commands.worker_options import add_workers, check_workers
from pipeline.errors import UserError
from pipeline.files.replacing import refuse_existing
from pipeline.files.text import plural
from pipeline.videos.catalog.catalog import TABLE, Video
from pipeline.videos.catalog.catalog_table import update_catalog, write_catalog
from pipeline.videos.catalog.chosen import limit_classes
from pipeline.videos.catalog.published_table import write_rows
from pipeline.videos.catalog.times import count_videos


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/list_videos.py data --out data/data_file.csv")
    made.add_argument("source", metavar="DATA", help="folder of videos, or a CSV file")
    made.add_argument("--out", type=Path, help="the table to write (default: data_file.csv in the folder)")
    made.add_argument(
        "--decode", action="store_true", help="count by decoding every frame (slow, sees all damage), not by packets"
    )
    add_options(made, CatalogOptions)
    made.add_argument("--class-limit", type=int, metavar="N", help="keep the first N classes, in natural order")
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

    catalog = from_args(CatalogOptions, args).open(args.source, use_table=not args.overwrite)
    if args.class_limit is not None:
        catalog = limit_classes(catalog, args.class_limit)
    out = args.out or catalog.root / TABLE
    if args.format == "apriorit":
        refuse_existing(out, overwrite=args.overwrite)
    videos: list[Video] = []
    short = 0
    with command.progress(len(catalog), "video", args.quiet) as bar:
        for video, error in count_videos(
            catalog.videos, decode=args.decode, workers=args.workers, timeout=args.timeout
        ):
            bar.update()
            if error is None and (video.frames or 0) >= args.min_frames:
                videos.append(video)
            elif error is None:
                short += 1
            else:
                print(f"failed: {video.name}: {error}", file=sys.stderr)
    if args.format == "apriorit":
        write_rows((_published_row(video, out) for video in videos), out)
    elif args.overwrite:
        write_catalog(videos, out)
    else:
        for line in update_catalog(videos, out).lines(out, args.source):
            say(f"note: {line}")
    failed = len(catalog) - len(videos) - short
    left_out = f"; {plural(short, 'video')} of fewer than {plural(args.min_frames, 'frame')} left out" if short else ""
    say(f"{out}: {catalog.summary()}{left_out}" + (f"; {plural(failed, 'video')} cannot be read" if failed else ""))
    return command.SOME_FAILED if failed else command.OK


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
