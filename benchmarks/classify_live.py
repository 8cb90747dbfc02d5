"""Live: does the delay stay bounded, and memory flat?

    python benchmarks/classify_live.py --seconds 300

ffmpeg draws a test picture at 30 frames/s in real time and pipes it into ``classify.py CHECKPOINT -``. Printed for each
minute: answers, the mean and longest delay from a frame's arrival to its answer, the longest time by which an answer
lags behind the clock of the stream, frames dropped, and the resident memory of the command.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from classify_speed import ROOT, make_checkpoint

from pipeline import command
from pipeline.videos.ffmpeg import find_ffmpeg


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
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_checkpoint(folder / "checkpoint", args.backbone, args.weights, args.sampling, 20)
        source = [find_ffmpeg(), "-loglevel", "error", "-re", "-f", "lavfi", "-i", f"testsrc2=size={args.size}:rate=30"]
        source += ["-c:v", "mpeg2video", "-b:v", "2M", "-f", "mpegts", "-"]
        camera = subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        work = [sys.executable, "scripts/classify.py", str(folder / "checkpoint"), "-", "--stride", "1"]
        work += ["--seconds", str(args.seconds)]
        process = subprocess.Popen(work, cwd=ROOT, stdin=camera.stdout, stdout=subprocess.PIPE)
        assert process.stdout is not None
        rows: list[dict] = []
        begun, minute, ahead = 0.0, 0, None
        for text in process.stdout:
            now = time.monotonic()
            line = json.loads(text)
            begun = begun or now
            # At first the pipe holds what came while the network was loaded; the clock counts from when that is gone.
            lag = now - line["time"]
            ahead = lag if ahead is None else min(ahead, lag)
            rows.append({**line, "lag": lag})
            if now - begun >= (minute + 1) * 60:
                minute += 1
                print(summary(minute, rows, ahead, resident_mb(process.pid)), flush=True)
                rows = []
        camera.kill()
        camera.wait()
        if rows and ahead is not None:
            print(summary(minute + 1, rows, ahead, 0.0))
        return process.wait()


def summary(minute: int, rows: list[dict], ahead: float, memory: float) -> str:
    delays = [row["delay"] for row in rows]
    lags = [row["lag"] - ahead for row in rows]
    return (
        f"minute {minute}: {len(rows)} answers, delay {sum(delays) / len(delays):.3f} s mean, {max(delays):.3f} s "
        f"most, lag {max(lags):.2f} s most, {rows[-1]['dropped']} dropped so far, {memory:.0f} MB"
    )


if __name__ == "__main__":
    sys.exit(command.run(main))
