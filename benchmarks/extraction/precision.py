"""What do engine and precision bring on this machine, and what does ``auto`` choose? The network on random images.

Prints frames/s of InceptionV3 at 299 px in each, and the smallest cosine to the float32 features of Keras (on
random images, which are no good for int8: ``benchmarks.extraction.speed`` compares those on real ones). All
take turns, so that whatever else the machine does disturbs them alike. Then what ``auto`` chose by a new measurement,
and how much slower that is than the fastest of all; more than 5 % is an exit status of 1.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import cosines, in_turn, random_images, time_of
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.network.engines.choose import INT8, Choice, allowed
from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.openvino_backbone import OpenVinoBackbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe

_SLOWER = 1.05  # of the shortest time: the most that auto may take


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m benchmarks.extraction.precision --weights WEIGHTS"
    parser = Parser(__doc__, f"{example}\n  {example} --int8-from STORE")
    parser.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet, a file, or random")
    parser.add_argument("--batches", type=int, default=8, help="of 32 images, of which the median counts")
    parser.add_argument("--int8-from", type=Path, help="a store with an int8 network")
    args = parser.parse_args(argv)

    weights, images = WeightsSource(args.weights), random_images(32, 299, 299)
    load = partial(
        load_backbone, Recipe("all", "inceptionv3", "", 299, 299), Path(), weights=weights, batch=32, say=print
    )
    chosen = load(measure=True)
    networks: dict[str, Any] = {
        str(choice): load(engine=choice.engine, precision=choice.precision) for choice in allowed()
    }
    if args.int8_from:
        networks[f"openvino {INT8}"] = OpenVinoBackbone.quantised(QuantisedNetwork.open(args.int8_from, ""))
    features = {name: network(images) for name, network in networks.items()}
    took = in_turn(
        {name: partial(time_of, partial(network, images)) for name, network in networks.items()}, args.batches
    )
    exact = features[str(Choice("keras", "float32"))]
    clocks = {name: statistics.median(watch.clock for watch in watches) for name, watches in took.items()}
    for name, watches in took.items():
        cost = 1000 * statistics.median(watch.processor for watch in watches) / len(images)
        cosine = cosines(exact, features[name]).min()
        print(f"{name:18} {len(images) / clocks[name]:6.1f} frames/s,", end=" ")
        print(f"{cost:6.1f} ms of processor time a frame, smallest cosine {cosine:.6f}")
    auto = str(Choice(chosen.engine, chosen.precision))
    ratio = clocks[auto] / min(clocks[str(choice)] for choice in allowed())
    print(f"auto: {auto}, {ratio:.3f} times the time of the fastest")
    return command.OK if ratio <= _SLOWER else command.SOME_FAILED


if __name__ == "__main__":
    sys.exit(command.run(main))
