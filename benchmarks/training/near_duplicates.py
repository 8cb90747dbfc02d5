"""Seconds that the search for near-duplicate clips across a split takes.

Draws mean features of 2048 values whose spectrum falls as that of InceptionV3's does (the leading 64 of their
directions hold 0.83 of the variance; of the clips in ../shared/videos 0.93 and more), in 101 classes and groups of
about ten clips, plants 20 copies, and prints the seconds by the clock and of the processors, and the peak of memory.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.measure import Stopwatch, peak_memory
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.training.likeness.groups import THRESHOLD
from pipeline.training.likeness.near_duplicates import near_groups, near_pairs

WIDTH, LATENT, BLOCK = 2048, 256, 2048
SHARES = (0.64, 0.8)  # train, val and test of train.py


def draw(count: int) -> np.ndarray:
    """``(count, 2048)`` float16, positive like means after a ReLU."""
    random = np.random.default_rng(0)
    spectrum = np.power(np.arange(1, LATENT + 1, dtype=np.float32)[:, None], -0.75)
    directions = spectrum * random.normal(size=(LATENT, WIDTH)).astype(np.float32) / 5
    classes = random.normal(size=(101, LATENT)).astype(np.float32)
    groups = 0.7 * random.normal(size=(-(-count // 10), LATENT)).astype(np.float32)
    vectors = np.empty((count, WIDTH), np.float16)
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        latent = classes[random.integers(0, 101, len(rows))] + groups[random.integers(0, len(groups), len(rows))]
        latent += 0.6 * random.normal(size=(len(rows), LATENT)).astype(np.float32)
        own = 0.12 * random.normal(size=(len(rows), WIDTH)).astype(np.float32)
        vectors[rows] = np.maximum(0, 0.4 + latent @ directions + own)
    copies = random.integers(0, count, (2, 20))
    vectors[copies[0]] = vectors[copies[1]]
    return vectors


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.training.near_duplicates --rows 5000 20000 50000")
    parser.add_argument("--rows", type=int, nargs="+", default=[5000, 20000, 50000], help="clips")
    args = parser.parse_args(argv)
    for count in args.rows:
        vectors = draw(count)
        order = np.random.default_rng(1).permutation(count)
        parts = np.split(order, [int(share * count) for share in SHARES])
        with Stopwatch() as time:
            pairs = near_pairs(vectors, parts, THRESHOLD, most=1000)
        with Stopwatch() as grouping:
            groups = int(near_groups(vectors, THRESHOLD).max()) + 1
        seconds = f"{time.clock:.1f} s, {time.processor:.1f} s of processors"
        grouped = f"{groups:,} groups in {grouping.clock:.1f} s, {grouping.processor:.1f} s of processors"
        peak = f"{peak_memory() / 2**30:.2f} GiB, of which features {vectors.nbytes / 2**30:.2f}"
        print(f"{count:,} clips: {pairs.count} pairs in {seconds}; {grouped}; peak {peak}", flush=True)
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
