"""Tasks for workers, good ones and bad ones."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator

import numpy as np

from pipeline.errors import UserError, VideoError


def count(heartbeat, numbers: int) -> Iterator[int]:
    yield from range(numbers)


def process_number(heartbeat) -> Iterator[int]:
    yield os.getpid()


def squares(heartbeat, number: int) -> Iterator[int]:
    yield number * number


def arrays(heartbeat, shapes: list[tuple[int, ...]]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for number, shape in enumerate(shapes):
        image = np.full(shape, number, np.uint8)
        yield f"{number}", image, image[..., ::-1]


def slowly(heartbeat, seconds: float, beats: int) -> Iterator[str]:
    """Silent between the beats."""
    for _ in range(beats):
        time.sleep(seconds)
        heartbeat()
    yield "done"


def trouble(heartbeat, kind: str) -> Iterator[int]:
    """Yields one value, and then goes wrong in one of many ways."""
    yield os.getpid()
    if kind == "hang":
        time.sleep(1000)
    elif kind == "hang in C":
        ctypes.PyDLL(None).sleep(1000)  # without letting any other thread work
    elif kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "exit":
        os._exit(9)
    elif kind == "video":
        raise VideoError("open", "no video stream")
    elif kind == "user":
        raise UserError("--stride 0: expected 1 or more")
    elif kind == "bug":
        raise KeyError("nothing of this name")
    elif kind == "noise":
        print("a library says something")
        os.write(1, b"and writes it to the terminal\n")
        sys.stderr.write("also as an error\n")
        yield int(bool(sys.stdin.read()))


def imported(heartbeat) -> Iterator[list[str]]:
    """The modules that this process has loaded, and where it looks for them."""
    yield sorted(sys.modules)
    yield list(sys.path)


def sized(heartbeat, values: int, size: int) -> Iterator[tuple[float, np.ndarray]]:
    """Each value with the time at which the one before it was taken."""
    for _ in range(values):
        yield time.time(), np.zeros(size, np.uint8)
