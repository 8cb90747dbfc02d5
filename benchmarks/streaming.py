"""Memory and speed of training on a store that is larger than the memory it may take.

    python -m benchmarks.streaming

makes a store of 4 GB (sequences of 20 x 2048 float16 that class tells apart only in part), trains on it once loaded
and once streamed, each in a process of its own with `train.fit` and the default head, and prints the highest
resident memory of each, the ratio of the speeds and both accuracy curves. The resident memory is VmHWM of Linux: all
pages of the process at its peak, TensorFlow's own among them. The page cache, in which the system keeps files that
were read, is no part of it: it is given back as soon as a program needs the memory. With --cold the files are
dropped from that cache before each epoch, so that they come from the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.cli import command
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.extraction.store.store import CATALOG_FILE
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.catalog_table import write_catalog
from pipeline.videos.catalog.source_file import SourceFile

STEPS, DIMENSIONS, CLASSES = 20, 2048, 20


def make_store(folder: Path, size: float) -> None:
    """A store of ``size`` GB, class after class as folders give it; classes differ by less than videos do."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CLASSES, DIMENSIONS)).astype(np.float32) * 0.03
    noise = random.normal(size=(4096, DIMENSIONS)).astype(np.float32) * 0.5  # drawn once: this takes most of the time
    count = int(size * 1e9 / (STEPS * DIMENSIONS * 2) / CLASSES)
    videos = []
    with StoreWriter(folder, Recipe(f"uniform:{STEPS}", "drawn", "0" * 64, 1, 1)) as store:
        for label in range(CLASSES):
            for number in range(count):
                own = noise[random.integers(0, len(noise))] * 0.5
                rows = random.integers(0, len(noise) - STEPS)
                buffer = store.buffer()
                times = [0.5 * step for step in range(STEPS)]
                buffer.append(centres[label] + own + noise[rows : rows + STEPS], times, list(range(STEPS)))
                name = f"class{label}/video{number}.mp4"
                store.add(name, buffer, SourceFile(1, 1, "", frames=STEPS, duration=10.0))
                videos.append(Video(name, folder / name, f"class{label}", "val" if number % 10 == 0 else "train"))
    write_catalog(videos, folder / CATALOG_FILE)


def measure(store: Path, memory: int, epochs: int, head: str, cold: bool) -> dict:
    """Train in this process; its peak of resident memory, seconds and validation accuracy of each epoch."""
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.data.splits import make_split
    from pipeline.training.experiments.experiment import train
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.spec import TrainSpec
    from pipeline.videos.catalog.splits import groups_of

    begun = time.perf_counter()
    data = open_dataset(store, memory=memory)
    opened = time.perf_counter() - begun
    groups, _ = groups_of(data.videos)
    drop = (lambda epoch: _drop(store)) if cold else (lambda epoch: None)
    drop(None)
    spec = TrainSpec(epochs=epochs, patience=epochs)
    run = train(data, make_split(data, groups), head=head_spec(head), groups=groups, spec=spec, on_epoch=drop)
    history = run.trained.schedule.history
    return {
        "peak": int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e6,  # type: ignore[index]
        "opened": opened,
        "all": time.perf_counter() - begun,
        "seconds": [epoch.seconds for epoch in history],
        "accuracy": [epoch.val_accuracy for epoch in history],
    }


def _drop(store: Path) -> None:
    for path in store.glob("*.h5"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=4.0, help="of the store, in GB")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--head", default="gru")
    parser.add_argument("--cold", action="store_true", help="read from the disk, not from the system's page cache")
    parser.add_argument("--folder", type=Path, help="where the store is made; a temporary folder by default")
    parser.add_argument("--measure", nargs=2, metavar=("STORE", "BYTES"), help=argparse.SUPPRESS)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    if args.measure:
        store, memory = args.measure
        print(json.dumps(measure(Path(store), int(memory), args.epochs, args.head, args.cold)))
        return command.OK
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        store = Path(folder, "store")
        begun = time.perf_counter()
        make_store(store, args.size)
        size = sum(path.stat().st_size for path in store.glob("*.h5"))
        print(f"store of {size / 1e9:.2f} GB made in {time.perf_counter() - begun:.0f} s", flush=True)
        found = {}
        for name, memory in (("loaded", size * 2), ("streamed", 0)):
            this = [sys.executable, "-m", "benchmarks.streaming", "--measure", str(store), str(memory)]
            options = ["--epochs", str(args.epochs), "--head", args.head, *(["--cold"] if args.cold else [])]
            output = subprocess.run([*this, *options], check=True, stdout=subprocess.PIPE, text=True).stdout
            found[name] = row = json.loads(output.splitlines()[-1])
            print(
                f"{name:9} peak {row['peak']:.2f} GB resident; opened in {row['opened']:.1f} s, epochs "
                f"{' '.join(f'{seconds:.1f}' for seconds in row['seconds'])} s, whole run {row['all']:.0f} s; "
                f"validation accuracy {' '.join(f'{accuracy:.4f}' for accuracy in row['accuracy'])}",
                flush=True,
            )
    loaded, streamed = (min(found[name]["seconds"]) for name in ("loaded", "streamed"))
    alike = np.abs(np.subtract(found["loaded"]["accuracy"], found["streamed"]["accuracy"])).max()
    print(f"streamed at {loaded / streamed:.2f} of the loaded speed; accuracies differ by at most {alike:.4f}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
