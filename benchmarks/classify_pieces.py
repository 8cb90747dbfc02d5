"""A video of known pieces: are borders found, are frames right, how much does smoothing calm, what does a stride cost?

    python benchmarks/classify_pieces.py --weights WEIGHTS

draws recordings of three classes, trains on clips of most of them, and joins stretches of the others, unseen in
training, by hard cuts. Prints frame accuracy, label changes per minute in truth, before and after each way of
smoothing, and the largest error of a border, at the default stride, at stride 1 and without overlap, and the seconds of
stride 1 against windows that do not overlap. ``--backbone tiny --weights random`` takes a minute and is enough for the
arithmetic; InceptionV3 shows what users see.

``--window 1`` classifies single frames, and ``--noise S`` lays grain on the pieces, of a strength that differs from
frame to frame and was not there in training: the hard case for smoothing.
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

from pipeline.cli import command
from pipeline.extraction.jobs.extract import Extraction, ExtractionSpec
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.inference.classifier import Classifier, ClassifySpec
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.smoothing import Smoothing
from pipeline.training.data.windows import WindowSpec
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.media import open_video
from pipeline.videos.media.writer import VideoWriter
from pipeline.videos.synthetic import draw_recordings

CLASSES = ("Ball", "Bar", "Lamps")
FPS, SIZE = 25.0, (480, 360)
CLIP = 1.0  # seconds of a training clip
WAYS = (("none", 0.0), ("mean:25", 0.0), ("centred:9", 0.0), ("median:9", 0.0), ("exponential:0.2", 0.0))
WAYS += (("none", 1.0), ("centred:9", 1.0), ("centred:25", 1.0))
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


def train(clips: Path, folder: Path, backbone: str, source: str, sampling: str, window: int | None) -> Path:
    """Extract and train; returns the checkpoint."""
    from pipeline.extraction.network.backbone import Backbone
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.data.splits import make_split
    from pipeline.training.experiments.experiment import save_run
    from pipeline.training.experiments.experiment import train as fit
    from pipeline.training.heads.registry import head_spec

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
    save_run(fit(data, split, head=head_spec("gru", units=32), window=spec), folder / "checkpoint")
    return folder / "checkpoint"


def flicker(labels: np.ndarray) -> float:
    """Changes per minute of the labels ``(n,)`` of all frames."""
    return np.count_nonzero(np.diff(labels)) / (len(labels) / FPS / 60)


def measure(prediction: VideoPrediction, before: VideoPrediction, truth: np.ndarray) -> str:
    """One row of the table; ``before`` is the same without smoothing."""
    cuts = (np.flatnonzero(np.diff(truth)) + 1) / FPS
    found = np.array([segment.start for segment in prediction.segments[1:]])
    error = max(np.abs(found - cut).min() for cut in cuts) if len(found) else float("inf")
    accuracy = (prediction.labels == truth).mean()
    calm = " ".join(f"{flicker(labels):7.1f}" for labels in (truth, before.labels, prediction.labels))
    return f"{accuracy:8.3f} {calm} {error:14.2f} s"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="inceptionv3")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--sampling", default="uniform:8")
    parser.add_argument("--window", type=int, help="steps; 1 classifies single frames")
    parser.add_argument("--noise", type=float, default=0.0, help="of 255: the strongest grain on the video of pieces")
    args = parser.parse_args(argv)
    if args.weights not in ("imagenet",) and not args.weights.startswith("random"):
        args.weights = os.path.abspath(args.weights)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips, movie, truth = make_data(folder, args.noise)
        checkpoint = train(clips, folder, args.backbone, args.weights, args.sampling, args.window)
        classifier = Classifier.load(checkpoint)
        length = classifier.checkpoint.window.length
        scale = classifier.checkpoint.time_scale
        window = scale.step * length if scale.step else scale.median
        print(f"{len(truth)} frames, {len(PIECES)} pieces, windows of {window:.2f} s, {len(PIECES) - 1} cuts")
        print(f"half a window: {window / 2:.2f} s; label changes per minute in truth, before and after smoothing:")
        titles = f"{'stride':>7} {'smoothing':>15} {'shortest':>9} {'accuracy':>8}"
        print(f"{titles} {'truth':>7} {'before':>7} {'after':>7} {'border error':>16}")
        for stride in dict.fromkeys((max(1, length // 4), 1, length)):  # the default first
            # The network runs once for each stride; what follows is arithmetic on its windows.
            prediction = classifier.classify(movie, ClassifySpec(stride=stride))
            for smooth, least in WAYS:
                reading = ClassifySpec(stride=stride, smoothing=Smoothing.parse(smooth), min_duration=least)
                again = classifier.prediction(
                    movie, prediction.info, prediction.times, prediction.grid, prediction.windows, reading
                )
                row = measure(again, prediction, truth)
                print(f"{stride:>7} {smooth:>15} {least:>8.1f}s {row}", flush=True)
        best: dict[int, tuple[float, float]] = {}
        for _ in range(3):
            for stride in (length, 1):
                began, busy = time.perf_counter(), time.process_time()
                classifier.classify(movie, ClassifySpec(stride=stride))
                took = time.perf_counter() - began, time.process_time() - busy
                best[stride] = min(best.get(stride, took), took)
        for name, place in (("seconds", 0), ("seconds of a core", 1)):
            apart, dense = best[length][place], best[1][place]
            print(f"{name} (best of 3): stride {length} {apart:.2f}, stride 1 {dense:.2f}, ratio {dense / apart:.3f}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
