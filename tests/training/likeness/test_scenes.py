"""Scenes that tell the class are found where each class has its own, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.extraction.store.timesteps import LoadedSteps
from pipeline.training.data.dataset import open_dataset
from pipeline.training.data.splits import make_split
from pipeline.training.likeness.scenes import scene_warning, told_by_scenes

WIDTH, CLASSES = 256, 6


def draw(seed, *, rooms, clips, own=True, look=0.0, noise=0.4, classes=CLASSES):
    """First steps of clips in rooms, their labels, and their rooms.

    Args:
        seed: of the drawing.
        rooms: of each class.
        clips: in each room.
        own: whether each class has rooms of its own, or all are filmed in all of them.
        look: how far classes differ wherever they are filmed.
        noise: how far clips of a room differ.
        classes: how many.
    """
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), rooms * clips)
    room = np.repeat(np.arange(classes * rooms), clips)
    if not own:
        room = random.permutation(room)
    steps = random.normal(size=(classes * rooms, WIDTH))[room] + look * random.normal(size=(classes, WIDTH))[labels]
    return (steps + noise * random.normal(size=(len(labels), WIDTH))).astype(np.float32), labels, room


def told(steps, labels, groups=None, means=None):
    groups = np.arange(len(labels)) if groups is None else groups
    return told_by_scenes(steps, steps if means is None else means, labels, int(labels.max()) + 1, groups)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(("rooms", "clips"), [(2, 20), (3, 14), (5, 8)])
def test_rooms_of_its_own_give_each_class_away(seed, noise, rooms, clips):
    found = told(*draw(seed, rooms=rooms, clips=clips, noise=noise)[:2])
    assert found.told.sum() >= CLASSES / 2
    assert (found.seen[found.told] > 0.9).all()
    assert np.nanmax(found.unseen) < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_one_room_for_each_class_gives_it_away(seed):
    assert told(*draw(seed, rooms=1, clips=40, noise=0.25)[:2]).alone.all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "given",
    [
        {"rooms": 3, "clips": 14, "own": False, "look": 0.3},  # all classes in the same rooms
        {"rooms": 3, "clips": 14, "own": False, "look": 0.0},  # likewise, and the first frame says nothing
        {"rooms": 25, "clips": 5, "look": 0.8},  # recordings of one class each that look alike, as in UCF101
        {"rooms": 25, "clips": 5, "look": 0.4},
        {"rooms": 3, "clips": 14, "look": 1.0},  # few rooms, and a look that goes along
        {"rooms": 40, "clips": 1, "look": 0.5},  # each clip in a place of its own
    ],
)
def test_classes_that_are_known_anywhere_are_not_given_away(seed, given):
    assert not told(*draw(seed, **given)[:2]).told.any()


def test_classes_that_the_other_steps_tell_are_not_given_away():
    steps, labels, _ = draw(0, rooms=3, clips=14)
    happens = 2 * np.random.default_rng(1).normal(size=(CLASSES, WIDTH)).astype(np.float32)
    assert told(steps, labels).told.all()
    assert not told(steps, labels, means=steps + happens[labels]).told.any()


def test_groups_that_are_known_are_scenes_too():
    steps, labels, room = draw(0, rooms=3, clips=14, noise=1.6)
    assert not told(steps, labels).told.any(), "the rooms are too hard to see"
    assert told(steps, labels, room).told.all()


def as_data(make_store, steps, labels):
    """A store of sequences that begin as given."""
    data = open_dataset(make_store(per_class=len(labels) // CLASSES, classes=tuple("abcdef")))
    features = np.random.default_rng(9).normal(size=(len(data.features), WIDTH)).astype(np.float32)
    for row, step in enumerate(steps):
        features[data.places_of(row)] += 3 * step
        features[data.offsets[row]] = step
    assert (data.labels == labels).all()
    return replace(data, features=LoadedSteps(features))


def test_the_sentence_has_its_figures_and_looks_at_no_test_video(make_store):
    steps, labels, _ = draw(0, rooms=3, clips=14)
    data = as_data(make_store, steps, labels)
    split = make_split(data, data.names)
    said = scene_warning(data, split, data.names)
    assert said.startswith(
        "the scene tells the class: from its first frame alone a clip is told rightly in 100% of cases"
    )
    assert "(chance 17%)" in said
    steps[split.test] = np.random.default_rng(3).normal(size=(len(split.test), WIDTH))
    assert scene_warning(as_data(make_store, steps, labels), split, data.names) == said


def test_one_class_in_a_place_of_its_own_is_named(make_store):
    steps, labels, _ = draw(0, rooms=40, clips=1, look=0.6)
    random = np.random.default_rng(5)
    steps[labels == 3] = random.normal(size=WIDTH) + 0.25 * random.normal(size=((labels == 3).sum(), WIDTH))
    data = as_data(make_store, steps, labels)
    said = scene_warning(data, make_split(data, data.names), data.names)
    assert said.startswith("the scene may tell the class: all clips of 'd' look alike from the first frame on")


def test_classes_with_a_few_videos_are_not_judged():
    assert not told(*draw(0, rooms=2, clips=2, noise=0.3)[:2]).told.any()
    assert not told(np.ones((40, 5), np.float32), np.arange(40) % 2).told.any()  # all alike, and no likeness to judge
