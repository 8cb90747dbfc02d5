"""What do engine and precision bring on this machine, and what do they cost? The network alone, on random images.

Prints frames/s of InceptionV3 at 299 px in each, and the smallest cosine to the float32 features of Keras (on
random images, which are no good for int8: ``benchmarks.extraction.speed`` compares those on real ones). All
take turns, so that whatever else the machine does disturbs them alike.
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
from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.engines.openvino import installed
from pipeline.extraction.network.int8_backbone import QuantisedBackbone
from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.extraction.network.weights import WeightsSource
from pipeline.parallel.machine import computes_bfloat16


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m benchmarks.extraction.precision --weights WEIGHTS"
    parser = Parser(__doc__, f"{example}\n  {example} --int8-from STORE")
    parser.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet, a file, or random")
    parser.add_argument("--batches", type=int, default=8, help="of 32 images, of which the median counts")
    parser.add_argument("--int8-from", type=Path, help="a store with an int8 network")
    args = parser.parse_args(argv)
    from pipeline.extraction.network.backbone import Backbone

    weights, images = WeightsSource(args.weights), random_images(32, 299, 299)
    networks: dict[str, Any] = {}
    for engine in ("keras", "openvino") if installed() else ("keras",):
        for precision in ("float32", "bfloat16") if computes_bfloat16() else ("float32",):
            network = Backbone("inceptionv3", weights=weights, engine=engine, precision=precision)
            networks[f"{engine} {precision}"] = network
    if args.int8_from:
        networks[f"openvino {INT8}"] = QuantisedBackbone(QuantisedNetwork.open(args.int8_from, ""))
    features = {name: network(images) for name, network in networks.items()}
    took = in_turn(
        {name: partial(time_of, partial(network, images)) for name, network in networks.items()}, args.batches
    )
    for name, watches in took.items():
        rate = len(images) / statistics.median(watch.clock for watch in watches)
        cost = 1000 * statistics.median(watch.processor for watch in watches) / len(images)
        cosine = cosines(features["keras float32"], features[name]).min()
        print(f"{name:18} {rate:6.1f} frames/s, {cost:6.1f} ms of processor time a frame, smallest cosine {cosine:.6f}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
