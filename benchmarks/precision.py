"""What do engine and precision bring on this machine, and what do they cost? The network alone, on random pictures.

    python -m benchmarks.precision --weights WEIGHTS
    python -m benchmarks.precision --weights WEIGHTS --int8-from STORE

prints frames/s of InceptionV3 at 299 px in each, and the smallest cosine to the float32 features of Keras (on
random pictures, which are no good for int8: ``benchmarks.extraction_speed`` compares those on real ones). All
take turns, so that whatever else the machine does disturbs them alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.cli import command
from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.engines.openvino import installed
from pipeline.extraction.network.int8_backbone import QuantisedBackbone
from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.extraction.network.weights import WeightsSource
from pipeline.parallel.machine import computes_bfloat16


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--int8-from", type=Path, help="a store with an int8 network")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    from pipeline.extraction.network.backbone import Backbone

    images = np.random.default_rng(0).integers(0, 256, (32, 299, 299, 3), dtype=np.uint8)
    networks: dict[tuple[str, str], Backbone | QuantisedBackbone] = {}
    for engine in ("keras", "openvino") if installed() else ("keras",):
        for precision in ("float32", "bfloat16") if computes_bfloat16() else ("float32",):
            networks[engine, precision] = Backbone(
                "inceptionv3", weights=WeightsSource(args.weights), engine=engine, precision=precision
            )
    if args.int8_from:
        networks["openvino", INT8] = QuantisedBackbone(QuantisedNetwork.open(args.int8_from, ""))
    features = {name: network(images) for name, network in networks.items()}
    wall, work = defaultdict(list), defaultdict(list)
    for _ in range(args.batches):
        for name, network in networks.items():
            began, worked = time.perf_counter(), time.process_time()
            network(images)
            wall[name].append(time.perf_counter() - began)
            work[name].append(time.process_time() - worked)
    exact = features["keras", "float32"]
    for name, values in features.items():
        cosine = (exact * values).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(values, axis=1)
        rate, cost = len(images) / float(np.median(wall[name])), 1000 * float(np.median(work[name])) / len(images)
        print(
            f"{' '.join(name):18} {rate:6.1f} frames/s, {cost:6.1f} ms of processor time a frame, "
            f"smallest cosine {cosine.min():.6f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
