"""Test accuracy over folds and seeds, next to the published GRU(16) -> GRU(8) on the same folds.

    python benchmarks/cross_validation.py features/actions --group 'person\\d'
    python benchmarks/cross_validation.py features/fights
    python benchmarks/cross_validation.py features/actions --fuse features/actions-flow --group 'person\\d'

prints, for each head, the mean and the lowest fold of every seed, with how many clips that has, and the mean over the
seeds with its spread.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pipeline.training.data.dataset import open_dataset
from pipeline.training.data.fusion import fuse_stores
from pipeline.training.data.splits import Split
from pipeline.training.experiments.cross_validation import cross_validate
from pipeline.training.experiments.experiment import Run, train
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop.spec import TrainSpec
from pipeline.videos.catalog.splits import groups_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="feature store")
    parser.add_argument("--fuse", type=Path, help="second store, as for train.py")
    parser.add_argument("--group", help="as for train.py")
    parser.add_argument("--heads", nargs="+", default=["gru", "keras-example"])
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    args = parser.parse_args()
    data = open_dataset(args.store)
    if args.fuse:
        data = fuse_stores(data, open_dataset(args.fuse))
    groups, _ = groups_of(data.videos, args.group)
    for name in args.heads:
        # The published head is trained as published: ten epochs.
        epochs = 10 if name == "keras-example" else TrainSpec().epochs
        means = []
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            spec = TrainSpec(epochs=epochs, seed=seed)

            def train_fold(split: Split, number: int, name: str = name, spec: TrainSpec = spec) -> Run:
                return train(data, split, head=head_spec(name), groups=groups, spec=spec)

            found = cross_validate(data, groups, args.folds, train_fold, seed=seed)
            means.append(found.mean)
            lowest, clips = found.lowest
            of = f"{lowest:.3f}, {round(lowest * clips)} of {clips}"
            print(f"{name}, seed {seed}: mean {means[-1]:.3f}, lowest fold {of}", flush=True)
        print(f"{name}: {np.mean(means):.3f} ± {np.std(means):.3f} over {args.seeds} seeds", flush=True)


if __name__ == "__main__":
    main()
