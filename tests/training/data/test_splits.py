"""Splits: no group on two sides, nothing lost, and clear words where it cannot work."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.training.data.dataset import open_dataset
from pipeline.training.data.splits import make_folds, make_split
from pipeline.videos.catalog.splits import groups_of


def check(data, groups, split):
    parts = list(split.parts().values())
    assert sorted(np.concatenate(parts)) == list(range(len(data)))
    of_part = [{groups[row] for row in part} for part in parts]
    assert not of_part[0] & (of_part[1] | of_part[2])
    assert not of_part[1] & of_part[2]


@given(st.integers(0, 1000))
def test_a_drawn_split_keeps_groups_together_and_has_every_class(data, seed):
    groups, _ = groups_of(data.videos, r"g\d")
    split = make_split(data, groups, seed=seed)
    check(data, groups, split)
    for part in split.parts().values():
        assert set(data.labels[part]) == {0, 1, 2}


def test_the_same_seed_gives_the_same_split_and_another_seed_another(data):
    groups, _ = groups_of(data.videos, None)
    first, again, other = (make_split(data, groups, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


def test_folds_test_every_video_once(data):
    groups, _ = groups_of(data.videos, r"g\d")
    splits = make_folds(data, groups, 3)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(data)))
    for split in splits:
        check(data, groups, split)


def test_folders_decide_where_the_catalog_has_splits(make_store):
    data = open_dataset(make_store(splits=True))
    groups, _ = groups_of(data.videos, None)
    split = make_split(data, groups)
    for name, rows in split.parts().items():
        assert {data.videos[row].split for row in rows} == {name}
    drawn = make_split(data, groups, ignore=True)
    assert {data.videos[row].split for row in drawn.train} == {"train", "val", "test"}


def test_validation_comes_from_train_and_never_from_test(make_store):
    store = make_store(splits=True)
    path = store / "catalog.csv"
    path.write_text(path.read_text().replace("\nval,", "\ntrain,"))
    data = open_dataset(store)
    split = make_split(data, groups_of(data.videos, None)[0])
    assert len(split.val)
    assert {data.videos[row].split for row in split.val} == {"train"}
    assert {data.videos[row].split for row in split.test} == {"test"}
    assert any("taken from train" in note for note in split.notes)


def test_the_last_of_the_training_videos_may_validate_as_some_systems_do(make_store):
    """Ordered by class as the catalog is, they are of the last class only: which is why it is no default."""
    store = make_store(splits=True)
    path = store / "catalog.csv"
    path.write_text(path.read_text().replace("val,", "train,"))
    data = open_dataset(store)
    groups, _ = groups_of(data.videos, None)
    train = [row for row, video in enumerate(data.videos) if video.split == "train"]
    split = make_split(data, groups, val=0.3, last=True)
    first = int(len(train) * 0.7)
    assert split.train.tolist() == train[:first]
    assert split.val.tolist() == train[first:]
    assert {data.videos[row].label for row in split.val} == {"walk"}
    assert any("are for validation, of whatever class" in note for note in split.notes)
    with pytest.raises(UserError, match="leave out `val_last`"):
        make_split(open_dataset(make_store(splits=True)), groups, last=True)
    with pytest.raises(UserError, match="needs a catalog that says which videos are for training"):
        make_split(open_dataset(make_store()), groups, last=True)


def test_a_class_with_one_group_is_trained_on_and_said(make_store):
    store = make_store()
    lines = (store / "catalog.csv").read_text().splitlines(keepends=True)
    kept = [line for line in lines if ",jump," not in line or "jump_3" in line]
    assert len(kept) < len(lines)
    (store / "catalog.csv").write_text("".join(kept))
    data = open_dataset(store)
    split = make_split(data, groups_of(data.videos, None)[0])
    assert 0 in data.labels[split.train]
    assert any("'jump' has one group only (1 video)" in note for note in split.notes)
    assert any("no videos of 'jump' in test" in note for note in split.notes)


def test_one_class_only_is_refused(make_store):
    with pytest.raises(UserError, match="only the class 'run'"):
        open_dataset(make_store(classes=("run",)))


@pytest.mark.parametrize(("folds", "part"), [(1, "2 or more"), (7, "found 6")])
def test_impossible_folds_are_refused(data, folds, part):
    with pytest.raises(UserError, match=part):
        make_folds(data, groups_of(data.videos, r"g\d")[0], folds)


def test_one_group_cannot_be_divided(data):
    with pytest.raises(UserError, match="one group only"):
        make_split(data, ["all"] * len(data))


@pytest.mark.parametrize("seed", range(4))
def test_few_groups_a_class_still_leave_every_class_in_every_part(make_store, seed):
    """Five recordings of each of five classes: single folds of them would often lack a class."""
    data = open_dataset(make_store(per_class=15, classes=("a", "b", "c", "d", "e"), groups=5))
    groups, _ = groups_of(data.videos, r"\w/g\d")
    split = make_split(data, groups, seed=seed)
    assert not [note for note in split.notes if note.startswith("no videos of")]
    assert all(len(data.classes_in(rows)) == 5 for rows in split.parts().values())


def with_splits(make_store, **changed: str):
    """A store whose catalog says something else in the place of train, val or test."""
    store = make_store(splits=True)
    lines = (store / "catalog.csv").read_text().splitlines()
    first, rows = lines[0], [line.split(",", 1) for line in lines[1:]]
    assert first.startswith("split,")
    text = "\n".join([first, *(f"{changed.get(part, part)},{rest}" for part, rest in rows)])
    (store / "catalog.csv").write_text(text + "\n")
    return open_dataset(store)


def test_what_the_catalog_lacks_is_said_or_refused(make_store):
    data = with_splits(make_store, test="")
    split = make_split(data, data.names)
    assert len(split.test) == 0
    assert split.notes == (
        "9 videos without a split are not used",
        "the catalog has no test videos, so nothing is tested",
    )
    data = with_splits(make_store)
    assert make_split(data, data.names).notes == ()
    data = with_splits(make_store, train="val")
    with pytest.raises(UserError, match="the catalog has splits but no training videos"):
        make_split(data, data.names)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_impossible_shares_are_refused(data, share):
    for shares in ({"val": share}, {"test": share}):
        with pytest.raises(UserError, match="for validation or test is impossible"):
            make_split(data, data.names, **shares)
    with pytest.raises(UserError, match="for validation or test is impossible"):
        make_folds(data, data.names, 3, val=share)


def test_shares_are_those_asked_for(data):
    split = make_split(data, data.names, val=0.25, test=1 / 3)
    assert [len(part) for part in split.parts().values()] == [18, 6, 12]
    assert make_split(data, data.names).drawn_val == ()
    # Of 24 videos that each fold learns from, 8 of a class: a fifth is 1.6 of them, so 2.
    assert [len(fold.val) for fold in make_folds(data, data.names, 3)] == [6] * 3
    assert [len(fold.val) for fold in make_folds(data, data.names, 3, val=0.5)] == [12] * 3


def test_without_a_seed_folds_are_the_first(data):
    for fold, first in zip(make_folds(data, data.names, 3), make_folds(data, data.names, 3, seed=0), strict=True):
        assert fold.test.tolist() == first.test.tolist()
        assert fold.val.tolist() == first.val.tolist()


def test_what_is_said_of_drawn_validation_videos_stands_apart(make_store):
    """They are not drawn where members validate in turn, and then it is not said."""
    data = with_splits(make_store, val="train")
    of_jump = [row for row, video in enumerate(data.videos) if video.label == "jump"]
    groups = ["one" if row in of_jump else name for row, name in enumerate(data.names)]
    split = make_split(data, groups)
    lacks = "no videos of 'jump' in val"
    assert split.drawn_val is not None
    assert split.drawn_val[0].endswith(" validation videos taken from train")
    assert lacks in split.drawn_val
    assert split.notes[-2:] == split.drawn_val
