"""Seconds per epoch of stage two against plain Keras `fit` on arrays, on the same features, in one run.

    python benchmarks/training_speed.py
    KERAS_BACKEND=jax python benchmarks/training_speed.py

594 windows of 20 x 2048 in 5 classes, GRU(16) -> GRU(8), batch 32, Adam: the training of
https://keras.io/examples/vision/video_classification/. The two take turns, and the fastest epoch of each counts,
because other programs on the machine only ever make an epoch slower. The first epoch compiles and is left out.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import keras
import numpy as np

from pipeline.extraction.recipe import Recipe
from pipeline.extraction.steps import LoadedSteps
from pipeline.training.dataset import Dataset, windows_of
from pipeline.training.heads import build_model, head_spec
from pipeline.training.progress import Epoch
from pipeline.training.train import TrainSpec, fit
from pipeline.training.windows import WindowSpec
from pipeline.videos.catalog import Video

ROWS, STEPS, DIMENSIONS, CLASSES, VALIDATION = 594, 20, 2048, 5, 100


def drawn_dataset() -> Dataset:
    """Sequences like pooled ReLU features, of 8 to 20 steps; classes differ a little in their mean."""
    random = np.random.default_rng(0)
    count = ROWS + VALIDATION
    labels = random.integers(0, CLASSES, count)
    steps = random.integers(8, STEPS + 1, count)
    offsets = np.concatenate([[0], np.cumsum(steps)[:-1]])
    centres = random.normal(size=(CLASSES, DIMENSIONS)).astype(np.float32) * 0.15
    features = np.maximum(
        0, np.repeat(centres[labels], steps, axis=0) + random.normal(size=(steps.sum(), DIMENSIONS)) * 0.5
    )
    names = tuple(f"c{label}" for label in range(CLASSES))
    return Dataset(
        precision="",
        folder=Path("drawn"),
        recipe=Recipe("all", "imported", "0" * 64, 1, 1),
        weights_source="",
        classes=names,
        videos=tuple(Video(str(row), Path(str(row)), names[label]) for row, label in enumerate(labels)),
        labels=labels,
        steps=steps,
        durations=np.zeros(count),
        step_seconds=np.ones(count),
        features=LoadedSteps(features.astype(np.float16)),
        offsets=offsets,
        left_out=Counter(),
        frames=np.arange(steps.sum()),
    )


def plain(data: Dataset, epochs: int) -> list[tuple[float, float, float]]:
    """(seconds, training accuracy, validation accuracy) of each epoch of `fit` on arrays, as usually written."""
    spec = WindowSpec(STEPS)
    (x, mask), (val_x, val_mask) = (
        windows.gather(np.arange(len(windows)))
        for windows in (windows_of(data, np.arange(ROWS), spec), windows_of(data, np.arange(ROWS, len(data)), spec))
    )
    x, val_x = x.astype(np.float32), val_x.astype(np.float32)
    keras.utils.set_random_seed(0)
    logits = build_model(head_spec("keras-example"), length=STEPS, shape=(DIMENSIONS,), classes=CLASSES)
    model = keras.Model(logits.inputs, keras.layers.Softmax()(logits.output))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    rows: list[tuple[float, float, float]] = []
    since = [0.0]

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            since[0] = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            rows.append((time.perf_counter() - since[0], logs["accuracy"], logs["val_accuracy"]))

    held = ([val_x, val_mask], data.labels[ROWS:])
    options = {"validation_data": held, "batch_size": 32, "epochs": epochs, "verbose": 0, "callbacks": [Clock()]}
    model.fit([x, mask], data.labels[:ROWS], **options)
    return rows


def ours(data: Dataset, epochs: int) -> list[tuple[float, float, float]]:
    """The same of `pipeline.training.train.fit`."""
    spec = WindowSpec(STEPS)
    rows: list[tuple[float, float, float]] = []

    def on_epoch(epoch: Epoch) -> None:
        rows.append((epoch.seconds, epoch.accuracy, epoch.val_accuracy))

    train, val = windows_of(data, np.arange(ROWS), spec), windows_of(data, np.arange(ROWS, len(data)), spec)
    fit(
        data,
        train,
        val,
        head_spec("keras-example"),
        TrainSpec(epochs=epochs, patience=epochs, plateau=epochs),
        on_epoch=on_epoch,
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    data = drawn_dataset()
    found: dict[str, list[list[tuple[float, float, float]]]] = {"fit": [], "ours": []}
    for _ in range(args.rounds):
        found["fit"].append(plain(data, args.epochs))
        found["ours"].append(ours(data, args.epochs))
    best = {name: min(row[0] for rows in rounds for row in rows[1:]) for name, rounds in found.items()}
    usual = {name: float(np.median([row[0] for rows in rounds for row in rows[1:]])) for name, rounds in found.items()}
    for name, label in (("fit", "Keras fit on arrays"), ("ours", "this project")):
        curve = " ".join(f"{row[2]:.2f}" for row in found[name][0])
        first = found[name][0][0][0]
        print(f"{label:20} {best[name]:.3f} s per epoch (median {usual[name]:.3f}, first {first:.1f})")
        print(f"{'':20} validation accuracy {curve}")
    ratio, by_medians = best["fit"] / best["ours"], usual["fit"] / usual["ours"]
    print(f"{keras.backend.backend()}: {ratio:.2f} times faster, {by_medians:.2f} by medians")


if __name__ == "__main__":
    main()
