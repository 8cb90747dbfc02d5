"""What does lower precision bring on this machine, and what does it cost? The network alone, on random pictures.

    python -m benchmarks.precision --weights WEIGHTS

prints frames/s of InceptionV3 at 299 px in each precision, and the smallest cosine to the float32 features.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from pipeline import command
from pipeline.extraction.weights import WeightsSource


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    from pipeline.extraction.backbones import Backbone

    images = np.random.default_rng(0).integers(0, 256, (32, 299, 299, 3), dtype=np.uint8)
    exact = None
    for precision in ("float32", "bfloat16"):
        backbone = Backbone("inceptionv3", weights=WeightsSource(args.weights), precision=precision)
        features = backbone(images)
        exact = features if exact is None else exact
        seconds = []
        for _ in range(args.batches):
            began = time.perf_counter()
            backbone(images)
            seconds.append(time.perf_counter() - began)
        cosine = (exact * features).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(features, axis=1)
        rate = len(images) / float(np.median(seconds))
        print(f"{precision:9} {rate:6.1f} frames/s, smallest cosine to float32 {cosine.min():.6f}")
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
