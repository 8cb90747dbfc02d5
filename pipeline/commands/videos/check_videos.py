"""Decode every video once and say what is wrong with it: damage, false headers, duplicates, outliers.

Faults (exit status 1): unreadable, no video stream, damaged, truncated, duplicates in two splits or classes.
Notes: false header counts, edit lists, gaps, variable frame rate, rotation, uneven sizes, dark or frozen clips,
duplicates, outliers of length and size, classes out of balance.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.commands.catalog_options import CatalogOptions
from pipeline.commands.worker_options import add_workers, check_workers
from pipeline.errors import VideoError
from pipeline.files.replacing import refuse_inside
from pipeline.files.tables import refuse_foreign_table
from pipeline.files.text import natural_key, plural
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.quality.checks import check_videos
from pipeline.videos.quality.dataset_checks import check_dataset
from pipeline.videos.quality.duplicates import find_duplicates
from pipeline.videos.quality.problems import (
    COLUMNS,
    KINDS,
    Problem,
    VideoFacts,
    sort_problems,
    write_problems,
)
from pipeline.videos.quality.repair import quarantine, repair

# Not "uneven size": such a video is healthy, and encoding it anew would only cost quality.
FIXABLE = ("damaged", "truncated", "header", "edit list")
MOVABLE = ("unreadable", "no video", "damaged", "truncated")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/check_videos.py data --out data/problems.csv")
    made.add_argument("source", metavar="DATA", help="folder of videos, or a CSV file")
    made.add_argument("--out", type=Path, help="the table of problems to write; without it they are printed only")
    add_options(made, CatalogOptions)
    add_workers(made)
    made.add_argument(
        "--quarantine", type=Path, metavar="FOLDER", help=f"move videos there that are {', '.join(MOVABLE)}"
    )
    made.add_argument(
        "--fix", type=Path, metavar="FOLDER", help="encode anew into FOLDER what ffmpeg can save of damaged videos"
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    say = command.say(args.quiet)
    check_workers(args)

    catalog = from_args(CatalogOptions, args).open(args.source)
    if args.out:
        refuse_foreign_table(args.out, COLUMNS)
    for folder in filter(None, (args.quarantine, args.fix)):
        refuse_inside(folder, catalog.root)
    facts: list[VideoFacts] = []
    with command.progress(len(catalog), "video", args.quiet) as bar:
        for found in check_videos(catalog.videos, workers=args.workers, timeout=args.timeout):
            facts.append(found)
            bar.update()
    problems = sort_problems(
        [problem for found in facts for problem in found.problems]
        + check_dataset(catalog.videos, facts)
        + find_duplicates(catalog.videos, sorted(facts, key=lambda found: natural_key(found.name)))
    )
    rows = {video.name: video for video in catalog.videos}
    if args.out:
        write_problems(problems, catalog.videos, args.out)
    for problem in problems:
        say(f"{problem.severity:5}  {problem.kind:23}  {problem.video}{': ' if problem.video else ''}{problem.detail}")
    _act(args, problems, rows, say)
    counts = Counter(problem.severity for problem in problems)
    kinds = Counter(problem.kind for problem in problems)
    named = ", ".join(f"{kind} {kinds[kind]}" for kind in KINDS if kinds[kind])
    say(
        f"{args.out or args.source}: "
        f"{plural(len(catalog), 'video')}, {plural(counts['fault'], 'fault')}, {plural(counts['note'], 'note')}"
        + (f" ({named})" if named else "")
    )
    return command.SOME_FAILED if counts["fault"] else command.OK


@command.if_stopped("what was fixed or moved stays so")
def _act(args: argparse.Namespace, problems: Sequence[Problem], rows: Mapping[str, Video], say: command.Say) -> None:
    """Fix first, since what is moved cannot be read at its place any more."""
    if args.fix is not None:
        for name in dict.fromkeys(problem.video for problem in problems if problem.kind in FIXABLE):
            try:
                target, frames = repair(rows[name], args.fix)
                how = "it was there already" if frames is None else plural(frames, "frame")
                say(f"fixed: {name} -> {target} ({how})")
            except VideoError as error:
                print(f"cannot be fixed: {name}: {error}", file=sys.stderr)
    if args.quarantine is not None:
        for name in dict.fromkeys(problem.video for problem in problems if problem.kind in MOVABLE):
            if rows[name].path.exists():
                say(f"moved: {name} -> {quarantine(rows[name], args.quarantine)}")
