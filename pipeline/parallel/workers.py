"""Worker processes that are watched: a file that crashes or hangs a decoder costs itself only.

with WorkerPool(decode, [(video, (video.path, recipe)) for video in videos], workers=2, timeout=60) as pool:
    for arrived in pool.messages(patience=1.0):
        match arrived:
            case None: ...                     # nothing came for a second
            case (video, Ended(error)): ...    # the last that is told of each video
            case (video, value): ...           # what the task yielded

A task is a generator function at the top of a module; see `Task`. A worker imports that module and nothing else of
the caller's program, so no ``if __name__ == "__main__":`` is needed, and nothing of the working folder.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar

from pipeline.errors import UserError, VideoError
from pipeline.parallel.child import SERVE, python
from pipeline.parallel.worker_process import ALIVE, BEGAN, ENDED, FAILED, Task, read_message, write_message

TIMEOUT = 60.0  # seconds without a sign of life
_START = 600.0  # seconds that starting and importing may take on a busy machine
_READ_AHEAD = 16 << 20  # bytes of messages of one worker that may wait to be taken
_OVERHEAD = 1 << 10  # bytes of a message besides its content
# Processes keep a little of every file they opened; starting them anew keeps the memory flat.
_JOBS_A_PROCESS = 1000
_CRASHED_ON_WINDOWS = 0xC0000000  # statuses from there are errors of the system, such as access to foreign memory

Key = TypeVar("Key")


@dataclass(frozen=True)
class Ended:
    """The last that is told of a job."""

    error: VideoError | None = None
    """Why its video cannot be used; None where the task came to its end."""


class WorkerPool(Generic[Key]):
    """Runs a task on many jobs in a few processes; use it in a ``with`` block, where the work begins at once.

    Args:
        task: what is run.
        jobs: for each one whatever stands for it, and the arguments of the task.
        workers: processes at a time; 0 runs the tasks in this process, while `messages` is iterated over.
        timeout: seconds of silence after which a worker is taken for hanging and is killed.
        ordered: tell of the jobs in their order, one after another; else as messages come.
        read_ahead: bytes that each worker may be ahead of whoever takes the messages.
    """

    def __init__(
        self,
        task: Task,
        jobs: Sequence[tuple[Key, tuple]],
        *,
        workers: int,
        timeout: float = TIMEOUT,
        ordered: bool = False,
        read_ahead: int = _READ_AHEAD,
    ) -> None:
        self._task, self._jobs, self._timeout, self._ordered = task, jobs, timeout, ordered
        self._read_ahead = read_ahead
        self._next = 0  # job that is given out next
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        # What waits to be taken: by job where they are told of in order, else all in one.
        self._waiting: dict[int, deque[tuple[_Worker, int, Any, int]]] = defaultdict(deque)
        self._workers = [_Worker() for _ in range(min(workers, len(jobs)))]
        self._inline = workers == 0
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), daemon=True, name="worker") for worker in self._workers
        ]
        self._threads += [threading.Thread(target=self._watch, daemon=True, name="watch")] if self._workers else []

    def __enter__(self) -> WorkerPool[Key]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._stopped.set()
            self._changed.notify_all()
        while any(thread.is_alive() for thread in self._threads):
            for worker in self._workers:
                worker.kill()
            for thread in self._threads:
                thread.join(0.05)

    def messages(self, patience: float | None = None) -> Iterator[tuple[Key, Any] | None]:
        """Yield (key, value) of what the tasks yield and (key, `Ended`) at the end of each job.

        Args:
            patience: yields None whenever nothing came for so many seconds; waits for ever if None.

        Raises:
            UserError: a task raised it.
        """
        if self._inline:
            yield from self._run_here()
            return
        ended = 0
        while ended < len(self._jobs):
            taken = self._take(ended if self._ordered else 0, patience)
            if taken is None:
                yield None
                continue
            number, value = taken
            ended += isinstance(value, Ended)
            yield self._jobs[number][0], value

    def _take(self, place: int, patience: float | None) -> tuple[int, Any] | None:
        with self._changed:
            came = self._changed.wait_for(lambda: self._waiting[place] or self._error, patience)
            if self._error is not None:
                raise self._error
            if not came:
                return None
            worker, number, value, size = self._waiting[place].popleft()
            if self._ordered and isinstance(value, Ended):
                del self._waiting[place]
            worker.ahead -= size
            self._changed.notify_all()
            return number, value

    def _run_here(self) -> Iterator[tuple[Key, Any]]:
        for key, arguments in self._jobs:
            try:
                for value in self._task(lambda: None, *arguments):
                    yield key, value
            except VideoError as error:
                yield key, Ended(error)
            else:
                yield key, Ended()

    # -- in the threads ----------------------------------------------------------------------------

    def _run(self, worker: _Worker) -> None:
        """Feed one worker with jobs and take in what it says of them."""
        try:
            with contextlib.closing(worker):
                while (number := self._take_job()) is not None:
                    for value, size in worker.work(self._task, self._jobs[number][1]):
                        if not self._put(worker, number, value, size + _OVERHEAD):
                            return
        except BaseException as error:  # noqa: BLE001 - raised by `messages`, in the thread of the caller
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _take_job(self) -> int | None:
        with self._changed:
            if self._stopped.is_set() or self._next == len(self._jobs):
                return None
            self._next += 1
            return self._next - 1

    def _put(self, worker: _Worker, number: int, value: Any, size: int) -> bool:
        """Wait for room; False where nobody takes messages any more."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped.is_set() or not worker.ahead or worker.ahead + size <= self._read_ahead
            )
            worker.ahead += size
            self._waiting[number if self._ordered else 0].append((worker, number, value, size))
            self._changed.notify_all()
            return not self._stopped.is_set()

    def _watch(self) -> None:
        """Kill workers that are silent for too long."""
        while not self._stopped.wait(min(1.0, self._timeout / 4)):
            for worker in self._workers:
                worker.kill_if_silent(self._timeout)


class OneWorker:
    """One worker for tasks that come one at a time; its process is kept between them. Use it in a ``with`` block.

    Args:
        timeout: seconds of silence after which a task is taken for hanging and its process is killed.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._worker, self._timeout, self._stopped = _Worker(), timeout, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watch")

    def __enter__(self) -> OneWorker:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._worker.close()

    def end(self) -> None:
        """End the process, also in the middle of a task; the next task starts another one."""
        self._worker.close()

    def run(self, task: Task, *arguments: Any) -> Iterator[Any]:
        """Yield what a task yields.

        Raises:
            VideoError: the task raised it, or it crashed or was silent for too long.
            UserError: the task raised it.
        """
        for value, _ in self._worker.work(task, arguments):
            if not isinstance(value, Ended):
                yield value
            elif value.error is not None:
                raise value.error

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self._timeout / 4)):
            self._worker.kill_if_silent(self._timeout)


def threads_of_each(jobs: int, workers: int) -> int:
    """Threads that a decoder in each worker may use: one where several work side by side, else 0 for all processors."""
    return 1 if min(jobs, workers) > 1 else 0


def run_each(
    task: Task, jobs: Sequence[tuple[Key, tuple]], *, workers: int, timeout: float = TIMEOUT, ordered: bool = False
) -> Iterator[tuple[Key, Any]]:
    """Run a task that yields one value, and yield (key, value) of each job, or (key, VideoError); see `WorkerPool`.

    Raises:
        UserError: a task raised it.
    """
    found: dict[int, Any] = {}
    numbered = [(number, arguments) for number, (_, arguments) in enumerate(jobs)]
    with WorkerPool(task, numbered, workers=workers, timeout=timeout, ordered=ordered) as pool:
        for arrived in pool.messages():
            assert arrived is not None
            number, value = arrived
            if not isinstance(value, Ended):
                found[number] = value
                continue
            value = found.pop(number, None) if value.error is None else value.error
            yield jobs[number][0], value


def crash_name(status: int) -> str:
    """The signal that ended a process, or what Windows reports in its place; empty where it ended by itself."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"0x{status:08X}" if status >= _CRASHED_ON_WINDOWS else ""


class _Worker:
    """One worker process, started when there is a job for it and again after it died."""

    def __init__(self) -> None:
        self.ahead = 0
        """Bytes of its messages that wait to be taken."""
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._jobs = 0
        self._began = False
        self._waiting_since: float | None = None
        self._silent = 0.0  # seconds of silence that it was killed for

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        self._jobs, self._silent = 0, 0.0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            python(SERVE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=1 << 16,
        )
        return self._process

    def work(self, task: Task, arguments: tuple) -> Iterator[tuple[Any, int]]:
        """Yield what a task yields, each with its size in bytes, and at last `Ended`."""
        job = pickle.dumps((task, arguments))
        process = self._process
        if process is None or process.poll() is not None or self._jobs >= _JOBS_A_PROCESS:
            process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        self._jobs += 1
        self._began = False
        started = time.monotonic()
        try:
            write_message(process.stdin, job)
            while True:
                self._waiting_since = time.monotonic()
                (kind, content), size = read_message(process.stdout)
                self._waiting_since = None
                if kind == BEGAN:
                    self._began = True
                elif kind == ENDED:
                    yield Ended(), 0
                    return
                elif kind == FAILED:
                    if isinstance(content, UserError):
                        raise content
                    yield Ended(content), 0
                    return
                elif kind != ALIVE:
                    yield content, size
        except (EOFError, BrokenPipeError):
            self._waiting_since = None
            yield Ended(VideoError("decode", self._cause_of_death(time.monotonic() - started))), 0

    def _cause_of_death(self, lasted: float) -> str:
        assert self._process is not None
        code = self._process.wait()
        if self._silent:
            return f"the decoder hung: no sign of life for {self._silent:g} s"
        if crash := crash_name(code):
            return f"the decoder crashed ({crash}) after {lasted:.1f} s"
        return f"the decoder stopped with status {code}" + self._last_words()

    def _last_words(self) -> str:
        assert self._errors is not None
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1]})" if lines else ""

    def kill_if_silent(self, timeout: float) -> None:
        """End the process where it has been waited for longer than ``timeout`` seconds."""
        since, most = self._waiting_since, timeout if self._began else _START
        if since is not None and time.monotonic() - since > most:
            self._silent = most
            self.kill()

    def kill(self) -> None:
        """End the process at once; whoever waits for it gets an end of file."""
        process = self._process  # another thread may be closing it
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process and close its pipes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None
