"""Labelled sequences of a store, and the windows over them that a head is trained on."""

from __future__ import annotations

import contextlib
import functools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.timesteps import Steps, StoredSteps
from pipeline.files.text import natural_key, plural
from pipeline.parallel.machine import free_memory
from pipeline.parallel.prefetch import prefetch
from pipeline.training.data.frame_labels import FrameLabels, read_step_labels
from pipeline.training.data.labelled_videos import check_classes, of_classes, usable_videos
from pipeline.training.data.time_scale import TimeScale
from pipeline.training.data.windows import WindowSpec, default_window, some_pixels, window_for_frames
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.media.sampling import Sampling

BLOCK_BYTES = 32 << 20  # of features that are in memory at once where they are read through
T = TypeVar("T")


@dataclass(frozen=True)
class AugmentedCopies:
    """Augmented copies of some videos, to be trained on only; see `pipeline.extraction.jobs.augmented_copies`."""

    of: np.ndarray
    """``(m,)`` int64, the row of the dataset that each is a copy of."""
    steps: np.ndarray
    """``(m,)`` int64."""
    offsets: np.ndarray
    """``(m,)`` int64, as those of the dataset."""


@dataclass(frozen=True)
class Dataset:
    """The labelled videos of a store with their sequences, in the order of the catalog."""

    folder: Path
    """The store."""
    sources: tuple[FeatureSource, ...]
    """What made the features: one store, or two whose features are side by side; see `fusion.fuse_stores`."""
    precision: str
    """The precision that the features were computed in."""
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    labels: np.ndarray
    """``(n,)`` int64, index of the class of each video."""
    steps: np.ndarray
    """``(n,)`` int64, real steps of each sequence."""
    durations: np.ndarray
    """``(n,)`` float64 seconds; 0 where it is not known."""
    step_seconds: np.ndarray
    """``(n,)`` float64, median time between the steps of each sequence; nan where there is one step only."""
    features: Steps
    """The steps of all sequences, one after the other, in memory or in the shards; see `Windows.gather`."""
    offsets: np.ndarray
    """``(n,)`` int64, the place of each sequence's first step in ``features``."""
    left_out: Counter[str]
    """How many videos of the catalog are not used, by reason."""
    frames: np.ndarray
    """``(sum of steps,)`` int64, the frame number of each step; of clips of frames that of the first one in each."""
    step_labels: np.ndarray | None = None
    """``(sum of steps,)`` int64, the class of each step where single frames are labelled, -1 where none is; of clips of
    frames see `frame_labels.FrameLabels.within`."""
    copies: AugmentedCopies | None = None
    """Augmented copies; only `with_copies` shows them."""

    def __repr__(self) -> str:
        return (
            f"Dataset({str(self.folder)!r}, {plural(len(self), 'video')}, "
            f"{plural(len(self.classes), 'class', 'classes')}, {self.features})"
        )

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one step: ``(D,)`` for features, ``(H, W, 3)`` for frames."""
        return self.features.shape

    @property
    def dimensions(self) -> int:
        """How many numbers a step has: the length D of a feature vector."""
        return math.prod(self.shape)

    @property
    def recipe(self) -> Recipe:
        """Of the first source, which decides the sampling, the labels and the splits."""
        return self.sources[0].recipe

    @property
    def fingerprint(self) -> str:
        """Of the recipe, or of both where there are two."""
        return "+".join(source.recipe.fingerprint for source in self.sources)

    @property
    def names(self) -> list[str]:
        """What the videos are called."""
        return [video.name for video in self.videos]

    def places_of(self, row: int) -> slice:
        """Where the steps of a video lie in ``features`` and ``frames``."""
        return slice(int(self.offsets[row]), int(self.offsets[row] + self.steps[row]))

    def with_copies(self, rows: np.ndarray) -> tuple[Dataset, np.ndarray]:
        """What to train on for the videos ``rows``: a dataset with the copies as further rows, and the rows of it."""
        if self.copies is None:
            return self, rows
        copies = self.copies
        longer = replace(
            self,
            labels=np.concatenate([self.labels, self.labels[copies.of]]),
            steps=np.concatenate([self.steps, copies.steps]),
            offsets=np.concatenate([self.offsets, copies.offsets]),
            copies=None,
        )
        return longer, np.concatenate([rows, len(self) + np.flatnonzero(np.isin(copies.of, rows))])

    def classes_in(self, rows: np.ndarray) -> set[int]:
        """Indices of the classes that occur in the videos ``rows``."""
        if self.step_labels is None:
            return {int(label) for label in self.labels[rows]}
        places = [self.step_labels[self.places_of(row)] for row in rows]
        return {int(label) for label in np.unique(np.concatenate(places)) if label >= 0} if places else set()

    def time_scale(self, rows: np.ndarray) -> TimeScale:
        """How the clips ``rows`` lie in time."""
        known = self.durations[rows][self.durations[rows] > 0]
        steps = self.step_seconds[rows][np.isfinite(self.step_seconds[rows])]
        by_rate = not Sampling.parse(self.recipe.sampling).by_count
        return TimeScale(
            median=float(np.median(known)) if len(known) else 0.0,
            shortest=float(known.min()) if len(known) else 0.0,
            longest=float(known.max()) if len(known) else 0.0,
            step=(float(np.median(steps)) if len(steps) else 0.0) if by_rate else None,
        )

    @functools.cached_property
    def means(self) -> np.ndarray:
        """``(n, D)`` in the type of the store, the mean of each sequence; of frames, of some pixels of them."""
        length = min(64, int(self.steps.max()))
        stretches = windows_of(replace(self, step_labels=None), np.arange(len(self)), WindowSpec(length))
        means = np.zeros((0, 0))
        for rows, sums in stretches.sums():
            if not len(means):
                means = np.zeros((len(self), sums.shape[1]), np.result_type(self.features.dtype, np.float16))
            videos, of_row = np.unique(stretches.video[rows], return_inverse=True)
            total = np.zeros((len(videos), sums.shape[1]), np.float32)
            np.add.at(total, of_row, sums)
            means[videos] += (total / self.steps[videos, None]).astype(means.dtype)
        return means

    def default_window(self, rows: np.ndarray) -> WindowSpec:
        """The window for the clips ``rows`` where the user names none."""
        by_count = Sampling.parse(self.recipe.sampling).by_count
        steps = [int(steps) for steps in self.steps[rows]]
        if self.step_labels is not None:
            return window_for_frames(steps)
        return default_window(steps, by_count=by_count)


def open_dataset(
    folder: str | Path,
    *,
    classes: tuple[str, ...] | None = None,
    frame_labels: Path | None = None,
    sampling: Sampling | None = None,
    memory: int | None = None,
    only: Collection[str] | None = None,
) -> Dataset:
    """Open the labelled sequences of a store: they are loaded if they fit into memory, else read as they are needed.

    Args:
        folder: the store.
        classes: of a checkpoint, in its order; by default those that occur, in natural order.
        frame_labels: a CSV of labels of single frames, which count instead of the catalog's; see `read_step_labels`.
        sampling: thin a denser store to this sampling.
        memory: bytes that features may take; half of what is free by default. Results do not depend on it.
        only: leave out videos of other classes.

    Raises:
        UserError: no store, no labelled videos in it, all of one class, or a class that is not in ``classes``.
    """
    store = FeatureStore(folder, sampling=sampling)
    labels = read_step_labels(frame_labels, store) if frame_labels is not None else None
    videos, left_out = usable_videos(store, labels)
    if only is not None:
        videos = of_classes(videos, left_out, store.folder, only, labels is not None)
    occurring = {video.label for video in videos}
    if labels is not None:
        occurring = {label for video in videos for label in labels[video.name].of_frame.values()}
    classes = check_classes(store.folder, tuple(sorted(occurring, key=natural_key)), classes)

    entries = [store.entries[video.name] for video in videos]
    copied = [(row, name) for row, video in enumerate(videos) for name in store.copies_of(video.name)]
    steps = np.array([entry.steps for entry in entries], np.int64)
    stored = StoredSteps(store, [*(video.name for video in videos), *(name for _, name in copied)])
    offsets = np.array([stored.first[video.name] for video in videos], np.int64)
    copies = AugmentedCopies(
        np.array([row for row, _ in copied], np.int64),
        np.array([store.entries[name].steps for _, name in copied], np.int64),
        np.array([stored.first[name] for _, name in copied], np.int64),
    )
    data = Dataset(
        folder=store.folder,
        sources=(FeatureSource(store.recipe, store.weights_source, store.licence),),
        precision=store.precision,
        classes=classes,
        videos=tuple(videos),
        labels=np.array([classes.index(video.label) for video in videos], np.int64),
        steps=steps,
        durations=np.array([entry.source.duration for entry in entries], np.float64),
        step_seconds=np.array(
            [_step_seconds(stored.times[first : first + count]) for first, count in zip(offsets, steps, strict=True)]
        ),
        features=stored.load() if stored.nbytes <= (free_memory() // 2 if memory is None else memory) else stored,
        offsets=offsets,
        left_out=left_out,
        frames=stored.frames,
        copies=copies if copied else None,
    )
    return data if labels is None else replace(data, step_labels=_step_labels(data, stored.last_frames, copies, labels))


def _step_labels(
    data: Dataset, lasts: np.ndarray, copies: AugmentedCopies, labels: dict[str, FrameLabels]
) -> np.ndarray:
    """``(sum of steps,)`` int64, the class of each step, also of the copies; -1 where none is labelled.

    ``lasts`` are the numbers ``(sum of steps,)`` of the last frames of the steps.
    """
    found = np.full(len(data.frames), -1, np.int64)
    number_of = {name: number for number, name in enumerate(data.classes)}
    for row, video in enumerate(data.videos):
        place = data.places_of(row)
        of_steps = labels[video.name].within(data.frames[place], lasts[place])
        found[place] = [-1 if label is None else number_of[label] for label in of_steps]
    for row, first, count in zip(copies.of, copies.offsets, copies.steps, strict=True):
        found[first : first + count] = found[data.places_of(row)]
    return found


def _step_seconds(times: np.ndarray) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else math.nan


@dataclass(frozen=True)
class Windows:
    """Windows over some videos of a dataset; features are gathered when a batch asks for them."""

    data: Dataset
    length: int
    video: np.ndarray
    """``(m,)`` int64, row of the dataset that each window is of."""
    start: np.ndarray
    """``(m,)`` int64, its first step."""
    labels: np.ndarray
    """``(m,)`` int64, index of its class: the video's, or the most frequent one of its labelled frames."""

    def __len__(self) -> int:
        return len(self.video)

    def gather(self, rows: np.ndarray, starts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Features ``(b, L, *shape)`` in the dtype of the store and mask ``(b, L)`` bool of the windows ``rows``.

        Args:
            rows: ``(b,)`` indices of windows.
            starts: ``(b,)`` other first steps than the windows' own.
        """
        videos = self.video[rows]
        starts = self.start[rows] if starts is None else starts
        counts = np.minimum(self.length, self.data.steps[videos] - starts)
        features = self.data.features.gather(self.data.offsets[videos] + starts, counts, self.length)
        return features, np.arange(self.length) < counts[:, None]

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, mask and labels of all windows, for a training of one's own."""
        return *self.gather(np.arange(len(self))), self.labels

    @property
    def places(self) -> np.ndarray:
        """``(m,)`` int64, the place of the first step of each window; reading in their order is the fastest."""
        return self.data.offsets[self.video] + self.start

    @property
    def bytes_each(self) -> int:
        """What the features of one window take in memory."""
        return self.length * self.data.dimensions * self.data.features.dtype.itemsize

    def blocks(self, multiple: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield all windows once as (rows, features, mask), in blocks of bounded memory and in the order they lie in.

        Args:
            multiple: a block has a multiple of so many windows, except for the last one.
        """
        order = np.argsort(self.places, kind="stable")
        count = max(1, BLOCK_BYTES // (self.bytes_each * multiple)) * multiple
        pieces = [order[start : start + count] for start in range(0, len(order), count)]
        with self.read_ahead((rows, *self.gather(rows)) for rows in pieces) as ready:
            yield from ready

    def sums(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield all windows once as (rows, ``(b, D)`` float32 sums of their steps); of frames, of some pixels."""
        for rows, features, _ in self.blocks():
            yield rows, some_pixels(features, self.data.shape).sum(axis=1, dtype=np.float32)

    def read_ahead(self, pieces: Iterable[T]) -> contextlib.AbstractContextManager[Iterable[T]]:
        """``pieces``, whose making gathers features: made ahead in a thread where they come from files."""
        return contextlib.nullcontext(pieces) if self.data.features.in_memory else prefetch(pieces, 1)


def windows_of(data: Dataset, rows: np.ndarray, spec: WindowSpec) -> Windows:
    """The windows over the videos ``rows``, in that order; with labels of frames, those without any are left out."""
    starts = [spec.starts(int(data.steps[row])) for row in rows]
    counts = [len(of_one) for of_one in starts]
    video = np.repeat(np.asarray(rows, np.int64), counts)
    start = np.concatenate(starts).astype(np.int64) if starts else np.zeros(0, np.int64)
    if data.step_labels is None:
        return Windows(data, spec.length, video, start, data.labels[video])
    labels = np.array(
        [_majority(data, int(row), int(begin), spec.length) for row, begin in zip(video, start, strict=True)]
    )
    known = labels >= 0 if len(labels) else np.zeros(0, bool)
    return Windows(data, spec.length, video[known], start[known], labels[known])


def _majority(data: Dataset, row: int, start: int, length: int) -> int:
    """The most frequent class of a window's labelled frames; -1 where none is labelled."""
    assert data.step_labels is not None
    end = min(start + length, int(data.steps[row]))
    labels = data.step_labels[data.offsets[row] + start : data.offsets[row] + end]
    labels = labels[labels >= 0]
    return int(np.bincount(labels).argmax()) if len(labels) else -1


def check_window(data: Dataset, spec: WindowSpec) -> None:
    """Refuse a window that no video fills.

    Raises:
        UserError: it is longer than every sequence.
    """
    longest = int(data.steps.max())
    if spec.length > longest:
        raise UserError(
            f"a window of {spec.length} steps is longer than every video of {data.folder} (the longest has "
            f"{longest}); use `window={longest}` or less"
        )
