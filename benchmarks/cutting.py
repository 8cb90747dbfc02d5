"""How long cutting takes against ffmpeg's own segment encode on the same settings, both into 3 s pieces.

    python benchmarks/cutting.py --minutes 60

Draws a 720p recording first (H.264, B-frames, a keyframe every 250 frames). Expected on 2 idle cores: at most 1.15.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.videos.media import open_video
from pipeline.videos.media.ffmpeg import find_ffmpeg, run_ffmpeg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=3)
    parser.add_argument("--preset", default="veryfast")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--source", type=Path, help="a recording to cut instead of a drawn one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = args.source or _draw(folder / "recording.mp4", args.minutes)
        with open_video(source) as video:
            info = video.info()
        print(
            f"{source.name}: {info.frames:,} frames, {info.width}x{info.height}, {info.duration:.0f} s, "
            f"{os.cpu_count()} cores"
        )

        drawn = _cpu_seconds()
        start = time.perf_counter()
        (folder / "plain").mkdir()
        borders = f"expr:gte(t,n_forced*{args.every})"
        command = [find_ffmpeg(), "-loglevel", "error", "-nostdin", "-i", str(source), "-map", "0:v:0"]
        command += ["-c:v", "libx264", "-preset", args.preset, "-crf", "18", "-force_key_frames", borders]
        command += ["-f", "segment", "-segment_time", str(args.every), "-reset_timestamps", "1"]
        subprocess.run([*command, str(folder / "plain" / "%05d.mp4")], check=True)
        plain = time.perf_counter() - start
        plain_cpu = _cpu_seconds()

        start = time.perf_counter()
        script = Path(__file__).parents[1] / "scripts" / "cut_clips.py"
        call = [sys.executable, str(script), str(source), "--every", str(args.every), "--out", str(folder / "ours")]
        subprocess.run([*call, "--preset", args.preset, "--workers", str(args.workers)], check=True)
        ours = time.perf_counter() - start
        ours_cpu = _cpu_seconds() - plain_cpu
        counts = [len(list((folder / side).glob("*.mp4"))) for side in ("plain", "ours")]
        print(
            f"ffmpeg {plain:.1f} s ({counts[0]} pieces), cut_clips.py {ours:.1f} s ({counts[1]} clips, each verified)"
        )
        print(f"ratio {ours / plain:.2f} of the time, {ours_cpu / (plain_cpu - drawn):.2f} of the processors' time")


def _cpu_seconds() -> float:
    """What the processes that have ended took; it tells more than the clock where a machine is shared."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _draw(path: Path, minutes: float) -> Path:
    """A test picture with moving parts and noise, so that encoding is real work."""
    source = f"testsrc2=size=1280x720:rate=30:duration={minutes * 60},noise=alls=8:allf=t"
    run_ffmpeg(
        ["-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "250", "-crf", "28"]
        + ["-pix_fmt", "yuv420p", str(path)]
    )
    return path


if __name__ == "__main__":
    main()
