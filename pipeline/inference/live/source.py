"""Live frames: a camera, a network stream or a pipe, of which only the newest frame is kept.

A thread decodes as fast as frames come. Whoever classifies takes the newest one, so the delay stays that of one
step however slow the network is; frames that were passed over are counted.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.inference.live.live_classify import LivePrediction
from pipeline.inference.timeline.segments import UNKNOWN_NAME
from pipeline.inference.timeline.smoothing import UNKNOWN
from pipeline.lazy import av, cv2
from pipeline.videos.media.reader import Frame

PIPE = "-"
_OPEN_TIMEOUT, _READ_TIMEOUT = 10.0, 10.0  # seconds
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds between attempts to connect again
_BACKWARDS = 1.0  # seconds that times may run back before it counts as a new stream
_SMALL_PROBE = {"probesize": "500000", "analyzeduration": "1000000"}  # bytes and microseconds


@dataclass(frozen=True)
class TimedFrame:
    """A frame and when it came."""

    frame: Frame
    clock: float
    """`time.monotonic` when it was decoded."""


def is_live(source: str) -> bool:
    """Whether a source is a pipe (``-``), a camera number or a network address."""
    return source == PIPE or "://" in source or source.isdecimal()


class LiveSource:
    """The newest frames of a source; iterate over it in a ``with`` block.

    Frame numbers and times start anew after the stream broke and was found again.

    Args:
        source: ``-`` for standard input, a camera number, or an address such as ``rtsp://host/path``.
        patience: seconds for which a broken network stream is tried again.

    Attributes:
        dropped: frames that were passed over because a newer one had come.
        frames: frames that came.
        reconnects: how often the stream was found again.
    """

    def __init__(self, source: str, *, patience: float = 60.0) -> None:
        if not is_live(source):
            raise UserError(
                f"{source} is not a live source; expected -, a camera number or an address such as rtsp://…"
            )
        self.source = source
        self.dropped = self.frames = self.reconnects = 0
        self._patience = patience
        self._newest: TimedFrame | None = None
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = threading.Event()
        self._failure: str = ""
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    @property
    def name(self) -> str:
        """What a person calls the source."""
        if self.source == PIPE:
            return "standard input"
        return f"camera {self.source}" if self.source.isdecimal() else self.source

    def __enter__(self) -> LiveSource:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        # A thread that waits for a pipe cannot be woken; it is a daemon and ends with the process.
        self._thread.join(timeout=0.5)

    def __iter__(self) -> Iterator[TimedFrame]:
        """Yield the newest frame each time one is asked for, until the stream ends.

        Raises:
            UserError: not a single frame came, or the stream broke and could not be found again.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended)
                arrival, self._newest = self._newest, None
            if arrival is not None:
                yield arrival
            elif self._failure:
                raise UserError(f"{self.name}: {self._failure}")
            else:
                return

    # -- in the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._connect_and_decode()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _connect_and_decode(self) -> None:
        lost = time.monotonic()
        attempts = 0
        while not self._stopped.is_set():
            before = self.frames
            try:
                self._decode()
                reason = "the stream ended"
            except av.error.InvalidDataError:
                reason = "it is empty or holds no video of a known form"
            except OSError as error:  # FFmpeg's errors are of this kind
                reason = (error.strerror or str(error)).lower()
            except av.error.FFmpegError as error:
                reason = error.strerror or str(error)
            if self._stopped.is_set():
                return
            if self.frames > before:
                lost, attempts = time.monotonic(), 0
            if not self.frames:
                ended = reason == "the stream ended"
                self._failure = "the stream ended before its first frame" if ended else f"cannot be opened ({reason})"
                return
            if self.source == PIPE:
                return
            if time.monotonic() - lost > self._patience:
                self._failure = f"the stream broke ({reason}) and did not come back within {self._patience:g} s"
                return
            self._stopped.wait(_PAUSES[min(attempts, len(_PAUSES) - 1)])
            attempts += 1

    def _decode(self) -> None:
        if self.source.isdecimal():
            self._decode_camera()
            return
        address = "pipe:0" if self.source == PIPE else self.source
        options = dict(_SMALL_PROBE)
        if address.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # UDP loses packets, and a damaged image is classified wrongly
        # A person's terminal as standard input would wait for ever.
        if self.source == PIPE and sys.stdin is not None and sys.stdin.isatty():
            raise OSError(0, "standard input is the terminal; pipe a video into it")
        timeout = None if self.source == PIPE else (_OPEN_TIMEOUT, _READ_TIMEOUT)
        with av.open(address, options=options, timeout=timeout) as container:
            if not container.streams.video:
                raise OSError(0, "no video stream in it")
            stream = container.streams.video[0]
            stream.codec_context.thread_type = "SLICE"  # frame threads hold frames back
            self._show_frames(container.decode(stream), float(stream.time_base or 1))

    def _show_frames(self, frames: Iterator[av.VideoFrame], unit: float) -> None:
        start: float | None = None  # the stream's own time at which ours is 0
        number, last, came = 0, 0.0, 0.0
        for frame in frames:
            clock = time.monotonic()
            # The first frame of an RTSP stream has no time: then the clock tells how much later one came.
            now = last + (clock - came if number else 0.0)
            if frame.pts is not None:
                start = frame.pts * unit - now if start is None else start
                now = frame.pts * unit - start
            if number == 0 or now < last - _BACKWARDS:
                self.reconnects += self.frames > 0
                start = None if frame.pts is None else frame.pts * unit
                number, now, last = 0, 0.0, 0.0
            last, came = max(last, now), clock
            image = frame.to_ndarray(format="rgb24")
            turns = round(frame.rotation / 90) % 4
            self._put(Frame(number, last, np.ascontiguousarray(np.rot90(image, turns)) if turns else image), clock)
            number += 1
            if self._stopped.is_set():
                return

    def _decode_camera(self) -> None:
        camera = cv2.VideoCapture(int(self.source))
        try:
            if not camera.isOpened():
                raise OSError(0, "there is no such camera, or another program uses it")
            start = time.monotonic()
            number = 0
            self.reconnects += self.frames > 0
            while not self._stopped.is_set():
                good, image = camera.read()
                if not good:
                    return
                clock = time.monotonic()
                self._put(Frame(number, clock - start, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), clock)
                number += 1
        finally:
            camera.release()

    def _put(self, frame: Frame, clock: float) -> None:
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = TimedFrame(frame, clock)
            self.frames += 1
            self._changed.notify_all()


@dataclass
class Latency:
    """How long predictions took after their frames had come, in seconds."""

    count: int = 0
    total: float = 0.0
    longest: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0


def run_live(
    source: LiveSource,
    classify: Callable[[Iterator[Frame]], Iterator[Any]],
    handle: Callable[[Any, float], bool],
    *,
    seconds: float | None = None,
) -> Latency:
    """Take frames as they come, classify them and hand over each prediction.

    Args:
        source: entered.
        classify: `Classifier.stream`.
        handle: called with each `LivePrediction` and its delay in seconds; False ends the run.
        seconds: end after this time.

    Returns:
        The delays of the predictions of whole windows.
    """
    arrived = 0.0
    began = time.monotonic()

    def frames() -> Iterator[Frame]:
        nonlocal arrived
        for arrival in source:
            arrived = arrival.clock
            yield arrival.frame
            if seconds is not None and time.monotonic() - began > seconds:
                return

    delays = Latency()
    for moment in classify(frames()):
        delay = time.monotonic() - arrived
        if moment.fresh:
            delays.add(delay)
        if not handle(moment, delay):
            break
    return delays


def live_line(moment: LivePrediction, delay: float, source: LiveSource, classes: Sequence[str]) -> dict:
    """What is written for one prediction, as JSON takes it; ``delay`` in seconds."""
    values = moment.probabilities.tolist()
    return {
        "time": round(moment.frame.time, 3),
        "frame": moment.frame.index,
        "label": UNKNOWN_NAME if moment.label == UNKNOWN else classes[moment.label],
        "probability": round(max(values), 4),
        "probabilities": {name: round(value, 4) for name, value in zip(classes, values, strict=True)},
        "steps": moment.steps,
        "delay": round(delay, 4),
        "dropped": source.dropped,
        "reconnects": source.reconnects,
    }
