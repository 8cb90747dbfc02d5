"""Does memory grow with the length of a video? One hour of 720p at `all` against one minute of it.

    python -m benchmarks.memory

draws one minute of 720p H.264 and an hour of it (the minute sixty times, copied, not encoded again), extracts every
frame of each with the tiny network, and prints the peak memory of all processes together. An hour at 25 frames/s is
90,000 frames to decode: several minutes; ``--fps`` and ``--minutes`` make it less.

The tiny network has 64 features, InceptionV3 2,048: 90,000 steps are 369 MB in float16. So the store's writer
is also given as many steps of 2,048 features, in batches of 32, in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.stages import PeakMemory, whole_command
from pipeline.cli import command
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.ffmpeg import find_ffmpeg

_BOUND = 300e6  # bytes that the long one may take more than the short one


def draw_minute(path: Path, fps: int) -> None:
    """A minute of a moving test picture, 720p H.264 with a keyframe every ten seconds."""
    source = ["-f", "lavfi", "-i", f"testsrc=size=1280x720:rate={fps}:duration=60"]
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(10 * fps), "-pix_fmt", "yuv420p"]
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *source, *encode, str(path)], check=True)


def repeat(path: Path, times: int, out: Path) -> None:
    """The same packets again and again."""
    asked = ["-stream_loop", str(times - 1), "-i", str(path), "-c", "copy", str(out)]
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *asked], check=True)


def write_sequence(steps: int, dimensions: int = 2048, batch: int = 32) -> int:
    """Write one sequence as the extraction does; returns the peak memory of this process in bytes."""
    features = np.random.default_rng(0).standard_normal((batch, dimensions), np.float32)
    with (
        tempfile.TemporaryDirectory() as folder,
        PeakMemory(os.getpid(), every=0.02) as memory,
        StoreWriter(Path(folder, "store"), Recipe("all", "tiny", "0" * 64, 32, 32)) as writer,
    ):
        buffer = writer.buffer()
        for start in range(0, steps, batch):
            count = min(batch, steps - start)
            numbers = list(range(start, start + count))
            buffer.append(features[:count], [0.04 * number for number in numbers], numbers)
        writer.add("long.mp4", buffer, SourceFile(1, 1, "0" * 64, frames=steps))
        writer.commit()
    return memory.bytes


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--minutes", type=int, default=60, help="length of the long video")
    parser.add_argument("--write", type=int, metavar="STEPS", help=argparse.SUPPRESS)  # what a child is asked for
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    if args.write:
        print(write_sequence(args.write))
        return 0
    good = True
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder, "short.mp4"), Path(folder, "long.mp4")
        draw_minute(short, args.fps)
        repeat(short, args.minutes, long)
        tiny = ["--backbone", "tiny", "--weights", "random", "--sampling", "all"]
        peaks = []
        for name, path in (("1 minute", short), (f"{args.minutes} minutes", long)):
            done = whole_command(path, tiny)
            peaks.append(done.peak)
            print(f"{name:11} of 720p at {args.fps} frames/s, every frame: {done.peak / 1e6:6.0f} MB at most", end="")
            print(f"  ({done.frames:,} frames in {done.seconds:.0f} s)", flush=True)
        good &= _compare(peaks)
    peaks = []
    for steps in (60 * args.fps, 60 * args.fps * args.minutes):
        asked = [sys.executable, "-m", "benchmarks.memory", "--write", str(steps)]
        peaks.append(int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout))
        print(f"writing {steps:6,} steps of 2,048 features: {peaks[-1] / 1e6:6.0f} MB at most")
    return 0 if good & _compare(peaks) else 1


def _compare(peaks: Sequence[int]) -> bool:
    more = peaks[1] - peaks[0]
    print(f"  the long one takes {more / 1e6:+.0f} MB, {'within' if more <= _BOUND else 'NOT within'} 300 MB")
    return more <= _BOUND


if __name__ == "__main__":
    sys.exit(command.run(main))
