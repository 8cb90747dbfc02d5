"""One training from store to checkpoint: what it may look at, and what it may not."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from pipeline.extraction.store.timesteps import LoadedSteps
from pipeline.training.data.splits import make_split
from pipeline.training.experiments.experiment import Run, train
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop.spec import TrainSpec
from pipeline.videos.catalog.splits import groups_of

SPEC = TrainSpec(epochs=4, batch=8, learning_rate=0.01)
CHOSEN = ("best_epoch", "epochs", "temperature", "members", "window", "abstain_below", "parameters")


def learnt(run: Run) -> tuple[list, list]:
    """The weights, and all that was chosen or measured before the test part was looked at."""
    figures = [run.results[name] for name in CHOSEN]
    figures += [run.results[name][part] for name in ("accuracy", "log_loss") for part in ("train", "val")]
    figures += [run.results["baseline"]["linear"]["val"], run.results["baseline"]["majority"]["val"]]
    epochs = [astuple(replace(epoch, seconds=0)) for epoch in run.trained.history]
    return [weights.tolist() for weights in run.trained.model.get_weights()], [figures, epochs]


def without_seconds(value):
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if "seconds" not in key}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("members", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_test_part_takes_no_part(members, data):
    """Through the whole training: other test videos change what is said of them, and nothing before."""
    groups, _ = groups_of(data.videos, r"g\d")
    split = make_split(data, groups)
    changed = data.features.array.copy()
    for row in split.test:
        changed[data.offsets[row] : data.offsets[row] + data.steps[row]] = 99
    other = replace(data, features=LoadedSteps(changed))
    spec = replace(SPEC, members=members)
    first, second = (train(of, split, groups=groups, head=head_spec(units=8), spec=spec) for of in (data, other))
    assert without_seconds(list(learnt(first))) == without_seconds(list(learnt(second)))
    assert first.results["log_loss"]["test"] != second.results["log_loss"]["test"]
    # And other training videos change it all.
    changed = data.features.array.copy()
    row = split.train[0]
    changed[data.offsets[row] : data.offsets[row] + data.steps[row]] += 1
    third = train(
        replace(data, features=LoadedSteps(changed)), split, groups=groups, head=head_spec(units=8), spec=spec
    )
    assert learnt(third)[0] != learnt(first)[0]
    assert np.isfinite(third.results["log_loss"]["test"])
