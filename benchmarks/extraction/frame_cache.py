"""Reading the frame cache against decoding the videos again.

Both ways give the same images, one process at a time: the decoder picks, crops and resizes as in stage one, the cache
is read sequence by sequence. Printed are images per second of processor time (medians over rounds that take turns,
so that other programs on the machine disturb both alike), the factor, and the size of the cache against raw pixels.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import in_turn, time_of
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.commands.extraction import extract_features
from pipeline.extraction.inputs.motion import InputMaker
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.store import SHARDS, FeatureStore
from pipeline.videos.media import open_video
from pipeline.videos.media.sampling import Sampling, uniform


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m benchmarks.extraction.frame_cache ../shared/videos"
    parser = Parser(__doc__, f"{example}/fights\n  {example}/actions --size 64")
    parser.add_argument("data", nargs="+", type=Path, help="folders of videos")
    parser.add_argument("--sampling", default="uniform:20", help="as for extract_features.py")
    parser.add_argument("--size", default="112", help="as for extract_features.py")
    parser.add_argument("--videos", type=int, default=30, help="of each folder, spread over it")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of which the median counts")
    args = parser.parse_args(argv)
    for data in args.data:
        with tempfile.TemporaryDirectory() as folder:
            store = f"{folder}/cache"
            options = ["--out", store, "--backbone", "frames", "--sampling", args.sampling, "--size", args.size]
            extract_features.main([str(data), *options, "--quiet"])
            print(f"{data}: {compare(FeatureStore(store), args.videos, args.rounds)}", flush=True)
    return command.OK


def compare(store: FeatureStore, most: int, rounds: int) -> str:
    """One line for the videos of a store."""
    known = [video for video in store.catalog if video.name in store.entries]
    videos = [known[place] for place in uniform(np.arange(len(known)), most)]

    def decode_all() -> list[np.ndarray]:
        return [decode(video.path, store.recipe) for video in videos]

    def read() -> list[np.ndarray]:
        found = {sequence.video: sequence.features for sequence in store.sequences([video.name for video in videos])}
        return [found[video.name] for video in videos]

    assert all(np.array_equal(one, other) for one, other in zip(decode_all(), read(), strict=True))
    images = sum(store.entries[video.name].steps for video in videos)
    times = in_turn({work.__name__: partial(time_of, work) for work in (decode_all, read)}, rounds)
    decoding, reading = (statistics.median(watch.processor for watch in watches) for watches in times.values())
    kept = sum(path.stat().st_size for path in store.folder.glob(SHARDS))
    raw = sum(entry.steps for entry in store.entries.values()) * int(np.prod(store.shape))
    return (
        f"{len(videos)} videos, {images} images of {'x'.join(map(str, store.shape))}: decoding "
        f"{images / decoding:.0f} images/s, reading the cache {images / reading:.0f}, "
        f"{decoding / reading:.1f} times as fast; the cache takes {kept / raw:.2f} of the pixels"
    )


def decode(path: Path, recipe: Recipe) -> np.ndarray:
    with open_video(path, threads=1) as reader:
        numbers = Sampling.parse(recipe.sampling).indices(reader.times())
        return np.stack([frame.image for frame in InputMaker(recipe).frames(reader, numbers)])


if __name__ == "__main__":
    sys.exit(command.run(main))
