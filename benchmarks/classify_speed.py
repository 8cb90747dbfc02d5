"""What drawing costs, and whether memory grows with the video.

    python benchmarks/classify_speed.py --weights WEIGHTS                     (speed, noise that moves)
    python benchmarks/classify_speed.py --weights WEIGHTS --clips FOLDER      (speed, the 720p clips of a folder)
    python benchmarks/classify_speed.py --memory --seconds 7200               (memory, a small network and picture)

Speed: classifying and drawing a 720p video, against the network alone on as many pictures as are sent through it
(``--sampling all``: every frame; the default: 20 of 3 seconds). Memory: the highest resident size of the command on a
video of two minutes and on a long one.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.cli import command
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.parallel.machine import reuse_freed_memory
from pipeline.training.checkpoint import Checkpoint, write_folder
from pipeline.training.data.time_scale import TimeScale
from pipeline.training.data.windows import WindowSpec
from pipeline.videos.media import open_video
from pipeline.videos.media.writer import VideoWriter

ROOT = Path(__file__).parents[1]
SIZE, FPS = (1280, 720), 25.0


def make_checkpoint(folder: Path, backbone: str, source: str, sampling: str, length: int) -> Checkpoint:
    """An untrained head: the predictions do not matter here."""
    from pipeline.extraction.network.backbone import Backbone
    from pipeline.training.heads.registry import build_model, head_spec

    weights = WeightsSource(source)
    network = Backbone(backbone, weights=weights)
    head = head_spec("gru")
    model = build_model(head, length=length, shape=(network.dimensions,), classes=3)
    checkpoint = Checkpoint(
        folder=folder,
        classes=("Football", "Commercials", "Studio"),
        sources=(FeatureSource(Recipe(sampling, backbone, network.digest, *network.size), weights.absolute()),),
        window=WindowSpec(length),
        head=head,
        shape=(network.dimensions,),
        time_scale=TimeScale(3.0, 2.9, 3.1, 0.2),
    )
    with write_folder(folder, overwrite=True) as temporary:
        model.save(temporary / "model.keras")
        (temporary / "checkpoint.json").write_text(checkpoint.to_json(), encoding="utf-8")
    return checkpoint


def make_video(path: Path, size: tuple[int, int], seconds: float, fps: float) -> None:
    """A textured ground that moves under noise, cheap to draw."""
    rng = np.random.default_rng(0)
    width, height = size
    ground = cv2.resize(rng.integers(0, 256, (9, 16, 3)).astype(np.uint8), (width * 2, height))
    ground = cv2.add(ground, rng.integers(0, 25, ground.shape).astype(np.uint8))
    with VideoWriter(path, fps=fps, size=size) as writer:
        for number in range(round(seconds * fps)):
            left = number * 3 % width
            writer.write(np.ascontiguousarray(ground[:, left : left + width]))


def join_clips(path: Path, folder: Path, size: tuple[int, int], seconds: float, fps: float) -> None:
    """Real pictures: one frame after the other of the clips that have this size."""
    frames = 0
    with VideoWriter(path, fps=fps, size=size) as writer:
        for clip in sorted(folder.rglob("*.mp4")):
            with open_video(clip) as reader:
                info = reader.info()
                if (info.width, info.height) != size:
                    continue
                for frame in reader:
                    if frames < seconds * fps:
                        writer.write(frame.image)
                        frames += 1


def run_command(checkpoint: Path, video: Path, output: Path) -> tuple[float, float]:
    """Seconds and highest resident megabytes of the whole command."""
    began = time.perf_counter()
    arguments = [sys.executable, "scripts/classify.py", str(checkpoint), str(video), "--output", str(output), "--quiet"]
    subprocess.run(arguments, check=True, cwd=ROOT)
    seconds = time.perf_counter() - began
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def speed(args: argparse.Namespace, folder: Path) -> None:
    reuse_freed_memory()  # as the command does
    checkpoint = make_checkpoint(folder / "checkpoint", args.backbone, args.weights, args.sampling, 20)
    video = folder / f"in{args.input}"
    if args.clips is None:
        make_video(video, SIZE, args.seconds, FPS)
    else:
        join_clips(video, args.clips, SIZE, args.seconds, FPS)
    from pipeline.inference.classifier import Classifier, ClassifySpec
    from pipeline.inference.drawing.render import render_video
    from pipeline.parallel.pipelined import pipelined

    classifier = Classifier.load(checkpoint.folder, engine=args.engine, precision=args.precision)
    classifier.classify(video)  # compiles
    network = classifier.backbone
    height, width = network.size
    pictures = np.random.default_rng(0).integers(0, 256, (32, height, width, 3)).astype(np.uint8)
    took: dict[str, list[tuple[float, float]]] = {"network alone": [], "classify": [], "draw and encode": []}
    for _ in range(args.repeat):
        prediction, seconds = timed(lambda: classifier.classify(video, ClassifySpec(stride=args.stride)))
        took["classify"].append(seconds)
        took["draw and encode"].append(timed(lambda: render_video(prediction, folder / f"out{args.output}"))[1])  # noqa: B023
        steps = len(prediction.grid.frames)
        batches = [pictures[: min(32, steps - start)] for start in range(0, steps, 32)]
        took["network alone"].append(timed(lambda: list(pipelined(network, batches, network.concurrent_calls)))[1])  # noqa: B023
    frames = len(prediction.times)
    by = f"{args.backbone} ({network.engine}, {network.precision})"
    print(f"{frames} frames of 1280x720 ({args.input}), {steps} of them through {by}")
    print(f"medians of {args.repeat}; seconds of a core are less disturbed by what else runs")
    times = {name: np.array(values) for name, values in took.items()}
    times["whole"] = times["classify"] + times["draw and encode"]
    for name, values in times.items():
        clock, core = np.median(values, axis=0)
        print(f"{name:16} {clock:7.2f} s  {frames / clock:7.1f} frames/s  {core:7.2f} s of a core", flush=True)
    # Each repetition has its own share, since the machine is faster in one minute than in another.
    shares = times["network alone"] / times["whole"]
    print(f"whole command    {np.median(shares[:, 0]):.1%} of the network alone, {np.median(shares[:, 1]):.1%} by core")
    print(f"single ones      {', '.join(f'{clock:.1%}' for clock in shares[:, 0])}")


def timed(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What ``work`` returns, and its seconds by the clock and of a core."""
    began, busy = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - began, time.process_time() - busy)


def memory(args: argparse.Namespace, folder: Path) -> None:
    checkpoint = make_checkpoint(folder / "checkpoint", "tiny", "random", "fps:5", 20)
    video = folder / f"in{args.input}"
    peaks = {}
    for seconds in (120.0, args.seconds):
        make_video(video, (160, 120), seconds, 25.0)
        took, peak = run_command(checkpoint.folder, video, folder / "out.avi")
        peaks[seconds] = peak
        print(json.dumps({"video_seconds": seconds, "command_seconds": round(took, 1), "peak_mb": round(peak)}))
    print(f"difference: {peaks[args.seconds] - peaks[120.0]:.0f} MB")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="inceptionv3")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--sampling", default="uniform:20")
    parser.add_argument("--clips", type=Path, help="folder of real videos; those of 1280x720 are joined to one")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--stride", type=int, help="steps from window to window; by default as the command does")
    parser.add_argument("--engine", default="auto", help="auto, keras or openvino")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--input", default=".mp4", help="extension of the video: .mp4 is H.264, .avi XVID")
    parser.add_argument("--output", default=".avi", help="extension of what is drawn")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--memory", action="store_true")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        (memory if args.memory else speed)(args, Path(name))
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
