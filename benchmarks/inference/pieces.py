"""A video of known pieces: are borders found, are frames right, how much does smoothing calm, what does a stride cost?

Draws recordings of three classes, trains on clips of most of them, and joins stretches of the others, unseen in
training, by hard cuts. Prints frame accuracy, label changes per minute in truth, before and after each way of
smoothing, and the largest error of a border, at the default stride, at stride 1 and without overlap, and the seconds of
stride 1 against windows that do not overlap. ``--backbone tiny --weights random`` takes a minute and is enough for the
arithmetic; InceptionV3 shows what users see.

``--window 1`` classifies single frames, and ``--noise S`` lays grain on the pieces, of a strength that differs from
frame to frame and was not there in training: the hard case for smoothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

import pipeline
from benchmarks.inference.flicker import changes_per_minute
from benchmarks.measure import Table, in_turn, time_of
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.inference.classifier import Classifier
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.smoothing import Smoothing
from pipeline.training.data.windows import WindowSpec
from pipeline.videos.media import open_video
from pipeline.videos.media.writer import VideoWriter
from pipeline.videos.synthetic import draw_recordings

CLASSES = ("Ball", "Bar", "Lamps")
FPS, SIZE = 25.0, (480, 360)
CLIP = 1.0  # seconds of a training clip
WAYS = (
    *(("none", 0.0), ("mean:25", 0.0), ("centred:9", 0.0), ("median:9", 0.0), ("exponential:0.2", 0.0)),
    *(("none", 1.0), ("centred:9", 1.0), ("centred:25", 1.0)),
)
PIECES = (3.2, 6.4, 2.4, 5.0, 4.4, 7.6, 3.6, 2.8, 6.0, 4.0, 5.2, 3.0)  # seconds between hard cuts


def write_stretch(writer: VideoWriter, recording: Path, start: float, seconds: float, noise: float = 0.0) -> int:
    """Copy a stretch of a recording at 25 frames/s; returns how many frames.

    Each frame gets grain of its own strength, its standard deviation from 0 to ``noise``.
    """
    rng = np.random.default_rng(round(seconds * FPS))
    grain = rng.normal(size=(SIZE[1] * 2, SIZE[0], 3)).astype(np.float32)
    with open_video(recording) as video:
        times = video.times()
        wanted = np.searchsorted(times, start + np.arange(round(seconds * FPS)) / FPS, side="right") - 1
        kept = {frame.index: frame.image for frame in video.frames(np.unique(wanted))}
    for number in wanted.tolist():
        image = cv2.resize(kept[number], SIZE)
        if noise:
            top = rng.integers(SIZE[1])
            image = np.clip(image + rng.uniform(0, noise) * grain[top : top + SIZE[1]], 0, 255).astype(np.uint8)
        writer.write(image)
    return len(wanted)


def make_data(folder: Path, noise: float) -> tuple[Path, Path, np.ndarray]:
    """Training clips, the video of pieces, and its truth: ``(n,)`` class of each frame."""
    recordings = draw_recordings(folder / "recordings", classes=CLASSES, recordings=7, seconds=(9, 10))
    for path in recordings:
        if not path.stem.endswith(("6", "7")):
            for number in range(8):
                clip = folder / "clips" / path.parent.name / f"{path.stem}_{number}.mp4"
                with VideoWriter(clip, fps=FPS, size=SIZE) as writer:
                    write_stretch(writer, path, number * CLIP, CLIP)
    truth: list[int] = []
    with VideoWriter(folder / "pieces.mp4", fps=FPS, size=SIZE) as writer:
        for place, seconds in enumerate(PIECES):
            label = (place * 2) % 3
            unseen = next(p for p in recordings if p.stem == f"{CLASSES[label]}_{6 + place % 2}")
            truth += [label] * write_stretch(writer, unseen, 0.5, seconds, noise)
    return folder / "clips", folder / "pieces.mp4", np.array(truth)


def train(clips: Path, folder: Path, args: argparse.Namespace) -> Path:
    """Extract and train; returns the checkpoint."""
    from pipeline.training.data.splits import make_split

    store = folder / "store"
    pipeline.extract(clips, store, sampling=args.sampling, backbone=args.backbone, weights=args.weights)
    data = pipeline.open_dataset(store)
    split = make_split(data, [video.name.rpartition("_")[0] for video in data.videos], seed=0)
    window = WindowSpec(args.window) if args.window else None
    run = pipeline.train(data, split, head=pipeline.head_spec("gru", units=32), window=window)
    pipeline.save_run(run, folder / "checkpoint")
    return folder / "checkpoint"


def measure(prediction: VideoPrediction, before: VideoPrediction, truth: np.ndarray) -> tuple[float, ...]:
    """Accuracy, changes per minute in truth, ``before`` smoothing and after it, and the largest error of a border."""
    cuts = (np.flatnonzero(np.diff(truth)) + 1) / FPS
    found = np.array([segment.start for segment in prediction.segments[1:]])
    error = max(np.abs(found - cut).min() for cut in cuts) if len(found) else float("inf")
    seconds = len(truth) / FPS
    changes = (changes_per_minute(labels, seconds) for labels in (truth, before.labels, prediction.labels))
    return ((prediction.labels == truth).mean(), *changes, error)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.inference.pieces --weights WEIGHTS")
    parser.add_argument("--backbone", default="inceptionv3", help="the frozen network")
    parser.add_argument("--weights", default="imagenet", help="as for extract_features.py")
    parser.add_argument("--sampling", default="uniform:8", help="as for extract_features.py")
    parser.add_argument("--window", type=int, help="steps; 1 classifies single frames")
    parser.add_argument("--noise", type=float, default=0.0, help="of 255: the strongest grain on the video of pieces")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        clips, movie, truth = make_data(Path(name), args.noise)
        classifier = Classifier.load(train(clips, Path(name), args))
        length, scale = classifier.checkpoint.window.length, classifier.checkpoint.time_scale
        window = scale.step * length if scale.step else scale.median
        print(f"{len(truth)} frames, {len(PIECES)} pieces, windows of {window:.2f} s, {len(PIECES) - 1} cuts")
        print(f"half a window: {window / 2:.2f} s; label changes per minute in truth, before and after smoothing:")
        table = Table(
            {"stride": "7", "smoothing": ">15", "shortest s": "9.1f", "accuracy": "8.3f"}
            | dict.fromkeys(("truth", "before", "after"), "7.1f")
            | {"border error s": "14.2f"}
        )
        for stride in dict.fromkeys((max(1, length // 4), 1, length)):  # the default first
            # The network runs once for each stride; what follows is arithmetic on its windows.
            prediction = classifier.classify(movie, ClassifySpec(stride=stride))
            for smooth, least in WAYS:
                spec = ClassifySpec(stride=stride, smoothing=Smoothing.parse(smooth), min_duration=least)
                again = classifier.prediction(
                    movie, prediction.info, prediction.times, prediction.grid, prediction.windows, spec
                )
                table.add(stride, smooth, least, *measure(again, prediction, truth))
        works = {
            f"{stride}": partial(time_of, partial(classifier.classify, movie, ClassifySpec(stride=stride)))
            for stride in (length, 1)
        }
        took = in_turn(works, 3)
    for unit, field in (("seconds", "clock"), ("seconds of a core", "processor")):
        apart, dense = (min(getattr(watch, field) for watch in took[f"{stride}"]) for stride in (length, 1))
        print(f"{unit} (best of 3): stride {length} {apart:.2f}, stride 1 {dense:.2f}, ratio {dense / apart:.3f}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
