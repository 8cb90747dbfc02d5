"""Does memory grow with the length of a video? One hour of 720p at `all` against one minute of it.

Draws one minute of 720p H.264 and an hour of it (the minute sixty times, copied, not encoded again), extracts every
frame of each with the tiny network, and prints the peak memory of all processes together. An hour at 25 frames/s is
90,000 frames to decode: several minutes; ``--fps`` and ``--minutes`` make it less.

The tiny network has 64 features, InceptionV3 2,048: 90,000 steps are 369 MB in float16. So the store's writer
is also given as many steps of 2,048 features, in batches of 32, in a process of its own.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.drawn_videos import draw_video
from benchmarks.measure import in_own_process, peak_memory, run_script
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.ffmpeg import run_ffmpeg

_BOUND = 300e6  # bytes that the long one may take more than the short one
_TINY = ("--backbone", "tiny", "--weights", "random", "--sampling", "all")


def draw_minute(path: Path, fps: int) -> None:
    """A minute of a moving test picture, 720p H.264 with a keyframe every ten seconds."""
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(10 * fps)]
    draw_video(path, f"testsrc=size=1280x720:rate={fps}:duration=60", encode)


def write_sequence(steps: int, dimensions: int = 2048, batch: int = 32) -> int:
    """Write one sequence as the extraction does; returns the peak memory of this process in bytes."""
    features = np.random.default_rng(0).standard_normal((batch, dimensions), np.float32)
    recipe = Recipe("all", "tiny", "0" * 64, 32, 32)
    with tempfile.TemporaryDirectory() as folder, StoreWriter(Path(folder, "store"), recipe) as writer:
        buffer = writer.buffer()
        for start in range(0, steps, batch):
            numbers = list(range(start, min(steps, start + batch)))
            buffer.append(features[: len(numbers)], [0.04 * number for number in numbers], numbers)
        writer.add("long.mp4", buffer, SourceFile(1, 1, "0" * 64, frames=steps))
        writer.commit()
    return peak_memory()


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.extraction.memory --fps 10")
    parser.add_argument("--fps", type=int, default=25, help="frames/s of the videos")
    parser.add_argument("--minutes", type=int, default=60, help="length of the long video")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder, "short.mp4"), Path(folder, "long.mp4")
        draw_minute(short, args.fps)
        run_ffmpeg(["-stream_loop", str(args.minutes - 1), "-i", str(short), "-c", "copy", str(long)])
        peaks = []
        for name, path in (("1 minute", short), (f"{args.minutes} minutes", long)):
            done = run_script("extract_features", path, *_TINY, "--out", Path(folder, path.stem), watch=True)
            peaks.append(done.peak)
            print(f"{name:11} of 720p at {args.fps} frames/s, every frame: {done.peak / 1e6:6.0f} MB at most", end="")
            print(f"  ({done.frames:,} frames in {done.seconds:.0f} s)", flush=True)
        good = within_bound(*peaks)
    peaks = []
    for steps in (60 * args.fps, 60 * args.fps * args.minutes):
        peaks.append(in_own_process(write_sequence, steps))
        print(f"writing {steps:6,} steps of 2,048 features: {peaks[-1] / 1e6:6.0f} MB at most", flush=True)
    return command.OK if within_bound(*peaks) and good else command.SOME_FAILED


def within_bound(short: int, long: int) -> bool:
    """Whether the long one takes little more than the short one; prints how much."""
    good = long - short <= _BOUND
    print(f"  the long one takes {(long - short) / 1e6:+.0f} MB, {'within' if good else 'NOT within'} 300 MB")
    return good


if __name__ == "__main__":
    sys.exit(command.run(main))
