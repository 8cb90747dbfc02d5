"""Classify a video over time and write it with its labels drawn on every frame.

The video is read as the checkpoint was trained: same frames, same windows, same network. Each frame goes
through the network once, however many windows hold it. VIDEO is one of

    a file, or a folder of frames   labelled frames in --output, data in --json, --csv, --segments, --srt, --html
    several, a folder or a table    one row each in predictions.csv of the folder --output; a stopped run goes on
                                    (without --output, several files are printed, and nothing is written)
    a camera number, rtsp://..., -  live: JSON lines on standard output, or a window with --show; also into --output
    --show                          a window: a file is seen while it is written, until q is pressed
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args, options_of
from pipeline.cli.parser import Parser
from pipeline.commands.catalog_options import CatalogOptions
from pipeline.commands.inference.classify_many import classify_many, drawn, names_table, names_video
from pipeline.commands.inference.highlights import cut, highlights_of
from pipeline.commands.worker_options import add_limits, put_limits
from pipeline.errors import UserError, VideoError
from pipeline.extraction.network.engines.choose import ENGINES, MEASURE, PRECISIONS, check_measure
from pipeline.files.replacing import free_name
from pipeline.files.text import format_time, plural
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.outputs.outputs import Outputs
from pipeline.lazy import np
from pipeline.parallel.limits import Limits
from pipeline.parallel.workers import TIMEOUT, OneWorker

if TYPE_CHECKING:  # and imported where they are used: --help and mistakes must not wait for h5py, OpenCV and PyAV
    from pipeline.inference.classifier import Classifier
    from pipeline.inference.outputs.cut_segments import Highlights
    from pipeline.inference.timeline.prediction import VideoPrediction

_MOST_LINES = 20  # segments on the terminal
_CLIPS = ("cut", "cut_out", "clips")
_LIVE = ("seconds", "patience")
_MANY = ("classes", "class_level", "store", "retry_failed")
_OF_EXPORT = ("checkpoint", "video", "export", "weights", "quiet", "verbose")


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    put_limits(args)
    spec = from_args(ClassifySpec, args)
    if args.export is not None:
        return _export(args)
    if args.measure:
        check_measure(args.engine, args.precision)
    if not args.video:
        raise UserError("name what is to be classified, for example: classify checkpoints/match Match.mp4")

    from pipeline.inference.live.source import is_live
    from pipeline.parallel.machine import reuse_freed_memory
    from pipeline.videos.media.image_folder import holds_frames

    reuse_freed_memory()
    first = Path(args.video[0])
    several = len(args.video) > 1
    if not several and is_live(args.video[0]) and not first.exists():
        (args.video,) = args.video
        return _live(args, spec)
    if not args.timeout > 0:
        raise UserError(f"--timeout {args.timeout:g}: expected seconds, more than 0")
    one = holds_frames(first) and (args.output is None or names_video(args.output))
    if several or (not one and (first.is_dir() or names_table(first))):
        _refuse(args, "many videos", ("probabilities", "each_window", "show", *_CLIPS, *_LIVE))
        return classify_many(args, spec, lambda say: _load(args, say))
    (args.video,) = args.video
    return _single(args, spec)


# -- one video -------------------------------------------------------------------------------------


@command.if_stopped("files that were finished are kept, and there are no others")
def _single(args: argparse.Namespace, spec: ClassifySpec) -> int:
    _refuse(args, "a file", (*_MANY, *_LIVE))
    if not (args.cut or args.cut_out):
        _refuse(args, "a file without --cut or --cut-out", ("clips",))
    video = args.output or (_beside_page(args) if args.html else None)
    outputs = from_args(Outputs, args, video=drawn(args, video))
    outputs.check(Path(args.video), overwrite=args.overwrite)

    from pipeline.commands.inference.watch import screen_of

    with screen_of(args) as watch:  # where there is no screen, that is said before the work
        return _one_file(args, spec, outputs, watch)


def _one_file(
    args: argparse.Namespace, spec: ClassifySpec, outputs: Outputs, watch: Callable[[np.ndarray], bool] | None
) -> int:
    say = command.say(args.quiet)
    source = Path(args.video)
    prediction, folder, highlights = _predict(args, spec, outputs, source)
    _say_prediction(args, prediction)
    with (
        _naming(source),
        OneWorker(args.timeout) as worker,
        command.progress(len(prediction.times), "frame", args.quiet, desc="draw") as bar,
    ):
        written, notes = outputs.write(
            prediction, folder, lambda done, total: bar.update(done - bar.n) and None, watch, worker=worker
        )
    failed = cut(say, args, prediction, highlights)
    for note in notes:
        say(f"note: {note}")
    say(
        f"{args.video}: {_named(prediction)}, {plural(len(prediction.times), 'frame')}, "
        f"{plural(len(prediction.windows), 'window')}, {plural(len(prediction.segments), 'segment')}"
        + (f"; wrote {', '.join(map(str, written))}" if written else "; nothing was written, --output FILE.mp4 does")
    )
    return command.SOME_FAILED if failed else command.OK


def _predict(
    args: argparse.Namespace, spec: ClassifySpec, outputs: Outputs, source: Path
) -> tuple[VideoPrediction, Path, list[Highlights]]:
    """The prediction of a file, the folder of the checkpoint, and the clips to be cut.

    The file is decoded while the network is loaded, and what cannot be read or written is told of before.
    """
    from pipeline.extraction.features.decode_task import FirstTold
    from pipeline.inference.classifier import decode_for
    from pipeline.inference.timeline.prediction import VideoPrediction
    from pipeline.training.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(args.checkpoint)
    with _naming(source), decode_for(checkpoint, [(source, source)], spec, workers=1, timeout=args.timeout) as pool:
        decoded = FirstTold(pool)
        outputs.check_formats(source, decoded.opened.info.codec)
        highlights = highlights_of(args, checkpoint)
        classifier = _load(args, command.say(args.quiet))
        with command.progress(None, "frame", args.quiet, desc="classify") as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            ((_, prediction),) = classifier.predictions(decoded, {source: source}, spec, show=show)
    if isinstance(prediction, VideoError):
        raise UserError(f"{source}: {prediction.reason}")
    assert isinstance(prediction, VideoPrediction)  # nothing of it was known before
    return prediction, classifier.checkpoint.folder, highlights


def _say_prediction(args: argparse.Namespace, prediction: VideoPrediction) -> None:
    """Its segments, and what --each-window and --probabilities ask for."""
    say = command.say(args.quiet)
    if prediction.grid.note:
        say(f"note: {prediction.grid.note}")
    for segment in prediction.segments[:_MOST_LINES]:
        start, end = format_time(segment.start), format_time(segment.end)
        say(f"  {start} - {end}  {segment}")
    if len(prediction.segments) > _MOST_LINES:
        say(f"  and {plural(len(prediction.segments) - _MOST_LINES, 'more segment')}; --segments FILE.csv writes all")
    for line in prediction.window_lines() if args.each_window else []:
        say(line)
    if args.probabilities:
        for place in np.argsort(-prediction.mean, kind="stable"):
            say(f"  {prediction.classes[place]}: {prediction.mean[place]:.2%}")


@contextlib.contextmanager
def _naming(video: Path) -> Iterator[None]:
    """Say which video it is that cannot be used."""
    try:
        yield
    except VideoError as error:
        raise UserError(f"{video}: {error.reason}") from None


def _beside_page(args: argparse.Namespace) -> Path:
    """An .mp4 beside a page, since browsers do not play AVI; a name that is free."""
    beside = args.html.with_suffix(".mp4")
    if beside.absolute() == Path(args.video).absolute():  # the video itself is there
        beside = args.html.with_name(f"{args.html.stem}.labelled.mp4")
    return free_name(beside)


def _named(prediction: VideoPrediction) -> str:
    best = f"{prediction.best} {prediction.mean.max():.0%}"
    return best if prediction.label == prediction.best else f"{prediction.label} ({best})"


# -- live ------------------------------------------------------------------------------------------


@command.if_stopped("what was predicted is printed, and nothing else is kept")
def _live(args: argparse.Namespace, spec: ClassifySpec) -> int:
    if args.timeout != TIMEOUT:
        raise UserError(f"--timeout has no meaning for a live source ({args.video}); --patience is what it waits")
    files = ("no_video", "seen", "json", "csv", "segments", "srt", "html")
    other = ("clip_seconds", "probabilities", "each_window", *options_of(Limits))
    _refuse(args, "a live source", (*files, *_CLIPS, *_MANY, *other))
    if args.output is None:
        _refuse(args, "a live source without --output", ("fps", "codec", "overwrite"))
    if args.output is None and not args.show:
        _refuse(args, "a live source without --show or --output", ("style",))
    if args.seconds is not None and not args.seconds > 0:
        raise UserError(f"--seconds {args.seconds:g}: expected more than 0")
    if not args.patience >= 0:
        raise UserError(f"--patience {args.patience:g}: expected seconds, 0 or more")
    if args.min_duration:
        raise UserError("--min-duration looks ahead, which a live source does not allow; leave it out")

    from pipeline.commands.inference.watch import watch

    return watch(args, spec, lambda say: _load(args, say, batch=1))


# -- export ----------------------------------------------------------------------------------------


def _export(args: argparse.Namespace) -> int:
    if args.video:
        raise UserError(f"--export writes a model and classifies nothing; leave out {' '.join(args.video)}")
    _refuse(args, "--export", [name for name in vars(args) if name not in _OF_EXPORT])

    from pipeline.inference.classifier import Classifier
    from pipeline.inference.export.whole_chain import check_export, engine_for, export
    from pipeline.training.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(args.checkpoint)
    check_export(args.export, checkpoint, args.weights)
    engine = engine_for(checkpoint)
    classifier = Classifier.load(args.checkpoint, weights=args.weights, engine=engine, precision="float32")
    written = export(classifier, args.export)
    command.say(args.quiet)(f"{', '.join(map(str, written))}: frames and mask of one window to probabilities")
    return command.OK


# -- what they share -------------------------------------------------------------------------------


def _load(args: argparse.Namespace, say: command.Say, *, batch: int = 0) -> Classifier:
    from pipeline.inference.classifier import Classifier
    from pipeline.inference.drawing.text import undrawable

    classifier = Classifier.load(
        args.checkpoint,
        weights=args.weights,
        engine=args.engine,
        precision=args.precision,
        batch=batch,
        measure=args.measure,
        say=say,
    )
    if classifier.precision_note:
        say(f"note: {classifier.precision_note}")
    missing = undrawable("".join(classifier.classes))
    if missing:
        say(f"note: no font here has {missing!r} of the class names; they are drawn as boxes")
    return classifier


def _refuse(args: argparse.Namespace, what: str, names: Sequence[str]) -> None:
    """Options that mean nothing for this kind of source are a mistake, not a wish to be passed over."""
    made = parser()
    for name in names:
        if getattr(args, name) != made.get_default(name):
            sources = [args.video] if isinstance(args.video, str) else args.video
            where = f" ({', '.join(sources)})" if sources else ""
            raise UserError(f"{made.flag_of(name)} has no meaning for {what}{where}; leave it out")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        __doc__,
        "python scripts/classify.py checkpoints/match Match.mp4 --output result.avi --smooth centred:25\n"
        "  python scripts/classify.py checkpoints/match videos --output predictions\n"
        "  ffmpeg -i rtsp://camera/1 -f matroska - | python scripts/classify.py checkpoints/match -",
    )
    made.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="folder that train.py wrote")
    made.add_argument(
        "video", metavar="VIDEO", nargs="*", help="files, folders, CSV files; or one camera number, address or -"
    )
    group = "how videos are read"
    add_options(made, ClassifySpec, group=group, only=["stride", "clip_seconds"])
    reading = made.group(group)
    reading.add_argument(
        "--timeout", type=float, default=TIMEOUT, help="seconds without a sign of life until a video is given up"
    )
    add_limits(made)
    reading.add_argument("--weights", help="of the backbone: imagenet, random or a file (default: as in training)")
    reading.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="compute precision; auto: as in training"
    )
    reading.add_argument("--engine", choices=ENGINES, default="auto", help="what computes the backbone")
    reading.add_argument("--measure", action="store_true", help=MEASURE)
    labels = "how labels are chosen"
    add_options(made, ClassifySpec, group=labels, only=["smoothing", "min_duration", "abstain_below"])
    written = "what is written (for many videos: the names of files in FOLDER/<video>/)"
    output = made.group(written)
    output.add_argument(
        "--output",
        "--out",
        type=Path,
        metavar="PATH",
        help=".avi, .mp4, .mkv, .mov or .gif with labels drawn; for many videos "
        "FOLDER for predictions.csv and failures.csv, or FOLDER/NAME.mp4 to draw each video too",
    )
    output.add_argument("--overwrite", action="store_true", help="replace files that are there")
    output.add_argument("--no-video", action="store_true", help="write no video, only the data")
    output.add_argument("--probabilities", action="store_true", help="print every class with its probability")
    output.add_argument("--each-window", action="store_true", help="print what each window says of its frames")
    output.add_argument("--show", action="store_true", help="a window with the labelled frames, until q is pressed")
    add_options(made, Outputs, group=written, leave_out=["video"])
    clips = made.add_argument_group("clips from the prediction (one file)")
    clips.add_argument("--cut", action="append", default=[], metavar="LABEL", help="write its segments as files")
    clips.add_argument("--cut-out", action="append", default=[], metavar="LABEL", help="write all but its segments")
    clips.add_argument("--clips", type=Path, default=Path("clips"), help="the folder for these files")
    many = made.group("many videos")
    add_options(made, CatalogOptions, group="many videos")
    many.add_argument("--store", type=Path, help="features that extract_features.py made, used where they fit")
    many.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    live = made.add_argument_group("live")
    live.add_argument("--seconds", type=float, help="end after this time")
    live.add_argument("--patience", type=float, default=60.0, help="seconds for which a broken stream is tried again")
    export = made.add_argument_group("instead of a video")
    export.add_argument(
        "--export",
        type=Path,
        metavar="PATH",
        help="write the whole chain: a folder (SavedModel), NAME.tflite or NAME.onnx (needs the extra onnx); "
        "NAME.onnx only where the network is an .onnx file",
    )
    return made
