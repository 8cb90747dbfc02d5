"""Seconds per epoch of stage two on TensorFlow and on JAX against plain Keras `fit` on arrays on TensorFlow.

594 windows of 20 x 2048 in 5 classes, GRU(16) -> GRU(8), batch 32, Adam: the training of
https://keras.io/examples/vision/video_classification/. Each training is a process of its own, because a process has
one backend; they take turns. The fastest epoch of each counts, because other programs on the machine only ever make
an epoch slower; medians are printed beside it. The first epoch of each training compiles and is left out.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import in_own_process, in_turn
from benchmarks.training.drawn_store import write_store
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.training.data.dataset import Dataset, Windows, open_dataset, windows_of
from pipeline.training.data.windows import WindowSpec

ROWS, STEPS, DIMENSIONS, CLASSES, VALIDATION = 594, 20, 2048, 5, 100

Row = tuple[float, float]  # seconds and validation accuracy of an epoch


def draw() -> Iterator[tuple[str, str, np.ndarray]]:
    """Sequences like pooled ReLU features, of 8 to 20 steps; classes differ a little in their mean."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CLASSES, DIMENSIONS)).astype(np.float32) * 0.15
    for row in range(ROWS + VALIDATION):
        label = random.integers(CLASSES)
        own = random.normal(size=(random.integers(8, STEPS + 1), DIMENSIONS)) * 0.5
        features = np.maximum(0, centres[label] + own).astype(np.float32)
        yield f"class{label}", "train" if row < ROWS else "val", features


def windows() -> tuple[Dataset, Windows, Windows]:
    """The data set, and its windows for training and for validation."""
    with tempfile.TemporaryDirectory() as folder:
        write_store(Path(folder, "store"), draw())
        data = open_dataset(Path(folder, "store"), memory=1 << 30)
    split = np.array([video.split for video in data.videos])
    train, val = (windows_of(data, np.flatnonzero(split == name), WindowSpec(STEPS)) for name in ("train", "val"))
    return data, train, val


def keras_fit(epochs: int) -> list[Row]:
    """A row for each epoch of `fit` on arrays, as usually written."""
    import keras

    from pipeline.training.heads.registry import build_model, head_spec

    _, train, val = windows()
    (x, mask), (val_x, val_mask) = (some.gather(np.arange(len(some))) for some in (train, val))
    x, val_x = x.astype(np.float32), val_x.astype(np.float32)
    keras.utils.set_random_seed(0)
    logits = build_model(head_spec("keras-example"), length=STEPS, shape=(DIMENSIONS,), classes=CLASSES)
    model = keras.Model(logits.inputs, keras.layers.Softmax()(logits.output))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    rows: list[Row] = []
    since = [0.0]

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            since[0] = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            rows.append((time.perf_counter() - since[0], logs["val_accuracy"]))

    held = ([val_x, val_mask], val.labels)
    options = {"validation_data": held, "batch_size": 32, "epochs": epochs, "verbose": 0, "callbacks": [Clock()]}
    model.fit([x, mask], train.labels, **options)
    return rows


def ours(epochs: int) -> list[Row]:
    """The same of `pipeline.training.loop.fit.fit`."""
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.fit import fit
    from pipeline.training.loop.spec import TrainSpec

    spec = TrainSpec(epochs=epochs, patience=epochs, plateau=epochs)
    trained = fit(*windows(), head_spec("keras-example"), spec)
    return [(epoch.seconds, epoch.val_accuracy) for epoch in trained.schedule.history]


CONTESTANTS = {  # training and backend
    "Keras fit, TensorFlow": (keras_fit, "tensorflow"),
    "this project, TensorFlow": (ours, "tensorflow"),
    "this project, JAX": (ours, "jax"),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.training.speed")
    parser.add_argument("--epochs", type=int, default=10, help="of each training, at least 2")
    parser.add_argument("--rounds", type=int, default=3, help="how often the trainings take turns")
    args = parser.parse_args(argv)
    contestants = dict(CONTESTANTS)
    if importlib.util.find_spec("jax") is None:
        print("jax is not installed and is left out; pip install -e .[jax]")
        del contestants["this project, JAX"]
    works = {
        name: partial(in_own_process, training, args.epochs, KERAS_BACKEND=backend)
        for name, (training, backend) in contestants.items()
    }
    found = in_turn(works, args.rounds)
    seconds = {name: [row[0] for rows in rounds for row in rows[1:]] for name, rounds in found.items()}
    theirs = next(iter(seconds.values()))
    for name, own in seconds.items():
        fastest, median = min(theirs) / min(own), np.median(theirs) / np.median(own)
        print(
            f"{name:25} {min(own):.3f} s per epoch, median {np.median(own):.3f}, first {found[name][0][0][0]:.1f}: "
            f"{fastest:.2f} times as fast, {median:.2f} by medians"
        )
    for name, rounds in found.items():
        print(f"{name:25} validation accuracy", *(f"{row[1]:.2f}" for row in rounds[0]))
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
