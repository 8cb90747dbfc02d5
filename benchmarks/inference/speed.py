"""What classifying and drawing cost, and whether memory grows with the video.

Speed: classifying and drawing a 720p video (noise that moves, or --clips) by a classifier that is loaded, against the
network alone on as many images as are sent through it (``--sampling all``: every frame; the default: 20 of 3 seconds).
Memory: the most that all processes of the command held on a video of two minutes and on a long one, with a small
network and small frames.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.inference.untrained import make_checkpoint
from benchmarks.measure import Stopwatch, in_turn, random_images, run_script, time_of
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.parallel.machine import reuse_freed_memory
from pipeline.videos.media import open_video
from pipeline.videos.media.writer import VideoWriter

SIZE, SMALL, FPS = (1280, 720), (160, 120), 25.0
_BATCH = 32  # images in one call of the network alone


def make_video(path: Path, size: tuple[int, int], seconds: float) -> None:
    """A textured ground that moves under noise, cheap to draw."""
    rng = np.random.default_rng(0)
    width, height = size
    ground = cv2.resize(rng.integers(0, 256, (9, 16, 3)).astype(np.uint8), (width * 2, height))
    ground = cv2.add(ground, np.asarray(rng.integers(0, 25, ground.shape), np.uint8))
    with VideoWriter(path, fps=FPS, size=size) as writer:
        for number in range(round(seconds * FPS)):
            left = number * 3 % width
            writer.write(np.ascontiguousarray(ground[:, left : left + width]))


def join_clips(path: Path, folder: Path, seconds: float) -> None:
    """Real frames: one after the other of the clips that are 1280x720."""
    left = round(seconds * FPS)
    with VideoWriter(path, fps=FPS, size=SIZE) as writer:
        for clip in sorted(folder.rglob("*.mp4")):
            with open_video(clip) as reader:
                info = reader.info()
                if (info.width, info.height) != SIZE:
                    continue
                for frame in reader:
                    if left > 0:
                        writer.write(frame.image)
                        left -= 1


def speed(args: argparse.Namespace, folder: Path) -> None:
    reuse_freed_memory()  # as the command does
    checkpoint = make_checkpoint(folder / "checkpoint", args.backbone, args.weights, args.sampling)
    video = folder / f"in{args.input}"
    if args.clips is None:
        make_video(video, SIZE, args.seconds)
    else:
        join_clips(video, args.clips, args.seconds)
    from pipeline.inference.classifier import Classifier
    from pipeline.inference.classify_spec import ClassifySpec
    from pipeline.inference.drawing.render import render_video
    from pipeline.parallel.pipelined import pipelined

    classifier = Classifier.load(checkpoint, engine=args.engine, precision=args.precision)
    prediction = classifier.classify(video, ClassifySpec(stride=args.stride))  # compiles
    network, steps, frames = classifier.backbone, len(prediction.grid.frames), len(prediction.times)
    calls = getattr(network, "concurrent_calls", 1)
    images = random_images(_BATCH, *network.size)
    batches = [images[: min(_BATCH, steps - start)] for start in range(0, steps, _BATCH)]
    works = {
        "classify": lambda: classifier.classify(video, ClassifySpec(stride=args.stride)),
        "draw and encode": lambda: render_video(prediction, folder / f"out{args.output}"),
        "network alone": lambda: list(pipelined(network, batches, calls)),
    }
    timed = {name: partial(time_of, work) for name, work in works.items()}
    print(f"{frames} frames of 1280x720 ({args.input}), {steps} of them through", end=" ")
    print(f"{args.backbone} ({network.engine}, {network.precision})")
    print(f"medians of {args.repeat}; seconds of a core are less disturbed by what else runs", flush=True)
    times = {name: as_array(watches) for name, watches in in_turn(timed, args.repeat).items()}
    times["whole"] = times["classify"] + times["draw and encode"]
    for name, values in times.items():
        clock, core = np.median(values, axis=0)
        print(f"{name:16} {clock:7.2f} s  {frames / clock:7.1f} frames/s  {core:7.2f} s of a core")
    # Each repetition has its own share, since the machine is faster in one minute than in another.
    shares = times["network alone"] / times["whole"]
    print(f"both together    {np.median(shares[:, 0]):.1%} of the network alone, {np.median(shares[:, 1]):.1%} by core")
    print(f"single ones      {', '.join(f'{clock:.1%}' for clock in shares[:, 0])}")


def as_array(watches: Sequence[Stopwatch]) -> np.ndarray:
    """``(n, 2)`` seconds by the clock and of a core."""
    return np.array([(watch.clock, watch.processor) for watch in watches])


def memory(args: argparse.Namespace, folder: Path) -> None:
    checkpoint = make_checkpoint(folder / "checkpoint", "tiny", "random", "fps:5")
    peaks = []
    for seconds in (120.0, args.seconds):
        video = folder / f"{seconds:.0f}{args.input}"
        make_video(video, SMALL, seconds)
        done = run_script("classify", checkpoint, video, "--output", f"{video}.out.avi", "--quiet", watch=True)
        peaks.append(done.peak / 1e6)
        print(f"{seconds:.0f} s of video: {done.seconds:.1f} s, {peaks[-1]:.0f} MB at most", flush=True)
    print(f"difference: {peaks[1] - peaks[0]:.0f} MB")


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m benchmarks.inference.speed"
    parser = Parser(__doc__, f"{example} --weights WEIGHTS --clips FOLDER\n  {example} --memory --seconds 7200")
    parser.add_argument("--backbone", default="inceptionv3", help="the frozen network")
    parser.add_argument("--weights", default="imagenet", help="as for extract_features.py")
    parser.add_argument("--sampling", default="uniform:20", help="as for extract_features.py")
    parser.add_argument("--clips", type=Path, help="folder of real videos; those of 1280x720 are joined to one")
    parser.add_argument("--seconds", type=float, default=40.0, help="of the video")
    parser.add_argument("--stride", type=int, help="steps from window to window; by default as the command does")
    parser.add_argument("--engine", default="auto", help="auto, keras or openvino")
    parser.add_argument("--precision", default="auto", help="as for classify.py")
    parser.add_argument("--input", default=".mp4", help="extension of the video: .mp4 is H.264, .avi XVID")
    parser.add_argument("--output", default=".avi", help="extension of what is drawn")
    parser.add_argument("--repeat", type=int, default=2, help="measurements of which the median counts")
    parser.add_argument("--memory", action="store_true", help="measure the memory and not the speed")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        (memory if args.memory else speed)(args, Path(name))
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
