"""Run a whole published system: prepare, extract, train, evaluate, classify, as its YAML file in configs/ says.

Each step is a command of this project and is printed as it can be typed. A second call goes on where the first was
stopped and repeats nothing that is done. --set changes a setting of a step; --quick takes the values that the file
names for a short run.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.published.runner import Steps, Stopped, held_out_video
from pipeline.published.system import CONFIGS, Step, System, find_system, parse_changes, read_system


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/run_config.py configs/keras-example.yaml --data UCF101")
    made.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of one in configs/")
    made.add_argument("--data", type=Path, required=True, help="the data set, as the file describes it")
    made.add_argument("--out", type=Path, help="folder for all outputs (default: runs/NAME)")
    made.add_argument("--weights", default="imagenet", help="of the frozen network: imagenet, a file, or random")
    made.add_argument("--video", type=Path, help="what is classified at the end (default: the first test video)")
    made.add_argument("--set", action="append", default=[], metavar="STEP.SETTING=VALUE", help="another value")
    made.add_argument("--quick", action="store_true", help="the values that the file names for a short run")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    began = time.monotonic()
    say = command.say(args.quiet)

    system = read_system(find_system(args.config))
    changes = (system.quick if args.quick else {}) | parse_changes(args.set)
    system = system.changed(changes)
    system.check_data(args.data)
    out = args.out or Path("runs") / system.name
    places = {"data": args.data, "out": out, "weights": args.weights, "video": args.video or "VIDEO"}
    places = {name: str(place) for name, place in places.items()} | {"configs": os.path.relpath(CONFIGS)}
    for step in system.steps:
        step.words(places)  # all mistakes are told before the first step
    for key, value in changes.items():
        say(f"changed: {key} is {value}")
    steps = Steps(out, system.name, say)
    try:
        for step in system.steps:
            if args.video is None and "$video" in step.settings.values():
                places["video"] = str(held_out_video(Path(str(step.settings["checkpoint"]).replace("$out", str(out)))))
            steps.run(step.name, step.script, step.words(places))
    except Stopped as stopped:
        say(f"{out}: {system.name} stopped at the step {step.name!r}; the same command goes on from there")
        return stopped.status
    say(f"\n{out}: {system.name}{_accuracy(system, places)}; {_count(steps)}, {time.monotonic() - began:.0f} s")
    return command.SOME_FAILED if steps.some_failed else command.OK


def _accuracy(system: System, places: dict[str, str]) -> str:
    """The accuracies of the last model."""
    for step in reversed(system.steps):
        results = _folder(step, places) / "results.json"
        if step.script in ("train", "search") and results.is_file():
            accuracy = json.loads(results.read_text(encoding="utf-8"))["accuracy"]
            return ", accuracy " + ", ".join(f"{part} {value:.3f}" for part, value in accuracy.items())
    return ""


def _folder(step: Step, places: dict[str, str]) -> Path:
    folder = Path(str(step.settings.get("out", "")).replace("$out", places["out"]))
    return folder / "best" if step.script == "search" else folder


def _count(steps: Steps) -> str:
    return f"{steps.ran} steps run, {steps.passed} done before"
