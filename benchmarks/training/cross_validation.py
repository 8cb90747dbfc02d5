"""Test accuracy over folds and seeds, next to the published GRU(16) -> GRU(8) on the same folds.

Prints, for each head, the mean and the lowest fold of every seed, with how many clips that has, and the mean over the
seeds with its spread.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import pipeline
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.training.data.fusion import fuse_stores
from pipeline.videos.catalog.splits import groups_of

if TYPE_CHECKING:
    from pipeline.training.experiments.cross_validation import CrossValidation


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
    parser.add_argument("--heads", nargs="+", default=["gru", "keras-example"], help="by name")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="the others follow it")
    parser.add_argument("--folds", type=int, default=5, help="how many")
    args = parser.parse_args(argv)
    data = pipeline.open_dataset(args.store)
    if args.fuse:
        data = fuse_stores(data, pipeline.open_dataset(args.fuse))
    groups, _ = groups_of(data.videos, args.group)
    for name in args.heads:
        means = []
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            found = one_seed(data, groups, name, args.folds, seed)
            means.append(found.mean)
            lowest, clips = found.lowest
            of = f"{lowest:.3f}, {round(lowest * clips)} of {clips}"
            print(f"{name}, seed {seed}: mean {means[-1]:.3f}, lowest fold {of}", flush=True)
        print(f"{name}: {np.mean(means):.3f} ± {np.std(means):.3f} over {args.seeds} seeds", flush=True)
    return command.OK


def one_seed(data: pipeline.Dataset, groups: Sequence[str], name: str, folds: int, seed: int) -> CrossValidation:
    """All folds of a head; the published one is trained as published: ten epochs."""
    from pipeline.training.experiments.cross_validation import cross_validate

    spec = pipeline.TrainSpec(epochs=10 if name == "keras-example" else pipeline.TrainSpec().epochs, seed=seed)
    return cross_validate(
        data,
        groups,
        folds,
        lambda split, number: pipeline.train(data, split, head=pipeline.head_spec(name), groups=groups, spec=spec),
        seed=seed,
    )


if __name__ == "__main__":
    sys.exit(command.run(main))
