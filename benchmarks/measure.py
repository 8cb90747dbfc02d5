"""What the benchmarks share: seconds and memory, works that take turns, whole commands and processes, tables."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import numpy as np

from pipeline.cli.silence import quieten

ROOT = Path(__file__).parents[1]

T = TypeVar("T")


# -- seconds ---------------------------------------------------------------------------------------


class Stopwatch:
    """Times a ``with`` block.

    Attributes:
        clock: seconds by the clock.
        processor: seconds of all processors for this process and those that it started and that have ended; what
            else runs disturbs them less.
    """

    def __init__(self) -> None:
        self.clock = self.processor = 0.0

    def __enter__(self) -> Stopwatch:
        self._clock, self._processor = time.perf_counter(), _processor_seconds()
        return self

    def __exit__(self, *exc: object) -> None:
        self.clock = time.perf_counter() - self._clock
        self.processor = _processor_seconds() - self._processor


def _processor_seconds() -> float:
    import resource  # Windows has no such module

    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def time_of(work: Callable[[], object]) -> Stopwatch:
    """The seconds of one call."""
    with Stopwatch() as watch:
        work()
    return watch


def in_turn(works: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Call works in turn, since a machine is faster in one minute than in another; what each returned, by name."""
    found: dict[str, list[T]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(work())
    return found


# -- processes and commands ------------------------------------------------------------------------


def in_own_process(function: Callable[..., T], *arguments: object, **environment: str) -> T:
    """What a function of a module returns in a fresh process, which has a peak of memory and a backend of its own."""
    fresh = multiprocessing.get_context("spawn")
    first = None if "--verbose" in sys.argv else quieten  # as `command.run` does in this process
    with patch.dict(os.environ, environment), ProcessPoolExecutor(1, fresh, initializer=first) as pool:
        return pool.submit(function, *arguments).result()


@dataclass(frozen=True)
class Finished:
    """A command that has come to its end, from the start of its process on."""

    seconds: float
    line: str
    """The last one it printed."""
    peak: int
    """Bytes: the most that all its processes held at a time; 0 where it was not watched."""

    @property
    def frames(self) -> int:
        """How many frames the last line of ``extract_features.py`` speaks of."""
        return int(self.line.split(" frames in ")[0].rpartition(" ")[2].replace(",", ""))

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds


def run_script(name: str, *arguments: object, watch: bool = False) -> Finished:
    """Run a command of ``scripts/`` as a process of its own.

    Args:
        name: of the script.
        arguments: what follows it.
        watch: whether its memory is watched, which takes a little of a processor.

    Raises:
        SystemExit: the command failed; it has said why. That some videos failed is no reason.
    """
    with Stopwatch() as time:
        process = subprocess.Popen(script(name, *arguments), stdout=subprocess.PIPE, text=True)
        with PeakMemory(process.pid if watch else None) as memory:
            output, _ = process.communicate()
    if process.returncode not in (0, 1):
        raise SystemExit(process.returncode)
    return Finished(time.clock, (output.strip().splitlines() or [""])[-1], memory.bytes)


def script(name: str, *arguments: object) -> list[str]:
    """The command line of a command of ``scripts/``."""
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]


# -- memory (Linux) --------------------------------------------------------------------------------


class PeakMemory:
    """Watches how much memory a process and all that it started hold, in a ``with`` block.

    Args:
        pid: the process; None to watch nothing.

    Attributes:
        bytes: the most that was seen.
    """

    def __init__(self, pid: int | None) -> None:
        self.bytes = 0
        self._pid = pid
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        if self._pid is not None:
            self._watcher.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        if self._pid is not None:
            self._watcher.join()

    def _watch(self) -> None:
        assert self._pid is not None
        while not self._ended.wait(0.25):
            self.bytes = max(self.bytes, memory_of_all(self._pid))


def memory_of_all(pid: int) -> int:
    """Bytes that a process and all that it started hold; pages that they share are counted once."""
    family, total = [pid], 0
    for here in family:
        try:
            for task in Path(f"/proc/{here}/task").iterdir():
                family += [int(child) for child in (task / "children").read_text().split()]
            total += _kilobytes(Path(f"/proc/{here}/smaps_rollup"), "Pss") * 1024
        except OSError:
            continue  # it has ended meanwhile
    return total


def memory_of(pid: int) -> int:
    """Bytes of memory that a process holds; 0 where it has ended."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS") * 1024


def peak_memory() -> int:
    """Bytes: the most that this process has held since its start, TensorFlow's own pages among them."""
    return _kilobytes(Path("/proc/self/status"), "VmHWM") * 1024


def _kilobytes(path: Path, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


# -- arrays and tables -----------------------------------------------------------------------------


def random_images(count: int, height: int, width: int) -> np.ndarray:
    """``(count, height, width, 3)`` uint8 noise, always the same."""
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``(n,)``: the cosine of each row of one ``(n, d)`` array to that of another."""
    return (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


class Table:
    """A table that is printed row by row, since a row can take minutes.

    Args:
        columns: the format of the values of each column by its title, with its width, such as ``8.2f`` or ``>8``.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._formats = tuple(columns.values())
        self._widths = tuple(max(len(title), int(re.findall(r"\d+", form)[0])) for title, form in columns.items())
        self._print(list(columns))

    def add(self, *values: float | str) -> None:
        """Print a row."""
        self._print([format(value, form) for value, form in zip(values, self._formats, strict=True)])

    def _print(self, texts: Sequence[str]) -> None:
        cells = zip(texts, self._widths, strict=True)
        print("  ".join(text.rjust(width) for text, width in cells), flush=True)
