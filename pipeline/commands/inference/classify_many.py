"""Classifying many videos: rows in a table, what they say in short, and a page to look through and correct them."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import command
from pipeline.cli.fields import from_args
from pipeline.commands.catalog_options import CatalogOptions
from pipeline.errors import UserError
from pipeline.files.locking import only_writer
from pipeline.files.replacing import refuse_existing
from pipeline.files.text import natural_key, plural
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.outputs.outputs import Outputs

if TYPE_CHECKING:
    from pipeline.inference.classifier import Classifier
    from pipeline.inference.folder_run import FolderProgress, FolderRun
    from pipeline.videos.catalog.catalog import Catalog, Video

_LEAST_CERTAIN = 5  # on the terminal; the page has all
_ON_A_CARD = 3  # classes


@command.if_stopped(command.GOES_ON)
def classify_many(args: argparse.Namespace, spec: ClassifySpec, load: Callable[[command.Say], Classifier]) -> int:
    """Classify the videos of files, folders and tables; without --output, print what single files are.

    Args:
        args: the options of classify.
        spec: how videos are read and labels are made.
        load: the classifier, which is given a function that prints notes.
    """
    with _folder_of(args) as (out, video):
        return _classify(args, spec, load, out, video)


def _classify(
    args: argparse.Namespace,
    spec: ClassifySpec,
    load: Callable[[command.Say], Classifier],
    out: Path,
    video: Path | None,
) -> int:
    from pipeline.extraction.store.store import FeatureStore
    from pipeline.inference.folder_run import FolderRun
    from pipeline.inference.outputs.prediction_table import PREDICTIONS_FILE
    from pipeline.videos.catalog.failures import FAILURES_FILE

    say = command.say(args.quiet)
    catalog = _catalog_of(args)
    outputs = from_args(Outputs, args, video=video)
    if args.html is not None:
        refuse_existing(args.html, overwrite=args.overwrite)
        if video is None:  # the page of all of them plays the videos as they are
            outputs = replace(outputs, html=None)
    store = FeatureStore(args.store) if args.store else None
    classifier = load(say)
    with only_writer(out / PREDICTIONS_FILE):
        run = FolderRun(
            classifier,
            catalog,
            out,
            spec,
            outputs=outputs,
            store=store,
            retry_failed=args.retry_failed,
            overwrite=args.overwrite,
            timeout=args.timeout,
        )
        progress = _shown(run, args.quiet)
    rows = run.rows()
    failed = progress.failed + progress.failed_before
    for line in _one_by_one(rows, run.classes) if args.output is None else _in_short(rows, run.classes):
        say(line)
    if args.html is not None:
        _write_page(args, run, rows)
    if args.output is None:
        wrote = f"wrote {args.html}" if args.html is not None else "nothing was written, --output FOLDER does"
        say(f"{plural(len(rows), 'video')} classified{f', {failed} failed' if failed else ''}; {wrote}")
        return command.SOME_FAILED if failed else command.OK
    parts = [f"{plural(progress.done, 'video')} classified"]
    parts += [_from_store(args.store, progress)] if args.store else []
    parts += [f"{progress.before} done before"] if progress.before else []
    parts += [f"{failed} failed, see {out / FAILURES_FILE}"] if failed else []
    wrote = f"; wrote {args.html}" if args.html is not None else ""
    say(f"{out / PREDICTIONS_FILE}: {', '.join(parts)}{wrote}")
    return command.SOME_FAILED if failed else command.OK


def _shown(run: FolderRun, quiet: bool) -> FolderProgress:
    """Run it with a bar, and say what fails."""
    told = 0
    with command.progress(run.progress.videos, "video", quiet) as bar:

        def show(progress: FolderProgress) -> None:
            nonlocal told
            for line in progress.failures[told:]:
                bar.clear()
                print(f"failed: {line}", file=sys.stderr)
            told = len(progress.failures)
            bar.update(progress.done + progress.before + progress.failed + progress.failed_before - bar.n)

        return run.run(show)


def _catalog_of(args: argparse.Namespace) -> Catalog:
    """The videos of all sources, each file once."""
    catalogs = [from_args(CatalogOptions, args).open(source) for source in args.video]
    videos: dict[str, Video] = {}
    for video in (video for catalog in catalogs for video in catalog):
        videos.setdefault(os.path.abspath(video.path), video)
    return replace(catalogs[0], videos=tuple(sorted(videos.values(), key=lambda video: natural_key(video.name))))


@contextlib.contextmanager
def _folder_of(args: argparse.Namespace) -> Iterator[tuple[Path, Path | None]]:
    """The folder that --output names, and the video to draw of each, where it names one in that folder.

    A few files that are only to be looked at need none.
    """
    output = args.output
    files = not any(Path(source).is_dir() or names_table(Path(source)) for source in args.video)
    if output is None and files and not replace(from_args(Outputs, args, video=None), html=None).paths:
        with tempfile.TemporaryDirectory(prefix="predictions-") as folder:
            yield Path(folder), None
    elif output is None or (names_video(output) and len(output.parts) == 1):
        raise UserError("many videos need a folder: --output results, or results/NAME.mp4 to draw each video too")
    elif names_video(output):
        yield output.parent, drawn(args, output)
    else:
        yield output, None


def names_table(source: Path) -> bool:
    """Whether a source is a table of videos."""
    return source.suffix.lower() in (".csv", ".tsv")


def names_video(output: Path) -> bool:
    """Whether an output is a video and not a folder."""
    from pipeline.videos.media.writer import EXTENSIONS

    return output.suffix.lower() in EXTENSIONS


def drawn(args: argparse.Namespace, video: Path | None) -> Path | None:
    """The video to draw, which --no-video leaves out."""
    if args.no_video and args.output is not None and video == args.output:
        raise UserError(f"--no-video leaves out the video that --output {args.output} names; choose one of them")
    return None if args.no_video else video


def _from_store(store: Path, progress: FolderProgress) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in progress.not_from_store.most_common())
    return f"{progress.from_store:,} of them from features of {store}" + (f" (not: {reasons})" if reasons else "")


def _in_short(rows: Sequence[dict[str, str]], classes: Sequence[str]) -> list[str]:
    """Counts by class, and the videos of which the checkpoint is least certain."""
    counts = Counter(row["prediction"] for row in rows)
    lines = [", ".join(f"{name} {count:,}" for name, count in counts.most_common())] if rows else []
    for row in sorted(rows, key=lambda row: float(row["probability"]))[:_LEAST_CERTAIN]:
        best = ", ".join(f"{name} {value:.0%}" for name, value in _best(row, classes)[:2])
        lines.append(f"  least certain: {row['video']}: {best}")
    return lines


def _one_by_one(rows: Sequence[dict[str, str]], classes: Sequence[str]) -> list[str]:
    """What each video is."""
    lines = []
    for row in rows:
        best = _best(row, classes)
        said = ", ".join(f"{name} {value:.0%}" for name, value in best[:2])
        unsure = row["prediction"] != best[0][0]
        lines.append(f"{row['video']}: " + (f"{row['prediction']} ({said})" if unsure else said))
    return lines


def _best(row: dict[str, str], classes: Sequence[str]) -> list[tuple[str, float]]:
    """The classes with their probabilities in a row, the most probable first."""
    return sorted(((name, float(row[f"p({name})"])) for name in classes), key=lambda pair: -pair[1])


def _write_page(args: argparse.Namespace, run: FolderRun, rows: Sequence[dict[str, str]]) -> None:
    from pipeline.videos.preview.dataset_page import Guess, write_dataset_page
    from pipeline.videos.preview.thumbnails import read_previews

    pages = {video.name: run.files_of(video).get("html") for video in run.videos}
    guesses = {
        row["video"]: Guess(row["prediction"], _best(row, run.classes)[:_ON_A_CARD], pages[row["video"]])
        for row in rows
    }
    previews = []
    with command.progress(len(run.videos), "video", args.quiet, desc="thumbnails") as bar:
        for preview in read_previews(run.videos, timeout=args.timeout):
            previews.append(preview)
            bar.update()
    title = f"{args.checkpoint} on {plural(len(run.videos), 'video')}"
    write_dataset_page(previews, [], args.html, title=title, guesses=guesses, classes=run.classes)
