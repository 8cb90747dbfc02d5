"""How long does a user wait for the commands? Seconds by the clock, most of them against ``import tensorflow``.

Draws short clips of three classes, and runs the commands as processes with an empty cache folder: help, extraction,
extraction with nothing new, training, evaluation, classifying one clip of 2 s for the second time, the first prediction
of a live pipe, and a folder of clips of 1 s. All are repeated in turn, and the median counts. Printed are the seconds,
the limit and where it is from; what is above its limit is an exit status of 1.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.drawn_videos import draw_video
from benchmarks.extraction.stages import network_alone
from benchmarks.measure import Stopwatch, Table, in_turn, run_script, script
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.commands import VERBS
from pipeline.files.user_cache import VARIABLE
from pipeline.videos.synthetic import draw_recordings

HELP, NOTHING_NEW = 0.3, 1.0  # seconds
CLASSIFY, EVALUATE, TRAIN, LIVE = 0.5, 0.5, 2.0, 0.5  # of the import
PER_CLIP = 1.1  # of its frames' share of the network
CLASSES = ("Ball", "Lamps", "Rain")
_STEPS = 20
_FEW, _MANY = 10, 40  # clips; the difference is what one of them takes, without the start


def seconds_of(line: Sequence[object], **streams: object) -> float:
    """By the clock, of a process that ends well."""
    with Stopwatch() as watch:
        subprocess.run([str(word) for word in line], check=True, stdout=subprocess.DEVNULL, **streams)  # type: ignore[call-overload]
    return watch.clock


def first_line(line: Sequence[object], fed: Path) -> float:
    """Seconds until a process that reads ``fed`` prints its first line."""
    with fed.open("rb") as source, Stopwatch() as watch:
        process = subprocess.Popen([str(word) for word in line], stdin=source, stdout=subprocess.PIPE)
        assert process.stdout is not None
        said = process.stdout.readline()
    process.kill()
    process.communicate()
    if not said.startswith(b"{"):
        raise SystemExit("the live command printed no prediction")
    return watch.clock


class Commands:
    """The commands on data of their own, in a folder."""

    def __init__(self, folder: Path, backbone: str, weights: str) -> None:
        self._folder = folder
        self._network = ["--backbone", backbone, "--weights", weights]
        draw_recordings(folder / "data", classes=CLASSES, recordings=6, seconds=(2.0, 2.4))
        self.store, self.checkpoint = folder / "store", folder / "checkpoint"
        self.clip = next((folder / "data").rglob("*_1.*"))
        self.pipe = draw_video(folder / "pipe.ts", "testsrc2=size=640x360:rate=25:duration=4", ["-c:v", "mpeg2video"])
        short = [folder / f"clips/clip{number}.mp4" for number in range(_MANY)]
        (folder / "clips").mkdir()
        draw_video(short[0], "testsrc2=size=640x360:rate=25:duration=1")
        for path in short[1:]:
            shutil.copyfile(short[0], path)
        (folder / "few").mkdir()
        for path in short[:_FEW]:
            shutil.copyfile(path, folder / "few" / path.name)

    def extract(self) -> float:
        arguments = [self._folder / "data", "--out", self.store, *self._network]
        return run_script("extract_features", *arguments).seconds

    def train(self, *options: object) -> float:
        return run_script("train", self.store, "--out", self.checkpoint, "--overwrite", *options).seconds

    def evaluate(self) -> float:
        return run_script("evaluate", self.checkpoint, self.store).seconds

    def classify(self) -> float:
        out = ["--output", self._folder / "result.avi", "--overwrite"]
        return run_script("classify", self.checkpoint, self.clip, *out).seconds

    def live(self) -> float:
        return first_line(script("classify", self.checkpoint, "-"), self.pipe)

    def folder(self, name: str) -> float:
        out = self._folder / f"out-{name}"
        shutil.rmtree(out, ignore_errors=True)
        return run_script("classify", self.checkpoint, self._folder / name, "--output", out).seconds


def slowest_help() -> float:
    """The longest of all verbs."""
    return max(seconds_of([sys.executable, "-m", "pipeline", verb, "--help"]) for verb in VERBS)


def frames_share(checkpoint: Path) -> float:
    """Seconds that the network alone takes for the frames of one clip."""
    from pipeline.inference.classifier import Classifier

    network = Classifier.load(checkpoint).backbone
    return _STEPS / network_alone(network, network.size, network.batch, 6 * network.batch)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.commands.startup --weights random")
    parser.add_argument("--backbone", default="inceptionv3", help="the frozen network")
    parser.add_argument("--weights", default="random", help="as for extract_features.py")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        os.environ[VARIABLE] = f"{name}/cache"
        commands = Commands(Path(name), args.backbone, args.weights)
        once = {"extract, with an empty cache": commands.extract(), "train, the first time": commands.train()}
        library = [sys.executable, "-c", "import tensorflow"]
        works: dict[str, Callable[[], float]] = {
            "import tensorflow": partial(seconds_of, library, stderr=subprocess.DEVNULL),
            "--help, the slowest of all": slowest_help,
            "extract, nothing new": commands.extract,
            "train, one member": partial(commands.train, "--members", 1),
            "train": commands.train,
            "evaluate": commands.evaluate,
            "classify one clip": commands.classify,
            "live, first prediction": commands.live,
            "few": partial(commands.folder, "few"),
            "clips": partial(commands.folder, "clips"),
        }
        took = {name: statistics.median(found) for name, found in in_turn(works, args.rounds).items()}
        share = frames_share(commands.checkpoint)
    unit = took["import tensorflow"]
    few, many = took.pop("few"), took.pop("clips")
    took["a clip of a folder"] = (many - few) / (_MANY - _FEW)
    limits = {
        "--help, the slowest of all": (HELP, "seconds"),
        "extract, nothing new": (NOTHING_NEW, "seconds"),
        "train, one member": (TRAIN * unit, f"{TRAIN:g} imports"),
        "train": (TRAIN * unit, f"{TRAIN:g} imports"),
        "evaluate": (EVALUATE * unit, f"{EVALUATE:g} imports"),
        "classify one clip": (CLASSIFY * unit, f"{CLASSIFY:g} imports"),
        "live, first prediction": (LIVE * unit, f"{LIVE:g} imports"),
        "a clip of a folder": (PER_CLIP * share, f"{PER_CLIP:g} times its {_STEPS} frames in the network alone"),
    }
    table = Table({"what": "<28", "seconds": "8.2f", "imports": "8.2f", "limit": "8.2f", "from": "<48"})
    for what, seconds in (once | took).items():
        limit, origin = limits.get(what, (float("inf"), ""))
        table.add(what, seconds, seconds / unit, limit, origin)
    return command.SOME_FAILED if any(took[what] > limit for what, (limit, _) in limits.items()) else command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
