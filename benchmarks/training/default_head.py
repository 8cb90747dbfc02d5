"""What does a single default head lack against logistic regression on few clips? One change at a time.

Trains one head for each setting on folds of feature stores, and on drawn wide features where a linear model is hard to
beat (`benchmarks.training.wide_features`), and prints the mean test accuracy of each. The seeds are for choosing
defaults; figures that are published are of others. Logistic regression needs no validation videos: it has one row with
them and one without.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import pipeline
from benchmarks.measure import Table
from benchmarks.training.cross_validation import clip_means, linear_model
from benchmarks.training.drawn_store import write_store
from benchmarks.training.wide_features import draw
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.store.timesteps import LoadedSteps
from pipeline.training.data.dataset import Dataset, windows_of
from pipeline.training.data.splits import Split, make_folds, make_split
from pipeline.training.loop.fit import fit
from pipeline.training.loop.schedule import Epoch
from pipeline.videos.catalog.splits import groups_of

CLIPS = 3  # of each group of the drawn set
AVERAGED = 2  # epochs before and after the best one


@dataclass(frozen=True)
class Setting:
    """What is changed of the default."""

    head: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    unit_length: bool = False
    """Whether each step's features are scaled to length 1."""
    averaged: bool = False
    """Whether the weights of the epochs around the best one are averaged."""


SETTINGS = {
    "default": Setting(),
    "steps of length 1": Setting(unit_length=True),
    "learning rate 0.0002": Setting(training={"learning_rate": 2e-4}),
    "learning rate 0.001": Setting(training={"learning_rate": 1e-3}),
    "no weight decay": Setting(training={"weight_decay": 0.0}),
    "weight decay 0.1": Setting(training={"weight_decay": 0.1}),
    "units 32": Setting({"units": 32}),
    "units 128": Setting({"units": 128}),
    "dropout 0.5": Setting({"dropout": 0.5}),
    "dropout 0.85": Setting({"dropout": 0.85}),
    "batch 16": Setting(training={"batch": 16}),
    "batch 8": Setting(training={"batch": 8}),
    "patience 25, up to 200 epochs": Setting(training={"patience": 25, "epochs": 200}),
    f"weights of {2 * AVERAGED + 1} epochs averaged": Setting(averaged=True),
}
Part = tuple[Dataset, Split]


class EveryEpoch:
    """Takes the weights of each epoch, in the place of `KeptWeights`."""

    def __init__(self) -> None:
        self.weights: list[list[np.ndarray]] = []

    def begin(self, epochs: int) -> None:
        """Nothing is there from before."""

    def add(self, model: Any, epoch: Epoch, *, best: bool) -> None:
        """Take them."""
        self.weights.append(model.get_weights())


def accuracy_of(data: Dataset, split: Split, setting: Setting, seed: int) -> float:
    """Of one head on the test part."""
    window = data.default_window(split.train)
    train, val, test = (windows_of(data, rows, window) for rows in (split.train, split.val, split.test))
    kept = EveryEpoch() if setting.averaged else None
    spec = pipeline.TrainSpec(seed=seed, members=1, **setting.training)
    trained = fit(data, train, val, pipeline.head_spec("gru", **setting.head), spec, kept=kept)  # type: ignore[arg-type]
    if kept is not None:
        best = trained.schedule.best_epoch - 1
        around = kept.weights[max(0, best - AVERAGED) : best + AVERAGED + 1]
        (member,) = trained.members
        means = [np.mean(values, axis=0) for values in zip(*around, strict=True)]
        trained = replace(trained, members=(replace(member, weights=means),))
    return float((trained.logits(test).argmax(axis=1) == test.labels).mean())


def linear_accuracy(data: Dataset, split: Split, rows: np.ndarray) -> float:
    """Of logistic regression that learns from the videos ``rows``."""
    means = clip_means(data)
    model = linear_model().fit(means[rows], data.labels[rows])
    return float((model.predict(means[split.test]) == data.labels[split.test]).mean())


def of_unit_length(data: Dataset) -> Dataset:
    """The same with the features of each step scaled to length 1 times the root of their number."""
    each = [
        data.features.gather(data.offsets[[row]], data.steps[[row]], int(data.steps[row]))[0]
        for row in range(len(data))
    ]
    steps = np.concatenate(each).astype(np.float32)
    lengths = np.linalg.norm(steps, axis=1, keepdims=True)
    steps *= np.sqrt(steps.shape[1]) / np.maximum(lengths, 1e-6)
    return replace(data, features=LoadedSteps(steps), offsets=np.cumsum(data.steps) - data.steps)


def parts_of(store: Path, group: str | None, folds: int, seed: int) -> Iterator[Part]:
    """The folds of a store."""
    data = pipeline.open_dataset(store)
    groups, _ = groups_of(data.videos, group)
    yield from ((data, split) for split in make_folds(data, groups, folds, seed=seed))


def drawn_parts(seed: int) -> Iterator[Part]:
    """The drawn set of a seed, with its own test part."""
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder), draw(seed, CLIPS))
        data = pipeline.open_dataset(folder)
        groups = [video.group for video in data.videos]
        split = make_split(data, groups)
        if not len(split.val):
            raise ValueError("the drawn set has no validation videos")
        yield data, split


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.training.default_head features/actions:person\\\\d features/fights")
    parser.add_argument("stores", nargs="*", metavar="STORE[:GROUP]", help="feature stores, with the rule of groups")
    parser.add_argument("--seeds", type=int, default=2, help="how many")
    parser.add_argument("--first-seed", type=int, default=40, help="the others follow it")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS))
    args = parser.parse_args(argv)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    sets: dict[str, Callable[[int], Iterator[Part]]] = {"drawn": drawn_parts}
    for text in args.stores:
        store, _, group = text.partition(":")
        sets[Path(store).name] = partial(parts_of, Path(store), group or None, args.folds)
    found: dict[str, dict[str, list[float]]] = {}
    for name, parts in sets.items():
        for seed in seeds:
            for data, split in parts(seed):
                scaled = of_unit_length(data) if any(SETTINGS[one].unit_length for one in args.settings) else data
                both = np.concatenate([split.train, split.val])
                figures = {
                    "logistic regression": linear_accuracy(data, split, both),
                    "logistic regression without validation videos": linear_accuracy(data, split, split.train),
                }
                for setting in args.settings:
                    of = scaled if SETTINGS[setting].unit_length else data
                    figures[setting] = accuracy_of(of, split, SETTINGS[setting], seed)
                for setting, figure in figures.items():
                    found.setdefault(setting, {}).setdefault(name, []).append(figure)
            print(f"{name}, seed {seed}: done", file=sys.stderr, flush=True)
    table = Table({"setting": ">46"} | dict.fromkeys(sets, "8.3f"))
    for setting, by_set in found.items():
        table.add(setting, *(float(np.mean(by_set[name])) for name in sets))
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
