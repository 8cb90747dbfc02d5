"""Training: it learns, repeats exactly, stops by its rules and says when it cannot go on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.store.timesteps import LoadedSteps
from pipeline.training.data.dataset import open_dataset, windows_of
from pipeline.training.data.splits import make_split
from pipeline.training.data.windows import WindowSpec
from pipeline.training.evaluation.calibration import expected_calibration_error, log_loss
from pipeline.training.evaluation.predictions import predictions_of, temperature_of
from pipeline.training.heads.registry import HEADS, head_spec
from pipeline.training.loop.fit import fit, fit_members
from pipeline.training.loop.kept_weights import KeptWeights
from pipeline.training.loop.resume import Resumable
from pipeline.training.loop.schedule import Epoch, Replay, Schedule
from pipeline.training.loop.spec import Optimizer, TrainSpec
from pipeline.videos.catalog.splits import groups_of
from tests.training.stores import write_store


@pytest.fixture(scope="module")
def far_apart(tmp_path_factory):
    return open_dataset(write_store(tmp_path_factory.mktemp("store"), separation=6.0))


SPEC = TrainSpec(epochs=4, batch=8, learning_rate=0.01)


def parts(data, length=6, stride=6):
    split = make_split(data, groups_of(data.videos, r"g\d")[0])
    return [windows_of(data, rows, WindowSpec(length, stride)) for rows in (split.train, split.val, split.test)]


def test_a_replay_repeats_the_epochs_up_to_the_best_at_their_rates(far_apart):
    """On the same windows the weights come out the same, though validation would have stopped it elsewhere."""
    train, val, _ = parts(far_apart)
    spec = replace(SPEC, epochs=9, plateau=1, patience=3)
    first = fit(far_apart, train, val, head_spec("mean"), spec)
    best = first.schedule.best_epoch
    replay = Replay.of(first.schedule)
    again = fit_members(far_apart, train, [(train, train)], head_spec("mean"), spec, schedule=replay)
    rates = [epoch.learning_rate for epoch in first.schedule.history][:best]
    assert [epoch.learning_rate for epoch in again.schedule.history] == rates
    for mine, theirs in zip(again.model.get_weights(), first.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def schedule_of(losses, before=0, phase=0):
    made = Schedule(0.1)
    for number, loss in enumerate(losses, 1):
        if phase and number == before + 1:
            made.begin_phase(1, 0.01)
        made.add(Epoch(number, 0.0, 0.0, loss, 0.0, made.learning_rate, 0.0), plateau=99)
    return made


@pytest.mark.parametrize(
    ("losses", "before", "phase", "rates"),
    [
        ([3, 2, 1, 4], 0, 0, ((0.1, 0.1, 0.1),)),
        ([3, 2, 4, 1, 0.5, 9], 3, 1, ((0.1, 0.1), (0.01, 0.01))),
        ([3, 1, 4, 2, 2], 3, 1, ((0.1, 0.1), ())),  # the second phase made nothing better
    ],
)
def test_of_two_phases_each_is_replayed_to_its_best(losses, before, phase, rates):
    assert Replay.of(schedule_of(losses, before, phase)).rates == rates


def without_seconds(history):
    return [replace(epoch, seconds=0) for epoch in history]


def test_it_learns_classes_that_differ(data):
    train, val, test = parts(data)
    trained = fit(data, train, val, head_spec(units=16), TrainSpec(epochs=30, learning_rate=0.01, batch=8))
    assert (trained.logits(test).argmax(axis=1) == test.labels).mean() > 0.9
    history = trained.schedule.history
    assert history[-1].loss < history[0].loss / 2


def test_no_weight_decay_is_possible(data):
    train, val, _ = parts(data)
    fit(data, train, val, head_spec("mean"), replace(SPEC, weight_decay=0.0, label_smoothing=0.0, epochs=1))


def test_the_rate_decays_with_the_steps(data):
    train, val, _ = parts(data)
    kept, decayed = (
        fit(data, train, val, head_spec("mean"), replace(SPEC, epochs=2, rate_decay=decay)).schedule.history
        for decay in (0.0, 1e9)
    )
    assert decayed[0] == replace(kept[0], seconds=decayed[0].seconds)
    assert decayed[1].learning_rate < 1e-9 < kept[1].learning_rate
    # A rate of nothing leaves the weights where the first epoch brought them.
    assert decayed[1].val_loss == pytest.approx(decayed[0].val_loss, abs=1e-6)
    assert abs(kept[1].val_loss - kept[0].val_loss) > 1e-4


@pytest.mark.parametrize("optimizer", list(get_args(Optimizer)))
def test_every_optimizer_learns(data, optimizer):
    train, val, _ = parts(data)
    rate = {"adadelta": 5.0, "ftrl": 0.5, "adagrad": 0.1, "sgd": 0.05}.get(optimizer, 0.01)
    spec = replace(SPEC, optimizer=optimizer, learning_rate=rate, weight_decay=1e-4)
    history = fit(data, train, val, head_spec("mean"), spec).schedule.history
    assert history[-1].loss < 0.9 * history[0].loss


def test_rounds_go_on_from_the_best_weights_at_a_tenth_of_the_rate(data):
    train, val, _ = parts(data)
    trained = fit(data, train, val, head_spec("mean"), replace(SPEC, epochs=2, rounds=3, plateau=9))
    history = trained.schedule.history
    assert [epoch.learning_rate for epoch in history] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])
    assert trained.schedule.phase_lengths == [2, 2, 2]


def test_weights_are_kept_of_each_improvement_or_of_each_epoch(data, tmp_path):
    train, val, _ = parts(data)
    spec = replace(SPEC, epochs=6, learning_rate=0.5)  # so fast that some epochs are worse
    for every in ("improvement", "epoch"):
        kept = KeptWeights(tmp_path / every, every)
        history = fit(data, train, val, head_spec("mean"), spec, kept=kept).schedule.history
        best = [
            epoch
            for number, epoch in enumerate(history)
            if epoch.val_loss < min((before.val_loss for before in history[:number]), default=math.inf) - 1e-5
        ]
        assert 1 <= len(best) < 6
        wanted = history if every == "epoch" else best
        assert sorted(path.name for path in kept.folder.iterdir()) == [
            f"epoch{epoch.epoch:03}-{epoch.val_loss:.4f}.weights.h5" for epoch in wanted
        ]


ON_FEATURES = [name for name, head in HEADS.items() if head.needs == "features"]
# The orthogonal start of 2048 units takes many seconds, and so does XLA for the other published head.
PUBLISHED = {"keras-example": 0.03, "apriorit": 3e-4}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in PUBLISHED else ()) for name in ON_FEATURES]
)
def test_every_head_learns_classes_that_lie_apart(far_apart, name):
    """All training windows right, and all that were not seen."""
    head = head_spec(name, units=16) if "units" in HEADS[name].takes else head_spec(name)
    train, val, test = parts(far_apart)
    spec = TrainSpec(epochs=30, batch=len(train), learning_rate=PUBLISHED.get(name, 0.02), patience=30)
    trained = fit(far_apart, train, val, head, spec)
    for windows in (train, test):
        assert (trained.logits(windows).argmax(axis=1) == windows.labels).mean() == 1.0


@pytest.mark.slow
def test_temperature_scaling_makes_the_published_head_no_less_calibrated(tmp_path):
    """On the videos that the temperature was found on, and with a head that knows too little after few epochs."""
    data = open_dataset(write_store(tmp_path / "store", per_class=30, separation=0.5))
    train, val, _ = parts(data)
    trained = fit(data, train, val, head_spec("keras-example"), TrainSpec(epochs=10, learning_rate=0.03))
    plain = predictions_of("val", data, val, trained.logits(val))
    scaled = predictions_of("val", data, val, trained.logits(val), temperature=temperature_of(plain))
    losses, errors = (
        [measured(part.probabilities, part.labels) for part in (plain, scaled)]
        for measured in (log_loss, expected_calibration_error)
    )
    assert losses[1] <= losses[0] + 1e-6
    assert errors[1] <= errors[0] + 0.01


@pytest.mark.slow
def test_the_same_seed_repeats_a_run_exactly_and_another_does_not(data):
    train, val, _ = parts(data)
    first, again, other = (fit(data, train, val, head_spec(units=8), replace(SPEC, seed=seed)) for seed in (1, 1, 2))
    assert without_seconds(first.schedule.history) == without_seconds(again.schedule.history)
    for mine, theirs in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert without_seconds(first.schedule.history) != without_seconds(other.schedule.history)


def test_the_best_epoch_is_kept(data):
    train, val, _ = parts(data)
    trained = fit(data, train, val, head_spec("mean"), replace(SPEC, epochs=8, learning_rate=0.5))
    logits = trained.logits(val).astype(np.float64)
    logs = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) - logits.max(1)[:, None]
    loss = -logs[np.arange(len(logs)), val.labels].mean()
    assert loss == pytest.approx(min(epoch.val_loss for epoch in trained.schedule.history), abs=1e-5)
    assert trained.schedule.best_loss == pytest.approx(loss, abs=1e-5)


def epoch(number: int, loss: float) -> Epoch:
    return Epoch(number, 0, 0, loss, 0, 0, 0)


def test_the_rate_falls_by_the_factor_on_a_plateau():
    schedule = Schedule(1.0)
    for number, loss in enumerate((1.0, 2.0, 2.0), 1):
        schedule.add(epoch(number, loss), plateau=2, factor=0.1)
    assert schedule.learning_rate == pytest.approx(0.1)


def test_stopping_and_the_learning_rate_follow_the_validation_loss():
    schedule = Schedule(learning_rate=1.0)
    assert schedule.add(epoch(1, 3.0), 2)
    assert schedule.add(epoch(2, 2.0), 2)
    for number in range(3, 7):
        assert not schedule.add(epoch(number, 2.5), 2)
        assert not schedule.finished(100, 5)
    assert schedule.learning_rate == 0.25, "halved after each two epochs without schedule"
    schedule.add(epoch(7, 2.1), 2)
    assert schedule.finished(100, 5)
    assert schedule.best_epoch == 2


def test_a_loss_that_is_no_number_is_one_clear_line(data):
    train, val, _ = parts(data)
    broken = replace(data, features=LoadedSteps(np.full_like(data.features.array, np.nan)))
    with pytest.raises(UserError, match="not a number any more in epoch 1") as error:
        fit(broken, replace(train, data=broken), val, head_spec(units=8), SPEC)
    assert "\n" not in str(error.value)


def test_ctrl_c_keeps_the_best_so_far_and_before_the_first_epoch_nothing(data):
    train, val, _ = parts(data)

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    trained = fit(data, train, val, head_spec(units=8), SPEC, on_epoch=stop)
    assert trained.interrupted
    assert len(trained.schedule.history) == 2
    undisturbed = fit(data, train, val, head_spec(units=8), replace(SPEC, epochs=2))
    for mine, theirs in zip(trained.model.get_weights(), undisturbed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_resumed_it_ends_as_if_undisturbed(data, tmp_path):
    train, val, _ = parts(data)
    head, spec = head_spec("conv1d", units=8), replace(SPEC, epochs=5, plateau=1)
    undisturbed = fit(data, train, val, head, spec)

    class Killed(Exception):
        pass

    def die(epoch: Epoch) -> None:
        if epoch.epoch in (1, 3):
            raise Killed

    state = Resumable(tmp_path / "state.npz", {"head": "conv1d"})
    for _ in range(2):
        with pytest.raises(Killed):
            fit(data, train, val, head, spec, on_epoch=die, resumable=state)
    resumed = fit(data, train, val, head, spec, resumable=state)
    assert without_seconds(resumed.schedule.history) == without_seconds(undisturbed.schedule.history)
    for mine, theirs in zip(resumed.model.get_weights(), undisturbed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_state_of_another_training_is_refused(data, tmp_path):
    train, val, _ = parts(data)
    spec = replace(SPEC, epochs=1)
    path = tmp_path / "state.npz"
    fit(data, train, val, head_spec("mean"), spec, resumable=Resumable(path, {"seed": 1}))
    with pytest.raises(UserError, match="other videos or settings"):
        fit(data, train, val, head_spec("mean"), spec, resumable=Resumable(path, {"seed": 2}))
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="damaged"):
        fit(data, train, val, head_spec("mean"), spec, resumable=Resumable(path, {"seed": 1}))


def test_windows_are_gathered_as_they_were_cut(data):
    windows = parts(data, 3, 2)[0]
    features, mask = windows.gather(np.arange(len(windows)))
    for row in range(len(windows)):
        video = windows.video[row]
        sequence = data.features.array[data.offsets[video] : data.offsets[video] + data.steps[video]]
        real = sequence[windows.start[row] : windows.start[row] + 3]
        assert mask[row].sum() == len(real)
        np.testing.assert_array_equal(features[row, : len(real)], real)
        assert not features[row, len(real) :].any()


def test_a_window_longer_than_every_video_is_refused(data):
    from pipeline.training.experiments.experiment import train

    split = make_split(data, groups_of(data.videos, None)[0])
    with pytest.raises(UserError, match="longer than every video"):
        train(data, split, head=head_spec(), window=WindowSpec(7))


def test_file_order_does_not_matter(make_store):
    """The same videos under a catalog in another order give the same split and features."""
    store = make_store()
    first = open_dataset(store)
    lines = (store / "catalog.csv").read_text().splitlines(keepends=True)
    (store / "catalog.csv").write_text("".join([lines[0], *reversed(lines[1:])]))
    second = open_dataset(store)
    assert first.names == second.names
    np.testing.assert_array_equal(first.features.array, second.features.array)


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"batch": 0}, {"learning_rate": -1.0}, {"learning_rate": math.nan}, {"weight_decay": 2.0}],
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(UserError, match="expected"):
        TrainSpec(**options)
