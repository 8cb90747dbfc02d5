"""Doing what a row asks for, once: its store and its trainings, each recorded when it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import in_own_process, peak_memory, run_script
from benchmarks.study.questions import GROUPS, Row, Store
from pipeline.files.atomic import atomic_write


def extract(store: Store, out: Path, videos: Path, weights: str) -> dict[str, Any]:
    """Make a store, or take the record of an earlier run; an interrupted one is begun anew, to time the whole."""
    options = ["--sampling", store.sampling, "--size", store.size, "--backbone", store.backbone]
    if store.backbone != "frames":
        options += ["--weights", store.weights or weights]
    if store.weights == "random":
        # Without trained normalisation the features of deep networks leave the range of float16.
        options += ["--dtype", "float32"]
    if store.input:
        options += ["--input", store.input]

    def make() -> dict[str, Any]:
        place = ["--out", out / "stores" / store.name, "--quiet", "--overwrite"]
        return {"seconds": run_script("extract_features", videos / store.data, *place, *options).seconds}

    return once(out / "stores" / f"{store.name}.json", make)


def measure(row: Row, out: Path, weights: str) -> dict[str, Any]:
    """Do the trainings of a row in a process of its own, or take the record of an earlier run."""
    record = out / "rows" / f"{row.store.data}-{row.head}-{row.key}.json"
    return once(record, lambda: in_own_process(train_row, row, out, weights))


def once(record: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What work returned, now or in an earlier run."""
    if record.is_file():
        return json.loads(record.read_text())
    values = work()
    with atomic_write(record) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n")
    return values


def train_row(row: Row, out: Path, weights: str) -> dict[str, Any]:
    """All trainings of a row, in this process."""
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.data.fusion import fuse_stores
    from pipeline.training.data.splits import make_folds
    from pipeline.training.experiments.experiment import train
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.spec import TrainSpec
    from pipeline.videos.catalog.splits import groups_of

    parts = [open_dataset(out / "stores" / store.name) for store in row.stores]
    data = fuse_stores(*parts) if len(parts) > 1 else parts[0]
    groups, _ = groups_of(data.videos, GROUPS[row.store.data])
    settings = row.head_settings | ({"weights": weights} if "base" in row.head_settings else {})
    head = head_spec(row.head, **settings)
    results, epochs = [], []
    for seed in range(row.seeds):
        for split in make_folds(data, groups, row.folds, seed=seed):
            # One head each, so that epochs and heads compare.
            spec = TrainSpec(**row.training, seed=seed, members=1)
            run = train(data, split, head=head, groups=groups, spec=spec)
            history = run.trained.schedule.history
            results.append(run.results)
            epochs.append(float(np.median([epoch.seconds for epoch in history[1:] or history])))  # the first compiles
    accuracies = [result["accuracy"]["test"] for result in results]
    return {
        "accuracy": float(np.mean(accuracies)),
        "spread": float(np.std(accuracies)),
        "lowest": min(accuracies),
        "trainings": len(results),
        "training_s": float(np.mean([result["seconds"] for result in results])),
        "epoch_s": float(np.median(epochs)),
        "epochs": float(np.mean([result["epochs"] for result in results])),
        "memory_mb": peak_memory() / 2**20,
        "parameters": results[0]["parameters"],
    }
