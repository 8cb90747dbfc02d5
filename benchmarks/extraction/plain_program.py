"""InceptionV3 on single frames as a plain program does it: OpenCV and Keras, and no code of this project."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def plain_network(weights: str) -> Any:
    """The Keras model, features of 2,048 values out; ``random`` for no weights."""
    import keras

    known = None if weights.startswith("random") else weights
    return keras.applications.InceptionV3(include_top=False, pooling="avg", weights=known, input_shape=(299, 299, 3))


def wanted_frames(total: int) -> np.ndarray:
    """The numbers of 20 frames spread evenly over a video of ``total`` frames."""
    return np.round(np.linspace(0, total - 1, min(20, total))).astype(int)


def read_through(path: Path) -> Iterator[np.ndarray]:
    """All frames of a video in the order of decoding, BGR as OpenCV has them."""
    capture = cv2.VideoCapture(str(path))
    while (read := capture.read())[0]:
        yield read[1]
    capture.release()


def prepare(frame: np.ndarray) -> np.ndarray:
    """A BGR frame as the network takes it: ``(1, 299, 299, 3)`` float32 of its centre."""
    import keras

    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    square = cv2.resize(frame[top : top + side, left : left + side], (299, 299), interpolation=cv2.INTER_LINEAR)
    return keras.applications.inception_v3.preprocess_input(square[None, :, :, ::-1].astype(np.float32))


def predict_loop(paths: Sequence[Path], weights: str) -> float:
    """Frames per second of the loop that tutorials show: ``predict`` on one frame at a time, warmed up by one call."""
    network = plain_network(weights)
    network.predict(np.zeros((1, 299, 299, 3), np.float32), verbose=0)
    frames, began = 0, time.perf_counter()
    for path in paths:
        capture = cv2.VideoCapture(str(path))
        wanted = set(wanted_frames(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))).tolist())
        capture.release()
        for number, frame in enumerate(read_through(path)):
            if number in wanted:
                network.predict(prepare(frame), verbose=0)
                frames += 1
    return frames / (time.perf_counter() - began)
