"""Decoding in processes of their own: a file that crashes or hangs a decoder costs that file only.

A decoder process reads jobs from its standard input and writes what it finds to its standard output, so
frames travel as bytes, at their final size. The process knows nothing of Keras and starts in half a second.

    job      one line of JSON: {"path": ..., "sampling": ..., "recipe": ..., "threads": ...}
    message  8 bytes of length, that much JSON, and after {"kind": "frames"} the pictures as raw bytes
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.errors import VideoError
from pipeline.extraction.inputs.motion import InputMaker
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.store import Source
from pipeline.parallel.machine import reuse_freed_memory
from pipeline.videos.catalog.source_file import hash_video, stat_video
from pipeline.videos.media import open_video
from pipeline.videos.media.reader import FramesMissing, VideoReader
from pipeline.videos.media.sampling import Sampling

CHUNK_BYTES = 4 << 20  # pictures in one message
CHANGED = "the file changed while it was read"
_ALIVE_EVERY = 1.0  # seconds

Send = Callable[..., None]


@dataclass(frozen=True)
class Frames:
    """Some frames of a video, ready for the network."""

    images: np.ndarray
    """``(k, height, width, 3)`` uint8."""
    times: list[float]
    """Seconds after the first frame of the video."""
    numbers: list[int]
    """Frame numbers."""


@dataclass(frozen=True)
class Expected:
    """Comes before the frames of a video: how many there will be."""

    frames: int


class Restart:
    """A damaged stretch was met: the frames of this video come once more, chosen among those that decode."""


Message = Expected | Frames | Restart | Source | VideoError
"""What a decoder says of a video: how many frames come, the frames, its source at the end, or why it failed."""


# -- in the decoder process ------------------------------------------------------------------------


def serve(jobs: IO[bytes], messages: IO[bytes]) -> None:
    """Work on jobs until there are no more."""
    heard = time.monotonic()

    def send(kind: str, *, pixels: np.ndarray | None = None, **content: Any) -> None:
        nonlocal heard
        heard = time.monotonic()
        text = json.dumps({"kind": kind, **content}).encode()
        messages.write(struct.pack("<Q", len(text)) + text)
        if pixels is not None:
            messages.write(pixels.data)
        messages.flush()

    def alive() -> None:
        if time.monotonic() - heard > _ALIVE_EVERY:
            send("alive")

    for line in jobs:
        job = json.loads(line)
        recipe = Recipe(**job["recipe"])
        try:
            source = _decode(Path(job["path"]), recipe, job["threads"], send, alive)
        except VideoError as error:
            send("failed", stage=error.stage, reason=error.reason)
        else:
            send("done", source=asdict(source))


def _decode(path: Path, recipe: Recipe, threads: int, send: Send, alive: Callable[[], None]) -> Source:
    """Send the frames that the recipe picks and return what is known of the file."""
    before = stat_video(path)
    digest = hash_video(path, alive)
    with open_video(path, threads=threads, alive=alive) as reader:
        try:
            _send_frames(reader, recipe, send)
        except FramesMissing:
            reader.scan()
            send("restart")
            _send_frames(reader, recipe, send)
        info = reader.info()
    after = stat_video(path)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise VideoError("decode", CHANGED)
    return Source(
        size=before.st_size,
        mtime_ns=before.st_mtime_ns,
        sha256=digest,
        frames=info.frames,
        header_frames=info.header_frames,
        fps=info.fps,
        width=info.width,
        height=info.height,
        duration=info.duration,
    )


def _send_frames(reader: VideoReader, recipe: Recipe, send: Send) -> None:
    numbers = Sampling.parse(recipe.sampling).indices(reader.times())
    if len(numbers) == 0:
        raise VideoError("decode", "no frame can be decoded")
    send("expected", count=len(numbers))
    room = max(1, CHUNK_BYTES // (recipe.height * recipe.width * 3))
    chunk = np.empty((room, recipe.height, recipe.width, 3), np.uint8)
    times: list[float] = []
    found: list[int] = []
    for frame in InputMaker(recipe).frames(reader, numbers):
        chunk[len(found)] = frame.image
        times.append(frame.time)
        found.append(frame.index)
        if len(found) == room:
            send("frames", times=times, numbers=found, pixels=chunk)
            times, found = [], []
    if found:
        send("frames", times=times, numbers=found, pixels=chunk[: len(found)])


# -- in the process that collects ------------------------------------------------------------------


class DecoderPool:
    """Decoder processes and the one queue of what they find; use it in a ``with`` block.

    Args:
        jobs: (key, path) of each video; any hashable key.
        recipe: which frames, and how they are cropped and resized.
        workers: number of processes.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """

    def __init__(self, jobs: list[tuple[Any, Path]], recipe: Recipe, *, workers: int, timeout: float) -> None:
        self._recipe = recipe
        self._timeout = timeout
        workers = max(1, min(workers, len(jobs)))
        # One long video alone may use all processors; many videos are decoded side by side.
        self._threads = 1 if workers > 1 else 0
        self._jobs: queue.SimpleQueue[tuple[Any, Path]] = queue.SimpleQueue()
        for job in jobs:
            self._jobs.put(job)
        self._left = len(jobs)
        self._messages: queue.Queue[tuple[Any, Message]] = queue.Queue(maxsize=2 * workers + 4)
        self._stopped = threading.Event()
        self._decoders = [_Decoder() for _ in range(workers)]
        self._runners = [
            threading.Thread(target=self._run, args=(decoder,), daemon=True, name="decoder")
            for decoder in self._decoders
        ]

    def __enter__(self) -> DecoderPool:
        for runner in self._runners:
            runner.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        for decoder in self._decoders:
            decoder.kill()
        while any(runner.is_alive() for runner in self._runners):
            # Runners may wait for room in the queue.
            with contextlib.suppress(queue.Empty):
                self._messages.get(timeout=0.05)

    def messages(self, patience: float) -> Iterator[tuple[Any, Message] | None]:
        """Yield (key, message) until every video has ended; None whenever nothing came for ``patience`` seconds."""
        looked = time.monotonic()
        while self._left:
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                self._kill_silent()
            try:
                key, message = self._messages.get(timeout=patience)
            except queue.Empty:
                yield None
                continue
            if isinstance(message, Source | VideoError):
                self._left -= 1
            yield key, message

    def _kill_silent(self) -> None:
        for decoder in self._decoders:
            if decoder.silence() > self._timeout:
                decoder.kill()

    def _run(self, decoder: _Decoder) -> None:
        """Feed one decoder process with jobs; start another when it dies."""
        with contextlib.closing(decoder):
            while not self._stopped.is_set():
                try:
                    key, path = self._jobs.get_nowait()
                except queue.Empty:
                    return
                job = {"path": str(path), "recipe": asdict(self._recipe), "threads": self._threads}
                for message in decoder.work(job, self._timeout):
                    if self._stopped.is_set():
                        return
                    self._messages.put((key, message))


class _Decoder:
    """One decoder process, started when it is needed and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._waiting_since: float | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=1 << 20
        )
        return self._process

    def work(self, job: dict, timeout: float) -> Iterator[Message]:
        """Yield what the process says of one video; the last message is its source or its failure."""
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        began = time.monotonic()
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
            while True:
                self._waiting_since = time.monotonic()
                message = _receive(process.stdout, job["recipe"])
                self._waiting_since = None
                if message is None:
                    continue
                yield message
                if isinstance(message, Source | VideoError):
                    return
        except (EOFError, BrokenPipeError, ValueError):
            silent, self._waiting_since = self.silence() > timeout, None
            yield VideoError("decode", self._cause_of_death(silent, timeout, time.monotonic() - began))

    def _cause_of_death(self, silent: bool, timeout: float, lasted: float) -> str:
        if silent:
            return f"the decoder hung: no sign of life for {timeout:g} s"
        assert self._process is not None
        code = self._process.wait()
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"the decoder crashed ({signal.Signals(-code).name}) after {lasted:.1f} s"
        lines: list[str] = []
        if self._errors is not None:
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the decoder stopped with status {code}" + (f" ({lines[-1]})" if lines else "")

    def silence(self) -> float:
        """Seconds since this process has been waited for; 0 while it is not."""
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def kill(self) -> None:
        """End the process at once; whoever waits for it gets an end of file."""
        if self._process is not None:
            self._process.kill()

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


def _receive(pipe: IO[bytes], recipe: dict) -> Message | None:
    """Read one message; None for a mere sign of life."""
    (length,) = struct.unpack("<Q", _exactly(pipe, 8))
    content = json.loads(_exactly(pipe, length))
    kind = content["kind"]
    if kind == "frames":
        shape = (len(content["numbers"]), recipe["height"], recipe["width"], 3)
        images = np.frombuffer(_exactly(pipe, int(np.prod(shape))), np.uint8).reshape(shape)
        return Frames(images, content["times"], content["numbers"])
    if kind == "expected":
        return Expected(content["count"])
    if kind == "restart":
        return Restart()
    if kind == "done":
        return Source(**content["source"])
    if kind == "failed":
        return VideoError(content["stage"], content["reason"])
    return None


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _main() -> None:
    # Ctrl-C reaches the whole group; whoever started us decides, and the end of our input ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reuse_freed_memory()
    messages = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # whatever a library prints must not get between the messages
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, messages)


if __name__ == "__main__":
    _main()
