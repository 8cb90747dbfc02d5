"""Members: every video validates once, each member is a training of its own, and what is saved averages them."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.training.compute.apply_head import probabilities_of
from pipeline.training.data.dataset import open_dataset, windows_of
from pipeline.training.data.splits import make_split
from pipeline.training.data.windows import WindowSpec
from pipeline.training.experiments.experiment import state_files, train
from pipeline.training.experiments.save import save_run
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop.fit import fit_members, seed_of_member
from pipeline.training.loop.members import DEFAULT, FEW, share_out
from pipeline.training.loop.schedule import Epoch
from pipeline.training.loop.spec import TrainSpec
from pipeline.videos.catalog.splits import assign_folds, groups_of
from tests.training.stores import write_store

SPEC = TrainSpec(epochs=3, batch=8, learning_rate=0.01)
HEAD = head_spec("gru", units=8)


def planned(data, members, groups=None, head=HEAD):
    groups = groups or groups_of(data.videos, r"g\d")[0]
    split = make_split(data, groups)
    return share_out(data, split, groups, head, replace(SPEC, members=members)), groups, split


def pairs_of(data, members):
    plain = windows_of(data, members.split.train, WindowSpec(6))
    return plain, members.pairs(plain, plain, plain)


def without_seconds(history):
    return [replace(epoch, seconds=0, member=1) for epoch in history]


def test_every_training_video_validates_once_and_no_group_is_on_two_sides(data):
    members, groups, split = planned(data, 3)
    plain, pairs = pairs_of(data, members)
    assert set(members.split.train) == {*split.train, *split.val}, "drawn validation videos are learnt from"
    assert not len(members.split.val)
    assert (members.split.test == split.test).all()
    held = np.concatenate([val.video for _, val in pairs])
    assert sorted(held) == sorted(plain.video)
    for learnt, val in pairs:
        assert not {groups[row] for row in learnt.video} & {groups[row] for row in val.video}
        assert len(learnt) + len(val) == len(plain)


def test_a_validation_part_of_the_users_own_is_not_learnt_from(make_store):
    data = open_dataset(make_store(splits=True))
    members, _, split = planned(data, 3, data.names)
    assert (members.split.val == split.val).all()
    assert (members.split.train == split.train).all()


def test_one_head_beside_a_leak_is_stopped_by_groups_that_it_does_not_learn(make_store):
    data = open_dataset(make_store(splits=True))
    leaking = [f"{video.label} {row // 4}" for row, video in enumerate(data.videos)]  # each in train, val and test
    members, _, split = planned(data, 1, leaking)
    plain = windows_of(data, split.train, WindowSpec(6))
    val = windows_of(data, split.val, WindowSpec(6))
    [(learnt, held)] = members.pairs(plain, plain, val)
    assert len(learnt) + len(held) == len(plain)
    assert len(held)
    assert not {leaking[row] for row in learnt.video} & {leaking[row] for row in held.video}
    assert (members.split.val == split.val).all(), "the given parts stay"
    assert "9 groups of videos lie in both train and val" in members.notes[0]
    clean, _, _ = planned(data, 1, data.names)
    assert clean.pairs(plain, plain, val) == [(plain, val)]
    assert not clean.notes


def test_a_class_of_one_group_is_learnt_by_all_and_validates_none(data):
    groups = [
        "lone" if data.classes[label] == "jump" else name for label, name in zip(data.labels, data.names, strict=True)
    ]
    members, _, _ = planned(data, 3, groups)
    _, pairs = pairs_of(data, members)
    assert any("'jump' has one group only" in note for note in members.notes)
    for learnt, val in pairs:
        assert 0 in learnt.labels
        assert 0 not in val.labels


def test_a_class_in_fewer_groups_than_members_is_said(data):
    groups = [f"jump{row % 2}" if data.labels[row] == 0 else name for row, name in enumerate(data.names)]
    split = replace(make_split(data, data.names), train=np.arange(len(data)), val=np.zeros(0, int))
    members = share_out(data, split, groups, HEAD, replace(SPEC, members=4))
    assert any("'jump' lies in 2 groups, fewer than the 4 members" in note for note in members.notes)
    assert all(0 in learnt.labels for learnt, _ in pairs_of(data, members)[1])


def test_more_members_than_groups_are_refused_and_the_default_takes_fewer(data):
    with pytest.raises(UserError, match=r"`members=9`.* there are 5 .*`members=5` or less") as error:
        planned(data, 9)
    assert "\n" not in str(error.value)
    groups = [f"g{row % 5}" for row in range(len(data))]
    assert planned(data, None, groups)[0].count == len({groups[row] for row in planned(data, 1, groups)[2].train}) + 1
    assert planned(data, None, [f"g{row % 3}" for row in range(len(data))])[0].count == 1


def test_the_default_is_by_size_and_by_head(data):
    assert planned(data, None, data.names)[0].count == DEFAULT
    assert planned(data, None, head=head_spec("keras-example"))[0].count == 1
    assert planned(data, None, head=head_spec("lrcn", base="mobilenetv2", weights="random"))[0].count == 1
    split = make_split(data, data.names)
    many = replace(split, train=np.resize(split.train, FEW + 1))
    assert share_out(data, many, data.names, HEAD, SPEC).count == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=40), st.integers(2, 5))
def test_folds_that_keep_lone_groups(rows, folds):
    from pathlib import Path

    from pipeline.videos.catalog.catalog import Video

    videos = [Video(f"{i}", Path(f"{i}"), f"c{label}", "", f"g{group}") for i, (label, group) in enumerate(rows)]
    found = assign_folds(videos, folds, keep_lone=True)
    for group in {video.group for video in videos}:
        parts = {part for part, video in zip(found, videos, strict=True) if video.group == group}
        assert len(parts) == 1
        lone = any(
            {other.group for other in videos if other.label == video.label} == {group}
            for video in videos
            if video.group == group
        )
        assert (parts == {-1}) == lone


def test_augmented_copies_go_with_their_video_and_never_validate(data):
    from pipeline.training.data.dataset import AugmentedCopies

    copies = AugmentedCopies(np.arange(len(data)), data.steps, data.offsets)
    copied = replace(data, copies=copies)
    members, _, _ = planned(copied, 3)
    longer, rows = copied.with_copies(members.split.train)
    learnt, plain = (
        windows_of(which, chosen, WindowSpec(6)) for which, chosen in ((longer, rows), (copied, members.split.train))
    )
    for own, val in members.pairs(learnt, plain, plain):
        assert val.video.max() < len(data)
        assert not set(own.video % len(data)) & set(val.video)
        assert len(own) + 2 * len(val) == len(learnt)


def test_a_member_after_others_is_the_training_it_would_be_alone(data):
    """Compiled functions and optimizer are shared; what they remember is not."""
    members, _, _ = planned(data, 3)
    plain, pairs = pairs_of(data, members)
    together = fit_members(data, plain, pairs, HEAD, SPEC)
    alone = fit_members(data, plain, pairs[2:], HEAD, replace(SPEC, seed=seed_of_member(SPEC.seed, 2)))
    assert without_seconds(together.members[2].schedule.history) == without_seconds(alone.schedule.history)
    for mine, theirs in zip(together.members[2].weights, alone.members[0].weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [epoch.member for epoch in together.history] == [1] * 3 + [2] * 3 + [3] * 3


@pytest.fixture(scope="module")
def run(data):
    groups, _ = groups_of(data.videos, r"g\d")
    return train(data, make_split(data, groups), head=HEAD, groups=groups, spec=replace(SPEC, members=3))


def test_out_of_fold_predictions_are_those_of_the_member_that_never_saw_the_video(run, data):
    windows, logits = run.trained.out_of_fold()
    assert sorted(windows.video) == sorted(run.split.train)
    model = run.trained.learner.model
    for member in run.trained.members:
        model.set_weights(member.weights)
        features, mask = member.val.gather(np.arange(len(member.val)))
        expected = np.asarray(model([features, mask], training=False))
        place = [int(np.flatnonzero(windows.video == row)[0]) for row in member.val.video]
        np.testing.assert_allclose(logits[place], expected, atol=1e-4)
    model.set_weights(run.trained.members[0].weights)
    assert run.results["measured"]["val"]["videos"] == len(run.split.train)


def test_results_have_each_member_and_their_spread(run):
    members = run.results["members"]
    assert members["count"] == 3
    assert sum(member["videos"] for member in members["each"]) == len(run.split.train)
    assert members["accuracy_spread"] == pytest.approx(np.std([member["accuracy"] for member in members["each"]]))


def test_the_saved_model_averages_the_probabilities_and_opens_in_plain_keras(run, data, tmp_path):
    checkpoint = save_run(run, tmp_path / "members")
    test = run.predictions["test"]
    features, mask = test.windows.gather(np.arange(len(test.windows)))
    each = []
    for member in run.trained.members:
        run.trained.learner.model.set_weights(member.weights)
        logits = np.asarray(run.trained.learner.model([features, mask], training=False))
        each.append(probabilities_of(logits, run.results["temperature"]))
    run.trained.learner.model.set_weights(run.trained.members[0].weights)
    mean = np.mean(each, axis=0)
    assert run.results["temperature"] != pytest.approx(1, abs=1e-3), "nothing is shown by a temperature of 1"
    model = keras.saving.load_model(tmp_path / "members" / "model.keras", safe_mode=True, compile=False)
    np.testing.assert_allclose(probabilities_of(np.asarray(model([features, mask], training=False))), mean, atol=1e-5)
    np.testing.assert_allclose(probabilities_of(checkpoint.logits(features, mask)), mean, atol=1e-5)
    np.testing.assert_allclose(probabilities_of(test.window_logits), mean, atol=1e-5)
    np.testing.assert_allclose(checkpoint.predict(features, mask), mean, atol=1e-5)
    assert (checkpoint.members, checkpoint.temperature) == (3, 1.0)


def stop_in(member, epoch):
    def on_epoch(done: Epoch) -> None:
        if (done.member, done.epoch) == (member, epoch):
            raise KeyboardInterrupt

    return on_epoch


def test_ctrl_c_keeps_the_members_that_are_done(run, data):
    groups, _ = groups_of(data.videos, r"g\d")
    options = {"head": HEAD, "groups": groups, "spec": replace(SPEC, members=3)}
    stopped = train(data, make_split(data, groups), **options, on_epoch=stop_in(3, 1))
    assert stopped.results["interrupted"]
    assert (stopped.results["members"]["count"], stopped.results["members"]["wanted"]) == (2, 3)
    for mine, whole in zip(stopped.trained.members, run.trained.members, strict=False):
        for one, other in zip(mine.weights, whole.weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_resumed_in_the_middle_of_the_third_member_it_ends_as_if_undisturbed(run, data, tmp_path):
    groups, _ = groups_of(data.videos, r"g\d")
    options = {"head": HEAD, "groups": groups, "spec": replace(SPEC, members=3), "state": tmp_path / "a.state.npz"}
    train(data, make_split(data, groups), **options, on_epoch=stop_in(3, 1))
    assert [path.name for path in state_files(tmp_path / "a.state.npz", 3) if path.exists()] == [
        "a.state.npz",
        "a.state.2.npz",
        "a.state.3.npz",
    ]
    told: list[Epoch] = []
    resumed = train(data, make_split(data, groups), **options, on_epoch=told.append)
    assert [(epoch.member, epoch.epoch) for epoch in told] == [(3, 2), (3, 3)]
    assert without_seconds(resumed.trained.history) == without_seconds(run.trained.history)
    for mine, whole in zip(resumed.trained.model.get_weights(), run.trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, whole)


def test_labels_of_frames_are_held_out_by_video(tmp_path):
    folder = write_store(tmp_path / "store")
    names = [video.name for video in open_dataset(folder).videos]
    lines = [f"{name},{frame},{'even' if frame % 2 else 'odd'}" for name in names for frame in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["video,frame,label", *lines]) + "\n")
    data = open_dataset(folder, frame_labels=tmp_path / "labels.csv")
    made = train(data, head=head_spec("mean"), window=WindowSpec(1), spec=replace(SPEC, members=3, epochs=1))
    windows, _ = made.trained.out_of_fold()
    assert set(windows.video) == set(made.split.train)
    for member in made.trained.members:
        assert len(set(member.val.video)) < len(set(windows.video))
