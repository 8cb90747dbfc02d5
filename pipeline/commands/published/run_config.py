"""Run a whole published system: prepare, extract, train, evaluate, classify, as its YAML file in configs/ says.

Each line of the file is a command of this project and is printed as it can be typed. A second call goes on where the
first was stopped and repeats nothing that is done. --set adds options to the line of a name, and these count more than
those that are in it; --quick adds those that the file has for a short run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.commands import VERBS, load
from pipeline.errors import UserError
from pipeline.files.guard.reading import read_object, value_of
from pipeline.files.system import seen_from
from pipeline.files.text import plural
from pipeline.published.runner import Runner, Stopped, held_out_video
from pipeline.published.system import CONFIGS, System, find_system, parse_changes, read_system


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/run_config.py configs/keras-example.yaml --data UCF101")
    made.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of one in configs/")
    made.add_argument("--data", type=Path, required=True, help="the data set, as the file describes it")
    made.add_argument("--out", type=Path, help="folder for all outputs (default: runs/NAME)")
    made.add_argument("--weights", help="of the network: imagenet (where none are given), a file, or random")
    made.add_argument(
        "--video",
        help="what is classified at the end: a file, or random[:SEED] of the test videos (default: the first of them)",
    )
    made.add_argument("--set", action="append", default=[], metavar="NAME='--OPTION VALUE'", help="other options")
    made.add_argument("--quick", action="store_true", help="the options that the file has for a short run")
    return made


@command.if_stopped(command.GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    began = time.monotonic()
    say = command.say(args.quiet)

    system = read_system(find_system(args.config), VERBS)
    for added in (system.quick if args.quick else {}, parse_changes(args.set)):
        system = system.changed(added)
        for name, words in added.items():
            say(f"changed: {name} has {words}")
    system.check_data(args.data)
    for option, place in (("weights", "$weights"), ("video", "$video")):
        if getattr(args, option) is not None and not any(place in line.words for line in system.lines):
            raise UserError(f"--{option} has no meaning for {system.name}, whose lines have no {place}; leave it out")
    seed = _seed_of(args.video)
    out = args.out or Path("runs") / system.name
    places = {"data": args.data, "out": out, "weights": args.weights or "imagenet", "video": args.video or "VIDEO"}
    places = {name: str(place) for name, place in places.items()} | {"configs": seen_from(Path(), CONFIGS)}
    # All mistakes are told before the first command runs.
    options = {line.name: line.parse(places, parser_of) for line in system.lines}
    runner = Runner(out, system.name, say, command.passed_on(args))
    try:
        for line in system.lines:
            if (args.video is None or seed is not None) and "$video" in line.words:
                places["video"] = str(held_out_video(options[line.name].checkpoint, seed))
            runner.run(line.name, line.verb, line.filled(places))
    except Stopped as stopped:
        say(f"{out}: {system.name} stopped at {line.name!r}; the same command goes on from there")
        return stopped.status
    done = f"{plural(runner.ran, 'command')} run, {runner.passed} done before, {time.monotonic() - began:.0f} s"
    say(f"\n{out}: {system.name}{_accuracy(system, options)}; {done}")
    return command.SOME_FAILED if runner.some_failed else command.OK


def parser_of(verb: str) -> Parser:
    """The parser of a command."""
    return load(verb).parser()


def _seed_of(video: str | None) -> int | None:
    """The seed of ``random:7``; 0 of ``random``, None of anything else."""
    kind, _, seed = (video or "").partition(":")
    if kind != "random" or Path(kind).exists():
        return None
    if seed and not seed.isdecimal():
        raise UserError(f"--video {video}: the seed {seed!r} is not a whole number")
    return int(seed or 0)


def _accuracy(system: System, options: Mapping[str, argparse.Namespace]) -> str:
    """The accuracies of the last model."""
    for line in reversed(system.lines):
        if line.verb not in ("train", "search"):
            continue
        out = options[line.name].out
        results = (out / "best" if line.verb == "search" else out) / "results.json"
        if results.is_file():
            accuracy = value_of(read_object(results, needs=["accuracy"]), "accuracy", dict[str, float])
            return ", accuracy " + ", ".join(f"{part} {value:.3f}" for part, value in accuracy.items())
    return ""
