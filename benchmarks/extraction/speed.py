"""How much faster is stage one than the loop of the tutorials? All in one run, so that the ratios hold.

Measures, on the same videos and weights: the usual loop (OpenCV, ``predict`` on one frame at a time, on every
few videos, since it is slow), and the whole ``extract_features.py`` in each precision, from the start of the
process to its end. int8 has two rows: with its calibration, which is done once, and with the network that is
there by then. Where float32 is among the precisions, the cosine of the others' features to its own is told.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.extraction.plain_program import predict_loop
from benchmarks.measure import cosines, run_script
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.network.engines.choose import ENGINES, INT8, PRECISIONS
from pipeline.extraction.store.store import FeatureStore
from pipeline.parallel.machine import processors
from pipeline.videos.catalog.catalog import open_catalog


def closeness(store: Path, exact: Path) -> str:
    """The cosines of all feature vectors of one store to those of another, in words."""
    ours, theirs = FeatureStore(store), FeatureStore(exact)
    pairs = [[side.read(video).features.astype(np.float32) for side in (ours, theirs)] for video in theirs.entries]
    values = np.concatenate([cosines(*pair) for pair in pairs])
    return f"{values.mean():.5f} on average, {values.min():.5f} at worst"


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m benchmarks.extraction.speed DATA --weights WEIGHTS"
    parser = Parser(__doc__, f"{example}\n  {example} --precision float32 auto int8")
    parser.add_argument("data", type=Path, help="videos")
    parser.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet, a file, or random")
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=["float32", "auto"], help="a whole run in each"
    )
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="as for extract_features.py")
    parser.add_argument("--loop-every", type=int, default=10, help="give the loop each N-th video only")
    args = parser.parse_args(argv)
    videos = open_catalog(args.data).videos
    loop = predict_loop([video.path for video in videos[:: args.loop_every]], args.weights)
    print(f"{processors()} processors; {len(videos)} videos, 20 frames each, InceptionV3 at 299 px")
    print(f"{'loop of predict on one frame':34}{loop:8.1f} frames/s", flush=True)
    same = ["--weights", args.weights, "--engine", args.engine]
    with tempfile.TemporaryDirectory() as folder:
        exact: Path | None = None
        for name, options in runs(args.precision, Path(folder)).items():
            store = Path(folder, name.replace(" ", "-"))
            done = run_script("extract_features", args.data, "--out", store, *same, *options)
            print(f"{'whole run, ' + name:34}{done.rate:8.1f} frames/s, {done.rate / loop:.2f} times the loop", end="")
            print(f"  ({done.line})", flush=True)
            if exact is not None:
                print(f"{'':34}cosine to float32: {closeness(store, exact)}", flush=True)
            exact = store if name == "float32" else exact
    return command.OK


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
