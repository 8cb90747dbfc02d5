"""The whole main job in one go: clips, catalog, features, training, evaluation and a labelled video.

Without VIDEOS it works on recordings that the project draws itself. Each command is printed before it runs,
so that it can be repeated on other videos.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.published.runner import held_out_video, run_command, spoken
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.synthetic import SCENES, draw_match, draw_recordings

_CLIP_SECONDS = 2
_LONG_SECONDS = 60  # the user's own videos are cut where one is longer than this
_RECORDINGS = 5
_IN_ONE = ("Ball", "Lamps", "Rain", "Square")  # shown one after the other in the recording that is classified


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/demo.py --videos my_videos")
    made.add_argument("--videos", type=Path, metavar="VIDEOS", help="your own VIDEOS/<Class>/*.mp4")
    made.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything that is made")
    made.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet, a file, or random")
    return made


@command.if_stopped(command.GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    began = time.monotonic()
    out = args.out
    commands = _Commands(args)

    if args.videos is None:
        data, recordings = out / "data", out / "recordings"
        _draw(recordings, commands.say)
        commands.run("cut", recordings, "--every", _CLIP_SECONDS, "--drop-last", "--out", data)
    else:
        data = args.videos
    commands.run("list", data, "--out", out / "data_file.csv")
    if args.videos is not None and _longest(out / "data_file.csv") > _LONG_SECONDS:
        data = out / "data"
        commands.run("cut", args.videos, "--every", 10, "--out", data)
    features, checkpoint = out / "features", out / "checkpoint"
    _extract(commands, data, features, args.weights)
    commands.run("train", features, "--out", checkpoint, "--overwrite")
    commands.run("evaluate", checkpoint, features, "--split", "test", "--out", out / "evaluation", "--overwrite")
    video = held_out_video(checkpoint) if args.videos else _new_recording(out / "new")
    # Recordings of one's own may be of a kind that no browser plays; the page then shows the labelled video.
    drawn = out / ("result.mp4" if args.videos else "result.avi")
    results = ["--output", drawn, "--html", out / "player.html", "--json", out / "result.json"]
    commands.run("classify", checkpoint, video, *results, "--smooth", "centred:9", "--overwrite")
    if not args.quiet:
        _conclude(commands, drawn, video, args.videos or Path("my_videos"), time.monotonic() - began)
    return command.OK


class _Commands:
    """Runs commands of this project, remembers them, and stops where one cannot go on."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.done: list[str] = []
        self.say, self._flags = command.say(args.quiet), command.passed_on(args)

    def run(self, verb: str, *arguments: object, may_fail: bool = False) -> int:
        status = run_command(verb, arguments, self.say, self._flags)
        # 1 means that some videos failed and were listed; the others are good to go on with.
        if status > command.SOME_FAILED and not may_fail:
            raise SystemExit(status)
        if status <= command.SOME_FAILED:
            self.done.append(spoken(verb, arguments))
        return status


def _draw(folder: Path, say: Callable[[str], None]) -> None:
    if len(list(folder.glob("*/*"))) < _RECORDINGS * len(SCENES):
        say(f"drawing {_RECORDINGS} recordings of each of {', '.join(SCENES)} ...")
        draw_recordings(folder, recordings=_RECORDINGS)


def _new_recording(folder: Path) -> Path:
    """A recording of several classes that neither training nor testing has seen."""
    return draw_match(folder / "Match.mp4", seed=99, classes=_IN_ONE)


def _longest(table: Path) -> float:
    return max((video.duration or 0 for video in open_catalog(table)), default=0)


def _extract(commands: _Commands, data: Path, features: Path, weights: str) -> None:
    arguments = [data, "--out", features, "--weights", weights]
    if commands.run("extract", *arguments, may_fail=weights == "imagenet") > command.SOME_FAILED:
        commands.say("demo: no ImageNet weights here, so it goes on with seeded random ones; expect a lower accuracy")
        _extract(commands, data, features, "random")


def _conclude(commands: _Commands, drawn: Path, video: Path, yours: Path, seconds: float) -> None:
    out = drawn.parent
    print(f"\nDone in {seconds:.0f} s. The commands, to be repeated on other videos:\n")
    print("\n".join(f"  {line}" for line in commands.done))
    where = {
        out / "checkpoint" / "report.html": "how the training went, and where the model fails: open it in a browser",
        out / "player.html": f"{video.name} with its labels over time; a click seeks",
        drawn: "the same with the labels drawn on every frame",
        out / "features": "the feature sequences; cached, so that a second run is quick",
        out / "data_file.csv": "the videos, counted",
    }
    width = max(len(str(path)) for path in where)
    print("\nWhat is where:")
    print("\n".join(f"  {path!s:{width}}  {what}" for path, what in where.items()))
    print(f"""
For videos of your own in {yours}/<Class>/:
  video-pipeline extract {shlex.quote(str(yours))} --out features/mine
  video-pipeline train features/mine --out checkpoints/mine
  video-pipeline classify checkpoints/mine NEW.mp4 --output result.avi --html player.html""")
