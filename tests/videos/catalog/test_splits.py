"""Splits: no group on both sides, every class in its share, the same for a seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.official_splits import SplitEntry, apply_lists, read_list
from pipeline.videos.catalog.splits import Shares, arrange, assign_folds, assign_splits, gaps, groups_of


def video(name: str, label: str = "a", group: str = "") -> Video:
    return Video(name, Path("/v") / name, label, group=group)


VIDEOS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=80).map(
    lambda rows: [video(f"{i}.mp4", label, f"g{group}" if group else "") for i, (label, group) in enumerate(rows)]
)


@given(VIDEOS, st.integers(0, 5), st.sampled_from([(0.7, 0.15, 0.15), (8, 0, 2), (1, 1, 1), (1, 0, 0)]))
def test_no_group_crosses_and_nothing_is_lost(videos, seed, shares):
    divided = assign_splits(videos, Shares(*shares), seed=seed)
    assert [v.name for v in divided] == [v.name for v in videos]
    allowed = {split for split, share in Shares(*shares).by_split.items() if share}
    assert {v.split for v in divided} <= allowed
    for group in {v.group for v in videos} - {""}:
        assert len({v.split for v in divided if v.group == group}) == 1
    assert divided == assign_splits(videos, Shares(*shares), seed=seed)


@given(st.integers(20, 60), st.integers(1, 4), st.integers(0, 9))
def test_every_class_gets_its_share(groups, size, seed):
    videos = [
        video(f"{label}{g}_{i}.mp4", label, f"{label}{g}")
        for label in "abc"
        for g in range(groups)
        for i in range(size)
    ]
    counts = Counter((v.label, v.split) for v in assign_splits(videos, Shares(), seed=seed))
    for label in "abc":
        for split, share in Shares().by_split.items():
            assert abs(counts[label, split] / (groups * size) - share) <= 1.5 / groups


def test_few_groups_go_to_train_and_test_first():
    videos = [video(f"{n}.mp4", "a", f"g{n}") for n in range(2)] + [video("x.mp4", "b")]
    divided = assign_splits(videos, Shares())
    assert sorted(v.split for v in divided if v.label == "a") == ["test", "train"]
    assert [v.split for v in divided if v.label == "b"] == ["train"]
    assert gaps(divided, Shares()) == [
        "class 'a' has no videos in val: it has only 2 group(s)",
        "class 'b' has no videos in val and test: it has only 1 group(s)",
    ]


def test_seeds_differ():
    videos = [video(f"{n}.mp4") for n in range(40)]
    assert len({tuple(v.split for v in assign_splits(videos, Shares(), seed=seed)) for seed in range(5)}) == 5


def test_shares_that_cannot_be():
    for shares in ((0, 1, 1), (1, -1, 0), (0, 0, 0)):
        with pytest.raises(UserError, match="cannot be"):
            Shares(*shares)


@given(st.integers(6, 40), st.integers(1, 4), st.integers(2, 6), st.integers(0, 9))
def test_folds_keep_groups_together_and_classes_even(groups, size, folds, seed):
    videos = [
        video(f"{label}{g}_{i}.mp4", label, f"{label}{g}")
        for label in "abc"
        for g in range(groups)
        for i in range(size)
    ]
    of = assign_folds(videos, folds, seed=seed)
    assert len({(v.group, fold) for v, fold in zip(videos, of, strict=True)}) == 3 * groups
    for label in "abc":
        sizes = Counter(fold for v, fold in zip(videos, of, strict=True) if v.label == label)
        assert len(sizes) == folds
        assert max(sizes.values()) - min(sizes.values()) <= size
    assert of == assign_folds(videos, folds, seed=seed)


def test_a_class_in_one_group_is_in_train_whatever_else_is_in_the_group():
    videos = [video(f"{n}.mp4", "a", f"g{n % 8}") for n in range(40)] + [video("x.mp4", "b", "g3")]
    for seed in range(5):
        assert assign_splits(videos, Shares(0.2, 0.4, 0.4), seed=seed)[-1].split == "train"


def test_a_class_in_one_group_is_in_no_fold_where_it_is_kept():
    videos = [video(f"{n}.mp4", "a", f"g{n % 8}") for n in range(40)] + [video("x.mp4", "b", "lone")]
    of = assign_folds(videos, 4, keep_lone=True)
    assert of[-1] == -1
    assert set(of[:-1]) == {0, 1, 2, 3}
    assert set(assign_folds(videos, 4)) == {0, 1, 2, 3}


def test_shares_are_fractions_of_their_sum_and_by_default_seven_tenths_and_what_is_left_in_halves():
    assert Shares(7, 2, 1).by_split == {"train": 0.7, "val": 0.2, "test": 0.1}
    assert Shares().by_split == pytest.approx({"train": 0.7, "val": 0.15, "test": 0.15})


def test_without_a_seed_it_is_the_first():
    videos = [video(f"{n}.mp4") for n in range(40)]
    assert assign_splits(videos, Shares()) == assign_splits(videos, Shares(), seed=0)
    assert assign_folds(videos, 3) == assign_folds(videos, 3, seed=0)


# -- groups ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "names", "groups"),
    [
        (r"person\d", ("a/person1.mp4", "b/person1_mirrored.mp4", "b/person2.mp4"), ["person1", "person1", "person2"]),
        (r"_(p\d)_", ("a_p1_x", "b_p1_y"), ["p1", "p1"]),
        ("auto", ("a/v_Archery_g01_c01.avi", "v_Archery_g01_c02.avi"), ["Archery_g01", "Archery_g01"]),
        ("none", ("a", "b"), ["a", "b"]),
    ],
)
def test_groups_by_rule(rule, names, groups):
    assert groups_of([video(name) for name in names], rule)[0] == groups


def test_the_column_counts_where_it_is_filled():
    listed = [video("a", group="tape 1"), video("b", group="tape 1"), video("c")]
    for rule in (None, "column", "auto"):
        assert groups_of(listed, rule)[0] == ["tape 1", "tape 1", "video c"]


@pytest.mark.parametrize(
    ("rule", "part"), [("person(", "regular expression"), ("dog", "matches no"), ("column", "no groups")]
)
def test_useless_rules_are_refused(rule, part):
    with pytest.raises(UserError, match=part):
        groups_of([video("a/person1.mp4")], rule)


def test_videos_without_a_match_are_counted():
    _, notes = groups_of([video("person1"), video("person2"), video("dog")], r"person\d")
    assert notes == ("1 video that the group rule does not match stand alone",)


def test_links_and_moves(tmp_path):
    for name in ("a/1.mp4", "b/1.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    videos = [Video(n, tmp_path / n, "x", "train") for n in ("a/1.mp4", "b/1.mp4")]
    linked = arrange(videos, tmp_path / "links", move=False)
    assert [v.name for v in linked] == ["train/x/1.mp4", "train/x/b_1.mp4"]
    assert [v.path.read_text() for v in linked] == ["a/1.mp4", "b/1.mp4"]
    with pytest.raises(UserError, match="exists already"):
        arrange(videos, tmp_path / "links", move=True)
    assert (tmp_path / "a" / "1.mp4").exists()
    moved = arrange(videos, tmp_path / "moved", move=True)
    assert not (tmp_path / "a" / "1.mp4").exists()
    assert [v.path.read_text() for v in moved] == ["a/1.mp4", "b/1.mp4"]
    with pytest.raises(UserError, match="does not exist; nothing was moved"):
        arrange(videos, tmp_path / "again", move=True)


# -- official lists --------------------------------------------------------------------------------


def test_ucf101(tmp_path):
    (tmp_path / "classInd.txt").write_text("1 ApplyEyeMakeup\r\n2 Archery\r\n")
    (tmp_path / "trainlist01.txt").write_text(
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nArchery/v_Archery_g08_c02.avi 2\r\n"
    )
    (tmp_path / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\n")
    assert read_list(tmp_path / "trainlist01.txt") == [
        SplitEntry("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01", "ApplyEyeMakeup", "train", "ApplyEyeMakeup_g08"),
        SplitEntry("Archery/v_Archery_g08_c02", "Archery", "train", "Archery_g08"),
    ]
    assert read_list(tmp_path / "testlist01.txt")[0].split == "test"
    (tmp_path / "trainlist02.txt").write_text("Archery/v_Archery_g08_c02.avi 1\n")
    with pytest.raises(UserError, match=r"trainlist02\.txt, line 1: .* the number of the class 'ApplyEyeMakeup'"):
        read_list(tmp_path / "trainlist02.txt")


def test_hmdb51(tmp_path):
    path = tmp_path / "brush_hair_test_split1.txt"
    path.write_text("April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \nb (2).avi 2 \nc.avi 0 \n")
    assert read_list(path) == [
        SplitEntry("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0", "brush_hair", "train"),
        SplitEntry("brush_hair/b (2)", "brush_hair", "test"),
    ]
    path.write_text("a.avi 7\n")
    with pytest.raises(UserError, match=r"line 1: 'a\.avi 7' is not a line of an HMDB51 list"):
        read_list(path)


def test_kinetics(tmp_path):
    path = tmp_path / "validate.csv"
    path.write_text("label,youtube_id,time_start,time_end,split,is_cc\ntesting apple,---QUuC4vJs,84,94,validate,0\n")
    assert read_list(path) == [SplitEntry("---QUuC4vJs_000084_000094", "testing apple", "val", "---QUuC4vJs")]


def test_video_name_and_tag(tmp_path):
    (tmp_path / "test.csv").write_text(",video_name,tag\n0,v_Archery_g01_c01.avi,Archery\n")
    assert read_list(tmp_path / "test.csv") == [SplitEntry("v_Archery_g01_c01", "Archery", "test")]
    for name, text, message in (
        ("list.csv", "video_name,tag\na.avi,b\n", "does not say which split"),
        ("train.csv", "name\na\n", "has the columns name"),
        ("train.csv", "video_name,tag\n,b\n", "line 2: the column 'video_name' is empty"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=message):
            read_list(tmp_path / name)


def test_lists_are_matched_with_files():
    videos = [video("Archery/v1.avi", "Archery"), video("deep/Archery/v2.avi"), video("Archery/v3.avi")]
    entries = [
        SplitEntry("Archery/v1", "Archery", "train"),
        SplitEntry("v2", "Archery", "test"),
        SplitEntry("v9", "Archery", "test"),
    ]
    applied = apply_lists(videos, entries)
    assert [(v.name, v.split) for v in applied.videos] == [("Archery/v1.avi", "train"), ("deep/Archery/v2.avi", "test")]
    assert applied.missing == ["v9"]
    assert applied.unlisted == ["Archery/v3.avi"]
    with pytest.raises(UserError, match="listed for train and for test"):
        apply_lists(videos, [SplitEntry("v1", "Archery", "train"), SplitEntry("v1", "Archery", "test")])
    with pytest.raises(UserError, match="2 files have that name"):
        apply_lists([video("a/1.avi"), video("b/1.avi")], [SplitEntry("1", "a", "train")])
