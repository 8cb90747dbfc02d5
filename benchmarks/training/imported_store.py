"""Seconds from a folder of sequences that were made elsewhere to a checkpoint, with default settings.

Draws 1,300 training and 560 test sequences of 25 x 4096 in 14 classes as .npy files, listed class after class and
with groups of seven clips that look alike, imports them with ``import_features.py`` and trains with ``train.py``,
each as a whole process. The accuracy says only that training came to its end: drawn classes are easy.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.measure import run_script
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.files.tables import write_table

STEPS, DIMENSIONS, CLASSES, PER_GROUP = 25, 4096, 14, 7


def draw(folder: Path, train: int, test: int) -> Path:
    """The .npy files and their table; sparse and positive, like a layer after its ReLU."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CLASSES, DIMENSIONS)).astype(np.float32) * 0.15
    rows = []
    for number in range(train + test):
        split, label = ("train", number * CLASSES // train) if number < train else ("test", number % CLASSES)
        group = f"{split}{number // PER_GROUP}"
        like = np.random.default_rng(number // PER_GROUP).normal(size=DIMENSIONS).astype(np.float32) * 0.5
        sequence = centres[label] + like + random.normal(size=(STEPS, DIMENSIONS)).astype(np.float32)
        np.save(folder / f"{number}.npy", np.maximum(0, sequence))
        rows.append({"file": f"{number}.npy", "label": f"class{label}", "split": split, "group": group})
    write_table(rows, list(rows[0]), folder / "labels.csv")
    return folder / "labels.csv"


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.training.imported_store")
    parser.add_argument("--train", type=int, default=1300, help="training sequences")
    parser.add_argument("--test", type=int, default=560, help="test sequences")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        arrays, store, out = Path(folder, "arrays"), Path(folder, "store"), Path(folder, "checkpoint")
        arrays.mkdir()
        labels = draw(arrays, args.train, args.test)
        done = run_script("import_features", arrays, "--labels", labels, "--out", store)
        print(f"import_features.py: {done.seconds:.1f} s", flush=True)
        done = run_script("train", store, "--out", out)
        print(f"train.py: {done.seconds:.1f} s", flush=True)
        results = json.loads((out / "results.json").read_text())
    epochs = f"{results['epochs']} epochs in {results['seconds']:.1f} s, the best was {results['best_epoch']}"
    print(f"{epochs}; test accuracy {results['accuracy']['test']:.3f}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
