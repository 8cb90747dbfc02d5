"""How much faster is stage one than the loop of the tutorials? All in one run, so that the ratios hold.

    python -m benchmarks.extraction_speed DATA --weights WEIGHTS
    python -m benchmarks.extraction_speed DATA --weights WEIGHTS --precision float32 auto int8

measures, on the same videos and weights: the usual loop (OpenCV, ``predict`` on one frame at a time, on every
few videos, since it is slow), and the whole ``extract_features.py`` in each precision, from the start of the
process to its end. int8 has two rows: with its calibration, which is done once, and with the network that is
there by then. Where float32 is among the precisions, the cosine of the others' features to its own is told.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.stages import predict_loop
from pipeline.cli import command
from pipeline.extraction.network.engines.choose import ENGINES, INT8, PRECISIONS
from pipeline.extraction.store.store import FeatureStore
from pipeline.parallel.machine import processors
from pipeline.videos.catalog.catalog import open_catalog

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class WholeRun:
    """One call of ``extract_features.py``."""

    frames: int
    seconds: float
    """Of the whole process."""
    store: Path
    line: str
    """Its own last line."""


def whole_run(data: Path, store: Path, *options: str) -> WholeRun:
    """Extract the features of ``data`` into a new store, in a process of its own."""
    script = [sys.executable, str(ROOT / "scripts/extract_features.py"), str(data), "--out", str(store)]
    began = time.perf_counter()
    done = subprocess.run([*script, *options], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    line = done.stdout.strip().splitlines()[-1]
    return WholeRun(int(line.split(" frames in ")[0].rpartition(" ")[2].replace(",", "")), seconds, store, line)


def cosines(store: Path, exact: Path) -> np.ndarray:
    """The cosine of every feature vector of one store to that of another, ``(steps,)``."""
    ours, theirs = FeatureStore(store), FeatureStore(exact)
    values = []
    for video in theirs.entries:
        left, right = (side.read(video).features.astype(np.float32) for side in (ours, theirs))
        values.append((left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1))
    return np.concatenate(values)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=["float32", "auto"])
    parser.add_argument("--engine", choices=ENGINES, default="auto")
    parser.add_argument("--loop-every", type=int, default=10, help="give the loop each N-th video only")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    videos = open_catalog(args.data).videos
    loop = predict_loop([video.path for video in videos[:: args.loop_every]], args.weights).rate
    print(f"{processors()} processors; {len(videos)} videos, 20 frames each, InceptionV3 at 299 px")
    print(f"{'loop of predict on one frame':34}{loop:8.1f} frames/s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        exact: Path | None = None
        for name, options in runs(args.precision, Path(folder)).items():
            store = Path(folder) / name.replace(" ", "-")
            run = whole_run(args.data, store, "--weights", args.weights, "--engine", args.engine, *options)
            rate = run.frames / run.seconds
            print(f"{'whole run, ' + name:34}{rate:8.1f} frames/s, {rate / loop:.2f} times the loop  ({run.line})")
            if exact is not None:
                close = cosines(store, exact)
                print(
                    f"{'':34}cosine to float32: {close.mean():.5f} on average, {close.min():.5f} at worst", flush=True
                )
            exact = store if name == "float32" else exact
    return 0


def runs(precisions: Sequence[str], folder: Path) -> dict[str, list[str]]:
    """The options of each run by its name; float32 first, since the others are compared with it."""
    rows: dict[str, list[str]] = {}
    for precision in sorted(precisions, key=lambda precision: precision != "float32"):
        options = ["--precision", precision]
        if precision == INT8:
            rows["int8 with calibration"] = options
            options = [*options, "--int8-from", str(folder / "int8-with-calibration")]
        rows[precision] = options
    return rows


if __name__ == "__main__":
    sys.exit(command.run(main))
