"""From decoded frames to stored sequences, with the network always busy.

Decoder processes, the network and the store work at the same time. Batches cross the borders of videos; one is filled
while those before are computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pipeline.errors import VideoError
from pipeline.extraction.features.decode_task import Expected, Frames, Message, Restart
from pipeline.extraction.features.expectation import FrameCountEstimate
from pipeline.extraction.features.static_frames import Reuse, StaticFrames
from pipeline.extraction.store.shard_writer import SequenceBuffer, StoreWriter
from pipeline.extraction.store.store import Source
from pipeline.parallel.pipelined import PipelinedCalls, concurrent_calls_of
from pipeline.videos.catalog.catalog import Video

NetworkCall = Callable[[np.ndarray], np.ndarray]
"""A function from ``(batch, height, width, 3)`` uint8 to ``(batch, D)`` float32."""


class Decoded(Protocol):
    """Where messages about videos come from, such as a `DecoderPool` whose keys are videos."""

    def messages(self, patience: float) -> Iterator[tuple[Video, Message] | None]:
        """(video, message) until every video has ended; None whenever nothing came for ``patience`` seconds."""


_PATIENCE = 1.0  # seconds without a frame, after which a partly filled batch is computed


@dataclass
class ExtractionProgress:
    """How far a run is; the same object is updated and handed to whoever shows it."""

    videos: int = 0
    """Videos that this run has to extract."""
    done: int = 0
    copied: int = 0
    failed: int = 0
    frames: int = 0
    """Frames whose features are known."""
    reuse: Reuse = field(default_factory=Reuse)
    """What became of frames that barely differ, where the recipe lets them reuse a feature."""
    batch: int = 0
    """Pictures in one call of the network; 0 where several networks may differ."""
    expectation: FrameCountEstimate | None = None
    """Of the frames of all videos; None where nobody made one."""
    waited_for_decoding: float = 0.0
    waited_for_network: float = 0.0
    """Seconds that the collecting side waited."""
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the first frame was expected."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Frames per second so far."""
        return self.frames / max(1e-9, self.seconds)

    @property
    def seconds_left(self) -> float | None:
        """At this rate, by frames; None where it is not known yet how many will come."""
        return None if self.expected is None or not self.frames else (self.expected - self.frames) / self.rate

    @property
    def expected(self) -> int | None:
        """Frames that will have gone through the network at the end, estimated; None where nothing is known yet."""
        known = self.expectation.frames if self.expectation else None
        return None if known is None else max(known, self.frames)

    @property
    def bottleneck(self) -> str:
        """Which side the other waits for."""
        return "decoding" if self.waited_for_decoding > self.waited_for_network else "network"


@dataclass
class _Pending:
    """A video some of whose frames are on their way."""

    video: Video
    buffer: SequenceBuffer
    static: StaticFrames | None = None
    on_the_way: int = 0
    """Frames whose features are not known yet."""
    checks: int = 0
    """Pictures on their way that are there to be compared only."""
    latest: _BatchRow | None = None
    source: Source | None = None


@dataclass(eq=False)
class _BatchRow:
    """A picture in a batch, with the frames that its feature is for."""

    pending: _Pending
    times: list[float]
    numbers: list[int]
    feature: np.ndarray | None = None
    """Kept for frames that may reuse it; None until it is known."""
    check_of: _BatchRow | None = None
    """The step whose feature this picture's frame took over, where it is only compared."""


class Collector:
    """Fills batches from the decoders' messages and hands features to the videos they belong to.

    Args:
        writer: takes the finished sequences; its recipe gives the size of the pictures.
        network: the frozen network.
        batch: pictures in one call of it.
        progress: kept up to date.
        fail: called with a video and the reason why it cannot be used.
        show: called after every step with the progress.
    """

    def __init__(
        self,
        writer: StoreWriter,
        network: NetworkCall,
        batch: int,
        *,
        progress: ExtractionProgress,
        fail: Callable[[Video, VideoError], None],
        show: Callable[[ExtractionProgress], None] = lambda progress: None,
    ) -> None:
        self._progress = progress
        self._progress.batch = batch
        self._writer = writer
        self._network = network
        self._fail = fail
        self._show = show
        self._pending: dict[Video, _Pending] = {}
        self._given_up: set[Video] = set()
        self._shape = (batch, writer.recipe.height, writer.recipe.width, 3)
        self._new_batch()
        self._reuse_static = writer.recipe.reuse_static

    def _new_batch(self) -> None:
        self._batch = np.zeros(self._shape, np.uint8)
        self._steps: list[_BatchRow] = []

    def collect(self, decoded: Decoded) -> None:
        """Work until every video has ended."""
        try:
            self._collect(decoded)
        finally:
            for video in list(self._pending):
                self._drop(video)

    def _collect(self, decoded: Decoded) -> None:
        self._calls: PipelinedCalls[np.ndarray, np.ndarray, list[_BatchRow]] = PipelinedCalls(
            self._network, concurrent_calls_of(self._network)
        )
        with self._calls:
            asked = time.monotonic()
            for arrived in decoded.messages(_PATIENCE):
                self._progress.waited_for_decoding += time.monotonic() - asked
                if arrived is None:
                    self._send_batch()
                    self._receive_all()
                    self._writer.commit_if_due()
                else:
                    self._take(*arrived)
                asked = time.monotonic()
            self._send_batch()
            self._receive_all()

    def _take(self, video: Video, message: object) -> None:
        if video in self._given_up:
            return  # its features were unusable, and the rest of it is still coming
        if isinstance(message, Frames):
            self._take_frames(video, message)
        elif isinstance(message, Expected):
            self._expect(video, message.frames)
        elif isinstance(message, Source):
            pending = self._pending[video]
            pending.source = message
            self._finish_if_complete(video, pending)
        elif isinstance(message, Restart):
            self._drop(video)
        elif isinstance(message, VideoError):
            self._expect(video, self._arrived(video))
            self._drop(video)
            self._fail(video, message)
            self._show(self._progress)

    def _expect(self, video: Video, frames: int) -> None:
        if self._progress.expectation is not None:
            self._progress.expectation.tell(video, frames)

    def _arrived(self, video: Video) -> int:
        pending = self._pending.get(video)
        return 0 if pending is None else len(pending.buffer) + pending.on_the_way

    def _drop(self, video: Video) -> None:
        """Forget what came of a video; features of it that are still computed find nobody."""
        pending = self._pending.pop(video, None)
        if pending is not None:
            pending.buffer.close()

    def _take_frames(self, video: Video, frames: Frames) -> None:
        pending = self._pending.get(video)
        if pending is None:
            static = StaticFrames(self._reuse_static) if self._reuse_static else None
            pending = self._pending[video] = _Pending(video, self._writer.buffer(), static)
        pending.on_the_way += len(frames.numbers)
        if pending.static is None:
            for image, seconds, number in zip(frames.images, frames.times, frames.numbers, strict=True):
                self._add(image, _BatchRow(pending, [seconds], [number]))
            return
        self._progress.reuse.frames += len(frames.numbers)
        fresh = pending.static.fresh(frames.images)
        for place, (seconds, number) in enumerate(zip(frames.times, frames.numbers, strict=True)):
            if fresh[place]:
                pending.latest = _BatchRow(pending, [seconds], [number])
                self._add(frames.images[place], pending.latest)
            elif self._pending.get(video) is pending:
                self._reuse(pending, seconds, number, frames.images[place])

    def _reuse(self, pending: _Pending, seconds: float, number: int, image: np.ndarray) -> None:
        """Give a frame the feature of the last picture of its video that was sent to the network."""
        latest = pending.latest
        assert latest is not None
        if self._progress.reuse.check_next():
            pending.checks += 1
            self._add(image, _BatchRow(pending, [], [], check_of=latest))
        if latest.feature is None:
            latest.times.append(seconds)
            latest.numbers.append(number)
        else:
            self._store(pending, latest.feature[None], [seconds], [number])

    def _add(self, image: np.ndarray, step: _BatchRow) -> None:
        self._batch[len(self._steps)] = image
        self._steps.append(step)
        if len(self._steps) == self._shape[0]:
            self._send_batch()

    def _send_batch(self) -> None:
        """Send the batch to the network, after taking in the features of an earlier one."""
        if not self._steps:
            return
        if self._calls.full:
            self._receive_batch()
        self._calls.submit(self._batch[: len(self._steps)], self._steps)
        self._new_batch()

    def _receive_all(self) -> None:
        while self._calls:
            self._receive_batch()

    def _receive_batch(self) -> None:
        asked = time.monotonic()
        features, steps = self._calls.result()
        self._progress.waited_for_network += time.monotonic() - asked
        start = 0
        while start < len(steps):
            pending = steps[start].pending
            end = start
            while end < len(steps) and steps[end].pending is pending:
                end += 1
            if self._pending.get(pending.video) is pending:
                self._take_features(pending, features[start:end], steps[start:end])
            start = end
        self._show(self._progress)

    def _take_features(self, pending: _Pending, features: np.ndarray, steps: list[_BatchRow]) -> None:
        if pending.static is not None:
            for feature, step in zip(features, steps, strict=True):
                if step.check_of is None:
                    step.feature = feature.copy()
                else:
                    assert step.check_of.feature is not None  # it was sent before
                    pending.checks -= 1
                    self._progress.reuse.compare(step.check_of.feature, feature)
            features = np.repeat(features, [len(step.numbers) for step in steps], axis=0)
            if not len(features):
                self._finish_if_complete(pending.video, pending)
                return
        times = [seconds for step in steps for seconds in step.times]
        self._store(pending, features, times, [number for step in steps for number in step.numbers])

    def _store(self, pending: _Pending, features: np.ndarray, times: list[float], numbers: list[int]) -> None:
        """Add steps whose features are known."""
        video = pending.video
        try:
            pending.buffer.append(features, times, numbers)
        except VideoError as error:
            self._expect(video, self._arrived(video))
            self._drop(video)
            self._given_up.add(video)
            self._fail(video, error)
            return
        pending.on_the_way -= len(numbers)
        self._progress.frames += len(numbers)
        self._finish_if_complete(video, pending)

    def _finish_if_complete(self, video: Video, pending: _Pending) -> None:
        if pending.source is None or pending.on_the_way or pending.checks:
            return
        del self._pending[video]
        if pending.static is not None:
            self._writer.provenance["reuse_static"] = self._progress.reuse.to_json()
        self._writer.add(video.name, pending.buffer, pending.source)
        self._progress.done += 1
        self._show(self._progress)
