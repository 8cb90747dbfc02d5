"""Videos read in processes of their own: a file that crashes or hangs a decoder costs itself only.

with ReadingProcess(timeout=60) as process:
    pictures = process.open("match.mp4")   # Pictures; opening the next video closes this one

for video, opened in read_ahead(videos, begin, timeout=60):   # the next ones are decoded meanwhile
    pictures = opened.result()
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.errors import VideoError
from pipeline.extraction.inputs.two_stream import ImageBatch
from pipeline.extraction.recipe import Recipe
from pipeline.inference.pictures import PicturesHere
from pipeline.parallel.machine import processors, reuse_freed_memory
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import VideoInfo
from pipeline.videos.media.reader import VideoReader

TIMEOUT = 60.0  # seconds without a sign of life
_ALIVE_EVERY = 1.0  # seconds
_MOST_PROCESSES = 8  # the network is behind them
_OPEN, _SCAN, _BATCHES = "open", "scan", "batches"  # requests
_READY, _ALIVE, _ANSWER, _END, _FAILED = "ready", "alive", "prediction", "end", "failed"  # what comes back


class ReadingProcess:
    """A process that reads one video after the other; it is started when needed, and again after it died.

    Args:
        timeout: seconds of silence after which it is taken for hanging and is killed.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._streaming = False  # whether batches are on their way

    def __enter__(self) -> ReadingProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process at once; more than once does no harm."""
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = None
        self._streaming = False

    def kill(self) -> None:
        """End the process; whoever waits for it in another thread is told that it crashed."""
        if self._process is not None:
            self._process.kill()

    def open(self, path: Path, threads: int = 0) -> PicturesApart:
        """Open a video there.

        Args:
            path: the file.
            threads: of the decoder; see `VideoReader`.

        Raises:
            VideoError: it cannot be opened, or opening it crashes or hangs.
        """
        if self._streaming:  # somebody left in the middle of a video, and the rest of it would come first
            self.close()
        return PicturesApart(self, path, threads)

    def ask(self, *request: object) -> Any:
        """Send a request and wait for the prediction.

        Raises:
            VideoError: what came of the video there.
        """
        self._send(*request)
        return self._hear()[1]

    def start(self, *request: object) -> None:
        """Send a request whose predictions `stream` yields."""
        self._streaming = True
        self._send(*request)

    def stream(self) -> Iterator[Any]:
        """Yield predictions until there are no more; errors as of `ask`."""
        while (heard := self._hear())[0] != _END:
            yield heard[1]
        self._streaming = False

    def _send(self, *request: object) -> None:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            self._hear(patient=True)  # starting may take long on a busy machine
        assert self._pipe is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: hearing tells
            self._pipe.send(request)

    def _hear(self, *, patient: bool = False) -> tuple[str, Any]:
        """The next message, but for signs of life."""
        assert self._pipe is not None
        heard = time.monotonic()
        try:
            while patient or time.monotonic() - heard <= self._timeout:
                if self._pipe.poll(min(1.0, self._timeout / 4)):
                    kind, content = self._pipe.recv()
                    if kind == _FAILED:
                        self._streaming = False
                        raise content
                    if kind != _ALIVE:
                        return kind, content
                    heard = time.monotonic()
        except (EOFError, OSError):
            raise VideoError("decode", self._cause_of_death()) from None
        self.close()
        raise VideoError("decode", f"the decoder hung: no sign of life for {self._timeout:g} s")

    def _cause_of_death(self) -> str:
        assert self._process is not None
        self._process.join()
        code = self._process.exitcode or 0
        self.close()
        with contextlib.suppress(ValueError):
            if code < 0:
                return f"the decoder crashed ({signal.Signals(-code).name})"
        return f"the decoder stopped with status {code}"


class PicturesApart:
    """The video that a `ReadingProcess` has open; see `IdentityBackbone`."""

    def __init__(self, process: ReadingProcess, path: Path, threads: int) -> None:
        self.path = path
        self.process = process
        self._info, self._times = process.ask(_OPEN, path, threads)
        self._begun: tuple[Sequence[Recipe], list[int], int] | None = None

    def info(self) -> VideoInfo:
        return self._info

    def times(self) -> np.ndarray:
        return self._times

    def scan(self) -> None:
        self._info, self._times = self.process.ask(_SCAN)

    def begin(self, recipes: Sequence[Recipe], numbers: Iterable[int], size: int) -> None:
        """Let the process decode already what `batches` will be asked for."""
        self._begun = (recipes, list(numbers), size)
        self.process.start(_BATCHES, *self._begun)

    def batches(self, recipes: Sequence[Recipe], numbers: Iterable[int], size: int) -> Iterator[ImageBatch]:
        if self._begun != (recipes, list(numbers), size):
            self.begin(recipes, numbers, size)
        self._begun = None
        return self.process.stream()


V = TypeVar("V")


def read_ahead(
    videos: Sequence[tuple[V, Path]], begin: Callable[[PicturesApart], None], *, timeout: float = TIMEOUT
) -> Generator[tuple[V, Future[PicturesApart]]]:
    """Open videos in some processes at a time, and yield them in order.

    Args:
        videos: whatever stands for each one, and its path.
        begin: called with each open video in a thread of its own; may let its decoding begin.
        timeout: seconds of silence after which a decoder is taken for hanging.

    Yields:
        What stands for a video, and the video once it is open. It stays so until the next one is asked for.
    """
    count = min(len(videos), max(2, min(processors(), _MOST_PROCESSES)))
    threads = 1 if count > 1 else 0  # many videos are decoded side by side
    processes = [ReadingProcess(timeout) for _ in range(count)]
    free: queue.SimpleQueue[ReadingProcess] = queue.SimpleQueue()
    for process in processes:
        free.put(process)

    def opened(path: Path) -> PicturesApart:
        process = free.get()
        try:
            pictures = process.open(path, threads)
            begin(pictures)
        except BaseException:
            free.put(process)
            raise
        return pictures

    executor = ThreadPoolExecutor(max(1, count), "open")
    try:
        coming = iter(videos)
        waiting = deque((video, executor.submit(opened, path)) for video, path in itertools.islice(coming, count))
        while waiting:
            video, future = waiting.popleft()
            yield video, future
            if future.exception() is None:
                free.put(future.result().process)
            waiting.extend((video, executor.submit(opened, path)) for video, path in itertools.islice(coming, 1))
    finally:
        for process in processes:
            process.kill()
        executor.shutdown(cancel_futures=True)
        for process in processes:
            process.close()


# -- in the process --------------------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    """Answer requests until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started us decides
    reuse_freed_memory()
    told = time.monotonic()

    def send(kind: str, content: object = None) -> None:
        nonlocal told
        told = time.monotonic()
        pipe.send((kind, content))

    def alive() -> None:
        if time.monotonic() - told > _ALIVE_EVERY:
            send(_ALIVE)

    with contextlib.suppress(EOFError, BrokenPipeError), contextlib.ExitStack() as opened:
        send(_READY)
        reader: VideoReader | None = None
        while True:
            kind, *content = pipe.recv()
            try:
                if kind == _OPEN:
                    opened.close()
                    path, threads = content
                    reader = opened.enter_context(open_video(path, threads=threads, alive=alive))
                assert reader is not None
                if kind == _SCAN:
                    reader.scan()
                if kind == _BATCHES:
                    for batch in PicturesHere(reader).batches(*content):
                        send(_ANSWER, batch)
                    send(_END)
                else:
                    send(_ANSWER, (reader.info(), reader.times()))
            except VideoError as error:
                send(_FAILED, error)
