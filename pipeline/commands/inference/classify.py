"""Classify a video over time and write it with its labels drawn on every frame.

The video is read as the checkpoint was trained: same frames, same windows, same network. Each frame goes
through the network once, however many windows hold it. VIDEO is one of

    a file, or a folder of frames   labelled frames in --output, data in --json, --csv, --segments, --srt, --html
    a folder or a CSV of videos     one row each in OUT/predictions.csv; a run that was stopped goes on
    a camera number, rtsp://..., -  live: JSON lines on standard output, or a window with --show; - is a pipe
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.errors import UserError, VideoError
from pipeline.extraction.network.engines.choose import ENGINES, PRECISIONS
from pipeline.extraction.store.store import FeatureStore
from pipeline.files.replacing import free_name
from pipeline.files.tables import plural
from pipeline.files.timestamps import format_time
from pipeline.inference.classifier import Classifier, ClassifySpec
from pipeline.inference.drawing.overlay import STYLES, Overlay
from pipeline.inference.folder_run import PREDICTIONS_FILE, FolderProgress, FolderRun
from pipeline.inference.live.live_classify import LivePrediction
from pipeline.inference.live.source import LiveSource, is_live, live_line, run_live
from pipeline.inference.outputs.cut_segments import Highlights, cut_highlights
from pipeline.inference.outputs.outputs import Outputs
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.smoothing import FORMS, Smoothing
from pipeline.parallel.machine import reuse_freed_memory
from pipeline.parallel.workers import TIMEOUT
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.catalog.failures import FAILURES_FILE
from pipeline.videos.catalog.times import read_times
from pipeline.videos.media.image_folder import holds_frames
from pipeline.videos.media.writer import AVI_CODECS

_MOST_LINES = 20  # segments on the terminal

Say = Callable[[str], None]


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    reuse_freed_memory()
    spec = ClassifySpec(
        stride=args.stride,
        clip_seconds=args.clip_seconds,
        smoothing=Smoothing.parse(args.smooth),
        min_duration=args.min_duration,
        abstain_below=args.abstain_below,
    )
    if args.export is not None:
        return _export(args)
    if args.video is None:
        raise UserError("name what is to be classified, for example: classify.py checkpoints/match Match.mp4")
    path = Path(args.video)
    live = is_live(args.video) and not path.exists()
    if live and args.timeout is not None:
        raise UserError(f"--timeout has no meaning for a live source ({args.video}); --patience is what it waits")
    args.timeout = TIMEOUT if args.timeout is None else args.timeout
    if not args.timeout > 0:
        raise UserError(f"--timeout {args.timeout:g}: expected seconds, more than 0")
    if live:
        return _live(args, spec)
    if args.out is None and holds_frames(path):
        return _single(args, spec)
    if path.is_dir() or path.suffix.lower() in (".csv", ".tsv"):
        return _folder(args, spec)
    return _single(args, spec)


# -- one video -------------------------------------------------------------------------------------


def _single(args: argparse.Namespace, spec: ClassifySpec) -> int:
    _refuse(args, "a file", ("out", "store", "retry_failed", "show", "seconds"))
    say = command.say(args.quiet)
    outputs = _outputs(args, _default_video(args))
    source = Path(args.video)
    # A file that cannot be read or written is told of before seconds of loading.
    with _naming(source):
        ((_, opened),) = read_times([(source, source)], workers=1, timeout=args.timeout)
        if isinstance(opened, VideoError):
            raise opened
        outputs.check(source, opened[0].codec, overwrite=args.overwrite)
    highlights = _highlights(args)
    classifier = _load(args, say)
    with _naming(source), command.progress(None, "frame", args.quiet, desc="classify") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        prediction = classifier.classify(source, spec, workers=1, timeout=args.timeout, show=show)
    if prediction.grid.note:
        say(f"note: {prediction.grid.note}")
    _say_segments(say, prediction)
    if args.probabilities:
        for place in np.argsort(-prediction.mean, kind="stable"):
            say(f"  {classifier.classes[place]}: {prediction.mean[place]:.2%}")
    with command.progress(len(prediction.times), "frame", args.quiet, desc="draw") as bar:
        written, notes = outputs.write(
            prediction, classifier.checkpoint.folder, lambda done, total: bar.update(done - bar.n) and None
        )
    failed = _cut(say, args, prediction, highlights)
    for note in notes:
        say(f"note: {note}")
    say(
        f"{args.video}: {prediction.label} {prediction.mean.max():.0%}, {plural(len(prediction.times), 'frame')}, "
        f"{plural(len(prediction.windows), 'window')}, {plural(len(prediction.segments), 'segment')}"
        + (f"; wrote {', '.join(map(str, written))}" if written else "")
    )
    return command.SOME_FAILED if failed else command.OK


@contextlib.contextmanager
def _naming(video: Path) -> Iterator[None]:
    """Say which video it is that cannot be used."""
    try:
        yield
    except VideoError as error:
        raise UserError(f"{video}: {error.reason}") from None


def _default_video(args: argparse.Namespace) -> Path:
    """result.avi, or beside a page an .mp4, since browsers do not play AVI; a name that is free."""
    if args.html is None:
        return free_name(Path("result.avi"))
    beside = args.html.with_suffix(".mp4")
    if beside.absolute() == Path(args.video).absolute():  # the video itself is there
        beside = args.html.with_name(f"{args.html.stem}.labelled.mp4")
    return free_name(beside)


def _outputs(args: argparse.Namespace, default: Path | None) -> Outputs:
    return Outputs(
        video=None if args.frames == "none" else args.output or default,
        json=args.json,
        csv=args.csv,
        segments=args.segments,
        srt=args.srt,
        html=args.html,
        style=args.style,
        fps=args.fps,
        codec=args.codec,
    )


def _highlights(args: argparse.Namespace) -> list[Highlights]:
    wanted = [Highlights(label, False, args.clips) for label in args.cut]
    wanted += [Highlights(label, True, args.clips) for label in args.cut_out]
    if wanted:
        classes = Checkpoint.load(args.checkpoint).classes
        for item in wanted:
            item.check(classes)
    return wanted


def _cut(say: Say, args: argparse.Namespace, prediction: VideoPrediction, highlights: list[Highlights]) -> int:
    """Cut the clips that were asked for; returns how many failed."""
    failed = 0
    for item in highlights:
        count = len(item.stretches(prediction.segments))
        with command.progress(count, "clip", args.quiet, desc="cut") as bar:
            clips, errors = cut_highlights(prediction, item, show=bar.update)
        say(f"{item.folder / item.name}: {plural(len(clips), 'clip')}")
        for error in errors:
            print(f"failed: {error}", file=sys.stderr)
        failed += len(errors)
    return failed


def _say_segments(say: Say, prediction: VideoPrediction) -> None:
    for segment in prediction.segments[:_MOST_LINES]:
        start, end = format_time(segment.start), format_time(segment.end)
        say(f"  {start} - {end}  {segment.label}  {segment.probability:.0%}")
    if len(prediction.segments) > _MOST_LINES:
        say(f"  and {plural(len(prediction.segments) - _MOST_LINES, 'more segment')}; --segments FILE.csv writes all")


# -- many videos -----------------------------------------------------------------------------------


def _folder(args: argparse.Namespace, spec: ClassifySpec) -> int:
    _refuse(args, "many videos", ("probabilities", "cut", "cut_out", "show", "seconds"))
    if args.out is None:
        raise UserError("many videos need a folder for the predictions; add --out results")
    say = command.say(args.quiet)
    catalog = open_catalog(args.video)
    outputs = _outputs(args, _default_video(args) if args.html else None)
    store = FeatureStore(args.store) if args.store else None
    run = FolderRun(
        _load(args, say),
        catalog,
        args.out,
        spec,
        outputs=outputs,
        store=store,
        retry_failed=args.retry_failed,
        overwrite=args.overwrite,
        timeout=args.timeout,
    )
    with command.progress(len(catalog), "video", args.quiet) as bar:

        def show(progress: FolderProgress) -> None:
            for line in progress.failures[bar.n_failures :]:
                bar.clear()
                print(f"failed: {line}", file=sys.stderr)
            bar.n_failures = len(progress.failures)
            bar.update(progress.done + progress.before + progress.failed + progress.failed_before - bar.n)

        bar.n_failures = 0
        progress = run.run(show)
    failed = progress.failed + progress.failed_before
    parts = [f"{plural(progress.done, 'video')} classified"]
    parts += [_from_store(args.store, progress)] if args.store else []
    parts += [f"{progress.before} done before"] if progress.before else []
    parts += [f"{failed} failed, see {args.out / FAILURES_FILE}"] if failed else []
    say(f"{args.out / PREDICTIONS_FILE}: {', '.join(parts)}")
    return command.SOME_FAILED if failed else command.OK


def _from_store(store: Path, progress: FolderProgress) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in progress.not_from_store.most_common())
    return f"{progress.from_store:,} of them from features of {store}" + (f" (not: {reasons})" if reasons else "")


# -- live ------------------------------------------------------------------------------------------


def _live(args: argparse.Namespace, spec: ClassifySpec) -> int:
    _refuse(args, "a live source", ("output", "json", "csv", "segments", "srt", "html", "cut", "cut_out", "overwrite"))
    _refuse(args, "a live source", ("out", "store", "retry_failed", "clip_seconds", "probabilities"))
    if args.seconds is not None and not args.seconds > 0:
        raise UserError(f"--seconds {args.seconds:g}: expected more than 0")
    if not args.patience >= 0:
        raise UserError(f"--patience {args.patience:g}: expected seconds, 0 or more")
    if args.min_duration:
        raise UserError("--min-duration looks ahead, which a live picture does not allow; leave it out")

    def say(line: str) -> None:  # standard output is for the predictions
        if not args.quiet:
            print(line, file=sys.stderr)

    if args.show:
        from pipeline.inference.live.preview_window import Screen

        with Screen(f"{args.video} - {args.checkpoint}") as screen:
            return _watch(args, spec, say, screen.show)
    return _watch(args, spec, say, None)


def _watch(args: argparse.Namespace, spec: ClassifySpec, say: Say, screen: Callable | None) -> int:
    classifier = _load(args, say, batch=1)
    classifier.warm_up()
    checkpoint = classifier.checkpoint
    overlays: dict[tuple[int, int], Overlay] = {}
    with LiveSource(args.video, patience=args.patience) as source:

        def handle(moment: LivePrediction, delay: float) -> bool:
            if screen is None:
                if moment.fresh:
                    line = live_line(moment, delay, source, checkpoint.classes)
                    print(json.dumps(line, ensure_ascii=False), flush=True)
                return True
            image = moment.frame.image
            size = (image.shape[1], image.shape[0])
            if size not in overlays:
                overlays[size] = Overlay(checkpoint.classes, size, style=args.style)
            return screen(overlays[size].draw(image, moment.probabilities, moment.label))

        delays = run_live(source, lambda frames: classifier.stream(frames, spec), handle, seconds=args.seconds)
        say(
            f"{source.name}: {plural(source.frames, 'frame')}, {source.dropped:,} dropped, "
            f"{plural(delays.count, 'prediction')}, "
            f"delay {delays.mean:.3f} s on average, {delays.longest:.3f} s at most"
            + (f", {plural(source.reconnects, 'reconnection')}" if source.reconnects else "")
        )
    return command.OK


# -- export ----------------------------------------------------------------------------------------


def _export(args: argparse.Namespace) -> int:
    if args.video is not None:
        raise UserError(f"--export writes a model and classifies nothing; leave out {args.video}")
    from pipeline.inference.export.saved_model import check_export, export

    check_export(args.export, Checkpoint.load(args.checkpoint))
    classifier = Classifier.load(args.checkpoint, weights=args.weights, engine="keras", precision="float32")
    written = export(classifier, args.export)
    command.say(args.quiet)(f"{', '.join(map(str, written))}: frames and mask of one window to probabilities")
    return command.OK


# -- what they share -------------------------------------------------------------------------------


def _load(args: argparse.Namespace, say: Say, *, batch: int = 0) -> Classifier:
    classifier = Classifier.load(
        args.checkpoint, weights=args.weights, engine=args.engine, precision=args.precision, batch=batch
    )
    if classifier.precision_note:
        say(f"note: {classifier.precision_note}")
    from pipeline.inference.drawing.text import undrawable

    missing = undrawable("".join(classifier.classes))
    if missing:
        say(f"note: no font here has {missing!r} of the class names; they are drawn as boxes")
    return classifier


def _refuse(args: argparse.Namespace, what: str, names: Sequence[str]) -> None:
    """Options that mean nothing for this kind of source are a mistake, not a wish to be passed over."""
    for name in names:
        if getattr(args, name):
            raise UserError(f"--{name.replace('_', '-')} has no meaning for {what} ({args.video}); leave it out")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        __doc__,
        "python scripts/classify.py checkpoints/match Match.mp4 --output result.avi --smooth centred:25\n"
        "  python scripts/classify.py checkpoints/match videos --out predictions\n"
        "  ffmpeg -i rtsp://camera/1 -f matroska - | python scripts/classify.py checkpoints/match -",
    )
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="folder that train.py wrote")
    made.add_argument("video", metavar="VIDEO", nargs="?", help="file, folder, CSV file, camera number, address or -")
    reading = made.add_argument_group("how videos are read")
    reading.add_argument("--stride", type=int, help="steps between windows, from 1 (default: a quarter of a window)")
    reading.add_argument(
        "--clip-seconds",
        type=float,
        help="with sampling uniform:N or first:N, read long videos as clips of this length "
        "(default: the median of the training clips)",
    )
    reading.add_argument(
        "--timeout", type=float, help=f"seconds without a sign of life that a file may take (default: {TIMEOUT:g})"
    )
    reading.add_argument("--weights", help="of the backbone: imagenet, random or a file (default: as in training)")
    reading.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the arithmetic")
    reading.add_argument("--engine", choices=ENGINES, default="auto", help="what computes the backbone")
    labels = made.add_argument_group("how labels are chosen")
    labels.add_argument(
        "--smooth", default="none", metavar="KIND", help=f"{FORMS}; K in frames, live in windows; A from 0 to 1"
    )
    labels.add_argument("--min-duration", type=float, default=0.0, help="seconds; shorter segments go to a neighbour")
    labels.add_argument(
        "--abstain-below",
        type=float,
        metavar="P",
        help='below this probability the label is "unknown" (default: as trained)',
    )
    output = made.add_argument_group("what is written (for many videos: the names of files in OUT/<video>/)")
    output.add_argument(
        "--output", type=Path, help=".avi, .mp4, .mkv, .mov or .gif with labels drawn (default for a file: result.avi)"
    )
    output.add_argument("--overwrite", action="store_true", help="replace files that are there")
    output.add_argument("--frames", choices=("all", "none"), default="all", help="none: write no video, only the data")
    output.add_argument("--style", choices=STYLES, default="bars", help="of the drawing")
    output.add_argument("--fps", type=float, help="frames per second of the output (default: as the video)")
    output.add_argument("--codec", choices=AVI_CODECS, default="xvid", help="of .avi files")
    output.add_argument("--probabilities", action="store_true", help="print every class with its probability")
    output.add_argument("--json", type=Path, help="the prediction with its windows and segments")
    output.add_argument("--csv", type=Path, help="a row for each frame: frame, time, label, probabilities")
    output.add_argument("--segments", type=Path, help="a row for each segment: start, end, label, probability")
    output.add_argument("--srt", type=Path, help="the segments as subtitles")
    output.add_argument("--html", type=Path, help="a page with the video, timeline and curves; needs no server")
    clips = made.add_argument_group("clips from the prediction (one file)")
    clips.add_argument("--cut", action="append", default=[], metavar="LABEL", help="write its segments as files")
    clips.add_argument("--cut-out", action="append", default=[], metavar="LABEL", help="write all but its segments")
    clips.add_argument("--clips", type=Path, default=Path("clips"), help="the folder for these files")
    many = made.add_argument_group("many videos")
    many.add_argument("--out", type=Path, help="the folder for predictions.csv and failures.csv")
    many.add_argument("--store", type=Path, help="features that extract_features.py made, used where they fit")
    many.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    live = made.add_argument_group("live")
    live.add_argument("--show", action="store_true", help="a window with the labelled picture, until q is pressed")
    live.add_argument("--seconds", type=float, help="end after this time")
    live.add_argument("--patience", type=float, default=60.0, help="seconds for which a broken stream is tried again")
    export = made.add_argument_group("instead of a video")
    export.add_argument(
        "--export",
        type=Path,
        metavar="PATH",
        help="write the whole chain: a folder (SavedModel), NAME.tflite or NAME.onnx (needs requirements-onnx.txt)",
    )
    return made
