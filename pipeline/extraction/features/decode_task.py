"""In a worker: from a video file to the images that the networks take, and which frame each of them is.

A worker imports no network, no store and no table, so that it starts in half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from pipeline.errors import VideoError
from pipeline.extraction.features.static_frames import REUSED, StaticFrames
from pipeline.extraction.inputs.clip_frames import clips_of
from pipeline.extraction.inputs.two_stream import InputMakers
from pipeline.extraction.recipe import Recipe
from pipeline.files.text import plural
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import TIMEOUT, Ended, WorkerPool, threads_of_each
from pipeline.videos.catalog.source_file import SourceFile, sha256
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import Frame, FramesMissing, Reader, StepEnds, Steps, VideoInfo
from pipeline.videos.media.sampling import Sampling

CHUNK_BYTES = 4 << 20  # images in one message
CHANGED = "the file changed while it was read"
_MOST_STEPS = 4096  # in one message; a camera that shows nothing new sends few images

Key = TypeVar("Key")
Select = Callable[[np.ndarray, float], Steps]
"""Which frames are used: from the seconds of all frames ``(n,)`` and the duration to the steps that they make.

A pure function that can be pickled, such as a `Sampling`; it runs in the worker.
"""


@dataclass(frozen=True)
class DecodeSpec:
    """What is wanted of every video."""

    recipes: tuple[Recipe, ...]
    """How frames become images, for each network."""
    identify: bool = False
    """Also compute the digest of the file, and fail where it changes meanwhile."""
    check_reuse: bool = False
    """Also send some images of frames that reuse a feature, so that somebody can see how far off they are."""


@dataclass(frozen=True)
class VideoOpened:
    """Comes before the images of a video. A second one says that they come once more: a damaged stretch was met,
    and frames are now chosen among those that decode."""

    info: VideoInfo
    times: np.ndarray
    """``(n,)`` float64: seconds of every frame after the first one."""
    frames: np.ndarray
    """``(k,)`` int64: the frame numbers that were chosen; of clips of frames that of the first one in each."""
    ends: StepEnds | None = None
    """Where the steps end; None where each is one frame."""


@dataclass(frozen=True)
class Images:
    """Some steps of a video as the networks take them."""

    images: tuple[np.ndarray, ...]
    """For each network ``(m, height, width, 3)`` uint8, ``m`` of them with an image of their own; of clips of frames
    ``(m, T, height, width, 3)``."""
    uses: tuple[np.ndarray | None, ...]
    """For each network ``(k,)`` uint8: `FRESH`, `REUSED` or `CHECKED`; None where every frame is fresh."""
    times: np.ndarray
    """``(k,)`` float64: seconds after the first frame of the video."""
    frames: np.ndarray
    """``(k,)`` int64: frame numbers; of clips of frames that of the first one in each."""


def decode_videos(
    videos: Sequence[tuple[Key, Path, Select]], spec: DecodeSpec, *, workers: int, timeout: float = TIMEOUT
) -> WorkerPool[Key]:
    """Workers that decode videos; they start when the pool's block is entered.

    Their messages are `VideoOpened`, `Images` and, last, the `SourceFile` that it was.

    Args:
        videos: whatever stands for each one, its path, and which of its frames are used.
        spec: what is wanted of them.
        workers: processes; 0 decodes in this process.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.
    """
    # One long video alone may use all processors; many videos are decoded side by side.
    threads = threads_of_each(len(videos), workers)
    jobs = [(key, (path, select, spec, threads)) for key, path, select in videos]
    return WorkerPool(decode, jobs, workers=workers, timeout=timeout)


class FirstTold(Generic[Key]):
    """One video that is being decoded, and whether it could be opened, before anybody takes the rest.

    Args:
        pool: entered, of `decode_videos` with one video.

    Attributes:
        opened: what opening it told.

    Raises:
        VideoError: it cannot be opened.
    """

    def __init__(self, pool: WorkerPool[Key]) -> None:
        self._pool = pool
        self._key, told = next(told for told in pool.messages() if told is not None)
        if isinstance(told, Ended):
            raise told.error or VideoError("open", "nothing came of it")
        self.opened: VideoOpened = told

    def messages(self, patience: float) -> Iterator[tuple[Key, Any] | None]:
        """All messages, as of the pool."""
        yield self._key, self.opened
        yield from self._pool.messages(patience)


def decode(
    heartbeat: Heartbeat, path: Path, select: Select, spec: DecodeSpec, threads: int
) -> Iterator[VideoOpened | Images | SourceFile]:
    """The task: decode the frames that ``select`` chooses."""
    before = SourceFile.of(path)
    digest = sha256(path, heartbeat) if spec.identify else ""
    with open_video(path, threads=threads, heartbeat=heartbeat) as reader:
        try:
            yield from _read(reader, select, spec)
        except FramesMissing:
            reader.scan()
            yield from _read(reader, select, spec)
    if spec.identify and not before.is_unchanged(path):
        raise VideoError("decode", CHANGED)
    yield replace(before, sha256=digest)


def _read(reader: Reader, select: Select, spec: DecodeSpec) -> Iterator[VideoOpened | Images]:
    times = reader.times()
    if not len(times):
        raise VideoError("decode", "no frame can be decoded")
    info = reader.info()
    steps = select(times, info.duration)
    if isinstance(select, Sampling) and not len(steps):
        raise VideoError("sample", f"{plural(len(times), 'frame')}, fewer than {select} needs")
    yield VideoOpened(info, times, steps.frames, steps.ends)
    chunk = _Chunk(spec)
    frames = InputMakers(spec.recipes).steps(reader, steps.needed)
    for step in frames if steps.ends is None else clips_of(frames, steps):
        chunk.add(step)
        if chunk.full:
            yield chunk.take()
    if chunk:
        yield chunk.take()


class _Chunk:
    """Collects the images of one message."""

    def __init__(self, spec: DecodeSpec) -> None:
        self._shapes = [recipe.input_shape for recipe in spec.recipes]
        self._room = max(1, CHUNK_BYTES // sum(int(np.prod(shape)) for shape in self._shapes))
        self._static = [
            StaticFrames(recipe.reuse_static, check=spec.check_reuse) if recipe.reuse_static else None
            for recipe in spec.recipes
        ]
        self._begin()

    def _begin(self) -> None:
        # Whoever receives a message keeps its arrays, so each has new ones.
        self._images = [np.empty((self._room, *shape), np.uint8) for shape in self._shapes]
        self._counts = [0] * len(self._shapes)
        self._uses: list[list[int]] = [[] for _ in self._shapes]
        self._times: list[float] = []
        self._frames: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def full(self) -> bool:
        return max(self._counts) == self._room or len(self._frames) == _MOST_STEPS

    def add(self, step: Sequence[Frame]) -> None:
        """Add a frame, or a clip of frames: its images for each network."""
        for number, (frame, static) in enumerate(zip(step, self._static, strict=True)):
            if static is not None:
                use = static.use_of(frame.image)
                self._uses[number].append(use)
                if use == REUSED:
                    continue
            self._images[number][self._counts[number]] = frame.image
            self._counts[number] += 1
        self._times.append(step[0].time)
        self._frames.append(step[0].index)

    def take(self) -> Images:
        """What was collected; begins anew."""
        message = Images(
            tuple(images[:count] for images, count in zip(self._images, self._counts, strict=True)),
            tuple(
                None if static is None else np.array(uses, np.uint8)
                for static, uses in zip(self._static, self._uses, strict=True)
            ),
            np.array(self._times, np.float64),
            np.array(self._frames, np.int64),
        )
        self._begin()
        return message
