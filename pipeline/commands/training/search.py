"""Search settings of a head: every point of a YAML grid, random points, or Optuna's TPE.

A store is loaded once for all its trials. With several stores, such as of several networks, each is one more setting:
all trials are ranked together in OUT/results.csv. Stopped at any moment, the same command goes on where it was and
trains no point twice. Trials are ranked by validation only; the test part is looked at once, for the best.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args
from pipeline.cli.parser import Parser
from pipeline.commands.training.data_options import DataOptions, divided_by
from pipeline.errors import UserError
from pipeline.files.locking import only_writer
from pipeline.files.text import plural
from pipeline.published.system import find_config
from pipeline.training.heads.registry import HEADS
from pipeline.training.loop.spec import TrainSpec

if TYPE_CHECKING:
    from pipeline.training.data.dataset import Dataset
    from pipeline.training.data.splits import Split
    from pipeline.training.experiments.search import Trial
    from pipeline.training.experiments.search_space import Space

    Opened = tuple[Dataset, Split, list[str]]


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/search.py features/match --grid configs/grid.yaml --out checkpoints/search")
    made.add_argument("stores", metavar="STORE", type=Path, nargs="+", help="feature stores of the same videos")
    add_options(made, DataOptions, leave_out=["fuse"])
    grid = "YAML: settings with lists of values, or ranges; a file, or the name of one in configs/"
    made.add_argument("--grid", type=Path, required=True, help=grid)
    made.add_argument("--out", type=Path, required=True, help="folder of the search")
    made.add_argument("--method", choices=("grid", "random", "tpe"), default="grid", help="what to train next")
    made.add_argument("--trials", type=int, help="stop after so many points (needed for random and tpe)")
    made.add_argument("--weights", help="of networks with a base: imagenet, random[:SEED] or a file")
    add_options(made, TrainSpec, only=["epochs", "seed"])
    return made


@command.if_stopped(command.GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    with only_writer(args.out):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from pipeline.training.experiments.search_space import check_study

    _check(args)
    base = from_args(TrainSpec, args)
    if len(args.stores) == 1:
        check_study(args.out)
    space = _space(args)
    found: list[Trial] = []
    best: tuple[Trial, Opened] | None = None
    told: set[str] = set()
    for store in args.stores:
        opened = _open(args, store, told)
        trials = _search_one(args, base, space, store, opened)
        found += trials
        if best is None or trials[0].val_loss < best[0].val_loss:
            best = trials[0], opened
    assert best is not None
    from pipeline.training.experiments.search import finish, write_ranking

    several = len(args.stores) > 1
    if several:
        write_ranking(found, args.out)
    trial, opened = best
    test = finish(trial, *opened, args.out)
    of_test = f", test accuracy {test['accuracy']:.3f}" if test else ""
    of_store = f"{opened[0].folder}, " if several else ""
    command.say(args.quiet)(
        f"{args.out}: {plural(len(found), 'trial')}; best: {of_store}{_settings(trial)}; "
        f"val loss {trial.val_loss:.4f}{of_test}"
    )
    return command.OK


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be searched.

    Raises:
        UserError: it says why.
    """
    if args.method != "grid" and args.trials is None:
        raise UserError(f"--method {args.method} needs --trials, the number of points to train")
    if args.trials is not None and args.trials < 1:
        raise UserError(f"--trials {args.trials}: expected 1 or more")
    names = [store.name for store in args.stores]
    if len(set(names)) < len(names):
        raise UserError(f"two of the stores have the same name ({', '.join(names)}); rename one of the folders")
    if len(names) > 1 and args.out.is_dir() and (args.out / "trials").exists():
        raise UserError(f"{args.out} holds a search of one store; choose another --out")


def _space(args: argparse.Namespace) -> Space:
    """What the grid lists, with --weights in it."""
    from pipeline.training.experiments.search_space import read_space

    space = read_space(find_config(args.grid))
    if args.weights is not None:
        heads = space.get("head")
        heads = heads if isinstance(heads, list) else ["gru"]
        if not any("weights" in HEADS[name].takes for name in heads if name in HEADS):
            raise UserError(f"--weights {args.weights}: no head of {args.grid} has a base that could take them")
        space["weights"] = [args.weights]
    return space


def _open(args: argparse.Namespace, store: Path, told: set[str]) -> Opened:
    """A store with its split and groups; what is to be known of them is said once."""
    from pipeline.training.data.splits import make_split
    from pipeline.training.likeness.groups import groups_for

    say = command.say(args.quiet)
    data = from_args(DataOptions, args).open(store)
    groups, notes = groups_for(data, args.group)
    split = make_split(data, groups, seed=args.seed)
    for note in (*notes, *split.notes):
        if note not in told:
            say(f"note: {parser().spoken(note)}")
            told.add(note)
    say(f"{store}: {len(data.classes)} classes, {split.summary()}, {divided_by(data, args.seed)}")
    return data, split, groups


def _search_one(args: argparse.Namespace, base: TrainSpec, space: Space, store: Path, opened: Opened) -> list[Trial]:
    """The trials of one store, the best first."""
    from pipeline.training.experiments.search import search  # Keras and Optuna take seconds to import

    several = len(args.stores) > 1

    def on_trial(trial: Trial, done: int, total: int | None) -> None:
        command.say(args.quiet)(
            (f"{store.name}: " if several else "") + f"trial {done} of {total}: val loss {trial.val_loss:.4f}, "
            f"val accuracy {trial.results['accuracy']['val']:.3f}, {trial.results['seconds']:.1f} s "
            f"({_settings(trial)})"
        )

    out = args.out / store.name if several else args.out
    return search(*opened, space, out, method=args.method, trials=args.trials, base=base, on_trial=on_trial)


def _settings(trial: Trial) -> str:
    return ", ".join(f"{key} {value}" for key, value in trial.point.items())
