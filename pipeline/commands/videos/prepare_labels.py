"""Check the labels of single frames against the frames that are there, and give the videos their splits.

DATA is a folder with a folder of frames for each video (or with videos) and the table labels.csv:
    video,frame,label[,split]   a row for each frame, by number from 0 or by the name of its file
    video,start,end,label       times instead; or video,time,label with 01:20:05 - 01:20:34
Writes video,frame,file,label,split for train.py and search.py --labels. Frames without a label, and labels without
a frame, are reported, and the exit status is 1.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.commands.worker_options import add_workers, check_workers
from pipeline.errors import UserError
from pipeline.files.replacing import refuse_existing
from pipeline.files.tables import write_table
from pipeline.files.text import plural
from pipeline.videos.catalog.catalog import SPLITS, open_catalog
from pipeline.videos.catalog.splits import Shares
from pipeline.videos.labels.frame_labels import COLUMNS, add_splits, label_data


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/prepare_labels.py frames --out features/labels.csv")
    made.add_argument("source", metavar="DATA", type=Path, help="folder of folders of frames, or of videos")
    made.add_argument("--labels", type=Path, help="the table (default: DATA/labels.csv)")
    made.add_argument("--out", type=Path, required=True, help="the table to write")
    made.add_argument("--background", default="", metavar="LABEL", help="the label of frames that have none")
    made.add_argument(
        "--shares",
        type=float,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="of videos, where the table has no splits (default: 0.7 0.15 0.15)",
    )
    made.add_argument("--seed", type=int, default=0, help="another seed, another division")
    made.add_argument("--overwrite", action="store_true", help="replace a table that is there")
    add_workers(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    check_workers(args)
    table = args.labels or args.source / "labels.csv"
    if not table.is_file():
        raise UserError(f"{table} does not exist; name the table of labels by --labels")
    refuse_existing(args.out, overwrite=args.overwrite)
    catalog = open_catalog(args.source)
    checked = label_data(catalog, table, background=args.background, workers=args.workers, timeout=args.timeout)
    if not checked.labels:
        raise UserError(f"{table} labels no frame of {args.source}: {checked.reports[0]}")
    if (args.shares or args.seed) and any(label.split for label in checked.labels):
        raise UserError(f"--shares and --seed have no meaning: {table} has splits already; leave them out")
    labels = add_splits(checked.labels, Shares(*args.shares) if args.shares else Shares(), seed=args.seed)
    write_table([label.row() for label in labels], COLUMNS, args.out)
    for report in checked.reports:
        print(report, file=sys.stderr)
    counts = Counter(label.split for label in labels)
    classes = Counter(label.label for label in labels)
    parts = [f"{split} {counts[split]:,}" for split in SPLITS if counts[split]]
    parts += [f"{name} {count:,}" for name, count in classes.most_common()]
    parts += [plural(len(checked.reports), "report")] if checked.reports else []
    videos = len({label.video for label in labels})
    command.say(args.quiet)(
        f"{args.out}: {plural(len(labels), 'frame')} of {plural(videos, 'video')}: {', '.join(parts)}"
    )
    return command.SOME_FAILED if checked.reports else command.OK
