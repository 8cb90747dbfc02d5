"""Groups by sight: copies stand on one side, what is known stays, and nothing is refused that was not asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.data.dataset import open_dataset
from pipeline.training.data.splits import make_split
from pipeline.training.likeness.groups import groups_for
from pipeline.training.likeness.leakage import find_leaks
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.quality.problems import PROBLEMS_FILE, Problem, write_problems


def with_copies(data, copies: int):
    """The videos of a store, of which those from the fourth of each class on repeat the one ``copies`` before them."""
    offsets, steps = data.offsets.copy(), data.steps.copy()
    for label in range(len(data.classes)):
        rows = np.flatnonzero(data.labels == label)
        for place, row in enumerate(rows):
            original = rows[place - place % copies]
            offsets[row], steps[row] = data.offsets[original], data.steps[original]
    return replace(data, offsets=offsets, steps=steps)


def in_one_group(groups, data, label, places) -> bool:
    rows = np.flatnonzero(data.labels == label)[places]
    return len({groups[row] for row in rows}) == 1


def test_copies_are_one_group_and_no_split_has_them_on_two_sides(data):
    copied = with_copies(data, 3)
    groups, notes = groups_for(copied)
    assert len(set(groups)) == 12
    assert notes == ("36 videos fall into 12 groups of near-identical ones; `group=none` splits them apart",)
    assert all(in_one_group(groups, data, label, slice(0, 3)) for label in range(3))
    leaks = find_leaks(copied, make_split(copied, groups), groups)
    assert leaks.near_duplicate_count == 0
    alone, _ = groups_for(copied, "none")
    assert find_leaks(copied, make_split(copied, alone), alone).near_duplicate_count > 0


def test_videos_that_differ_stand_alone_without_a_word(data):
    different = replace(data, sources=(replace(data.sources[0], weights_source="random:0"),))  # copies alone are near
    assert groups_for(different) == (data.names, ())


def test_similar_adds_to_what_is_known(make_store):
    data = with_copies(open_dataset(make_store(per_class=24)), 2)
    videos = tuple(replace(video, group=f"tape {row // 3}") for row, video in enumerate(data.videos))
    recipe = replace(data.recipe, backbone="inceptionv3")  # whose threshold is no matter of these drawn features
    data = replace(data, videos=videos, sources=(replace(data.sources[0], recipe=recipe),))
    assert groups_for(data) == ([video.group for video in videos], ()), "known groups count alone"
    groups, notes = groups_for(data, "similar")
    assert groups == [f"tape {row // 6 * 2}" for row in range(72)], "a copy on two tapes makes them one"
    assert notes == ("72 videos fall into 12 groups of near-identical ones; `group=none` splits them apart",)


def test_what_cannot_be_divided_is_split_apart_and_said_unless_it_was_asked_for(data):
    copied = with_copies(data, 12)
    groups, notes = groups_for(copied)
    assert groups == data.names
    assert "3 groups of near-identical ones, too few to divide: they are split apart" in notes[0]
    make_split(copied, groups)
    with pytest.raises(UserError, match="`group=similar`: all 36 videos fall into 3 groups"):
        groups_for(copied, "similar")


def test_copies_that_check_has_found_stand_on_one_side(data, tmp_path):
    data = replace(data, sources=(replace(data.sources[0], weights_source="random:0"),))
    videos = tuple(replace(video, path=tmp_path / video.name) for video in data.videos)
    first, second, third, fourth = (videos[row].name for row in (0, 20, 5, 30))
    problems = [
        Problem(second, "near duplicate across", f"of {first} (class walk and jump)"),
        Problem(fourth, "exact duplicate", f"of {third}"),
        Problem(first, "dark", "brightest 3"),
        Problem(first, "near duplicate", "of gone.mp4"),
    ]
    write_problems(problems, [Video(video.name, video.path) for video in videos], tmp_path / PROBLEMS_FILE)
    groups, notes = groups_for(replace(data, videos=videos))
    assert (groups[20], groups[30]) == (groups[0], groups[5])
    assert len(set(groups)) == 34
    assert notes == ("2 pairs of copies in problems.csv stand on one side",)
    (tmp_path / PROBLEMS_FILE).write_text("something,else\n1,2\n")
    assert groups_for(replace(data, videos=videos)) == (data.names, ())
