"""How many images in one call of the network? The compiled network alone, with batches of several sizes in turn.

Prints for each size the frames/s (the median of the rounds), how many times those of the first size that is, and how
much memory a process takes that computes in such batches.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.extraction.stages import network_alone
from benchmarks.measure import in_own_process, in_turn, peak_memory
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.network.weights import WeightsSource


def network_of(name: str, weights: str, precision: str, batch: int):
    from pipeline.extraction.network.backbone import Backbone

    return Backbone(name, weights=WeightsSource(weights), batch=batch, precision=precision)


def memory_with(name: str, weights: str, precision: str, batch: int) -> int:
    """Bytes that this process takes at most when it computes a batch."""
    network = network_of(name, weights, precision, batch)
    network(np.zeros((1, *network.size, 3), np.uint8))
    return peak_memory()


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.extraction.batch_size --weights WEIGHTS")
    parser.add_argument("--backbone", default="inceptionv3", help="the frozen network")
    parser.add_argument("--weights", default="imagenet", help="as for extract_features.py")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16, 32, 64], help="sizes")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of which the median counts")
    args = parser.parse_args(argv)
    network = (args.backbone, args.weights, args.precision)
    networks = {batch: network_of(*network, batch) for batch in args.batches}
    frames = max(args.batches)
    found = in_turn(
        {f"{batch}": partial(network_alone, one, one.size, batch, frames) for batch, one in networks.items()},
        args.rounds,
    )
    rates = {batch: statistics.median(found[f"{batch}"]) for batch in args.batches}
    print(f"{args.backbone}, {args.precision}")
    for batch, rate in rates.items():
        peak = in_own_process(memory_with, *network, batch) / 1e6
        times = rate / rates[args.batches[0]]
        print(f"batch {batch:3} {rate:7.1f} frames/s  {times:5.2f}  {peak:7.0f} MB at most", flush=True)
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
