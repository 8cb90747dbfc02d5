"""How long does a second look at a finished store take, and what does it cost to believe no shard unseen?

Makes 10,000 small files and a store that has them all (in shards of 64, as a real run leaves them), then times
``extract_features.py`` as a whole process. Nothing is decoded and no network is loaded. Then it opens a store of
200,000 sequences that this machine wrote, with the guard and with h5py alone, which believes all; and a copy of it for
the first time, when each shard is looked at.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.measure import in_own_process, in_turn, run_script, time_of
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.files.user_cache import VARIABLE
from pipeline.videos.catalog.source_file import SourceFile

_VIDEOS_PER_SHARD, _SEQUENCES_PER_SHARD = 64, 1000
_RECIPE = Recipe("uniform:20", "tiny", "0" * 64, 32, 32)


def make_finished_store(data: Path, store: Path, videos: int, dimensions: int = 64) -> None:
    """Files that are never opened, and a store that has a sequence of each."""
    features = np.random.default_rng(0).standard_normal((20, dimensions), np.float32)
    for label in ("a", "b"):
        (data / label).mkdir(parents=True)
    for start in range(0, videos, _VIDEOS_PER_SHARD):
        with StoreWriter(store, _RECIPE, weights=WeightsSource("random")) as writer:
            for number in range(start, min(videos, start + _VIDEOS_PER_SHARD)):
                path = data / "ab"[number % 2] / f"clip{number}.mp4"
                path.write_text(f"video {number}")
                buffer = writer.buffer()
                buffer.append(features, [0.1 * step for step in range(20)], list(range(20)))
                name = path.relative_to(data).as_posix()
                writer.add(name, buffer, replace(SourceFile.of(path), sha256=f"{number:064x}", frames=20))


def make_large_store(store: Path, sequences: int) -> None:
    """A store of many short sequences, whose videos do not exist."""
    features = np.zeros((2, 4), np.float32)
    source = SourceFile(100, 1, "f" * 64, frames=20)
    for start in range(0, sequences, _SEQUENCES_PER_SHARD):
        with StoreWriter(store, _RECIPE, weights=WeightsSource("random"), commit_every=3600) as writer:
            for number in range(start, min(sequences, start + _SEQUENCES_PER_SHARD)):
                buffer = writer.buffer()
                buffer.append(features, [0.0, 0.1], [0, 1])
                writer.add(f"a/clip{number}.mp4", buffer, source)


def open_store(folder: Path, believe: bool) -> tuple[float, float]:
    """Seconds by the clock and of the processor until all entries of a store are known."""
    import h5py

    from pipeline.extraction.store import store

    opened = partial(h5py.File, mode="r") if believe else store.open_shard
    with patch.object(store, "open_shard", opened):
        began = time.perf_counter()
        watch = time_of(lambda: store.FeatureStore(folder).entries)
        return time.perf_counter() - began, watch.processor


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.extraction.second_run")
    parser.add_argument("--videos", type=int, default=10_000, help="how many are finished")
    parser.add_argument("--sequences", type=int, default=200_000, help="of the store that is opened")
    parser.add_argument("--rounds", type=int, default=5, help="how often it is opened in each way")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, patch.dict("os.environ", {VARIABLE: str(Path(folder, "cache"))}):
        data, store = Path(folder, "data"), Path(folder, "store")
        make_finished_store(data, store, args.videos)
        for run in ("first", "second"):
            tiny = ("--backbone", "tiny", "--weights", "random")
            done = run_script("extract_features", data, "--out", store, *tiny)
            print(f"{run} look at {args.videos:,} finished videos: {done.seconds:.2f} s", flush=True)
        print(done.line)
        large = Path(folder, "large")
        make_large_store(large, args.sequences)
        ways = {"with the guard": False, "with h5py alone": True}
        works = {name: partial(in_own_process, open_store, large, believe) for name, believe in ways.items()}
        least = {
            name: _show(f"{args.sequences:,} sequences {name}", found)
            for name, found in in_turn(works, args.rounds).items()
        }
        print(f"{least['with the guard'] / least['with h5py alone']:.2f} times the time of h5py alone")
        copy = shutil.copytree(large, Path(folder, "copy"))
        _show("a copy of it for the first time", [in_own_process(open_store, copy, False)])
    return command.OK


def _show(name: str, found: Sequence[tuple[float, float]]) -> float:
    clock, processor = (min(values) for values in zip(*found, strict=True))
    print(f"{name}: {clock:.2f} s by the clock, {processor:.2f} s of the processor", flush=True)
    return processor


if __name__ == "__main__":
    sys.exit(command.run(main))
