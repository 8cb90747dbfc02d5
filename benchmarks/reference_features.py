"""Are our features those of a plain program? Compares every frame with a reference that shares no code with us.

The reference reads with OpenCV from the first frame to the last, crops the centre, resizes bilinearly and calls
the keras.applications network on one frame at a time, in float32.

    python benchmarks/reference_features.py DATA --weights WEIGHTS

prints the smallest cosine over all frames, and whether the frame numbers are the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.extraction.store.store import FeatureStore


def read_through(path: Path) -> list[np.ndarray]:
    """All frames of a video in the order of decoding, RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            break
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    return frames


def reference(frames: list[np.ndarray], numbers: np.ndarray, network) -> np.ndarray:
    """``(k, 2048)`` float32, one frame at a time."""
    import keras

    features = []
    for number in numbers:
        frame = frames[number]
        side = min(frame.shape[:2])
        top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
        square = cv2.resize(frame[top : top + side, left : left + side], (299, 299), interpolation=cv2.INTER_LINEAR)
        pixels = keras.applications.inception_v3.preprocess_input(square[None].astype(np.float32))
        features.append(keras.ops.convert_to_numpy(network(pixels, training=False))[0])
    return np.stack(features)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--every", type=int, default=1, help="compare each N-th video only")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(args.data), "--out", f"{folder}/store", "--weights", args.weights]
        extract_features.main([*arguments, "--precision", "float32", "--dtype", "float32"])
        import keras

        network = keras.applications.InceptionV3(
            include_top=False, pooling="avg", weights=args.weights, input_shape=(299, 299, 3)
        )
        store = FeatureStore(f"{folder}/store")
        worst, count, wrong = 1.0, 0, 0
        for video in store.catalog.videos[:: args.every]:
            if video.name not in store.entries:
                continue
            sequence = store.read(video.name)
            frames = read_through(video.path)
            numbers = np.round(np.linspace(0, len(frames) - 1, min(20, len(frames)))).astype(int)
            wrong += not np.array_equal(numbers, sequence.frames)
            expected = reference(frames, numbers, network)
            cosine = (expected * sequence.features).sum(1)
            cosine /= np.linalg.norm(expected, axis=1) * np.linalg.norm(sequence.features, axis=1)
            worst, count = min(worst, float(cosine.min())), count + len(numbers)
    print(f"{count:,} frames: smallest cosine {worst:.8f}; videos with other frame numbers: {wrong}")
    return 0 if worst >= 0.99999 and not wrong else 1


if __name__ == "__main__":
    sys.exit(command.run(main))
