"""Label changes per minute before and after smoothing, on real features of clips that no training has seen.

Trains a head on short windows of a store's training clips, lays the test clips one after another as a recording with
hard cuts, and classifies it at stride 1. No network is needed. Windows of a few steps of real footage do flicker; the
table shows what each way of smoothing leaves of it, and what that costs in accuracy.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import pipeline
from benchmarks.measure import Table
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.store.store import FeatureStore
from pipeline.inference.timeline.smoothing import Smoothing, drop_short
from pipeline.inference.timeline.window_grid import WindowGrid, aligned_starts
from pipeline.inference.timeline.window_runner import WindowRunner, frame_means
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.data.splits import make_split
from pipeline.training.data.windows import WindowSpec

# K counts steps here, since only the steps of the clips are in a store.
WAYS = (
    *(("none", 0.0), ("mean:5", 0.0), ("mean:9", 0.0), ("centred:9", 0.0), ("median:9", 0.0)),
    *(("none", 1.0), ("centred:9", 1.0)),
)


def lay_out(store: FeatureStore, clips: Sequence, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips as one recording: features ``(s, D)`` float32, class of each step ``(s,)``, its seconds ``(s,)``."""
    features, truth, times, begin = [], [], [], 0.0
    for clip in clips:
        sequence = store.read(clip.name).features.astype(np.float32)
        features.append(sequence)
        truth.append(np.full(len(sequence), classes.index(clip.label)))
        times.append(begin + np.arange(len(sequence)) * clip.duration / len(sequence))
        begin += clip.duration
    return np.concatenate(features), np.concatenate(truth), np.concatenate(times)


def classify(checkpoint: Checkpoint, features: np.ndarray) -> np.ndarray:
    """``(s, C)`` probabilities of each step: the mean over the windows that cover it, at stride 1."""
    steps, length = len(features), checkpoint.window.length
    starts = aligned_starts(steps, length, 1)
    grid = WindowGrid(np.arange(steps), starts, np.minimum(starts + length, steps), steps)
    runner = WindowRunner(checkpoint, grid)
    runner.push(features.astype(checkpoint.dtype))
    return frame_means(runner.finish(), grid.spans(), steps)


def changes_per_minute(labels: np.ndarray, seconds: float) -> float:
    """How often the labels ``(n,)`` change that lie in some seconds."""
    return np.count_nonzero(np.diff(labels)) / seconds * 60


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.inference.flicker features/match")
    parser.add_argument("store", type=Path, help="features of labelled clips")
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 4, 8], help="steps")
    parser.add_argument("--group", default="", help="what in a name tells its group, a regular expression")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the order of the clips")
    args = parser.parse_args(argv)
    data = pipeline.open_dataset(args.store)
    found = [re.search(args.group, video.name) if args.group else None for video in data.videos]
    groups = [match.group() if match else video.name for match, video in zip(found, data.videos, strict=True)]
    split = make_split(data, groups, seed=args.seed)
    clips = [data.videos[place] for place in np.random.default_rng(args.seed).permutation(split.test)]
    features, truth, times = lay_out(FeatureStore(args.store), clips, data.classes)
    end = sum(clip.duration for clip in clips)
    changes = changes_per_minute(truth, end)
    print(f"{len(clips)} unseen clips, {end:.0f} s; the truth changes {changes:.1f} times a minute")
    titles = ("window", "smoothing", "shortest s", "changes/min", "accuracy")
    table = Table(dict(zip(titles, ("6", ">10", "8.1f", "11.1f", "8.3f"), strict=True)))
    for window in args.windows:
        run = pipeline.train(data, split, head=pipeline.head_spec("gru", units=32), window=WindowSpec(window))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "checkpoint")
            pipeline.save_run(run, out)
            raw = classify(Checkpoint.load(out), features)
        for smooth, least in WAYS:
            probabilities = Smoothing.parse(smooth)(raw)
            labels = probabilities.argmax(axis=1)
            if least:
                labels = drop_short(labels, probabilities, times, end, least)
            table.add(window, smooth, least, changes_per_minute(labels, end), (labels == truth).mean())
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
