"""Classify a video over time and write it with its labels drawn on every frame.

The video is read as the checkpoint was trained: same frames, same windows, same network. Each frame goes
through the network once, however many windows hold it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline import command
from pipeline.inference.classifier import Answer, Classifier, Reading
from pipeline.inference.outputs import Outputs
from pipeline.inference.overlay import STYLES
from pipeline.inference.smoothing import FORMS, Smoothing
from pipeline.videos.reader import open_video
from pipeline.videos.tables import plural
from pipeline.videos.timestamps import format_time
from pipeline.videos.writer import AVI_CODECS

_MOST_LINES = 20  # segments on the terminal


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    say = command.say(args.quiet)
    reading = Reading(
        stride=args.stride,
        clip_seconds=args.clip_seconds,
        smoothing=Smoothing.parse(args.smooth),
        min_duration=args.min_duration,
        abstain=args.abstain,
    )
    outputs = Outputs(
        video=None if args.frames == "none" else args.output,
        json=args.json,
        csv=args.csv,
        segments=args.segments,
        srt=args.srt,
        style=args.style,
        fps=args.fps,
        codec=args.codec,
    )
    outputs.check(Path(args.video))
    with open_video(args.video) as video:
        video.info()  # a file that cannot be read is told of before seconds of loading
    classifier = Classifier.load(args.checkpoint, weights=args.weights, precision=args.precision)
    _say_notes(say, classifier)
    with command.progress(None, "frame", args.quiet) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        answer = classifier.classify(args.video, reading, show=show)
    if answer.grid.note:
        say(f"note: {answer.grid.note}")
    _say_segments(say, answer)
    with command.progress(len(answer.times), "frame", args.quiet) as bar:
        written, notes = outputs.write(
            answer, classifier.checkpoint.folder, lambda done, total: bar.update(done - bar.n) and None
        )
    for note in notes:
        say(f"note: {note}")
    say(
        f"{args.video}: {answer.label} {answer.mean.max():.0%}, {plural(len(answer.times), 'frame')}, "
        f"{plural(len(answer.windows), 'window')}, {plural(len(answer.segments), 'segment')}"
        + (f"; wrote {', '.join(map(str, written))}" if written else "")
    )
    return command.OK


def _parser() -> argparse.ArgumentParser:
    parser = command.parser(
        __doc__, "python scripts/classify.py checkpoints/match Match.mp4 --output result.avi --smooth centred:25"
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="folder that train.py wrote")
    parser.add_argument("video", metavar="VIDEO", help="video file")
    reading = parser.add_argument_group("how the video is read")
    reading.add_argument("--stride", type=int, help="steps between windows, from 1 (default: a quarter of a window)")
    reading.add_argument(
        "--clip-seconds",
        type=float,
        help="with sampling uniform:N or first:N, read long videos as clips of this length "
        "(default: the median of the training clips)",
    )
    reading.add_argument("--weights", help="of the backbone: imagenet, random or a file (default: as in training)")
    reading.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto", help="of the arithmetic"
    )
    labels = parser.add_argument_group("how labels are chosen")
    labels.add_argument("--smooth", default="none", metavar="KIND", help=f"{FORMS}; K in frames")
    labels.add_argument("--min-duration", type=float, default=0.0, help="seconds; shorter segments go to a neighbour")
    labels.add_argument(
        "--abstain", type=float, metavar="P", help='below this probability the label is "unknown" (default: as trained)'
    )
    output = parser.add_argument_group("what is written")
    output.add_argument(
        "--output", type=Path, default=Path("result.avi"), help=".avi, .mp4, .mkv, .mov or .gif with the labels drawn"
    )
    output.add_argument("--frames", choices=("all", "none"), default="all", help="none: write no video, only the data")
    output.add_argument("--style", choices=STYLES, default="bars", help="of the drawing")
    output.add_argument("--fps", type=float, help="frames per second of the output (default: as the video)")
    output.add_argument("--codec", choices=AVI_CODECS, default="xvid", help="of .avi files")
    output.add_argument("--json", type=Path, help="the answer with its windows and segments")
    output.add_argument("--csv", type=Path, help="a row for each frame: frame, time, label, probabilities")
    output.add_argument("--segments", type=Path, help="a row for each segment: start, end, label, probability")
    output.add_argument("--srt", type=Path, help="the segments as subtitles")
    return parser


def _say_notes(say, classifier: Classifier) -> None:
    if classifier.precision_note:
        say(f"note: {classifier.precision_note}")
    from pipeline.inference.text import undrawable

    missing = undrawable("".join(classifier.classes))
    if missing:
        say(f"note: no font here has {missing!r} of the class names; they are drawn as boxes")


def _say_segments(say, answer: Answer) -> None:
    for segment in answer.segments[:_MOST_LINES]:
        start, end = format_time(segment.start), format_time(segment.end)
        say(f"  {start} - {end}  {segment.label}  {segment.probability:.0%}")
    if len(answer.segments) > _MOST_LINES:
        say(f"  and {plural(len(answer.segments) - _MOST_LINES, 'more segment')}; --segments FILE.csv writes all")


if __name__ == "__main__":
    sys.exit(command.run(main))
