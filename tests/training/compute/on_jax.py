"""What `test_jax` has a process of its own do: stage two on two devices of JAX.

    KERAS_BACKEND=jax python -m tests.training.compute.on_jax FOLDER

reads ``store``, ``checkpoint`` and ``steps.npz`` in the folder and writes ``answers.npz``.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import keras
import numpy as np

from pipeline.training.checkpoint import Checkpoint
from pipeline.training.compute.backend import compile_step
from pipeline.training.compute.devices import distribute, replicas
from pipeline.training.data.dataset import open_dataset, windows_of
from pipeline.training.data.windows import WindowSpec
from pipeline.training.evaluation.predict import predict
from pipeline.training.heads.registry import build_model, head_spec
from pipeline.training.loop.fit import fit
from pipeline.training.loop.spec import TrainSpec

HEAD = head_spec("gru", units=8, dropout=0.0)
SHAPE = {"length": 6, "shape": (260,), "classes": 3}  # wide enough for `pipeline.training.compute.wide_matmul`


def five_steps(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The weights of a head without dropout after five batches, from given initial weights; then the sums."""
    model = build_model(HEAD, **SHAPE)
    model.set_weights([arrays[f"weight{i}"] for i in range(len(model.get_weights()))])
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)
    step = compile_step(model, optimizer)
    batches = zip(*(arrays[name] for name in ("features", "mask", "targets", "weights")), strict=True)
    sums = [np.asarray(step(*batch)) for batch in batches]
    step.write_back()
    return [*model.get_weights(), *sums]


def trained(data) -> list[np.ndarray]:
    """The weights of a short training with dropout, then its losses."""
    rows = np.random.default_rng(0).permutation(len(data))
    train, val = (windows_of(data, chosen, WindowSpec(6)) for chosen in (rows[8:], rows[:8]))
    run = fit(data, train, val, head_spec("gru", units=8), TrainSpec(epochs=12, batch=8, learning_rate=0.01))
    return [*run.model.get_weights(), np.array([epoch.loss for epoch in run.schedule.history])]


def seeds_move() -> bool:
    """Whether dropout draws anew in each step: its seeds are variables that a step must carry on."""
    model = build_model(head_spec("gru", units=8), **SHAPE)
    optimizer = keras.optimizers.AdamW(0.01)
    optimizer.build(model.trainable_variables)
    step = compile_step(model, optimizer)
    seeds = [variable for variable in model.non_trainable_variables if "seed" in variable.path]
    seen = [np.concatenate([np.asarray(seed) for seed in seeds])]
    for _ in range(2):
        step(np.ones((4, 6, 260), "f4"), np.ones((4, 6), bool), np.eye(3, dtype="f4")[[0, 1, 2, 0]], np.ones(4, "f4"))
        step.write_back()
        seen.append(np.concatenate([np.asarray(seed) for seed in seeds]))
    return bool(seeds) and all((one != other).any() for one, other in itertools.pairwise(seen))


def main(folder: Path) -> None:
    arrays = dict(np.load(folder / "steps.npz"))
    data = open_dataset(folder / "store")
    checkpoint = Checkpoint.load(folder / "checkpoint")
    answers: dict[str, list[np.ndarray]] = {
        "seeds": [np.array(seeds_move())],
        "loaded": [predict(checkpoint, data, np.arange(len(data)), "all").probabilities],
    }
    for devices in (1, 2):
        note = distribute(devices)
        assert (devices, note) in ((1, ""), (2, "each batch is shared out to cpu:0, cpu:1"))
        assert replicas() == devices
        answers[f"steps{devices}"] = five_steps(arrays)
        answers[f"trained{devices}"] = trained(data)
    np.savez(
        folder / "answers.npz", **{f"{key}_{i}": value for key, all in answers.items() for i, value in enumerate(all)}
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
