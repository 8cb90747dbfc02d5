"""Write frames of videos as JPEG or PNG, one folder for each video, with sequential names.

Which frames: all, every:5 (each fifth), fps:2 (two a second), uniform:20, first:20.
frames.csv beside the images has their numbers and times; the folder can be used as a video again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.commands.catalog_options import CatalogOptions
from pipeline.commands.worker_options import add_workers, check_workers
from pipeline.errors import UserError, VideoError
from pipeline.files.replacing import place_in, refuse_inside
from pipeline.files.text import plural
from pipeline.videos.catalog.failures import FAILURES_FILE, FailureLog
from pipeline.videos.preview.export_frames import ImageSpec, export_frames


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/extract_frames.py Match.mp4 --sampling fps:2 --out frames")
    made.add_argument("source", type=Path, metavar="VIDEO", help="a video, a folder of videos or a CSV file")
    made.add_argument("--out", type=Path, required=True, help="the folder for a folder for each video")
    add_options(made, CatalogOptions)
    add_options(made, ImageSpec)
    made.add_argument("--overwrite", action="store_true", help="replace the folders that are there")
    add_workers(made)
    return made


@command.if_stopped("folders that were finished are kept, and --overwrite writes them anew")
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    check_workers(args)
    say = command.say(args.quiet)
    spec = from_args(ImageSpec, args)
    if spec.form == "png" and spec.quality != ImageSpec.quality:
        raise UserError(f"--quality {spec.quality} is of JPEG, and --format png loses nothing; leave it out")
    catalog = from_args(CatalogOptions, args).open(args.source)
    refuse_inside(args.out, args.source)
    folders = _folders(catalog.videos, args.out)
    failures = FailureLog(args.out / FAILURES_FILE)
    written = 0
    jobs = [(video.path, folder) for video, folder in zip(catalog.videos, folders, strict=True)]
    with command.progress(len(catalog), "video", args.quiet) as bar:
        done = export_frames(jobs, spec, overwrite=args.overwrite, workers=args.workers, timeout=args.timeout)
        failures.clear()  # those of an earlier run
        for video, count in zip(catalog.videos, done, strict=True):
            bar.update()
            if isinstance(count, VideoError):
                failures.add(video.name, count)
                print(f"failed: {video.name}: {count}", file=sys.stderr)
            else:
                written += count
    say(
        f"{args.out}: {plural(written, 'image')} of {plural(len(folders) - len(failures), 'video')}"
        + (f", {len(failures):,} failed (see {failures.path})" if failures else "")
    )
    return command.SOME_FAILED if failures else command.OK


def _folders(videos, out: Path) -> list[Path]:
    """A folder for each video, by its name without extension; with it where two would share one."""
    whole = [place_in(out, video.name) for video in videos]
    plain = [folder.with_suffix("") for folder in whole]
    counts = Counter(plain)
    return [short if counts[short] == 1 else long for short, long in zip(plain, whole, strict=True)]
