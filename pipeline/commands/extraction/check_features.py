"""Verify every entry of a feature store and say what has to be extracted again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.store.store import SHARDS, FeatureStore
from pipeline.extraction.store.verify import check_shards, missing_videos, set_aside
from pipeline.files.text import plural
from pipeline.videos.catalog.failures import FAILURES_FILE, FailureLog


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/check_features.py features/match")
    made.add_argument("store", metavar="STORE", type=Path, help="folder of the feature store")
    made.add_argument(
        "--quarantine", action="store_true", help="move bad shards to STORE/damaged; the next extraction remakes them"
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    say = command.say(args.quiet)

    store = FeatureStore(args.store)
    good: set[str] = set()
    bad = shards = 0
    with command.progress(len(list(args.store.glob(SHARDS))), "shard", args.quiet) as bar:
        for report in check_shards(args.store):
            shards += 1
            bar.update()
            if not report.problems:
                good.update(report.videos)
                continue
            bad += 1
            for problem in report.problems:
                print(f"{report.path.name}: {problem}")
            if args.quarantine:
                print(f"{report.path.name}: moved to {set_aside(report)}")
    failures = FailureLog(args.store / FAILURES_FILE)
    missing = []
    for video in missing_videos(store.catalog, good):
        if video in failures:
            print(f"failed when it was extracted: {video}: {failures.reason(video)}")
        else:
            print(f"to extract again: {video}")
            missing.append(video)
    say(
        f"{args.store}: {plural(shards, 'shard')} with {plural(len(good), 'good video')}; "
        f"{bad} bad, {plural(len(missing), 'video')} to extract again"
    )
    return command.SOME_FAILED if bad or missing else command.OK
