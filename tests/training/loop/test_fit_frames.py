"""Training on frames: phases, gathered gradients and lower precision do what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.store.timesteps import LoadedSteps
from pipeline.training.data.dataset import windows_of
from pipeline.training.data.windows import WindowSpec
from pipeline.training.heads.registry import head_spec
from pipeline.training.heads.video_networks import base_of
from pipeline.training.loop import memory_probe
from pipeline.training.loop.fit import fit
from pipeline.training.loop.resume import Resumable
from pipeline.training.loop.spec import TrainSpec

ROWS = np.arange(0, 36, 4)  # of all classes
LRCN = {"base": "tiny", "weights": "random", "units": 4, "dropout": 0.0}


@pytest.fixture(autouse=True)
def no_probe(monkeypatch):
    """A probe takes a process of its own, and would not know the base ``tiny``."""
    monkeypatch.setattr(memory_probe, "bytes_per_window", lambda step: 0)


@pytest.fixture(scope="module")
def frames(data):
    """The synthetic videos with images in the place of features."""
    pictures = np.random.default_rng(0).integers(0, 256, (len(data.features), 16, 16, 3), np.uint8)
    return replace(data, features=LoadedSteps(pictures))


def trained(frames, head, spec, **options):
    windows = windows_of(frames, ROWS, WindowSpec(4))
    val = windows_of(frames, ROWS + 1, WindowSpec(4))
    return fit(frames, windows, val, head, replace(spec, patience=50, plateau=50, seed=1), **options)


@pytest.mark.slow
def test_gathered_gradients_are_a_larger_batch(frames):
    head = head_spec("lrcn", **LRCN)
    rows = len(windows_of(frames, ROWS, WindowSpec(4)))
    # A batch that is filled up would weigh its rows otherwise.
    pieces = next(count for count in (2, 3, 5, rows) if rows % count == 0)
    one = trained(frames, head, TrainSpec(epochs=1, batch=rows, optimizer="sgd"))
    gathered = trained(frames, head, TrainSpec(epochs=1, batch=rows // pieces, accumulate=pieces, optimizer="sgd"))
    for mine, theirs in zip(one.model.get_weights(), gathered.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_the_first_phase_leaves_the_base_and_the_second_its_first_layers(frames):
    """Validated on what is learnt the loss falls, so that the last epoch, one of the second phase, is the kept one."""
    from pipeline.training.heads.registry import build_model

    windows, seen = windows_of(frames, ROWS, WindowSpec(4)), []
    head = head_spec("lrcn", **LRCN)
    spec = TrainSpec(epochs=2, batch=8, learning_rate=0.05, patience=50, plateau=50, seed=1)
    both = replace(spec, fine_tune=2)
    run = fit(frames, windows, windows, head, both, on_epoch=lambda epoch: seen.append(epoch.learning_rate))
    assert seen == pytest.approx([0.05, 0.05, 0.005, 0.005])
    assert run.schedule.best_epoch == 4
    fresh = build_model(head, length=4, shape=(16, 16, 3), classes=3)
    # The last layer pools, so of two that learn one has weights.
    assert changed(fresh, run.model) == [False, False, True]
    assert changed(fresh, fit(frames, windows, windows, head, spec).model) == [False, False, False]


def changed(one, other) -> list[bool]:
    """Whether each layer of the base that has weights differs between two models."""
    pairs = zip(base_of(one).layers[1:4], base_of(other).layers[1:4], strict=True)
    return [not np.array_equal(mine.get_weights()[0], theirs.get_weights()[0]) for mine, theirs in pairs]


@pytest.mark.slow
def test_resumed_in_the_second_phase_it_ends_as_if_undisturbed(frames, tmp_path):
    spec = TrainSpec(epochs=2, batch=8, fine_tune=2, augment="flip,shift:0.1", seed=1)
    head = head_spec("lrcn", **LRCN)
    whole = trained(frames, head, spec, resumable=Resumable(tmp_path / "whole.npz", {}))

    def stop(epoch):
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    state = tmp_path / "state.npz"
    assert trained(frames, head, spec, resumable=Resumable(state, {}), on_epoch=stop).interrupted
    resumed = trained(frames, head, spec, resumable=Resumable(state, {}))
    assert [row.loss for row in resumed.schedule.history] == [row.loss for row in whole.schedule.history]
    for mine, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns_nearly_the_same(frames, precision):
    head, spec = head_spec("lrcn", **LRCN), TrainSpec(epochs=2, batch=8)
    full, low = trained(frames, head, spec), trained(frames, head, replace(spec, precision=precision))
    assert low.schedule.history[-1].loss == pytest.approx(full.schedule.history[-1].loss, abs=0.05)
    assert all(weights.dtype == np.float32 for weights in low.model.get_weights())


def test_a_step_that_does_not_fit_is_refused_before_it_runs(frames, monkeypatch):
    monkeypatch.setattr(memory_probe, "bytes_per_window", lambda step: 1 << 20)
    monkeypatch.setattr(memory_probe, "free_memory", lambda: 2 << 20)
    with pytest.raises(UserError, match=r"a training step of 8 windows takes about .* GB .*`batch=\d` would fit"):
        trained(frames, head_spec("c3d_small", units=4), TrainSpec(epochs=1, batch=8))
