"""A video of known pieces: are borders found, are frames right, how much does smoothing calm, what does a stride cost?

    python benchmarks/classify_pieces.py --weights WEIGHTS

draws recordings of three classes, trains on clips of most of them, and joins stretches of the others, unseen in
training, by hard cuts. Prints frame accuracy, the largest error of a border, and label changes per minute for several
ways of smoothing at the default stride, at stride 1 and without overlap, and the seconds of stride 1 against windows
that do not overlap. ``--backbone tiny --weights
random`` takes a minute and is enough for the arithmetic; InceptionV3 shows what users see.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline import command
from pipeline.extraction.extract import Extraction, ExtractionSpec
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.weights import WeightsSource
from pipeline.inference.classifier import Answer, Classifier, Reading
from pipeline.inference.smoothing import Smoothing
from pipeline.training.windows import WindowSpec
from pipeline.videos.catalog import open_catalog
from pipeline.videos.reader import open_video
from pipeline.videos.synthetic import draw_recordings
from pipeline.videos.writer import VideoWriter

CLASSES = ("Ball", "Bar", "Lamps")
FPS, SIZE = 25.0, (480, 360)
CLIP = 1.0  # seconds of a training clip
WAYS = (("none", 0.0), ("mean:25", 0.0), ("centred:9", 0.0), ("median:9", 0.0), ("exponential:0.2", 0.0))
WAYS += (("centred:9", 1.0), ("centred:25", 1.0))
PIECES = (3.2, 6.4, 2.4, 5.0, 4.4, 7.6, 3.6, 2.8, 6.0, 4.0, 5.2, 3.0)  # seconds between hard cuts


def write_stretch(writer: VideoWriter, recording: Path, start: float, seconds: float) -> int:
    """Copy a stretch of a recording at 25 frames/s; returns how many frames."""
    with open_video(recording) as video:
        times = video.times()
        wanted = np.searchsorted(times, start + np.arange(round(seconds * FPS)) / FPS, side="right") - 1
        kept = {frame.index: frame.image for frame in video.frames(np.unique(wanted))}
    for number in wanted.tolist():
        writer.write(cv2.resize(kept[number], SIZE))
    return len(wanted)


def make_data(folder: Path) -> tuple[Path, Path, np.ndarray]:
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
            truth += [label] * write_stretch(writer, unseen, 0.5, seconds)
    return folder / "clips", folder / "pieces.mp4", np.array(truth)


def train(clips: Path, folder: Path, backbone: str, source: str, sampling: str, window: int | None) -> Path:
    """Extract and train; returns the checkpoint."""
    from pipeline.extraction.backbones import Backbone
    from pipeline.training.dataset import open_dataset
    from pipeline.training.heads import head_spec
    from pipeline.training.run import save
    from pipeline.training.run import train as fit
    from pipeline.training.splits import make_split

    weights = WeightsSource(source)
    network = Backbone(backbone, weights=weights)
    recipe = Recipe(sampling, backbone, network.digest, *network.size)
    extraction = Extraction(open_catalog(clips), folder / "store", recipe, weights, ExtractionSpec())
    extraction.look()
    with extraction.decode() as pool:
        extraction.run(pool, network, {"precision": network.precision})
    data = open_dataset(folder / "store")
    groups = [video.name.rpartition("_")[0] for video in data.videos]
    split = make_split(data, groups, seed=0)
    spec = WindowSpec(window) if window else None
    save(fit(data, split, head=head_spec("gru", units=32), window=spec), folder / "checkpoint")
    return folder / "checkpoint"


def measure(answer: Answer, truth: np.ndarray) -> str:
    """One row of the table."""
    changes = int((np.diff(answer.labels) != 0).sum())
    cuts = (np.flatnonzero(np.diff(truth)) + 1) / FPS
    found = np.array([segment.start for segment in answer.segments[1:]])
    error = max(np.abs(found - cut).min() for cut in cuts) if len(found) else float("inf")
    minutes = len(truth) / FPS / 60
    accuracy = (answer.labels == truth).mean()
    return f"{accuracy:8.3f} {changes / minutes:12.1f} {error:14.2f} s"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="inceptionv3")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--sampling", default="uniform:8")
    parser.add_argument("--window", type=int, help="steps; 1 classifies single frames")
    args = parser.parse_args(argv)
    if args.weights not in ("imagenet",) and not args.weights.startswith("random"):
        args.weights = os.path.abspath(args.weights)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips, movie, truth = make_data(folder)
        checkpoint = train(clips, folder, args.backbone, args.weights, args.sampling, args.window)
        classifier = Classifier.load(checkpoint)
        length = classifier.checkpoint.window.length
        scale = classifier.checkpoint.time_scale
        window = scale.step * length if scale.step else scale.median
        print(f"{len(truth)} frames, {len(PIECES)} pieces, windows of {window:.2f} s, {len(PIECES) - 1} cuts")
        print(f"cuts per minute of the truth: {(len(PIECES) - 1) / (len(truth) / FPS / 60):.1f}; half a window: "
              f"{window / 2:.2f} s")  # fmt: skip
        print(
            f"{'stride':>7} {'smoothing':>15} {'shortest':>9} {'accuracy':>8} {'changes/min':>12} {'border error':>16}"
        )
        for stride in (None, 1, length):
            # The network runs once for each stride; what follows is arithmetic on its windows.
            answer = classifier.classify(movie, Reading(stride=stride))
            for smooth, least in WAYS:
                reading = Reading(stride=stride, smoothing=Smoothing.parse(smooth), min_duration=least)
                again = classifier.answer(movie, answer.info, answer.times, answer.grid, answer.windows, reading)
                row = measure(again, truth)
                print(f"{stride or 'default':>7} {smooth:>15} {least:>8.1f}s {row}", flush=True)
        best: dict[int, tuple[float, float]] = {}
        for _ in range(3):
            for stride in (length, 1):
                began, busy = time.perf_counter(), time.process_time()
                classifier.classify(movie, Reading(stride=stride))
                took = time.perf_counter() - began, time.process_time() - busy
                best[stride] = min(best.get(stride, took), took)
        for name, place in (("seconds", 0), ("seconds of a core", 1)):
            apart, dense = best[length][place], best[1][place]
            print(f"{name} (best of 3): stride {length} {apart:.2f}, stride 1 {dense:.2f}, ratio {dense / apart:.3f}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
