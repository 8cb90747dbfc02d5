"""Checks many videos at a time, each in a process of its own kind, so that no file can take the run down with it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from pipeline.videos.catalog import Video
from pipeline.videos.checks import Facts, Problem, check_video

# Processes keep a little of every file they opened; starting them anew keeps the memory flat.
_VIDEOS_A_PROCESS = 1000


def inspect(videos: Sequence[Video], *, workers: int = 2) -> Iterator[Facts]:
    """Check videos and yield the facts of each as they come, in no particular order.

    A video on which the decoder crashes becomes a problem of that video.

    Args:
        videos: rows of a catalog.
        workers: processes at a time.
    """
    left = {video.name: video for video in videos}
    for facts in _pooled(list(left.values()), workers):
        del left[facts.name]
        yield facts
    # What is left was at work, or waited, when a process crashed: one at a time shows which one it was.
    for video in left.values():
        alone = list(_pooled([video], 1))
        crash = Problem(video.name, "unreadable", "the decoder crashes on this file")
        yield alone[0] if alone else Facts(video.name, problems=(crash,))


def _pooled(videos: Sequence[Video], workers: int) -> Iterator[Facts]:
    """Facts of videos until a process crashes."""
    context = multiprocessing.get_context("spawn")
    waiting = iter(videos)
    running: set[Future[Facts]] = set()
    pool = ProcessPoolExecutor(min(workers, len(videos)) or 1, context, max_tasks_per_child=_VIDEOS_A_PROCESS)
    try:
        while True:
            # Few are handed over at a time: a list of a million futures would fill the memory.
            while len(running) < 4 * workers and (video := next(waiting, None)) is not None:
                running.add(pool.submit(check_video, video.name, video.path))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
