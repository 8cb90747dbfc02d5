"""Search settings of a head: every point of a YAML grid, random points, or Optuna's TPE.

The store is loaded once for all trials. Stopped at any moment, the same command goes on where it was and trains
no point twice. Trials are ranked by validation only; the test part is looked at once, for the best.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.commands.training.data_options import DataOptions
from pipeline.files.locking import only_writer
from pipeline.files.text import plural
from pipeline.published.system import find_config
from pipeline.training.loop.spec import TrainSpec

if TYPE_CHECKING:
    from pipeline.training.experiments.search import Trial


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/search.py features/match --grid configs/grid.yaml --out checkpoints/search")
    made.add_argument("store", metavar="STORE", type=Path, help="feature store")
    add_options(made, DataOptions, leave_out=["fuse"])
    grid = "YAML: settings with lists of values, or ranges; a file, or the name of one in configs/"
    made.add_argument("--grid", type=Path, required=True, help=grid)
    made.add_argument("--out", type=Path, required=True, help="folder of the search")
    made.add_argument("--method", choices=("grid", "random", "tpe"), default="grid", help="what to train next")
    made.add_argument("--trials", type=int, help="stop after so many points (needed for random and tpe)")
    made.add_argument("--weights", help="of networks with a base: imagenet, random[:SEED] or a file")
    add_options(made, TrainSpec, only=["epochs", "seed"])
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    with only_writer(args.out):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    say = command.say(args.quiet)

    # Keras takes seconds to import; --help must not wait for it.
    from pipeline.training.data.splits import make_split
    from pipeline.training.experiments.search import finish, search
    from pipeline.training.experiments.search_space import read_space
    from pipeline.videos.catalog.splits import groups_of

    space = read_space(find_config(args.grid))
    if args.weights is not None:
        space["weights"] = [args.weights]
    data = from_args(DataOptions, args).open(args.store)
    groups, notes = groups_of(data.videos, args.group)
    split = make_split(data, groups, seed=args.seed)
    for note in (*notes, *split.notes):
        say(f"note: {note}")

    def on_trial(trial: Trial, done: int, total: int | None) -> None:
        settings = ", ".join(f"{key} {value}" for key, value in trial.point.items())
        say(
            f"trial {done} of {total}: val loss {trial.val_loss:.4f}, val accuracy "
            f"{trial.results['accuracy']['val']:.3f}, {trial.results['seconds']:.1f} s ({settings})"
        )

    trials = search(
        data,
        split,
        groups,
        space,
        args.out,
        method=args.method,
        trials=args.trials,
        base=from_args(TrainSpec, args),
        on_trial=on_trial,
    )
    best = trials[0]
    test = finish(best, data, split, groups, args.out)
    of_test = f", test accuracy {test['accuracy']:.3f}" if test else ""
    settings = ", ".join(f"{key} {value}" for key, value in best.point.items())
    say(f"{args.out}: {plural(len(trials), 'trial')}; best: {settings}; val loss {best.val_loss:.4f}{of_test}")
    return command.OK
