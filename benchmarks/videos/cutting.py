"""How long cutting takes against ffmpeg's own segment encode with the same settings, both into 3 s pieces.

Draws a 720p recording first (H.264, B-frames, a keyframe every 250 frames). Expected on 2 idle cores: at most 1.15.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.drawn_videos import draw_video
from benchmarks.measure import run_script, time_of
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.parallel.machine import processors
from pipeline.videos.media import open_video
from pipeline.videos.media.ffmpeg import run_ffmpeg


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.videos.cutting --minutes 60")
    parser.add_argument("--minutes", type=float, default=60, help="of the drawn recording")
    parser.add_argument("--every", type=float, default=3, help="seconds of a piece")
    parser.add_argument("--preset", default="veryfast", help="of the encoder")
    parser.add_argument("--workers", type=int, default=2, help="clips that are cut at a time")
    parser.add_argument("--source", type=Path, help="a recording to cut instead of a drawn one")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = args.source or draw(folder / "recording.mp4", args.minutes)
        with open_video(source) as video:
            info = video.info()
        size = f"{info.width}x{info.height}, {info.duration:.0f} s"
        print(f"{source.name}: {info.frames:,} frames, {size}, {processors()} processors", flush=True)

        (folder / "plain").mkdir()
        borders = f"expr:gte(t,n_forced*{args.every})"
        encode = ["-c:v", "libx264", "-preset", args.preset, "-crf", "18", "-force_key_frames", borders]
        pieces = ["-f", "segment", "-segment_time", str(args.every), "-reset_timestamps", "1"]
        pieces += [str(folder / "plain" / "%05d.mp4")]
        plain = time_of(lambda: run_ffmpeg(["-i", str(source), "-map", "0:v:0", *encode, *pieces]))

        options = ["--every", args.every, "--out", folder / "ours", "--preset", args.preset, "--workers", args.workers]
        ours = time_of(lambda: run_script("cut_clips", source, *options))
        counts = [len(list((folder / side).glob("*.mp4"))) for side in ("plain", "ours")]
    print(f"ffmpeg {plain.clock:.1f} s ({counts[0]} pieces), ", end="")
    print(f"cut_clips.py {ours.clock:.1f} s ({counts[1]} clips, each verified)")
    cores = ours.processor / plain.processor
    print(f"ratio {ours.clock / plain.clock:.2f} of the time, {cores:.2f} of the processors' time")
    return command.OK


def draw(path: Path, minutes: float) -> Path:
    """A test picture with moving parts and noise, so that encoding is real work."""
    source = f"testsrc2=size=1280x720:rate=30:duration={minutes * 60},noise=alls=8:allf=t"
    return draw_video(path, source, ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "250", "-crf", "28"])


if __name__ == "__main__":
    sys.exit(command.run(main))
