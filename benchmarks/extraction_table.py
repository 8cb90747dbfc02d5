"""Where does the time of an extraction go? One table, for small clips and for large ones.

    python -m benchmarks.extraction_table --weights WEIGHTS --out FOLDER [DATA ...]

draws small AVI clips and clips of 720p and 1080p H.264 (each DATA, a folder of the user's own videos, is a further
row), and measures on the same 20 frames of each clip, on the same processors, in frames/s:

    whole      the extraction, network compiled: from the first look at the videos to the last commit
    command    all of extract_features.py, from the start of the process to its end
    network    the compiled network alone, on pictures that are there
    decode     hashing, decoding, cropping and resizing alone, by the same decoder processes
    loop       OpenCV, and Keras' predict on one frame at a time, in float32 (on --loop-frames frames)

and the peak memory of the command's processes together. The first three are taken in turn, --rounds times, and the
median counts. Where nobody waits, the whole takes as long as network and decode one after the other ("of parts" 1.00
or less). The table is saved as CSV and as a picture.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from benchmarks.stages import all_together, decoding_alone, network_alone, predict_loop, whole_command
from pipeline.cli import command
from pipeline.extraction.jobs.extract import ExtractionSpec, processors
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.videos.catalog.catalog import Catalog, open_catalog
from pipeline.videos.media.ffmpeg import find_ffmpeg

_EACH = 20  # frames of a clip
_SECONDS = 4
_DRAWN = {
    "AVI 320x240": ("320x240", "avi", ["-c:v", "mpeg4", "-q:v", "5", "-g", "12"]),
    "H.264 720p": ("1280x720", "mp4", ["-c:v", "libx264", "-preset", "veryfast", "-g", "50"]),
    "H.264 1080p": ("1920x1080", "mp4", ["-c:v", "libx264", "-preset", "veryfast", "-g", "50"]),
}


@dataclass(frozen=True)
class Row:
    """One line of the table; rates in frames per second."""

    videos: str
    clips: int
    frames: int
    whole: float
    command: float
    network: float
    decode: float
    loop: float
    of_parts: float
    """Seconds of the whole over those of network and decode together."""
    of_loop: float
    """Rate of the command over that of the loop."""
    peak_mb: float


def draw_clips(folder: Path, count: int, size: str, extension: str, encode: Sequence[str]) -> Path:
    """Clips of four seconds that differ in colour, in two classes."""
    for number in range(count):
        path = folder / "ab"[number % 2] / f"clip{number}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        source = f"testsrc2=size={size}:rate=25:duration={_SECONDS},hue=h={360 * number // count}"
        asked = ["-f", "lavfi", "-i", source, *encode, "-pix_fmt", "yuv420p", str(path)]
        subprocess.run([find_ffmpeg(), "-v", "error", "-y", *asked], check=True)
    return folder


class Table:
    """Measures rows with one network, compiled once.

    Args:
        weights: of InceptionV3, a file or ``imagenet`` or ``random``.
        precision: as ``--precision`` of the command.
        rounds: measurements of which the median counts.
        loop_frames: frames that the slow loop gets.
    """

    def __init__(self, weights: str, precision: str, rounds: int, loop_frames: int) -> None:
        from pipeline.extraction.network.backbone import Backbone
        from pipeline.extraction.network.engines.keras import choose_precision

        self._weights, self._precision, self._rounds, self._loop_frames = weights, precision, rounds, loop_frames
        self.chosen, _ = choose_precision(precision)
        self._network = Backbone("inceptionv3", weights=WeightsSource(weights), batch=0, precision=self.chosen)
        self._recipe = Recipe(f"uniform:{_EACH}", "inceptionv3", self._network.digest, *self._network.size)

    def measure(self, name: str, folder: Path) -> Row:
        """One row: the videos in ``folder``."""
        catalog = open_catalog(folder)
        spec = ExtractionSpec()
        decode, network, whole = self._in_turn(
            lambda: decoding_alone(catalog, self._recipe, spec),
            lambda: network_alone(self._network, self._recipe, self._network.batch, _frames(catalog)),
            lambda: all_together(catalog, self._recipe, spec, self._network),
        )
        done = whole_command(folder, ["--weights", self._weights, "--precision", self._precision])
        loop = predict_loop(_some(catalog, self._loop_frames // _EACH), self._weights).rate
        return Row(
            name,
            len(catalog),
            done.frames,
            whole,
            done.rate,
            network,
            decode,
            loop,
            (1 / whole) / (1 / network + 1 / decode),
            done.rate / loop,
            done.peak / 1e6,
        )

    def _in_turn(self, *stages: Callable) -> list[float]:
        """Median rate of each stage."""
        rates = [[stage().rate for stage in stages] for _ in range(self._rounds)]
        return [statistics.median(column) for column in zip(*rates, strict=True)]


def _frames(catalog: Catalog) -> int:
    return _EACH * len(catalog)


def _some(catalog: Catalog, count: int) -> list[Path]:
    """Paths of ``count`` videos spread over the catalog."""
    places = np.unique(np.linspace(0, len(catalog) - 1, max(1, min(count, len(catalog)))).astype(int))
    return [catalog.videos[place].path for place in places]


def draw_picture(rows: Sequence[Row], title: str, path: Path) -> None:
    """Bars of frames per second, one group for each row."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = ("decode", "network", "whole", "command", "loop")
    labels = ("decode and resize alone", "network alone", "whole extraction", "command with start-up", "predict loop")
    figure, axes = plt.subplots(figsize=(2.4 + 2.2 * len(rows), 4.2), layout="constrained")
    width = 0.8 / len(names)
    for place, (name, label) in enumerate(zip(names, labels, strict=True)):
        x = np.arange(len(rows)) + (place - (len(names) - 1) / 2) * width
        bars = axes.bar(x, [getattr(row, name) for row in rows], width, label=label)
        axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.set_ylabel("frames per second (logarithmic)")
    ticks = [f"{row.videos}\n{row.clips} clips, {row.peak_mb / 1000:.1f} GB at most" for row in rows]
    axes.set_xticks(np.arange(len(rows)), ticks)
    axes.set_title(title, fontsize=10)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*", metavar="DATA", help="folders of videos, a row each")
    parser.add_argument("--out", type=Path, required=True, help="folder for extraction_table.csv and .png")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    parser.add_argument("--frames", type=int, default=600, help="frames of each kind of drawn clips; 0: draw none")
    parser.add_argument("--loop-frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(argv)
    table = Table(args.weights, args.precision, args.rounds, args.loop_frames)
    title = f"InceptionV3 at 299 px, {table.chosen}, {processors()} processors, {_EACH} frames of each clip"
    print(f"{title}; frames/s")
    print("videos        clips  frames   whole  command  network  decode    loop  of parts  of loop  peak MB")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        drawn = _DRAWN if args.frames else {}
        jobs = [(data.name, data) for data in args.data]
        for name, (size, extension, encode) in drawn.items():
            place = Path(folder, name.replace(" ", "-"))
            jobs.append((name, draw_clips(place, max(2, args.frames // _EACH), size, extension, encode)))
        for name, place in jobs:
            row = table.measure(name, place)
            rows.append(row)
            print(
                f"{row.videos:12} {row.clips:6} {row.frames:7,} {row.whole:7.1f} {row.command:8.1f} {row.network:8.1f} "
                f"{row.decode:7.1f} {row.loop:7.1f} {row.of_parts:9.2f} {row.of_loop:8.2f} {row.peak_mb:8.0f}",
                flush=True,
            )
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "extraction_table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [item.name for item in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    draw_picture(rows, title, args.out / "extraction_table.png")
    print(f"{args.out}/extraction_table.csv and extraction_table.png written")
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
