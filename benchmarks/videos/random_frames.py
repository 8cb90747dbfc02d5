"""Is a wrong frame ever returned? Random requests to files of many kinds whose frames carry their number.

Asks for 1 to 8 random frames at a time, 2,000 times, over MP4, Matroska, AVI, MPEG program and transport streams and
WebM with H.264, HEVC, MPEG-2, MPEG-4, MJPEG, VP8, VP9 and FFV1, steady and variable rates, and counts the wrong ones.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.videos.media import open_video
from tests.media import KINDS, read_number, uneven_times, write_video


def wrong_requests(folder: Path, kind: str, requests: int, *, frames: int = 150, seed: int = 0) -> int:
    """Make a video of a kind and ask for random frames of it; how often a frame or its time was wrong or missing."""
    path = write_video(folder / kind, kind, frames=frames, first=7)
    dice = np.random.default_rng(seed)
    times = np.arange(frames) / 25 if KINDS[kind].steady else np.array(uneven_times(frames))
    wrong = 0
    with open_video(path) as video:
        for _ in range(requests):
            wanted = np.sort(dice.choice(frames, dice.integers(1, 9), replace=False))
            found = list(video.frames(wanted))
            numbers = [read_number(frame.image) - 7 for frame in found]
            # AVI keeps no times of display, so B-frames blur them there; which image it is stays exact.
            # Containers round to milliseconds.
            late = kind != "h264_avi" and any(abs(frame.time - times[frame.index]) > 0.002 for frame in found)
            wrong += numbers != wanted.tolist() or [frame.index for frame in found] != numbers or late
    return wrong


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.videos.random_frames")
    parser.add_argument("--requests", type=int, default=2000, help="how many in all, at the least")
    parser.add_argument("--seed", type=int, default=0, help="of the random frames")
    args = parser.parse_args(argv)
    each = -(-args.requests // len(KINDS))
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for place, kind in enumerate(KINDS):
            bad = wrong_requests(Path(folder), kind, each, seed=args.seed + place)
            print(f"{kind:14} {each:5,} requests, {bad} wrong", flush=True)
            wrong += bad
    containers = len({kind.extension for kind in KINDS.values()})
    codecs = len({kind.codec for kind in KINDS.values()})
    print(f"{each * len(KINDS):,} requests over {containers} containers and {codecs} codecs: {wrong} wrong")
    return command.SOME_FAILED if wrong else command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
