"""A worker process: runs generator tasks that come on its standard input and writes what they yield to its output.

A message is a small pickled header and, after it, the arrays of the message as raw bytes, so that images are neither
copied nor encoded on their way. Only our own parent and child write these pipes; nothing that a user gives is
unpickled.

    8 bytes       n: how many buffers follow
    8 bytes       length of the header
    8 bytes * n   length of each buffer
    header, then the buffers
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import queue
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

from pipeline.errors import UserError, VideoError
from pipeline.parallel.limits import limit_memory, limits
from pipeline.parallel.machine import reuse_freed_memory
from pipeline.parallel.opencv_build import opencv_builds, opencv_missing

Heartbeat = Callable[[], None]
"""What a task calls all the time, so that whoever waits for it knows that it works."""

Task = Callable[..., Iterator[Any]]
"""A function at the top of a module: ``task(heartbeat, *arguments)`` yields picklable values.

It raises a VideoError where a video cannot be used. Arrays that it yielded belong to whoever receives them.
"""

BEGAN, ALIVE, VALUE, ENDED, FAILED = "began", "alive", "value", "ended", "failed"  # kinds of message
_BEAT_EVERY = 1.0  # seconds
_PR_SET_PDEATHSIG = 1  # of prctl(2)
_LENGTH = struct.Struct("<Q")


def write_message(pipe: IO[bytes], content: object) -> None:
    """Write one message; its arrays are written from where they lie."""
    buffers: list[pickle.PickleBuffer] = []
    header = pickle.dumps(content, protocol=5, buffer_callback=buffers.append)
    parts = [buffer.raw() for buffer in buffers]
    lengths = (len(parts), len(header), *(part.nbytes for part in parts))
    pipe.write(struct.pack(f"<{len(lengths)}Q", *lengths))
    pipe.write(header)
    for part in parts:
        pipe.write(part)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> tuple[Any, int]:
    """Read one message.

    Returns:
        Its content, with writable arrays, and its size in bytes.

    Raises:
        EOFError: the pipe ended, also in the middle of a message.
    """
    count, *_ = _LENGTH.unpack(_read(pipe, 8))
    length, *lengths = struct.unpack(f"<{count + 1}Q", _read(pipe, 8 * (count + 1)))
    header = _read(pipe, length)
    buffers = [_read(pipe, length) for length in lengths]
    return pickle.loads(header, buffers=buffers), length + sum(lengths)


def _read(pipe: IO[bytes], count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    done = 0
    while done < count:
        read = pipe.readinto(view[done:])  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        done += read
    return data


def serve() -> None:
    """Run the jobs that come on standard input, one after another; ends with it, even in the middle of a job."""
    # Ctrl-C reaches the whole group; whoever started us decides, and the end of our input ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    reuse_freed_memory()
    # Whatever a library prints, or a program that a task starts reads, must not get between the messages.
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(incoming, jobs), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        while True:
            _work(jobs.get(), outgoing)


def _end_with_parent() -> None:
    """On Linux, have the system end this process with its parent: also where a library holds the interpreter."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _receive(incoming: IO[bytes], jobs: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            jobs.put(read_message(incoming)[0])
    except EOFError:
        os._exit(0)  # nobody is left to work for, and a decoder that hangs would never see it


def _work(job: bytes, outgoing: IO[bytes]) -> None:
    wrote = time.monotonic()

    def send(kind: str, content: object = None) -> None:
        nonlocal wrote
        write_message(outgoing, (kind, content))
        wrote = time.monotonic()

    def heartbeat() -> None:
        if time.monotonic() - wrote > _BEAT_EVERY:
            send(ALIVE)

    task, arguments = pickle.loads(job)  # imports what the task needs
    limit_memory()
    send(BEGAN)
    try:
        for value in task(heartbeat, *arguments):
            send(VALUE, value)
    except (VideoError, UserError) as error:
        send(FAILED, error)
    except ImportError as error:
        if not (line := opencv_missing(error, opencv_builds())):
            raise
        send(FAILED, UserError(line))
    except MemoryError:
        most = limits().most_memory
        send(FAILED, VideoError("decode", f"it takes more than {most:g} GB of memory (limit: most_memory)"))
    else:
        send(ENDED)
