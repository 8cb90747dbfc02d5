"""A sheet of the sequences that a network on frames is trained on, drawn from a frame cache."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from pipeline.errors import UserError
from pipeline.extraction.inputs.augmentation import FrameAugmentation, numbers_for
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.timesteps import StoredSteps
from pipeline.training.data.windows import WindowSpec
from pipeline.videos.catalog.catalog import Video

_TITLE = 26  # letters of a name that have room


@dataclass(frozen=True)
class Sample:
    """A sequence, or a window of one."""

    title: str
    times: np.ndarray
    """``(k,)`` float64, seconds after the first frame of the video."""
    images: np.ndarray
    """``(k, H, W, 3)`` uint8."""


def draw_samples(
    store: FeatureStore,
    *,
    videos: int = 8,
    columns: int = 8,
    window: WindowSpec | None = None,
    augmentation: FrameAugmentation | None = None,
    seed: int = 0,
) -> list[Sample]:
    """Sequences of some videos, classes in turn.

    Args:
        store: a frame cache.
        videos: how many.
        columns: the most images of a sequence, spread over it.
        window: show each window by itself instead of the whole sequence.
        augmentation: show each sequence once more, varied in this way.
        seed: of the choice, and of what is drawn for the augmentation.

    Raises:
        UserError: the store holds features or nothing.
    """
    if len(store.shape) != 3:
        raise UserError(
            f"{store.folder} holds features, which cannot be looked at; extract with the backbone frames or flow"
        )
    samples = []
    for video in _in_turn([video for video in store.catalog if video.name in store.entries], videos, seed):
        sequence = store.read(video.name)
        name = video.name if len(video.name) <= _TITLE else "…" + video.name[1 - _TITLE :]
        title = f"{name}\n{video.label}" if video.label else name
        starts = [0] if window is None else window.starts(len(sequence.times)).tolist()
        for start in starts:
            end = len(sequence.times) if window is None else min(len(sequence.times), start + window.length)
            shown = start + np.unique(np.linspace(0, end - start - 1, min(columns, end - start)).round().astype(int))
            samples.append(Sample(title, sequence.times[shown], sequence.features[shown]))
            if augmentation:
                from pipeline.extraction.inputs.augment_layer import augmenter  # takes Keras

                numbers = numbers_for(video.name, len(samples), seed)
                varied = augmenter(augmentation, numbers)(sequence.features[start:end])
                samples.append(Sample("augmented", sequence.times[shown], varied[shown - start]))
    return samples


def seconds_apart(store: FeatureStore) -> np.ndarray:
    """``(n,)`` float64, median time between the steps of each video; nan where there is one step only."""
    stored = StoredSteps(store, store.entries)
    gaps = [np.diff(stored.times[first : first + store.entries[video].steps]) for video, first in stored.first.items()]
    return np.array([np.median(gap) if len(gap) else np.nan for gap in gaps])


def _in_turn(videos: Sequence[Video], count: int, seed: int) -> list[Video]:
    """Some videos: one of each class, another one of each, ..., then sorted as they were."""
    by_class: dict[str, list[int]] = defaultdict(list)
    for row in np.random.default_rng(seed).permutation(len(videos)):
        by_class[videos[row].label].append(int(row))
    turns = [(turn, row) for rows in by_class.values() for turn, row in enumerate(rows)]
    return [videos[row] for row in sorted(row for _, row in sorted(turns)[:count])]


def contact_sheet(samples: Sequence[Sample]) -> Figure:
    """A row for each sample: its name, and its images with their times."""
    columns = max(len(sample.times) for sample in samples)
    height, width = samples[0].images.shape[1:3]
    cell = 1.25
    figure = Figure(figsize=(1.9 + cell * columns * width / height, 0.25 + (cell + 0.22) * len(samples)), dpi=130)
    grid = figure.subplots(len(samples), columns, squeeze=False)
    for sample, cells in zip(samples, grid, strict=True):
        for axes in cells:
            axes.axis("off")
        for axes, time, image in zip(cells, sample.times, sample.images, strict=False):
            axes.imshow(np.broadcast_to(image, (*image.shape[:2], 3)), interpolation="nearest")
            axes.set_title(f"{time:.2f} s", fontsize=7, pad=2)
        cells[0].text(
            -0.08, 0.5, sample.title, transform=cells[0].transAxes, ha="right", va="center", fontsize=7, wrap=False
        )
    figure.subplots_adjust(
        left=1.8 / figure.get_figwidth(), right=0.995, top=1 - 0.2 / figure.get_figheight(), bottom=0.01,
        wspace=0.04, hspace=0.2,
    )  # fmt: skip
    return figure
