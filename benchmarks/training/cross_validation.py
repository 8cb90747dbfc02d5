"""Test accuracy over folds and seeds, next to the published GRU(16) -> GRU(8) on the same folds.

Prints, for each head, the mean and the lowest fold of every seed, with how many clips that has, and the mean over the
seeds with its spread.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import pipeline
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.training.data.fusion import fuse_stores
from pipeline.training.data.splits import groups_of, make_folds


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
        # The published head is trained as published: ten epochs.
        epochs = 10 if name == "keras-example" else pipeline.TrainSpec().epochs
        means = []
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            accuracies = []
            for split in make_folds(data, groups, args.folds, seed=seed):
                spec = pipeline.TrainSpec(epochs=epochs, seed=seed)
                run = pipeline.train(data, split, head=pipeline.head_spec(name), groups=groups, spec=spec)
                accuracies.append((run.results["accuracy"]["test"], len(split.test)))
            means.append(float(np.mean([accuracy for accuracy, _ in accuracies])))
            lowest, clips = min(accuracies)
            of = f"{lowest:.3f}, {round(lowest * clips)} of {clips}"
            print(f"{name}, seed {seed}: mean {means[-1]:.3f}, lowest fold {of}", flush=True)
        print(f"{name}: {np.mean(means):.3f} ± {np.std(means):.3f} over {args.seeds} seeds", flush=True)
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
