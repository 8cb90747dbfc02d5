"""Write one page that compares checkpoints: validation and test figures, and the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.files.replacing import refuse_existing
from pipeline.files.text import plural


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/compare_runs.py checkpoints/* --out comparison.html")
    made.add_argument("checkpoints", metavar="CHECKPOINT", type=Path, nargs="+", help="checkpoint folders")
    made.add_argument("--out", type=Path, required=True, help="the page to write")
    made.add_argument("--overwrite", action="store_true", help="replace a page that is there")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)

    refuse_existing(args.out, overwrite=args.overwrite)
    from pipeline.training.reports.compare import write_comparison

    write_comparison(args.checkpoints, args.out, title=args.out.stem)
    command.say(args.quiet)(f"{args.out}: {plural(len(args.checkpoints), 'run')} compared")
    return command.OK
