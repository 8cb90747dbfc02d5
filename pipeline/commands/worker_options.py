"""``--workers``, ``--timeout`` and the limits, which every command takes that opens videos."""

from __future__ import annotations

import argparse
import os

from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.parallel.limits import Limits, use_limits
from pipeline.parallel.workers import TIMEOUT


def add_workers(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="videos at a time")
    given_up = "seconds without a sign of life until a video is given up"
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help=given_up)
    add_limits(parser)


def check_workers(args: argparse.Namespace) -> None:
    """Refuse values that mean nothing, and put the limits in force."""
    if args.workers < 1:
        raise UserError(f"--workers {args.workers} cannot work; expected at least 1")
    if not args.timeout > 0:
        raise UserError(f"--timeout {args.timeout:g}: expected seconds above 0")
    put_limits(args)


def add_limits(parser: Parser) -> None:
    """Add the options that say what one video may cost at most."""
    add_options(parser, Limits, group="limits of a video, beyond which it is named as unusable")


def put_limits(args: argparse.Namespace) -> None:
    """Put them in force for this process and its workers."""
    use_limits(from_args(Limits, args))
