"""Leaks that were planted are found and named; a clean split has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.training.data.splits import make_split
from pipeline.training.likeness.leakage import LeakReport, NearDuplicate, find_leaks
from pipeline.videos.catalog.splits import groups_of


def test_a_grouped_split_of_different_videos_is_clean(data):
    groups, _ = groups_of(data.videos, r"g\d")
    report = find_leaks(data, make_split(data, groups), groups, threshold=0.9999)
    assert not report
    assert (report.groups, report.near_duplicates, report.near_duplicate_count) == ((), (), 0)
    assert report.lines() == []
    torn = find_leaks(data, make_split(data, data.names), groups, threshold=0.9999)
    assert {crossing.group for crossing in torn.groups} == set(groups), "a split of single videos tears them all"


def test_a_copy_under_another_name_is_named(data):
    groups = data.names
    split = make_split(data, groups)
    seen, copy = int(split.train[0]), int(split.test[0])
    # The copied sequence takes the place of a test video that is as long.
    features, offsets, steps = data.features, data.offsets.copy(), data.steps.copy()
    offsets[copy], steps[copy] = offsets[seen], steps[seen]
    report = find_leaks(replace(data, features=features, offsets=offsets, steps=steps), split, groups)
    found = report.near_duplicates[0]
    assert (found.split, found.video) == ("test", data.videos[copy].name)
    assert (found.other_split, found.other) == ("train", data.videos[seen].name)
    assert found.cosine > 0.9999
    assert data.videos[copy].name in report.lines()[0]
    assert data.videos[seen].name in report.lines()[0]
    assert report.to_json()["near_duplicates"] == report.near_duplicate_count == len(report.near_duplicates)


def test_what_is_listed_of_many_leaks_is_said():
    near_duplicates = tuple(NearDuplicate("test", f"b{i}.mp4", "train", f"a{i}.mp4", 1.0) for i in range(50))
    assert LeakReport((), near_duplicates[:6], 6).lines()[-1] == "leak: 1 more; report.html and results.json have all"
    report = LeakReport((), near_duplicates, 9_999)
    assert report.lines()[-1] == "leak: 9,994 more; report.html and results.json have the first 50 of each kind"
    assert report.to_json()["near_duplicates"] == 9_999


def test_a_group_on_two_sides_is_named_with_its_videos(data):
    groups, _ = groups_of(data.videos, r"g\d")
    split = make_split(data, groups)
    moved = int(split.test[0])
    torn = replace(split, train=np.append(split.train, moved), test=split.test[1:])
    report = find_leaks(data, torn, groups)
    assert [crossing.group for crossing in report.groups] == [groups[moved]]
    assert data.videos[moved].name in report.groups[0].splits["train"]
    assert f"group {groups[moved]!r} crosses the split" in report.lines()[0]


def test_a_pair_below_the_threshold_is_named_where_it_is_near(data):
    split = make_split(data, data.names)
    means = np.random.default_rng(0).normal(size=(len(data), 40)).astype(np.float32)
    one, other = int(split.train[0]), int(split.test[0])
    means[other] = means[one] + 0.2 * means[split.val[0]]
    near = replace(data)
    near.__dict__["means"] = means  # in the place of the cached property
    report = find_leaks(near, split, data.names, threshold=0.9999)
    assert not report
    assert report.closest is not None
    assert {report.closest.video, report.closest.other} == {data.videos[one].name, data.videos[other].name}
    assert 0.95 < report.to_json()["closest"]["cosine"] < 0.9999
    means[other] = means[split.val[0]] * 0.5 + means[one]
    assert find_leaks(near, split, data.names, threshold=0.9999).closest is None
