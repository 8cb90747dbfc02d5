"""Make a feature store of sequences that were made elsewhere: one .npy of shape (steps, features) per video.

The table has the columns file,label and may have split and group; files are named relative to the folder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.store.import_export import import_features
from pipeline.files.text import plural


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/import_features.py sequences --labels list.csv --out features/imported")
    made.add_argument("folder", metavar="FOLDER", type=Path, help="folder of .npy files")
    made.add_argument("--labels", type=Path, required=True, help="CSV with file,label[,split][,group]")
    made.add_argument("--out", type=Path, required=True, help="folder of the feature store")
    made.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="of the stored features")
    return made


@command.if_stopped(command.GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)

    with command.progress(None, "file", args.quiet) as bar:
        result = import_features(
            args.folder, args.labels, args.out, dtype=args.dtype, looked_at=lambda: bar.update() and None
        )
    for file, reason in result.failed.items():
        print(f"failed: {file}: {reason}", file=sys.stderr)
    line = f"{args.out}: {plural(result.added, 'sequence')} imported"
    line += f"; {result.present:,} were there" if result.present else ""
    line += f"; {len(result.failed):,} failed" if result.failed else ""
    command.say(args.quiet)(line)
    return command.SOME_FAILED if result.failed else command.OK
