"""How long does a second run over a finished store of 10,000 videos take?

Makes 10,000 small files and a store that has them all (in shards of 64, as a real run leaves them), then times
``extract_features.py`` as a whole process. Nothing is decoded and no network is loaded.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import run_script
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.videos.catalog.source_file import SourceFile

_VIDEOS_PER_SHARD = 64


def make_finished_store(data: Path, store: Path, videos: int, dimensions: int = 64) -> None:
    """Files that are never opened, and a store that has a sequence of each."""
    recipe = Recipe("uniform:20", "tiny", "0" * 64, 32, 32)
    weights = WeightsSource("random")
    features = np.random.default_rng(0).standard_normal((20, dimensions), np.float32)
    for label in ("a", "b"):
        (data / label).mkdir(parents=True)
    for start in range(0, videos, _VIDEOS_PER_SHARD):
        with StoreWriter(store, recipe, weights=weights) as writer:
            for number in range(start, min(videos, start + _VIDEOS_PER_SHARD)):
                path = data / "ab"[number % 2] / f"clip{number}.mp4"
                path.write_text(f"video {number}")
                buffer = writer.buffer()
                buffer.append(features, [0.1 * step for step in range(20)], list(range(20)))
                name = path.relative_to(data).as_posix()
                writer.add(name, buffer, replace(SourceFile.of(path), sha256=f"{number:064x}", frames=20))


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.extraction.second_run")
    parser.add_argument("--videos", type=int, default=10_000, help="how many are finished")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        data, store = Path(folder, "data"), Path(folder, "store")
        make_finished_store(data, store, args.videos)
        for run in ("first", "second"):
            tiny = ("--backbone", "tiny", "--weights", "random")
            done = run_script("extract_features", data, "--out", store, *tiny)
            print(f"{run} look at {args.videos:,} finished videos: {done.seconds:.2f} s", flush=True)
    print(done.line)
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
