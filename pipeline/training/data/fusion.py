"""Two stores of the same videos, side by side: features of colours and of motion in one vector.

Source: Simonyan and Zisserman 2014, Two-Stream Convolutional Networks; here the streams meet before the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.extraction.store.timesteps import Steps
from pipeline.training.data.dataset import Dataset


class FusedSteps:
    """The steps of two stores side by side; see `pipeline.extraction.store.timesteps.Steps`.

    Args:
        one: steps ``(n, D1)``, or frames ``(n, H, W, C1)``.
        other: steps ``(n, D2)``, or frames ``(n, H, W, C2)``, of the same frames, in any order of the sequences.
        places: ``(n,)`` int64, the place in ``other`` of each step of ``one``; rising by 1 inside a sequence.
    """

    def __init__(self, one: Steps, other: Steps, places: np.ndarray) -> None:
        self._one, self._other, self._places = one, other, places
        self.shape: tuple[int, ...] = (*one.shape[:-1], one.shape[-1] + other.shape[-1])
        self.dtype = np.result_type(one.dtype, other.dtype)
        self.in_memory = one.in_memory and other.in_memory

    def __repr__(self) -> str:
        return f"FusedSteps({self._one}, {self._other})"

    def __len__(self) -> int:
        return len(self._one)

    @property
    def nbytes(self) -> int:
        """What both take in memory."""
        return self._one.nbytes + self._other.nbytes

    def gather(self, firsts: np.ndarray, counts: np.ndarray, length: int) -> np.ndarray:
        """See `Steps.gather`."""
        left = self._one.gather(firsts, counts, length)
        right = self._other.gather(self._places[firsts], counts, length)
        return np.concatenate([left, right], axis=-1, dtype=self.dtype)


def fuse_stores(data: Dataset, other: Dataset) -> Dataset:
    """Put the features of ``other`` beside those of ``data``, ``(T, D1 + D2)``, or frames by their channels.

    Labels, splits and groups are those of ``data``.

    Raises:
        UserError: the stores differ in their videos or in the frames of one, hold frames of different sizes, or one
            frames and the other one features, hold int8 features, or are of the same recipe.
    """
    if data.shape[:-1] != other.shape[:-1]:
        raise UserError(
            f"a step of {data.folder} has the shape {data.shape}, and one of {other.folder} {other.shape}; joined are "
            "two stores of features, or two of frames of one size"
        )
    for one in (data, other):
        if one.recipe.quantised:
            raise UserError(f"{one.folder} holds int8 features; only float features can be joined")
    if data.recipe == other.recipe:
        raise UserError(f"{data.folder} and {other.folder} have the same recipe, so joining them adds nothing")
    sampled = data.recipe.sampling, other.recipe.sampling
    if (data.recipe.clip or other.recipe.clip) and sampled[0] != sampled[1]:
        raise UserError(
            f"{data.folder} was sampled by {sampled[0]} and {other.folder} by {sampled[1]}; clips of frames are joined "
            "with the same clips only, so extract both by one sampling"
        )
    row_of = {video.name: row for row, video in enumerate(other.videos)}
    places = np.empty(len(data.features), np.int64)
    for row, video in enumerate(data.videos):
        if video.name not in row_of:
            raise UserError(f"{other.folder} lacks {video.name}, which {data.folder} has; extract it there too")
        there = row_of[video.name]
        mine, theirs = data.places_of(row), other.places_of(there)
        if not np.array_equal(data.frames[mine], other.frames[theirs]):
            raise UserError(
                f"{video.name} has other steps in {other.folder} ({other.recipe.sampling}, {other.steps[there]} steps) "
                f"than in {data.folder} ({data.recipe.sampling}, {data.steps[row]}); join stores of the same sampling"
            )
        places[mine] = np.arange(theirs.start, theirs.stop)
    return replace(
        data,
        features=FusedSteps(data.features, other.features, places),
        copies=None,  # those of two stores need not be varied in the same way
        sources=data.sources + other.sources,
        precision=",".join(sorted({data.precision, other.precision} - {""})),
    )


def check_sources(folder: Path, wanted: Sequence[FeatureSource], given: Sequence[FeatureSource]) -> None:
    """Refuse a second store of another recipe than a checkpoint was trained on, a missing one or one too many.

    Args:
        folder: the checkpoint.
        wanted: what it was trained on.
        given: what it is to be applied to.

    Raises:
        UserError: the line says what to do.
    """
    if len(wanted) < len(given):
        raise UserError(f"{folder} was trained on one store; leave out `fuse`")
    if len(wanted) > len(given):
        second = f"{wanted[1].recipe.backbone}, input {wanted[1].recipe.input}"
        raise UserError(f"{folder} was trained on two stores; name the second one ({second}) by `fuse`")
    for there, here in zip(wanted[1:], given[1:], strict=True):
        if there.recipe != here.recipe:
            raise UserError(
                f"the joined store has features of another recipe than {folder} was trained on: "
                f"{here.recipe.differences(there.recipe)}"
            )
