"""``--workers`` and ``--timeout``, which every command takes that opens videos."""

from __future__ import annotations

import argparse
import os

from pipeline.errors import UserError
from pipeline.parallel.workers import TIMEOUT


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the two options."""
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="videos at a time")
    given_up = "seconds without a sign of life until a video is given up"
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help=given_up)


def check_workers(args: argparse.Namespace) -> None:
    """Refuse values that mean nothing."""
    if args.workers < 1:
        raise UserError(f"--workers {args.workers} cannot work; expected at least 1")
    if not args.timeout > 0:
        raise UserError(f"--timeout {args.timeout:g}: expected seconds above 0")
