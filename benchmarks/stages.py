"""The stages of an extraction, each timed alone on the same videos, for the benchmarks beside this file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.extraction.features.decode_task import Images
from pipeline.extraction.jobs.extract import Extraction, ExtractionSpec
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.videos.catalog.catalog import Catalog

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Timed:
    """What a stage did and how long it took."""

    frames: int
    seconds: float
    peak: int = 0
    """Bytes: the most that all processes held at a time; 0 where it was not watched."""
    line: str = ""
    """The command's own last line, where a command was run."""

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds


def predict_loop(paths: Sequence[Path], weights: str) -> Timed:
    """The loop that tutorials show: OpenCV, and ``predict`` on one frame at a time, after one call to warm up."""
    import keras

    known = None if weights.startswith("random") else weights
    network = keras.applications.InceptionV3(include_top=False, pooling="avg", weights=known, input_shape=(299, 299, 3))
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
    return Timed(frames, time.perf_counter() - began)


def network_alone(network: Callable[[np.ndarray], np.ndarray], recipe: Recipe, batch: int, frames: int) -> Timed:
    """The compiled network on ``frames`` random pictures, in batches, as the extraction calls it."""
    images = np.random.default_rng(0).integers(0, 256, (batch, recipe.height, recipe.width, 3), dtype=np.uint8)
    network(images)  # compiles
    began = time.perf_counter()
    for start in range(0, frames, batch):
        network(images[: min(batch, frames - start)])
    return Timed(frames, time.perf_counter() - began)


def decoding_alone(catalog: Catalog, recipe: Recipe, spec: ExtractionSpec) -> Timed:
    """Hash, decode, crop and resize in the same decoder processes, and throw the images away."""
    frames, began = 0, time.perf_counter()
    with spec.decode(catalog, recipe) as pool:
        for arrived in pool.messages():
            if arrived is not None and isinstance(arrived[1], Images):
                frames += len(arrived[1].frames)
        return Timed(frames, time.perf_counter() - began)


def all_together(
    catalog: Catalog, recipe: Recipe, spec: ExtractionSpec, network: Callable[[np.ndarray], np.ndarray]
) -> Timed:
    """The extraction with a network that is compiled already: from the first look at the videos to the last commit."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        extraction = Extraction(catalog, Path(folder, "store"), recipe, WeightsSource("random"), spec)
        extraction.look()
        with extraction.decode() as pool:
            progress = extraction.run(pool, network, {})
        return Timed(progress.frames, time.perf_counter() - began)


def whole_command(data: Path, arguments: Sequence[str]) -> Timed:
    """``extract_features.py`` as a process of its own, from its start to its end, with the memory of its processes."""
    with tempfile.TemporaryDirectory() as folder:
        script = [sys.executable, str(ROOT / "scripts/extract_features.py"), str(data), "--out", f"{folder}/store"]
        began = time.perf_counter()
        process = subprocess.Popen([*script, *arguments], stdout=subprocess.PIPE, text=True)
        with PeakMemory(process.pid) as memory:
            output, _ = process.communicate()
        seconds = time.perf_counter() - began
    if process.returncode not in (0, 1):
        raise SystemExit(process.returncode)
    line = output.strip().splitlines()[-1]
    return Timed(int(line.split(" frames in ")[0].rpartition(" ")[2].replace(",", "")), seconds, memory.bytes, line)


class PeakMemory:
    """Watches how much memory a process and all that it started hold, in a ``with`` block (Linux).

    Pages that processes share are counted once: each has its part of them.

    Args:
        pid: the process.
        every: seconds between two looks.

    Attributes:
        bytes: the most that was seen.
    """

    def __init__(self, pid: int, every: float = 0.25) -> None:
        self.bytes = 0
        self._pid, self._every = pid, every
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._watcher.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._every):
            self.bytes = max(self.bytes, sum(_memory_of(pid) for pid in _family(self._pid)))


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for here in found:
        try:
            for task in Path(f"/proc/{here}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it has ended meanwhile
    return found


def _memory_of(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended meanwhile
    return 0
