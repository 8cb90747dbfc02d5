"""Live: does the delay stay bounded, and memory flat?

ffmpeg draws a test picture at 30 frames/s in real time for ``classify.py CHECKPOINT -`` or ``rtsp://...``: a pipe, or
with --rtsp a network camera that fails for 3 s in the middle. Printed for each minute: predictions, the mean and
longest delay from a frame's arrival to its prediction, the longest time by which a prediction lags behind the clock of
the stream, frames dropped, reconnections, and the command's memory.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from benchmarks.drawn_videos import draw_video
from benchmarks.inference.untrained import make_checkpoint
from benchmarks.measure import memory_of, script
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.videos.media.ffmpeg import find_ffmpeg
from tests.rtsp import RtspServer

_CAMERA_AWAY = 3  # seconds


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m benchmarks.inference.live --seconds 300"
    parser = Parser(__doc__, f"{example}\n  {example} --rtsp")
    parser.add_argument("--backbone", default="tiny", help="the frozen network")
    parser.add_argument("--weights", default="random", help="as for extract_features.py")
    parser.add_argument("--sampling", default="fps:10", help="as for extract_features.py")
    parser.add_argument("--seconds", type=float, default=300.0, help="of the stream")
    parser.add_argument("--size", default="640x360", help="of its frames")
    parser.add_argument("--rtsp", action="store_true", help="a network camera and not a pipe")
    args = parser.parse_args(argv)
    source = f"testsrc2=size={args.size}:rate=30"
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ending:
        checkpoint = make_checkpoint(Path(name, "checkpoint"), args.backbone, args.weights, args.sampling)
        address, pipe, begin = "-", None, lambda: None
        if args.rtsp:
            address, begin = camera(Path(name, "camera.mp4"), source, args.seconds / 2, ending)
        else:
            pipe = piped(source, ending)
        work = script("classify", checkpoint, address, "--stride", 1, "--seconds", args.seconds)
        process = subprocess.Popen(work, stdin=pipe, stdout=subprocess.PIPE)
        watch(process, begin)
        return process.wait()


def piped(source: str, ending: contextlib.ExitStack) -> IO[bytes]:
    """A pipe with a test picture in real time."""
    encode = ["-c:v", "mpeg2video", "-b:v", "2M", "-f", "mpegts", "-"]
    drawn = [find_ffmpeg(), "-loglevel", "error", "-re", "-f", "lavfi", "-i", source, *encode]
    process = subprocess.Popen(drawn, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ending.callback(process.wait)
    ending.callback(process.kill)
    assert process.stdout is not None
    return process.stdout


def camera(
    movie: Path, source: str, failing_after: float, ending: contextlib.ExitStack
) -> tuple[str, Callable[[], None]]:
    """The address of a camera that shows a test picture for ever, and what begins the time until it fails."""
    draw_video(movie, f"{source}:duration=60", ["-c:v", "libx264", "-preset", "veryfast", "-g", "30"])
    loop = ("-stream_loop", "-1")
    servers = [RtspServer(movie, options=loop).__enter__()]

    def fail() -> None:
        servers[-1].stop()
        time.sleep(_CAMERA_AWAY)
        servers.append(RtspServer(movie, port=servers[0].port, options=loop).__enter__())

    timer = threading.Timer(failing_after, fail)
    ending.callback(lambda: servers[-1].stop())
    ending.callback(timer.cancel)
    return servers[0].address, timer.start


def watch(process: subprocess.Popen, begin: Callable[[], None]) -> None:
    """Print what its predictions of each minute show; ``begin`` is called with the first one."""
    rows: list[dict] = []
    begun, minute, ahead, connection, memory = 0.0, 0, 0.0, -1, 0
    assert process.stdout is not None
    for text in process.stdout:
        now = time.monotonic()
        line = json.loads(text)
        if not begun:
            begun = now
            begin()
        # At first the pipe holds what came while the network was loaded; the clock counts from when that is gone.
        lag = now - line["time"]
        ahead = lag if line["reconnects"] != connection else min(ahead, lag)
        connection = line["reconnects"]
        rows.append({**line, "lag": lag - ahead})
        memory = memory_of(process.pid) or memory
        if now - begun >= (minute + 1) * 60:
            minute += 1
            print(summary(minute, rows, memory), flush=True)
            rows = []
    if rows:
        print(summary(minute + 1, rows, memory))


def summary(minute: int, rows: list[dict], memory: int) -> str:
    delays = [row["delay"] for row in rows]
    lags = [row["lag"] for row in rows]
    return (
        f"minute {minute}: {len(rows)} predictions, delay {sum(delays) / len(delays):.3f} s mean, {max(delays):.3f} s "
        f"most, lag {max(lags):.2f} s most, {rows[-1]['dropped']} dropped and {rows[-1]['reconnects']} reconnections "
        f"so far, {memory / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    sys.exit(command.run(main))
