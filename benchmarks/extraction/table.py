"""Where does the time of an extraction go? One table, for small clips and for large ones.

Draws small AVI clips and clips of 720p and 1080p H.264 (each DATA, a folder of the user's own videos, is a further
row), and measures on the same 20 frames of each clip, on the same processors, in frames/s:

    whole      the extraction, network compiled: from the first look at the videos to the last commit
    command    all of extract_features.py, from the start of the process to its end, on Keras as the others
    network    the compiled network alone, on images that are there
    decode     hashing, decoding, cropping and resizing alone, by the same decoder processes
    loop       OpenCV, and Keras' predict on one frame at a time, in float32 (on --loop-frames frames)

and the peak memory of the command's processes together. Decode, network and whole take turns, --rounds times, and the
median counts. Where nobody waits, the whole takes as long as network and decode one after the other ("of parts" 1.00
or less). The table is saved as CSV and as an image.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from benchmarks import measure
from benchmarks.drawn_videos import draw_video
from benchmarks.extraction.plain_program import predict_loop
from benchmarks.extraction.stages import all_together, decoding_alone, network_alone
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.files.tables import write_table
from pipeline.parallel.machine import processors
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.media.sampling import uniform

_EACH = 20  # frames of a clip
_SECONDS = 4
_H264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "50"]
_DRAWN = {
    "AVI 320x240": ("320x240", "avi", ["-c:v", "mpeg4", "-q:v", "5", "-g", "12"]),
    "H.264 720p": ("1280x720", "mp4", _H264),
    "H.264 1080p": ("1920x1080", "mp4", _H264),
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


_FORMATS = (">12", "6", "7,", "7.1f", "8.1f", "8.1f", "7.1f", "7.1f", "9.2f", "8.2f", "8.0f")


def draw_clips(folder: Path, count: int, size: str, extension: str, encode: Sequence[str]) -> Path:
    """Clips of four seconds that differ in colour, in two classes."""
    for number in range(count):
        path = folder / "ab"[number % 2] / f"clip{number}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_video(path, f"testsrc2=size={size}:rate=25:duration={_SECONDS},hue=h={360 * number // count}", encode)
    return folder


class Extractor:
    """Measures rows with one network, compiled once.

    Args:
        weights: of InceptionV3, a file or ``imagenet`` or ``random``.
        precision: as ``--precision`` of the command.
        rounds: measurements of which the median counts.
        loop_frames: frames that the slow loop gets.
    """

    def __init__(self, weights: str, precision: str, rounds: int, loop_frames: int) -> None:
        self._weights, self._precision, self._rounds, self._loop_frames = weights, precision, rounds, loop_frames
        recipe = Recipe(f"uniform:{_EACH}", "inceptionv3", "", 299, 299)
        source = WeightsSource(weights)
        self._network = load_backbone(recipe, Path(), weights=source, batch=0, precision=precision, say=print)
        self._recipe = replace(recipe, weights_digest=self._network.digest)
        self.chosen = f"{self._network.engine}, {self._network.precision}"

    def measure(self, name: str, folder: Path) -> Row:
        """One row: the videos in ``folder``."""
        catalog, spec, network = open_catalog(folder), ExtractionSpec(), self._network
        stages = {
            "decode": lambda: decoding_alone(catalog, self._recipe, spec),
            "network": lambda: network_alone(network, network.size, network.batch, _EACH * len(catalog)),
            "whole": lambda: all_together(catalog, self._recipe, spec, network),
        }
        rates = {stage: statistics.median(found) for stage, found in measure.in_turn(stages, self._rounds).items()}
        with tempfile.TemporaryDirectory() as place:
            options = [
                "--weights",
                self._weights,
                "--precision",
                self._precision,
                "--engine",
                "keras",
                "--out",
                f"{place}/store",
            ]
            done = measure.run_script("extract_features", folder, *options, watch=True)
        few = uniform(np.arange(len(catalog)), max(1, self._loop_frames // _EACH))
        loop = predict_loop([catalog.videos[place].path for place in few], self._weights)
        return Row(
            videos=name,
            clips=len(catalog),
            frames=done.frames,
            command=done.rate,
            loop=loop,
            of_parts=(1 / rates["whole"]) / (1 / rates["network"] + 1 / rates["decode"]),
            of_loop=done.rate / loop,
            peak_mb=done.peak / 1e6,
            **rates,
        )


def draw_picture(rows: Sequence[Row], title: str, path: Path) -> None:
    """Bars of frames per second, one group for each row."""
    from matplotlib.figure import Figure

    names = ("decode", "network", "whole", "command", "loop")
    labels = ("decode and resize alone", "network alone", "whole extraction", "command with start-up", "predict loop")
    figure = Figure(figsize=(2.4 + 2.2 * len(rows), 4.2), layout="constrained")
    axes = figure.subplots()
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


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.extraction.table --weights WEIGHTS --out FOLDER [DATA ...]")
    parser.add_argument("data", type=Path, nargs="*", metavar="DATA", help="folders of videos, a row each")
    parser.add_argument("--out", type=Path, required=True, help="folder for extraction_table.csv and .png")
    parser.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet, a file, or random")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    parser.add_argument("--frames", type=int, default=600, help="frames of each kind of drawn clips; 0: draw none")
    parser.add_argument("--loop-frames", type=int, default=100, help="frames that the slow loop gets")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of which the median counts")
    args = parser.parse_args(argv)
    extractor = Extractor(args.weights, args.precision, args.rounds, args.loop_frames)
    title = f"InceptionV3 at 299 px, {extractor.chosen}, {processors()} processors, {_EACH} frames of each clip"
    print(f"{title}; frames/s")
    columns = [field.name for field in fields(Row)]
    table = measure.Table({name.replace("_", " "): form for name, form in zip(columns, _FORMATS, strict=True)})
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        jobs = [(data.name, data) for data in args.data]
        for name, drawn in _DRAWN.items() if args.frames else ():
            place = Path(folder, name.replace(" ", "-"))
            jobs.append((name, draw_clips(place, max(2, args.frames // _EACH), *drawn)))
        for name, place in jobs:
            rows.append(extractor.measure(name, place))
            table.add(*asdict(rows[-1]).values())
    args.out.mkdir(parents=True, exist_ok=True)
    write_table([asdict(row) for row in rows], columns, args.out / "extraction_table.csv")
    draw_picture(rows, title, args.out / "extraction_table.png")
    print(f"{args.out}/extraction_table.csv and extraction_table.png written")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
