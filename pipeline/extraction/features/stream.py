"""The spine: from decoded videos to features, with the networks always busy.

with decode_videos(videos, DecodeSpec(recipes), workers=2) as decoded:
    for event in feature_stream(decoded, networks, batch=32):
        match event:
            case Opened(video, info, times, frames): ...         # which frames will come
            case Features(video, features, times, frames): ...   # of some of them, in order
            case Finished(video, file): ...
            case Failed(video, error): ...
            case Idle(): ...                                     # nothing came for a second

Stage one, classifying and augmented copies are consumers of these events. Decoders, networks and consumer work at the
same time, and batches cross the borders of videos: one is filled while those before are computed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from pipeline.errors import VideoError
from pipeline.extraction.features.decode_task import Images, VideoOpened
from pipeline.extraction.features.static_frames import CHECKED, REUSED, Reuse, SpreadFeatures
from pipeline.parallel.pipelined import PipelinedCalls, concurrent_calls_of
from pipeline.parallel.workers import Ended
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.frame import StepEnds, VideoInfo

NetworkCall = Callable[[np.ndarray], np.ndarray]
"""A function from ``(batch, height, width, 3)`` uint8, or clips of frames ``(batch, T, height, width, 3)``, to
``(batch, D)`` float32."""

Call = tuple[NetworkCall, np.ndarray]
Key = TypeVar("Key")
Told = TypeVar("Told", covariant=True)

_PATIENCE = 1.0  # seconds without an image, after which a partly filled batch is computed
_MOST_CHECKS = 500  # images of a run that are only compared; see `Reuse`


class Decoded(Protocol[Told]):
    """Where messages about videos come from, such as the pool of `decode_videos`."""

    def messages(self, patience: float) -> Iterator[tuple[Told, Any] | None]:
        """(video, message) until every video has ended; None whenever nothing came for ``patience`` seconds."""


@dataclass(frozen=True)
class Opened(Generic[Key]):
    """A video could be opened. A second one says that its features come once more, of the frames named now."""

    video: Key
    info: VideoInfo
    times: np.ndarray
    """``(n,)`` float64: seconds of every frame of the video after the first one."""
    frames: np.ndarray
    """``(k,)`` int64: numbers of the frames whose features will come; of clips of frames that of the first in each."""
    ends: StepEnds | None = None
    """Where the steps end; None where each is one frame."""


@dataclass(frozen=True)
class Features(Generic[Key]):
    """Features of the next frames of a video."""

    video: Key
    features: np.ndarray
    """``(k, D1 + D2 + ...)``: those of the networks side by side."""
    times: np.ndarray
    """``(k,)`` float64: seconds after the first frame of the video."""
    frames: np.ndarray
    """``(k,)`` int64: frame numbers."""


@dataclass(frozen=True)
class Finished(Generic[Key]):
    """All features of a video have come."""

    video: Key
    file: SourceFile


@dataclass(frozen=True)
class Failed(Generic[Key]):
    """A video cannot be used; what came of it is void."""

    video: Key
    error: VideoError


@dataclass(frozen=True)
class Idle:
    """Nothing came for a second: time for what has to be done now and then."""


Event = Opened[Key] | Features[Key] | Finished[Key] | Failed[Key] | Idle


@dataclass
class Meter:
    """What is measured while features are computed; the same object is updated."""

    waited_for_decoding: float = 0.0
    waited_for_network: float = 0.0
    """Seconds."""
    reuse: Reuse = field(default_factory=Reuse)
    """What became of frames that barely differ, where a recipe lets them reuse a feature."""


def feature_stream(
    decoded: Decoded[Key], networks: Sequence[NetworkCall], *, batch: int, meter: Meter | None = None
) -> Iterator[Event[Key]]:
    """Compute the features of decoded videos.

    Args:
        decoded: tells `VideoOpened`, `Images`, `SourceFile` and `Ended` of each video.
        networks: one for each image of a frame.
        batch: images in one call of a network.
        meter: kept up to date.
    """
    meter = meter or Meter()
    engine = _Engine[Key](networks, batch, meter)
    with engine.calls:
        asked = time.monotonic()
        for arrived in decoded.messages(_PATIENCE):
            meter.waited_for_decoding += time.monotonic() - asked
            if arrived is None:
                engine.flush()
                yield from engine.take_events()
                yield Idle()
            else:
                engine.receive(*arrived)
                yield from engine.take_events()
            asked = time.monotonic()
        engine.flush()
        yield from engine.take_events()


class _Video(Generic[Key]):
    """A video some of whose features are on their way."""

    def __init__(self, key: Key, networks: int, meter: Meter) -> None:
        self.key = key
        self.waiting: deque[_Steps] = deque()
        """Frames whose features have not all come."""
        self.arrived: list[list[np.ndarray]] = [[] for _ in range(networks)]
        """For each network the features of the first images of those."""
        self.spreads = [SpreadFeatures(meter.reuse) for _ in range(networks)]
        self.file: SourceFile | None = None
        self.ended = False

    def take(self) -> tuple[np.ndarray, _Steps] | None:
        """The features that have come of the first message that waits, with their frames; None where there are none."""
        first = self.waiting[0]
        ready = first.ready([sum(map(len, parts)) for parts in self.arrived])
        if not ready:
            return None
        steps, rest = first.split(ready)
        self.waiting.popleft()
        if len(rest):
            self.waiting.appendleft(rest)
        of_networks = []
        for number, (count, uses) in enumerate(zip(steps.images(), steps.uses, strict=True)):
            own = self._cut(number, count)
            of_networks.append(self.spreads[number].spread(own, uses) if uses is not None else own)
        return of_networks[0] if len(of_networks) == 1 else np.concatenate(of_networks, axis=-1), steps

    def _cut(self, number: int, count: int) -> Any:
        """The first ``count`` features of a network; None for none."""
        if not count:
            return None
        parts = self.arrived[number]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self.arrived[number] = [whole[count:]] if len(whole) > count else []
        return whole[:count]


@dataclass(frozen=True)
class _Steps:
    """Frames of a message, without their images."""

    uses: tuple[np.ndarray | None, ...]
    times: np.ndarray
    frames: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def images(self) -> list[int]:
        """How many images there are for each network."""
        return [len(self) if uses is None else int(np.count_nonzero(uses != REUSED)) for uses in self.uses]

    def ready(self, arrived: Sequence[int]) -> int:
        """How many of the first frames have their features, where so many of each network have come."""
        ready = len(self)
        for uses, count in zip(self.uses, arrived, strict=True):
            needed = None if uses is None else np.cumsum(uses != REUSED)
            ready = min(ready, count if needed is None else int(np.searchsorted(needed, count, side="right")))
        return ready

    def split(self, place: int) -> tuple[_Steps, _Steps]:
        """The first frames and the others."""
        halves = [
            _Steps(
                tuple(None if uses is None else uses[part] for uses in self.uses), self.times[part], self.frames[part]
            )
            for part in (slice(place), slice(place, None))
        ]
        return halves[0], halves[1]


Piece = tuple[_Video[Key], int]
"""A video, and how many images of it stand in a batch."""


class _Batch(Generic[Key]):
    """Images for one network, and of which videos they are."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        self.images: np.ndarray | None = None
        self.pieces: list[Piece[Key]] = []

    def fill(self, video: _Video[Key], images: np.ndarray) -> int:
        """Take as many images as there is room for; returns their number."""
        if self.images is None:
            self.images = np.empty((self.size, *images.shape[1:]), np.uint8)
        taken = min(self.size - self.count, len(images))
        self.images[self.count : self.count + taken] = images[:taken]
        self.pieces.append((video, taken))
        self.count += taken
        return taken


class _Engine(Generic[Key]):
    """Fills batches, keeps networks busy and hands features to the videos they belong to."""

    def __init__(self, networks: Sequence[NetworkCall], batch: int, meter: Meter) -> None:
        self._networks, self._size, self._meter = networks, batch, meter
        self._videos: dict[Key, _Video[Key]] = {}
        self._batches = [_Batch[Key](batch) for _ in networks]
        self._events: deque[Event[Key]] = deque()
        self._checks = 0
        self.calls: PipelinedCalls[
            tuple[NetworkCall, np.ndarray], np.ndarray, tuple[int, list[tuple[_Video[Key], int]]]
        ] = PipelinedCalls(lambda call: call[0](call[1]), min(map(concurrent_calls_of, networks)))

    def take_events(self) -> Iterator[Event[Key]]:
        """Yield what has happened since the last time."""
        while self._events:
            yield self._events.popleft()

    def receive(self, key: Key, message: object) -> None:
        """Take in what a decoder says of a video."""
        if isinstance(message, VideoOpened):
            # What came before is void: its features find nobody.
            self._videos[key] = _Video(key, len(self._networks), self._meter)
            self._events.append(Opened(key, message.info, message.times, message.frames, message.ends))
        elif isinstance(message, Images):
            message = self._without_needless_checks(message)
            video = self._videos[key]
            video.waiting.append(_Steps(message.uses, message.times, message.frames))
            for number, images in enumerate(message.images):
                self._add(number, video, images)
            self._emit(video)  # it may need no image of its own
        elif isinstance(message, SourceFile):
            self._videos[key].file = message
        elif isinstance(message, Ended) and message.error is None:
            self._videos[key].ended = True
            self._emit(self._videos[key])
        elif isinstance(message, Ended) and message.error is not None:
            self._videos.pop(key, None)
            self._events.append(Failed(key, message.error))

    def _without_needless_checks(self, message: Images) -> Images:
        if all(uses is None for uses in message.uses):
            return message
        images, all_uses = list(message.images), list(message.uses)
        for number, uses in enumerate(all_uses):
            checks = 0 if uses is None else int(np.count_nonzero(uses == CHECKED))
            if uses is not None and checks and self._checks >= _MOST_CHECKS:
                images[number] = images[number][uses[uses != REUSED] != CHECKED]
                all_uses[number] = np.where(uses == CHECKED, REUSED, uses)
            else:
                self._checks += checks
        return Images(tuple(images), tuple(all_uses), message.times, message.frames)

    def _add(self, number: int, video: _Video[Key], images: np.ndarray) -> None:
        while len(images):
            images = images[self._batches[number].fill(video, images) :]
            if self._batches[number].count == self._size:
                self._send(number)

    def _send(self, number: int) -> None:
        """Send a batch to its network, after taking in the features of an earlier one."""
        batch = self._batches[number]
        if batch.images is None:
            return
        if self.calls.full:
            self._take_features()
        self.calls.submit((self._networks[number], batch.images[: batch.count]), (number, batch.pieces))
        self._batches[number] = _Batch(self._size)

    def flush(self) -> None:
        """Compute what there is, also batches that are not full."""
        for number in range(len(self._networks)):
            self._send(number)
        while self.calls:
            self._take_features()

    def _take_features(self) -> None:
        asked = time.monotonic()
        features, (number, pieces) = self.calls.result()
        self._meter.waited_for_network += time.monotonic() - asked
        start = 0
        for video, count in pieces:
            video.arrived[number].append(features[start : start + count])
            start += count
            if self._videos.get(video.key) is video:
                self._emit(video)

    def _emit(self, video: _Video[Key]) -> None:
        while video.waiting:
            taken = video.take()
            if taken is None:
                return
            features, steps = taken
            self._events.append(Features(video.key, features, steps.times, steps.frames))
        if video.ended and video.file is not None:
            del self._videos[video.key]
            self._events.append(Finished(video.key, video.file))
