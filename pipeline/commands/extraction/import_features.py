"""Make a feature store of sequences that were made elsewhere, and say what was taken for time and for dimension.

A folder has a .npy, .npz or .h5 file for each video, as I3D, TSN and SlowFast programs write: (steps, features), or
the other way round, or with crops, whose mean is taken. One .h5 file may hold all videos. TFRecord files are those of
YouTube-8M. The table has the columns file,label and may have split and group; files are named relative to the folder,
and videos in one file by their names in it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.extraction.store.import_export import ImportSpec, import_features
from pipeline.files.text import plural


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/import_features.py sequences --labels list.csv --out features/imported")
    made.add_argument("place", metavar="PLACE", type=Path, help="folder of files, one .h5 file, or .tfrecord")
    made.add_argument(
        "--labels", type=Path, help="CSV with file,label[,split][,group]; of TFRecord the records' first classes count"
    )
    made.add_argument("--out", type=Path, required=True, help="folder of the feature store")
    add_options(made, ImportSpec)
    return made


@command.if_stopped(command.GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)

    with command.progress(None, "file", args.quiet) as bar:
        result = import_features(
            args.place,
            args.labels,
            args.out,
            spec=from_args(ImportSpec, args),
            looked_at=lambda: bar.update() and None,
        )
    for file, reason in result.failed.items():
        print(f"failed: {file}: {reason}", file=sys.stderr)
    command.say(args.quiet)(f"{args.place}: {parser().spoken(result.took)}")
    line = f"{args.out}: {plural(result.added, 'sequence')} imported"
    line += f"; {result.present:,} were there" if result.present else ""
    line += f"; {len(result.failed):,} failed" if result.failed else ""
    command.say(args.quiet)(line)
    return command.SOME_FAILED if result.failed else command.OK
