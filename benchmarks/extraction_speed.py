"""How much faster is stage one than the loop of the tutorials? All in one run, so that the ratios hold.

    python benchmarks/extraction_speed.py DATA --weights WEIGHTS

measures, on the same videos and weights: the usual loop (OpenCV, ``predict`` on one frame at a time, on every
few videos, since it is slow), and the whole ``extract_features.py`` in float32 and in ``auto``, from the start
of the process to its end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline import command
from pipeline.extraction.extract import processors
from pipeline.videos.catalog import open_catalog

ROOT = Path(__file__).parents[1]


def predict_loop(paths: list[Path], weights: str) -> tuple[int, float]:
    """Frames and seconds of the loop that tutorials show, after one call to warm up."""
    import keras

    network = keras.applications.InceptionV3(
        include_top=False, pooling="avg", weights=weights, input_shape=(299, 299, 3)
    )
    network.predict(np.zeros((1, 299, 299, 3), np.float32), verbose=0)
    frames, began = 0, time.perf_counter()
    for path in paths:
        capture = cv2.VideoCapture(str(path))
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(np.round(np.linspace(0, total - 1, min(20, total))).astype(int).tolist())
        for number in range(total):
            good, frame = capture.read()
            if not good:
                break
            if number in wanted:
                side = min(frame.shape[:2])
                top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
                square = cv2.resize(frame[top : top + side, left : left + side], (299, 299))[:, :, ::-1]
                pixels = keras.applications.inception_v3.preprocess_input(square[None].astype(np.float32))
                network.predict(pixels, verbose=0)
                frames += 1
        capture.release()
    return frames, time.perf_counter() - began


def whole_run(data: Path, weights: str, precision: str) -> tuple[int, float, str]:
    """Frames, seconds of the whole process, and its own last line."""
    with tempfile.TemporaryDirectory() as folder:
        script = [sys.executable, str(ROOT / "scripts/extract_features.py"), str(data), "--out", f"{folder}/store"]
        began = time.perf_counter()
        done = subprocess.run(
            [*script, "--weights", weights, "--precision", precision], capture_output=True, text=True, check=True
        )
        seconds = time.perf_counter() - began
    line = done.stdout.strip().splitlines()[-1]
    return int(line.split(" frames in ")[0].rpartition(" ")[2].replace(",", "")), seconds, line


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--loop-every", type=int, default=10, help="give the loop each N-th video only")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    videos = open_catalog(args.data).videos
    frames, seconds = predict_loop([video.path for video in videos[:: args.loop_every]], args.weights)
    loop = frames / seconds
    print(f"{processors()} processors; {len(videos)} videos, 20 frames each, InceptionV3 at 299 px")
    print(f"{'loop of predict on one frame':34}{loop:8.1f} frames/s")
    for precision in ("float32", "auto"):
        frames, seconds, line = whole_run(args.data, args.weights, precision)
        rate = frames / seconds
        print(f"{'whole run, ' + precision:34}{rate:8.1f} frames/s, {rate / loop:.2f} times the loop  ({line})")
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
