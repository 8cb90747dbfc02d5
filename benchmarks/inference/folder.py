"""Classifying many videos against extracting their features: the network is as busy.

Both commands whole, their start included, in turn.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.inference.untrained import make_checkpoint
from benchmarks.measure import in_turn, run_script
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.videos.catalog.catalog import open_catalog


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.inference.folder VIDEOS --weights WEIGHTS --engine keras")
    parser.add_argument("videos", type=Path, help="folder of videos that all decode")
    parser.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet, a file, or random")
    parser.add_argument("--engine", default="auto", help="auto, keras or openvino")
    parser.add_argument("--precision", default="auto", help="as for both commands")
    parser.add_argument("--repeat", type=int, default=2, help="how often the commands take turns")
    args = parser.parse_args(argv)
    count = len(open_catalog(args.videos))
    same = ["--weights", args.weights, "--engine", args.engine, "--precision", args.precision, "--quiet"]
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "out")
        checkpoint = make_checkpoint(Path(name, "checkpoint"), "inceptionv3", args.weights, "uniform:20")

        def seconds_of(script: str, *arguments: Path | str) -> float:
            """How long a command takes that fills an empty folder, whose name its last option takes."""
            shutil.rmtree(out, ignore_errors=True)
            return run_script(script, *same, *arguments, out).seconds

        works = {
            "extract_features": lambda: seconds_of("extract_features", args.videos, "--out"),
            "classify": lambda: seconds_of("classify", checkpoint, args.videos, "--output"),
        }
        took = in_turn(works, args.repeat)
    for script, seconds in took.items():
        print(f"{script:16} {min(seconds):7.1f} s for {count} videos (best of {args.repeat})")
    ratio = np.median(np.divide(took["classify"], took["extract_features"]))
    print(f"classify takes {ratio:.2f} times as long as extract_features")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
