"""Memory and speed of training on a store that is larger than the memory it may take.

Makes a store of 4 GB (sequences of 20 x 2048 float16 that class tells apart only in part), trains on it once loaded
and once streamed, each in a process of its own with `train` and the default head, and prints the highest
resident memory of each, the ratio of the speeds and both accuracy curves. The resident memory is VmHWM of Linux: all
pages of the process at its peak, TensorFlow's own among them. The page cache, in which the system keeps files that
were read, is no part of it: it is given back as soon as a program needs the memory. With --cold the files are
dropped from that cache before each epoch, so that they come from the disk.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import Stopwatch, in_own_process, peak_memory, time_of
from benchmarks.training.drawn_store import write_store
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.store.store import SHARDS

STEPS, DIMENSIONS, CLASSES = 20, 2048, 20


@dataclass(frozen=True)
class Training:
    """What one training took."""

    peak: int
    """Bytes of resident memory."""
    opened: float
    """Seconds until the data set was there."""
    whole: float
    """Seconds of all."""
    seconds: list[float]
    """Of each epoch."""
    accuracy: list[float]
    """On the validation split after each epoch."""


def draw(size: float) -> Iterator[tuple[str, str, np.ndarray]]:
    """Sequences of ``size`` GB, class after class as folders give them; classes differ by less than videos do."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CLASSES, DIMENSIONS)).astype(np.float32) * 0.03
    noise = random.normal(size=(4096, DIMENSIONS)).astype(np.float32) * 0.5  # drawn once: this takes most of the time
    for label in range(CLASSES):
        for number in range(int(size * 1e9 / (STEPS * DIMENSIONS * 2) / CLASSES)):
            own = noise[random.integers(0, len(noise))] * 0.5
            rows = random.integers(0, len(noise) - STEPS)
            split = "val" if number % 10 == 0 else "train"
            yield f"class{label}", split, centres[label] + own + noise[rows : rows + STEPS]


def measure(store: Path, memory: int, epochs: int, head: str, cold: bool) -> Training:
    """Train in this process on what of the store fits into ``memory`` bytes."""
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.data.splits import make_split
    from pipeline.training.experiments.experiment import train
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.spec import TrainSpec
    from pipeline.videos.catalog.splits import groups_of

    def drop(_epoch: object = None) -> None:
        for path in store.glob(SHARDS) if cold else ():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    with Stopwatch() as whole:
        with Stopwatch() as opening:
            data = open_dataset(store, memory=memory)
        groups, _ = groups_of(data.videos)
        drop()
        spec = TrainSpec(epochs=epochs, patience=epochs, members=1)
        run = train(data, make_split(data, groups), head=head_spec(head), groups=groups, spec=spec, on_epoch=drop)
    history = run.trained.schedule.history
    seconds, accuracy = [epoch.seconds for epoch in history], [epoch.val_accuracy for epoch in history]
    return Training(peak_memory(), opening.clock, whole.clock, seconds, accuracy)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.training.streaming")
    parser.add_argument("--size", type=float, default=4.0, help="of the store, in GB")
    parser.add_argument("--epochs", type=int, default=3, help="of each training")
    parser.add_argument("--head", default="gru", help="by name")
    parser.add_argument("--cold", action="store_true", help="read from the disk, not from the system's page cache")
    parser.add_argument("--folder", type=Path, help="where the store is made; a temporary folder by default")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        store = Path(folder, "store")
        made = time_of(lambda: write_store(store, draw(args.size))).clock
        size = sum(path.stat().st_size for path in store.glob(SHARDS))
        print(f"store of {size / 1e9:.2f} GB made in {made:.0f} s", flush=True)
        found = {}
        for name, memory in (("loaded", size * 2), ("streamed", 0)):
            found[name] = one = in_own_process(measure, store, memory, args.epochs, args.head, args.cold)
            print(
                f"{name:9} peak {one.peak / 1e9:.2f} GB resident; opened in {one.opened:.1f} s, epochs "
                f"{' '.join(f'{seconds:.1f}' for seconds in one.seconds)} s, whole run {one.whole:.0f} s; "
                f"validation accuracy {' '.join(f'{accuracy:.4f}' for accuracy in one.accuracy)}",
                flush=True,
            )
    loaded, streamed = found["loaded"], found["streamed"]
    speed = min(loaded.seconds) / min(streamed.seconds)
    alike = np.abs(np.subtract(loaded.accuracy, streamed.accuracy)).max()
    print(f"streamed at {speed:.2f} of the loaded speed; accuracies differ by at most {alike:.4f}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
