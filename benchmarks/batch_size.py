"""How many pictures in one call of the network? The compiled network alone, with batches of several sizes in turn.

    python -m benchmarks.batch_size --weights WEIGHTS

prints for each size the frames/s (the median of the rounds), how many times those of the first size that is, and how
much memory the process took beyond what it held with the network loaded. Memory needs a process for each size.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.cli import command
from pipeline.extraction.network.weights import WeightsSource


def measure(name: str, weights: str, precision: str, batches: Sequence[int], rounds: int) -> dict[int, float]:
    """Frames per second with each size of batch: the median of ``rounds``, taken in turn."""
    from pipeline.extraction.network.backbone import Backbone

    networks = {
        batch: Backbone(name, weights=WeightsSource(weights), batch=batch, precision=precision) for batch in batches
    }
    height, width = networks[batches[0]].size
    images = np.random.default_rng(0).integers(0, 256, (max(batches), height, width, 3), dtype=np.uint8)
    rates: dict[int, list[float]] = {batch: [] for batch in batches}
    for number in range(rounds + 1):
        for batch, network in networks.items():
            began = time.perf_counter()
            for start in range(0, len(images), batch):
                network(images[start : start + batch])
            if number:  # the first one compiles
                rates[batch].append(len(images) / (time.perf_counter() - began))
    return {batch: float(np.median(found)) for batch, found in rates.items()}


def memory(name: str, weights: str, precision: str, batch: int) -> int:
    """Bytes that computing takes beyond the loaded network, and bytes a picture that `batches` reckons with."""
    from pipeline.extraction.network.backbone import Backbone

    network = Backbone(name, weights=WeightsSource(weights), batch=batch, precision=precision)
    network(np.zeros((1, *network.size, 3), np.uint8))
    status = Path(f"/proc/{os.getpid()}/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) * 1024


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="inceptionv3")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16, 32, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)  # what a child is asked for
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    if args.memory_of:
        print(memory(args.backbone, args.weights, args.precision, args.memory_of))
        return 0
    rates = measure(args.backbone, args.weights, args.precision, args.batches, args.rounds)
    print(f"{args.backbone}, {args.precision}")
    for batch, rate in rates.items():
        asked = [sys.executable, "-m", "benchmarks.batch_size", "--memory-of", str(batch)]
        asked += ["--backbone", args.backbone, "--weights", args.weights, "--precision", args.precision]
        peak = int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
        print(
            f"batch {batch:3} {rate:7.1f} frames/s  {rate / rates[args.batches[0]]:5.2f}  {peak / 1e6:7.0f} MB at most"
        )
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
