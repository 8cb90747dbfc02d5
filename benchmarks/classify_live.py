"""Live: does the delay stay bounded, and memory flat?

    python -m benchmarks.classify_live --seconds 300            (a pipe)
    python -m benchmarks.classify_live --seconds 300 --rtsp     (a network camera that fails for 3 s in the middle)

ffmpeg draws a test picture at 30 frames/s in real time for ``classify.py CHECKPOINT -`` or ``rtsp://...``. Printed for
each minute: predictions, the mean and longest delay from a frame's arrival to its prediction, the longest time by
which a prediction lags behind the clock of the stream, frames dropped, reconnections, and the command's memory.
"""

from __future__ import annotations

import argparse
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

from benchmarks.classify_speed import ROOT, make_checkpoint
from pipeline.cli import command
from pipeline.videos.media.ffmpeg import find_ffmpeg
from tests.rtsp import RtspServer


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--sampling", default="fps:10")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--rtsp", action="store_true", help="a network camera and not a pipe")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ending:
        folder = Path(name)
        make_checkpoint(folder / "checkpoint", args.backbone, args.weights, args.sampling, 20)
        address, pipe, begin = rtsp(folder, args, ending) if args.rtsp else ("-", camera(args, ending), None)
        work = [sys.executable, "scripts/classify.py", str(folder / "checkpoint"), address, "--stride", "1"]
        work += ["--seconds", str(args.seconds)]
        process = subprocess.Popen(work, cwd=ROOT, stdin=pipe, stdout=subprocess.PIPE)
        watch(process, begin or (lambda: None))
        return process.wait()


def camera(args: argparse.Namespace, ending: contextlib.ExitStack) -> IO[bytes]:
    """A pipe with a test picture in real time."""
    source = [find_ffmpeg(), "-loglevel", "error", "-re", "-f", "lavfi", "-i", f"testsrc2=size={args.size}:rate=30"]
    source += ["-c:v", "mpeg2video", "-b:v", "2M", "-f", "mpegts", "-"]
    process = subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ending.callback(process.wait)
    ending.callback(process.kill)
    assert process.stdout is not None
    return process.stdout


def rtsp(folder: Path, args: argparse.Namespace, ending: contextlib.ExitStack) -> tuple[str, None, Callable[[], None]]:
    """The address of a camera that shows a test picture for ever, and what makes it be away for 3 s in the middle."""
    movie = folder / "camera.mp4"
    source = [
        find_ffmpeg(),
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size={args.size}:rate=30:duration=60",
    ]
    subprocess.run([*source, "-c:v", "libx264", "-preset", "veryfast", "-g", "30", str(movie)], check=True)
    loop = ("-stream_loop", "-1")
    servers = [RtspServer(movie, options=loop).__enter__()]

    def fail() -> None:
        servers[-1].stop()
        time.sleep(3)
        servers.append(RtspServer(movie, port=servers[0].port, options=loop).__enter__())

    timer = threading.Timer(args.seconds / 2, fail)
    ending.callback(lambda: servers[-1].stop())
    ending.callback(timer.cancel)
    return servers[0].address, None, timer.start


def watch(process: subprocess.Popen, begin: Callable[[], None]) -> None:
    """Print what its predictions of each minute show; ``begin`` is called with the first one."""
    rows: list[dict] = []
    begun, minute, ahead, connection, memory = 0.0, 0, 0.0, -1, 0.0
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
        memory = resident_mb(process.pid) or memory
        if now - begun >= (minute + 1) * 60:
            minute += 1
            print(summary(minute, rows, memory), flush=True)
            rows = []
    if rows:
        print(summary(minute + 1, rows, memory))


def summary(minute: int, rows: list[dict], memory: float) -> str:
    delays = [row["delay"] for row in rows]
    lags = [row["lag"] for row in rows]
    return (
        f"minute {minute}: {len(rows)} predictions, delay {sum(delays) / len(delays):.3f} s mean, {max(delays):.3f} s "
        f"most, lag {max(lags):.2f} s most, {rows[-1]['dropped']} dropped and {rows[-1]['reconnects']} reconnections "
        f"so far, {memory:.0f} MB"
    )


if __name__ == "__main__":
    sys.exit(command.run(main))
