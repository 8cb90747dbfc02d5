"""Write a first description of a network that is a file: what images it takes, and which of its outputs counts.

Beside net.onnx, net.xml (OpenVINO) or the folder net (a SavedModel) it writes net.yaml from what the file tells, and
says what it guessed. Read it, put right what is wrong, and name the file by extract --backbone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.network.by_file.describe import describe
from pipeline.extraction.network.by_file.description import description_path, description_text
from pipeline.files.atomic import atomic_write
from pipeline.files.replacing import check_writable, refuse_existing


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/describe.py networks/vits14.onnx")
    made.add_argument("network", metavar="NETWORK", type=Path, help="a file ending in .onnx or .xml, or a SavedModel")
    made.add_argument("--overwrite", action="store_true", help="replace the description that is there")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    path = description_path(args.network)
    refuse_existing(path, overwrite=args.overwrite)
    check_writable(path)
    found = describe(args.network)
    with atomic_write(path) as temporary:
        temporary.write_text(description_text(found.description, found.guessed), encoding="utf-8")
    say = command.say(args.quiet)
    for name, reason in found.guessed.items():
        say(f"{name}: {getattr(found.description, name)} ({reason.removeprefix('guessed: ')})")
    for line in found.warnings:
        say(f"note: {line}")
    rest = "read it before you use it" if found.guessed else "the file told all of it"
    say(f"{path}: written, {len(found.guessed)} of its keys are guesses; {rest}")
    return command.OK
