"""Divide a data set into train, val and test; no file is touched unless asked.

Written is what --out names, such as DATA/data_file.csv, which then counts more than the folders. The rest of a table
that is there stays: labels, counted frames, columns of its own.

By shares: whole groups at a time, every class in its share, the same for one seed.
By official lists: UCF101, HMDB51, Kinetics, or train.csv and test.csv with video_name,tag:
    split_dataset.py UCF-101 --list trainlist01.txt testlist01.txt --val 0.1
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.commands.catalog_options import CatalogOptions
from pipeline.errors import UserError
from pipeline.files.text import plural
from pipeline.videos.catalog.catalog import SPLITS, TABLE, Video, read_catalog
from pipeline.videos.catalog.catalog_table import FACTS, update_catalog
from pipeline.videos.catalog.official_splits import apply_lists, read_list
from pipeline.videos.catalog.splits import Shares, arrange, assign_splits, gaps, groups_of


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/split_dataset.py data --shares 0.7 0.15 0.15 --seed 0")
    made.add_argument("source", metavar="DATA", help="folder of videos, or a CSV file")
    made.add_argument(
        "--out",
        type=Path,
        help="the table to write (default: data_file.csv in the FOLDER of --link or --move; without them none)",
    )
    add_options(made, CatalogOptions)
    made.add_argument(
        "--shares",
        type=float,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="how much of it (default: 0.7 0.15 0.15)",
    )
    made.add_argument("--list", type=Path, nargs="+", default=[], metavar="FILE", help="official lists to follow")
    made.add_argument("--val", type=float, default=0.0, help="with --list: this share of train becomes val")
    made.add_argument("--group", metavar="REGEX", help="what in a name is its group, such as person[0-9]+; or 'auto'")
    made.add_argument("--seed", type=int, default=0, help="another seed, another division")
    files = made.add_mutually_exclusive_group()
    files.add_argument("--link", type=Path, metavar="FOLDER", help="also make FOLDER/<split>/<class>/... of links")
    files.add_argument("--move", type=Path, metavar="FOLDER", help="also move the files to FOLDER/<split>/<class>/...")
    made.add_argument("--overwrite", action="store_true", help="replace splits that the table has already")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    say = command.say(args.quiet)
    _check_call(args)

    catalog = from_args(CatalogOptions, args).open(args.source)
    folder = args.link or args.move
    out = args.out or (folder and folder / TABLE)
    if out and out.exists() and not args.overwrite and any(video.split for video in read_catalog(out)):
        raise UserError(f"{out} has splits already; give --overwrite to replace them, or another --out")
    videos: Sequence[Video] = catalog.videos
    if args.group:
        groups, notes = groups_of(videos, args.group)
        videos = [replace(video, group=group) for video, group in zip(videos, groups, strict=True)]
        for note in notes:
            say(f"note: {note}")
    videos, shares = _divided(args, videos, say)
    if args.list and out and out.exists() and not args.overwrite:
        _refuse_unlisted(out, videos)
    unlabelled = sum(not video.label for video in videos)
    if unlabelled:
        say(f"without a label: {plural(unlabelled, 'video')}")
    for line in gaps(videos, shares):
        say(line)
    names = [video.name for video in videos]
    if folder is not None:
        with command.if_stopped(f"no table was written, and {folder} has some of the files already"):
            videos = arrange(videos, folder, move=args.move is not None)
    if out:
        replaced = (*FACTS, "split", *(["group"] if args.group or args.list else []))
        changes = update_catalog(
            videos,
            out,
            (*replaced, *(["label"] if args.class_level else [])),
            renamed=dict(zip([video.name for video in videos], names, strict=True)),
            keep_others=not (args.list and args.overwrite),
        )
        for line in changes.lines(out, args.source):
            say(f"note: {line}")
    written = "" if out else f"; nothing was written; --out {catalog.root / TABLE} keeps the splits"
    say(f"{out or args.source}: {_summary(videos)}{written}")
    return command.OK


def _check_call(args: argparse.Namespace) -> None:
    if args.list and args.shares:
        raise UserError("--shares has no meaning with --list, which says what is in which part; leave it out")
    if args.list and args.seed and not args.val:
        raise UserError("--seed has no meaning with --list, unless --val draws a part of train; leave it out")
    if args.val and not args.list:
        raise UserError("--val goes with --list; without lists the second of --shares says how much val gets")
    if args.overwrite and not (args.out or args.link or args.move):
        raise UserError("--overwrite replaces the splits of the table that --out names; add --out, or leave it out")


def _refuse_unlisted(table: Path, videos: Sequence[Video]) -> None:
    """Official lists say which videos are the data set; others must not stay in the table unnoticed."""
    listed = {video.name for video in videos}
    others = [video.name for video in read_catalog(table) if video.name not in listed]
    if others:
        raise UserError(
            f"{table} has {plural(len(others), 'video')} that no list names, such as {others[0]}; give --overwrite to "
            "leave them out, or another --out"
        )


def _divided(args: argparse.Namespace, videos: Sequence[Video], say: command.Say) -> tuple[Sequence[Video], Shares]:
    """The videos with their splits, and what share each split should have of a class."""
    if args.list:
        videos = _by_lists(args, videos, say)
        return videos, Shares(1, float(args.val > 0), float(any(video.split == "test" for video in videos)))
    shares = Shares(*args.shares) if args.shares else Shares()
    return assign_splits(videos, shares, seed=args.seed), shares


def _summary(videos: Sequence[Video]) -> str:
    """How many videos and groups there are, and videos in each split."""
    counts = Counter(video.split for video in videos)
    groups = len({video.group or video.name for video in videos})
    parts = ", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split])
    return f"{plural(len(videos), 'video')} in {plural(groups, 'group')}: {parts}"


def _by_lists(args: argparse.Namespace, videos: Sequence[Video], say: command.Say) -> list[Video]:
    """The videos that official lists name, with the splits that they say."""
    applied = apply_lists(videos, [entry for path in args.list for entry in read_list(path)])
    if not applied.videos:
        raise UserError(f"none of the listed videos is in {args.source}, such as {(applied.missing or ['?'])[0]}")
    for names, what in (
        (applied.missing, "are listed and not there"),
        (applied.unlisted, "are not listed and left out"),
    ):
        if names:
            say(f"{what}: {plural(len(names), 'video')}, such as {names[0]}")
    videos = applied.videos
    if args.val:
        if not 0 < args.val < 1:
            raise UserError(f"--val {args.val:g} is not a share; expected a number between 0 and 1")
        train = assign_splits(
            [v for v in videos if v.split == "train"], Shares(1 - args.val, args.val, 0), seed=args.seed
        )
        new = {video.name: video for video in train}
        videos = [new.get(video.name, video) for video in videos]
    return videos
