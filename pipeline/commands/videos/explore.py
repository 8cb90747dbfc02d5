"""Make one self-contained HTML page of a data set: counts, histograms, a strip of frames of each video, problems.

The problems are those in problems.csv beside the data (from check_videos.py); --check looks for them now.
--sheets also writes contact sheets as PNG, for each split and class.
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
from pipeline.files.replacing import refuse_existing
from pipeline.files.text import natural_key, plural
from pipeline.videos.preview.contact_sheet import write_sheets
from pipeline.videos.preview.dataset_page import write_dataset_page
from pipeline.videos.preview.thumbnails import read_previews
from pipeline.videos.quality.checks import check_videos
from pipeline.videos.quality.dataset_checks import check_dataset
from pipeline.videos.quality.duplicates import find_duplicates
from pipeline.videos.quality.problems import Problem, VideoFacts, read_problems


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/explore.py data --out explore.html")
    made.add_argument("source", type=Path, metavar="DATA", help="folder of videos, or a CSV file")
    made.add_argument("--out", type=Path, required=True, help="the page to write")
    add_options(made, CatalogOptions)
    made.add_argument("--sheets", type=Path, metavar="FOLDER", help="also write contact sheets there")
    what = made.add_mutually_exclusive_group()
    what.add_argument("--problems", type=Path, metavar="CSV", help="the table of check_videos.py to show")
    what.add_argument("--check", action="store_true", help="decode every video and look for problems now")
    add_workers(made)
    made.add_argument("--overwrite", action="store_true", help="replace a page that is there")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    check_workers(args)
    refuse_existing(args.out, overwrite=args.overwrite)
    catalog = from_args(CatalogOptions, args).open(args.source)
    problems: list[Problem] = []
    table = args.problems or catalog.root / "problems.csv"
    if args.check:
        facts: list[VideoFacts] = []
        with command.progress(len(catalog), "video", args.quiet, desc="checking") as bar:
            for found in check_videos(catalog.videos, workers=args.workers, timeout=args.timeout):
                facts.append(found)
                bar.update()
        facts.sort(key=lambda found: natural_key(found.name))
        problems = [problem for found in facts for problem in found.problems]
        problems += check_dataset(catalog.videos, facts) + find_duplicates(catalog.videos, facts)
    elif args.problems or table.is_file():
        problems = read_problems(table)
    previews = []
    with command.progress(len(catalog), "video", args.quiet, desc="reading") as bar:
        for preview in read_previews(catalog.videos, workers=args.workers, timeout=args.timeout):
            previews.append(preview)
            bar.update()
            if preview.error:
                print(f"failed: {preview.video.name}: {preview.error}", file=sys.stderr)
    write_dataset_page(previews, problems, args.out, title=f"{args.source}: {catalog.summary()}")
    sheets = write_sheets(previews, args.sheets) if args.sheets else []
    failed = sum(bool(preview.error) for preview in previews)
    command.say(args.quiet)(
        f"{args.out}: {plural(len(previews), 'video')}, {plural(len(problems), 'problem')}, "
        f"{args.out.stat().st_size / 1e6:.1f} MB"
        + (f"; {plural(len(sheets), 'contact sheet')} in {args.sheets}" if sheets else "")
        + (f"; {plural(failed, 'video')} cannot be read" if failed else "")
    )
    return command.SOME_FAILED if failed else command.OK
