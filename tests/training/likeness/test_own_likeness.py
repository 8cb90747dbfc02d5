"""The threshold of near-duplicates is the network's own: what it calls alike, measured on the videos themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training.data.dataset import Dataset, open_dataset
from pipeline.training.likeness.groups import THRESHOLD, threshold_for
from pipeline.training.likeness.near_duplicates import near_groups
from pipeline.training.likeness.own_likeness import COPY_THRESHOLD, LOWEST, measured_threshold


def seen_by(data: Dataset, *, spread: float, wander: float, twins: int = 6) -> Dataset:
    """The videos as a network sees them: each at a place of its own, ``spread`` from the others, and ``wander`` from
    there in each step; the first ``twins`` are followed, three videos of their class on, by the same scene again."""
    draw = np.random.default_rng(1)
    width = data.features.shape[0]
    array = np.zeros((len(data.features), width), np.float32)
    shared = draw.standard_normal((len(data.classes), width))
    places = {}
    for row, label in enumerate(data.labels):
        places[row] = shared[label] + spread * draw.standard_normal(width)
        if row >= 3 and data.labels[row - 3] == label and row - 3 < twins:
            places[row] = places[row - 3]
        here = data.places_of(row)
        array[here] = places[row] + wander * draw.standard_normal((here.stop - here.start, width))
    return replace(data, features=type(data.features)(array))


def as_of(data: Dataset, backbone: str, source: str = "imagenet") -> Dataset:
    recipe = replace(data.recipe, backbone=backbone)
    return replace(data, sources=(replace(data.sources[0], recipe=recipe, weights_source=source),))


@pytest.mark.parametrize(("spread", "wander"), [(0.2, 0.02), (1.0, 0.1), (0.05, 0.005)])
def test_the_same_scene_is_found_whatever_the_network_calls_alike(spread, wander, make_store):
    data = seen_by(as_of(open_dataset(make_store(per_class=12)), "file:dino"), spread=spread, wander=wander)
    threshold = threshold_for(data)
    assert LOWEST <= threshold <= COPY_THRESHOLD
    found = near_groups(data.means, threshold)
    pairs = {(a, b) for a in range(len(data)) for b in range(a) if found[a] == found[b]}
    long = data.steps >= 3  # of fewer steps the mean is as uncertain as they are
    scenes = {(row + 3, row) for row in range(6) if long[row] and long[row + 3]}
    assert scenes
    assert scenes <= pairs
    assert all(data.labels[a] == data.labels[b] for a, b in pairs)


def test_whose_constants_are_known_keeps_them(data):
    assert threshold_for(as_of(data, "inceptionv3")) == THRESHOLD
    assert threshold_for(as_of(data, "hub:dinov2_small")) == measured_threshold(data)
    assert threshold_for(as_of(data, "hub:dinov2_small", "random:0")) == COPY_THRESHOLD


def test_too_few_videos_measure_nothing(data):
    few = replace(data, steps=np.where(np.arange(len(data)) < 7, data.steps, 1))
    assert measured_threshold(few) is None
    assert threshold_for(as_of(few, "hub:dinov2_small")) == THRESHOLD


def test_videos_that_never_change_are_copies_of_copies_only(data):
    still = seen_by(data, spread=1.0, wander=0.0, twins=0)
    assert measured_threshold(still) == COPY_THRESHOLD
