"""Reading the frame cache against decoding the videos again.

    python benchmarks/frame_cache.py ../shared/videos/fights
    python benchmarks/frame_cache.py ../shared/videos/actions --size 64

Both ways give the same pictures, one process at a time: the decoder picks, crops and resizes as in stage one, the cache
is read sequence by sequence. Printed are pictures per second of processor time (medians over rounds that take turns,
so that other programs on the machine disturb both alike), the factor, and the size of the cache against raw pixels.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.extraction.inputs.motion import InputMaker
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.store import SHARDS, FeatureStore
from pipeline.videos.media import open_video
from pipeline.videos.media.sampling import Sampling


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="folders of videos")
    parser.add_argument("--sampling", default="uniform:20")
    parser.add_argument("--size", default="112")
    parser.add_argument("--videos", type=int, default=30, help="of each folder, spread over it")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for data in args.data:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "cache"
            arguments = [str(data), "--out", str(store), "--backbone", "frames", "--quiet"]
            command.run(extract_features.main, [*arguments, "--sampling", args.sampling, "--size", args.size])
            _compare(data, FeatureStore(store), args.videos, args.rounds)


def _compare(data: Path, store: FeatureStore, most: int, rounds: int) -> None:
    known = [video for video in store.catalog if video.name in store.entries]
    videos = [known[place] for place in np.unique(np.linspace(0, len(known) - 1, most).round().astype(int))]

    def decode() -> list[np.ndarray]:
        return [_decode(video.path, store.recipe) for video in videos]

    def read() -> list[np.ndarray]:
        found = {sequence.video: sequence.features for sequence in store.sequences([video.name for video in videos])}
        return [found[video.name] for video in videos]

    assert all(np.array_equal(one, other) for one, other in zip(decode(), read(), strict=True))
    pictures = sum(store.entries[video.name].steps for video in videos)
    times = [(_seconds(decode), _seconds(read)) for _ in range(rounds)]
    decoding, reading = np.median(times, axis=0)
    kept = sum(path.stat().st_size for path in store.folder.glob(SHARDS))
    raw = sum(entry.steps for entry in store.entries.values()) * int(np.prod(store.shape))
    print(
        f"{data}: {len(videos)} videos, {pictures} pictures of {'x'.join(map(str, store.shape))}: decoding "
        f"{pictures / decoding:.0f} pictures/s, reading the cache {pictures / reading:.0f}, "
        f"{decoding / reading:.1f} times as fast; the cache takes {kept / raw:.2f} of the pixels",
        flush=True,
    )


def _decode(path: Path, recipe: Recipe) -> np.ndarray:
    with open_video(path, threads=1) as reader:
        numbers = Sampling.parse(recipe.sampling).indices(reader.times())
        return np.stack([frame.image for frame in InputMaker(recipe).frames(reader, numbers)])


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
