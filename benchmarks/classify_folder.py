"""Classifying many videos against extracting their features: the network is as busy.

    python benchmarks/classify_folder.py FOLDER --weights WEIGHTS [--engine keras]

Both commands whole, their start included, in turn.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.classify_speed import ROOT, make_checkpoint
from pipeline.cli import command
from pipeline.videos.catalog.catalog import open_catalog


def seconds_of(script: str, *arguments: str, out: Path) -> float:
    """How long a command takes that fills an empty folder, whose name its last option takes."""
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    subprocess.run([sys.executable, f"scripts/{script}.py", *arguments, str(out), "--quiet"], check=True, cwd=ROOT)
    return time.perf_counter() - began


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, help="folder of videos that all decode")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--engine", default="auto", help="auto, keras or openvino")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeat", type=int, default=2)
    args = parser.parse_args(argv)
    count = len(open_catalog(args.videos))
    same = ["--weights", str(Path(args.weights).absolute()) if Path(args.weights).exists() else args.weights]
    same += ["--engine", args.engine, "--precision", args.precision]
    videos = str(args.videos.absolute())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_checkpoint(folder / "checkpoint", "inceptionv3", same[1], "uniform:20", 20)
        took: dict[str, list[float]] = {"extract_features": [], "classify": []}
        for _ in range(args.repeat):
            words = (videos, *same)
            took["extract_features"].append(seconds_of("extract_features", *words, "--out", out=folder / "store"))
            took["classify"].append(
                seconds_of("classify", str(folder / "checkpoint"), *words, "--output", out=folder / "out")
            )
    for script, seconds in took.items():
        print(f"{script:16} {min(seconds):7.1f} s for {count} videos (best of {args.repeat})")
    ratio = np.median(np.divide(took["classify"], took["extract_features"]))
    print(f"classify takes {ratio:.2f} times as long as extract_features")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
