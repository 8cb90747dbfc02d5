"""Are our features those of a plain program? Compares every frame with a reference that shares no code with us.

The reference (`benchmarks.extraction.plain_program`) reads with OpenCV from the first frame to the last, crops the
centre, resizes bilinearly and calls the keras.applications network on one frame at a time, in float32. Printed are the
smallest cosine over all frames, and whether the frame numbers are the same.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.extraction.plain_program import plain_network, prepare, read_through, wanted_frames
from benchmarks.measure import cosines
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.commands.extraction import extract_features
from pipeline.extraction.store.store import FeatureStore


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.extraction.reference_features DATA --weights WEIGHTS --every 10")
    parser.add_argument("data", type=Path, help="videos")
    parser.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet or a file")
    parser.add_argument("--every", type=int, default=1, help="compare each N-th video only")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(args.data), "--out", f"{folder}/store", "--weights", args.weights]
        extract_features.main([*arguments, "--precision", "float32", "--dtype", "float32"])
        import keras

        network = plain_network(args.weights)
        store = FeatureStore(f"{folder}/store")
        worst, count, wrong = 1.0, 0, 0
        for video in store.catalog.videos[:: args.every]:
            if video.name not in store.entries:
                continue
            sequence = store.read(video.name)
            frames = list(read_through(video.path))
            numbers = wanted_frames(len(frames))
            wrong += not np.array_equal(numbers, sequence.frames)
            one_by_one = [network(prepare(frames[number]), training=False) for number in numbers]
            expected = np.concatenate([keras.ops.convert_to_numpy(features) for features in one_by_one])
            worst = min(worst, float(cosines(expected, sequence.features).min()))
            count += len(numbers)
    print(f"{count:,} frames: smallest cosine {worst:.8f}; videos with other frame numbers: {wrong}")
    return command.OK if worst >= 0.99999 and not wrong else command.SOME_FAILED


if __name__ == "__main__":
    sys.exit(command.run(main))
