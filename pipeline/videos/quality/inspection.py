"""Checks many videos at a time in processes of their own: a file that crashes or hangs a decoder costs itself only."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait

from pipeline.videos.catalog.catalog import Video
from pipeline.videos.quality.checks import Facts, Problem, check_video

TIMEOUT = 60.0  # seconds without a sign of life
_ALIVE_EVERY = 1.0  # seconds
# Processes keep a little of every file they opened; starting them anew keeps the memory flat.
_VIDEOS_A_PROCESS = 1000


def inspect(videos: Sequence[Video], *, workers: int = 2, timeout: float = TIMEOUT) -> Iterator[Facts]:
    """Check videos and yield the facts of each as they come, in no particular order.

    A video on which the decoder crashes or hangs becomes a problem of that video.

    Args:
        videos: rows of a catalog.
        workers: processes at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """
    waiting = iter(videos)
    crew: list[_Worker] = []
    try:
        for video in waiting:
            crew.append(_Worker(video))
            if len(crew) == workers:
                break
        while crew:
            wait([worker.pipe for worker in crew], timeout=min(1.0, timeout / 4))
            for worker in list(crew):
                facts = worker.hear(timeout)
                if facts is None:
                    continue
                crew.remove(worker)
                if (following := next(waiting, None)) is not None:
                    crew.append(worker.next(following))
                else:
                    worker.end()
                yield facts
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    """A process that checks one video after the other."""

    def __init__(self, video: Video) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._checked = 0
        self._ready = False
        self._give(video)

    def _give(self, video: Video) -> None:
        self._video = video
        self._heard = time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # it has died: hear says so
            self.pipe.send((video.name, video.path))

    def next(self, video: Video) -> _Worker:
        """A process that has begun with ``video``: this one, unless it ended or is old."""
        if self._checked >= _VIDEOS_A_PROCESS or not self._process.is_alive():
            self.end()
            return _Worker(video)
        self._give(video)
        return self

    def hear(self, timeout: float) -> Facts | None:
        """The facts of the video in hand; None while there are none."""
        try:
            while self.pipe.poll():
                message = self.pipe.recv()
                self._ready, self._heard = True, time.monotonic()
                if isinstance(message, Facts):
                    self._checked += 1
                    return message
        except (EOFError, OSError):
            self.end()
            return self._unreadable("the decoder crashes on this file")
        if self._ready and time.monotonic() - self._heard > timeout:  # starting may take long on a busy machine
            self.end()
            return self._unreadable(f"the decoder hangs on this file: no sign of life for {timeout:g} s")
        return None

    def _unreadable(self, reason: str) -> Facts:
        return Facts(self._video.name, problems=(Problem(self._video.name, "unreadable", reason),))

    def end(self) -> None:
        """End the process at once; more than once does no harm."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(pipe: Connection) -> None:
    """In the process: check what comes until nothing more does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started us decides
    pipe.send("ready")
    told = time.monotonic()

    def alive() -> None:
        nonlocal told
        if time.monotonic() - told > _ALIVE_EVERY:
            told = time.monotonic()
            pipe.send("alive")

    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            name, path = pipe.recv()
            pipe.send(check_video(name, path, alive))
