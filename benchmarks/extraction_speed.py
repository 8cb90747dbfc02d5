"""How much faster is stage one than the loop of the tutorials? All in one run, so that the ratios hold.

    python -m benchmarks.extraction_speed DATA --weights WEIGHTS

measures, on the same videos and weights: the usual loop (OpenCV, ``predict`` on one frame at a time, on every
few videos, since it is slow), and the whole ``extract_features.py`` in float32 and in ``auto``, from the start
of the process to its end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stages import predict_loop, whole_command
from pipeline import command
from pipeline.extraction.machine import processors
from pipeline.videos.catalog import open_catalog


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--loop-every", type=int, default=10, help="give the loop each N-th video only")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    videos = open_catalog(args.data).videos
    loop = predict_loop([video.path for video in videos[:: args.loop_every]], args.weights).rate
    print(f"{processors()} processors; {len(videos)} videos, 20 frames each, InceptionV3 at 299 px")
    print(f"{'loop of predict on one frame':34}{loop:8.1f} frames/s")
    for precision in ("float32", "auto"):
        whole = whole_command(args.data, ["--weights", args.weights, "--precision", precision])
        rate = whole.rate
        print(f"{'whole run, ' + precision:34}{rate:8.1f} frames/s, {rate / loop:.2f} times the loop  ({whole.line})")
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
