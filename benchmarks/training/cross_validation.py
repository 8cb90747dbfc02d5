"""Test accuracy over folds and seeds: our head, the published GRU(16) -> GRU(8) and a linear one on the same folds.

Prints, for each head and seed, the mean, the lowest fold, with how many clips that has, and the calibration error,
then the mean over the seeds with its spread. The published head is trained as published, for ten epochs, and once more
for as long as ours. `linear` is logistic regression of scikit-learn on the scaled means of the features.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import pipeline
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.training.data.fusion import fuse_stores
from pipeline.videos.catalog.splits import groups_of

PUBLISHED, LINEAR = "keras-example", "linear"


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m benchmarks.training.cross_validation features"
    parser = Parser(
        __doc__,
        f"{example}/actions --group 'person\\d'\n  {example}/fights\n"
        f"  {example}/actions --fuse features/actions-flow --group 'person\\d'",
    )
    parser.add_argument("store", type=Path, help="feature store")
    parser.add_argument("--fuse", type=Path, help="second store, as for train.py")
    parser.add_argument("--group", help="as for train.py")
    parser.add_argument("--heads", nargs="+", default=["gru", PUBLISHED, LINEAR], help="by name, and 'linear'")
    parser.add_argument("--members", type=int, help="as for train.py")
    parser.add_argument("--batch", type=int, help="as for train.py")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="the others follow it")
    parser.add_argument("--folds", type=int, default=5, help="how many")
    args = parser.parse_args(argv)
    data = pipeline.open_dataset(args.store)
    if args.fuse:
        data = fuse_stores(data, pipeline.open_dataset(args.fuse))
    groups, _ = groups_of(data.videos, args.group)
    for name in args.heads:
        if name == LINEAR:
            show(name, args, partial(linear, data, groups, args.folds))
        elif name == PUBLISHED:
            show(f"{name} as published", args, partial(trained, data, groups, name, args, 10))
            show(f"{name} with our length", args, partial(trained, data, groups, name, args, None))
        else:
            show(name, args, partial(trained, data, groups, name, args, None))
    return command.OK


Tested = list[tuple[int, int]]
"""How many videos of each fold were right, of how many."""


def show(name: str, args: argparse.Namespace, one_seed: Callable[[int], tuple[Tested, str]]) -> None:
    """Print the figures of every seed, and over them."""
    means, lowest = [], []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        tested, more = one_seed(seed)
        means.append(float(np.mean([right / count for right, count in tested])))
        right, count = min(tested, key=lambda fold: fold[0] / fold[1])
        lowest.append(right / count)
        print(f"{name}, seed {seed}: mean {means[-1]:.3f}, lowest fold {right} of {count}{more}", flush=True)
    print(
        f"{name}: {np.mean(means):.3f} ± {np.std(means):.3f} over {args.seeds} seeds, lowest fold {min(lowest):.3f}",
        flush=True,
    )


def trained(
    data: pipeline.Dataset,
    groups: Sequence[str],
    name: str,
    args: argparse.Namespace,
    epochs: int | None,
    seed: int,
) -> tuple[Tested, str]:
    """All folds of a head with one seed, for the default number of epochs where none is given."""
    from pipeline.training.experiments.cross_validation import cross_validate

    spec = pipeline.TrainSpec(seed=seed, members=args.members, batch=args.batch)
    spec = replace(spec, epochs=epochs or spec.epochs)
    head = pipeline.head_spec(name)
    found = cross_validate(
        data,
        groups,
        args.folds,
        lambda split, seed, number: pipeline.train(data, split, head=head, groups=groups, spec=spec),
        seeds=[seed],
    )
    parts = [fold.tested for fold in found.folds]
    tested = [(int((part.predicted == part.labels).sum()), len(part.videos)) for part in parts]
    count = found.folds[0].results["members"]["count"]
    return tested, f", ECE {found.ece(scaled=False):.3f}, scaled {found.ece():.3f}, members {count}"


def linear(data: pipeline.Dataset, groups: Sequence[str], folds: int, seed: int) -> tuple[Tested, str]:
    """Logistic regression on the same folds; validation videos, which it does not need, are learnt from."""
    from pipeline.training.data.splits import make_folds

    means, tested = clip_means(data), []
    for split in make_folds(data, groups, folds, seed=seed):
        rows = np.concatenate([split.train, split.val])
        model = linear_model().fit(means[rows], data.labels[rows])
        right = model.predict(means[split.test]) == data.labels[split.test]
        tested.append((int(right.sum()), len(right)))
    return tested, ""


def clip_means(data: pipeline.Dataset) -> np.ndarray:
    """``(n, D)`` float32, the mean features of each video."""
    means = np.empty((len(data), data.dimensions), np.float32)
    for row in range(len(data)):
        steps = data.steps[[row]]
        means[row] = data.features.gather(data.offsets[[row]], steps, int(steps[0]))[0].astype(np.float32).mean(axis=0)
    return means


def linear_model() -> Any:
    """Logistic regression on scaled features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


if __name__ == "__main__":
    sys.exit(command.run(main))
