"""Classifying what comes live: JSON lines on standard output, or the labelled image in a window, in a file, or both."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from pipeline.cli import command
from pipeline.files.replacing import refuse_existing
from pipeline.files.text import plural
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.drawing.overlay import Overlay
from pipeline.inference.live.preview_window import open_screen
from pipeline.inference.live.recording import LiveRecording
from pipeline.inference.live.source import LiveSource, live_line, run_live
from pipeline.videos.media.writer import check_output

if TYPE_CHECKING:
    from pipeline.inference.classifier import Classifier
    from pipeline.inference.live.live_classify import LivePrediction


@contextlib.contextmanager
def screen_of(args: argparse.Namespace) -> Iterator[Callable[[np.ndarray], bool] | None]:
    """What --show gives each drawn frame to; None where nothing is shown."""
    if not args.show:
        yield None
        return
    with open_screen(f"{args.video} - {args.checkpoint}") as screen:
        yield screen.show


def watch(args: argparse.Namespace, spec: ClassifySpec, load: Callable[[Callable[[str], None]], Classifier]) -> int:
    """Classify a live source until it ends, ``--seconds`` are over, q is pressed in the window, or Ctrl-C.

    Args:
        args: the options of classify.
        spec: how labels are made.
        load: the classifier, which is given a function that prints notes.
    """

    def say(line: str) -> None:  # standard output is for the predictions
        if not args.quiet:
            print(line, file=sys.stderr)

    with contextlib.ExitStack() as stack:
        screen = stack.enter_context(open_screen(f"{args.video} - {args.checkpoint}")) if args.show else None
        recording = None
        if args.output is not None:
            check_output(args.output, codec=args.codec)
            refuse_existing(args.output, overwrite=args.overwrite)
            recording = stack.enter_context(LiveRecording(args.output, fps=args.fps, codec=args.codec))
        classifier = load(say)
        classifier.warm_up()
        classes = classifier.checkpoint.classes
        overlays: dict[tuple[int, int], Overlay] = {}
        source = stack.enter_context(LiveSource(args.video, patience=args.patience))

        def handle(moment: LivePrediction, delay: float) -> bool:
            if screen is None and moment.fresh:
                print(json.dumps(live_line(moment, delay, source, classes), ensure_ascii=False), flush=True)
            if screen is None and recording is None:
                return True
            image = moment.frame.image
            size = (image.shape[1], image.shape[0])
            if size not in overlays:
                overlays[size] = Overlay(classes, size, style=args.style)
            image = overlays[size].draw(image, moment.probabilities, moment.label)
            if recording is not None:
                recording.add(image, moment.frame.time)
            return screen is None or screen.show(image)

        delays = run_live(source, lambda frames: classifier.stream(frames, spec), handle, seconds=args.seconds)
        say(
            f"{source.name}: {plural(source.frames, 'frame')}, {source.dropped:,} dropped, "
            f"{plural(delays.count, 'prediction')}, "
            f"delay {delays.mean:.3f} s on average, {delays.longest:.3f} s at most"
            + (f", {plural(source.reconnects, 'reconnection')}" if source.reconnects else "")
            + (f"; {plural(recording.frames, 'frame')} written to {args.output}" if recording else "")
        )
    return command.OK
