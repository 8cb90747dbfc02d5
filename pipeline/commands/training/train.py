"""Train a head on a feature store, or a network on a frame cache, and write a checkpoint folder.

The split is the catalog's (folders train, val, test) where it has one; otherwise it is drawn: shuffled,
stratified by class, and no group of videos on two sides. The test part is not looked at before the end.
With --folds K each video is tested once by heads that never saw its group, with --seeds N anew for each seed. Nothing
is written unless --out is given too, which then holds folds.csv, the predictions of all folds, a report, and a
checkpoint for each fold.
"""

from __future__ import annotations

import argparse
import glob
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli import command
from pipeline.cli.fields import from_args, given
from pipeline.cli.parser import Parser
from pipeline.commands.training.data_options import DataOptions, divided_by
from pipeline.commands.training.train_options import SHARE, parser_of
from pipeline.commands.training.window_options import chosen_window
from pipeline.errors import UserError
from pipeline.files.locking import only_writer
from pipeline.files.text import plural
from pipeline.lazy import np
from pipeline.training.heads.registry import check_input, head_spec
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.spec import TrainSpec

if TYPE_CHECKING:
    from pipeline.training.data.dataset import Dataset
    from pipeline.training.data.splits import Split
    from pipeline.training.data.windows import WindowSpec
    from pipeline.training.experiments.experiment import Run
    from pipeline.training.loop.kept_weights import KeptWeights
    from pipeline.training.loop.schedule import Epoch
    from pipeline.training.loop.tensorboard import TensorBoardLog


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    args.command = shlex.join(["video-pipeline", "train", *(sys.argv[1:] if argv is None else argv)])
    spec, head = from_args(TrainSpec, args), head_spec(**given(HeadSpec, args))
    spec.check(head)
    _check_call(args)
    with only_writer(args.out), command.if_stopped(lambda: _what_is_left(args)):
        return _run(args, spec, head)


def _check_call(args: argparse.Namespace) -> None:
    """Refuse what can be refused at once: before Keras, which takes seconds to import, and before the features."""
    if args.folds is None and args.out is None:
        raise UserError("name the checkpoint folder by --out, for example --out checkpoints/match")
    if not 0 <= args.abstain_below < 1:
        raise UserError(f"--abstain-below {args.abstain_below:g}: expected 0 or more and less than 1")
    if args.abstain_accuracy is not None and not 0 < args.abstain_accuracy <= 1:
        raise UserError(f"--abstain-accuracy {args.abstain_accuracy:g}: expected more than 0, at most 1")
    if args.abstain_accuracy is not None and args.abstain_below:
        raise UserError("--abstain-accuracy finds what --abstain-below gives; leave one out")
    if args.resume and (args.out is None or args.folds is not None):
        raise UserError("--resume needs the --out of the interrupted run, and does not go with --folds")
    if args.folds is not None and args.val_last:
        raise UserError("--val-last does not go with --folds")
    if args.folds is not None and (args.save_every_epoch or args.save_every_improvement):
        raise UserError("--save-every-epoch and --save-every-improvement do not go with --folds")
    if args.seeds < 1:
        raise UserError(f"--seeds {args.seeds}: expected 1 or more")
    if args.seeds > 1 and args.folds is None:
        raise UserError("--seeds is for --folds, which it repeats; add --folds 5, or leave it out")
    if args.trainable is not None and args.fine_tune is not None:
        raise UserError("--fine-tune says itself which layers learn, and when; leave out --trainable")
    for name in ("test", "resplit", "all"):
        if args.folds is not None and getattr(args, name):
            raise UserError(f"--{name} is for one split, and has no meaning with --folds; leave it out")
    if args.all and (args.save_every_epoch or args.save_every_improvement):
        raise UserError("--save-every-epoch and --save-every-improvement keep weights of what --all trains anew")
    if args.out is None:
        for name in ("overwrite", "abstain_below", "abstain_accuracy"):
            if getattr(args, name):
                raise UserError(f"--{name.replace('_', '-')} is for a checkpoint, and none is written; add --out")
        return
    from pipeline.training.checkpoint import CHECKPOINT_FILE, check_free

    if args.folds is not None:
        from pipeline.training.experiments.cross_validation import check_folder

        check_folder(args.out, overwrite=args.overwrite)
        return
    goes_on = args.resume and _state_of(args.out).exists()  # then what Ctrl-C kept is replaced
    if args.resume and not (goes_on or args.overwrite) and (args.out / CHECKPOINT_FILE).exists():
        raise UserError(f"{args.out} is finished, so there is nothing to resume; --overwrite trains it anew")
    check_free(args.out, overwrite=args.overwrite or goes_on)


def _what_is_left(args: argparse.Namespace) -> str:
    """Of a training that was stopped before its checkpoint was written."""
    if args.folds is not None:
        return "nothing was written" if args.out is None else f"the folds that were finished are in {args.out}"
    if not _state_of(args.out).exists():
        return "nothing was written"
    return f"{args.out} is not written, and the same command with --resume goes on after the last epoch"


def _run(args: argparse.Namespace, spec: TrainSpec, head: HeadSpec) -> int:
    """One training, or one for each fold."""
    from pipeline.training.data.splits import make_split
    from pipeline.training.likeness.groups import groups_for

    say = command.say(args.quiet)
    data = from_args(DataOptions, args).open(args.store)
    check_input(head, data.shape, str(data.folder))
    if not data.features.in_memory:
        say(f"note: {args.store} takes {data.features.nbytes / 2**30:.3g} GiB and is streamed from disk")
    _window(args, data, np.arange(len(data)))  # a mistake in it is told before the videos are compared
    groups, of_groups = groups_for(data, args.group)
    notes = [*of_groups, *(f"left out: {plural(count, 'video')} {reason}" for reason, count in data.left_out.items())]
    notes = [parser().spoken(note) for note in notes]
    if args.folds is not None:
        for note in notes:
            say(f"note: {note}")
        return _folds(args, spec, head, data, groups)
    there = {video.split for video in data.videos} - {""}
    if args.resplit and not there:
        raise UserError("--resplit has no meaning: the catalog has no split; one is drawn anyway")
    there = set() if args.resplit else there
    for name, idle in (("val", "val" in there), ("test", bool(there))):
        if idle and getattr(args, name) is not None:
            raise UserError(f"--{name} has no meaning: the catalog has a split; --resplit draws another one")
    test = SHARE if args.test is None else args.test
    split = make_split(data, groups, seed=args.seed, val=_val(args), test=test, ignore=args.resplit, last=args.val_last)
    split = _kept_apart(args, replace(split, notes=(*notes, *split.notes)))
    return _one(args, spec, head, data, groups, split)


def _val(args: argparse.Namespace) -> float:
    return SHARE if args.val is None else args.val


def _kept_apart(args: argparse.Namespace, split: Split) -> Split:
    """The split; validation videos that are asked for are not learnt from, whoever validates."""
    return split if args.val is None else replace(split, drawn_val=None)


def _one(
    args: argparse.Namespace, spec: TrainSpec, head: HeadSpec, data: Dataset, groups: list[str], split: Split
) -> int:
    from pipeline.training.loop.members import share_out

    say = command.say(args.quiet)
    members = share_out(data, split, groups, head, spec)
    for note in (*members.split.notes, *members.notes):
        say(f"note: {note}")
    divided = divided_by(data, args.seed, ignore=args.resplit)
    say(f"{args.store}: {len(data.classes)} classes, {members.split.summary()}, {divided}")
    weights = _kept_weights(args)
    run = _train(args, spec, head, data, groups, split, weights=weights)

    from pipeline.training.evaluation.metrics import report_text
    from pipeline.training.experiments.experiment import trained_on_all
    from pipeline.training.experiments.save import save_run

    if args.all and not run.results["interrupted"]:
        with _progress(args, f"all videos, {head.name}") as bar:
            run = trained_on_all(run, groups, on_epoch=lambda epoch: bar.update() and None)
    told = len(run.results["notes"])
    checkpoint = save_run(run, args.out, overwrite=args.overwrite or args.resume, kept=weights)
    if not run.results["interrupted"]:
        _forget_states(args.out)
    results = run.results
    for note in results["notes"][told:]:
        say(f"note: {note}")
    for line in run.leaks.lines():
        say(line)
    if "test" in run.predictions:
        say(report_text(run.predictions["test"]))
    for line in _beside(results):
        say(line)
    figures = ", ".join(f"{name} {value:.3f}" for name, value in results["accuracy"].items())
    count, wanted = results["members"]["count"], results["members"]["wanted"]
    kept = "best so far kept" if count == 1 else f"the {count} members of {wanted} that are done are kept"
    stopped = f"stopped by Ctrl-C, {kept}; " if results["interrupted"] else ""
    if args.abstain_accuracy is not None:
        say(f"note: below a probability of {results['abstain_below']:.3f} a label is 'unknown'")
    if "all_videos" in results:
        say(
            f"note: the model learnt from all {results['all_videos']:,} videos, as the split chose; the accuracies are "
            "those of before, since no video is left to test it on"
        )
    say(
        f"{checkpoint.folder}: {stopped}accuracy {figures}; {_epochs(results)}, {results['parameters']:,} parameters, "
        f"{results['seconds']:.1f} s"
    )
    return command.INTERRUPTED if results["interrupted"] else command.OK


def _beside(results: dict[str, Any]) -> list[str]:
    """The head beside simple rules, and the remarks."""
    part = "test" if "test" in results["accuracy"] else "val"
    simple = results["baseline"]
    return [
        f"{part} accuracy {results['accuracy'][part]:.3f}; logistic regression on the mean features "
        f"{simple['linear'][part]:.3f}, always the most frequent class {simple['majority'][part]:.3f}",
        *(f"note: {remark}" for remark in results["remarks"]),
    ]


def _folds(args: argparse.Namespace, spec: TrainSpec, head: HeadSpec, data: Dataset, groups: list[str]) -> int:
    from pipeline.training.experiments.cross_validation import cross_validate, write_folds
    from pipeline.training.experiments.save import save_run

    say = command.say(args.quiet)
    seeds = range(spec.seed, spec.seed + args.seeds)

    def name(seed: int, number: int, join: str) -> str:
        return (f"seed{join}{seed}{join}" if args.seeds > 1 else "") + f"fold{join}{number}"

    def on_fold(seed: int, number: int, run: Run) -> None:
        results = run.results
        say(
            f"{name(seed, number, ' ')}: test accuracy {results['accuracy']['test']:.3f}, "
            f"log loss {results['log_loss']['test']:.3f} ({run.split.summary()}, {_epochs(results)})"
        )
        for line in (_beside(results)[0], *(f"note: {note}" for note in run.split.notes), *run.leaks.lines(3)):
            say(f"  {line}")
        if args.out is not None:
            save_run(run, args.out / name(seed, number, ""), overwrite=args.overwrite)

    def train(split: Split, seed: int, number: int) -> Run:
        split = _kept_apart(args, split)
        return _train(args, replace(spec, seed=seed), head, data, groups, split, f"{name(seed, number, ' ')} ")

    found = cross_validate(data, groups, args.folds, train, seeds=seeds, val=_val(args), on_fold=on_fold)
    if args.out is not None:
        write_folds(found, args.out)
    say((f"{args.out}: " if args.out is not None else "") + str(found))
    return command.OK


def _epochs(results: dict[str, Any]) -> str:
    """Which epochs were kept."""
    if (count := results["members"]["count"]) == 1:
        return f"epoch {results['best_epoch']} of {results['epochs']}"
    best = sorted(member["best_epoch"] for member in results["members"]["each"])
    return f"{count} members of epochs {best[0]} to {best[-1]}"


def _window(args: argparse.Namespace, data: Dataset, rows: np.ndarray) -> WindowSpec:
    """The window that was asked for, else the one for the videos ``rows``."""
    from pipeline.training.data.dataset import check_window

    apart, default = data.step_seconds[rows], data.default_window(rows)
    window = chosen_window(args, data.recipe.sampling, lambda: apart, default)
    assert window is not None
    check_window(data, window)
    return window


def _train(
    args: argparse.Namespace,
    spec: TrainSpec,
    head: HeadSpec,
    data: Dataset,
    groups: list[str],
    split: Split,
    prefix: str = "",
    weights: KeptWeights | None = None,
) -> Run:
    window = _window(args, data, split.train)

    # From here on Keras is needed, which takes seconds to import.
    from pipeline.training.compute.devices import distribute
    from pipeline.training.experiments.experiment import train

    if (note := distribute(args.devices)) and (not prefix or prefix.endswith("fold 1 ")):
        command.say(args.quiet)(f"note: {note}")
    state = None
    if args.out is not None and args.folds is None:
        state = _state_of(args.out)
        if not args.resume:
            _forget_states(args.out)
    logs: dict[int, TensorBoardLog | None] = {}
    with _progress(args, prefix + head.name) as bar:

        def on_epoch(epoch: Epoch) -> None:
            if epoch.member not in logs:
                logs[epoch.member] = _tensorboard(args, prefix, epoch.member)
            if (log := logs[epoch.member]) is not None:
                log.add(epoch)
            bar.set_postfix_str(
                f"member {epoch.member}, epoch {epoch.epoch}: val loss {epoch.val_loss:.3f}, "
                f"val accuracy {epoch.val_accuracy:.3f}",
                refresh=False,
            )
            bar.update()

        return train(
            data,
            split,
            head=head,
            groups=groups,
            window=window,
            spec=spec,
            abstain_below=args.abstain_below,
            abstain_accuracy=args.abstain_accuracy,
            command=args.command,
            state=state,
            on_epoch=on_epoch,
            kept=weights,
        )


def _kept_weights(args: argparse.Namespace) -> KeptWeights | None:
    """Where --save-every-improvement or --save-every-epoch keep weights."""
    if not (args.save_every_epoch or args.save_every_improvement):
        return None
    from pipeline.training.loop.kept_weights import KeptWeights

    return KeptWeights(args.out, "epoch" if args.save_every_epoch else "improvement")


def _progress(args: argparse.Namespace, what: str) -> Any:
    return command.progress(None, "epoch", args.quiet, desc=what, leave=False)


def _state_of(out: Path) -> Path:
    """Where a training that is not finished keeps what --resume goes on from; members have files beside it."""
    return out.parent / f"{out.name}.state.npz"


def _forget_states(out: Path) -> None:
    for path in out.parent.glob(f"{glob.escape(out.name)}.state*.npz"):
        path.unlink(missing_ok=True)


def _tensorboard(args: argparse.Namespace, prefix: str, member: int) -> TensorBoardLog | None:
    """Where --tensorboard wants the curves of this training, of this fold, and of each further member."""
    if args.tensorboard is None:
        return None
    from pipeline.training.loop.tensorboard import TensorBoardLog

    run = args.out or Path(args.store.name)
    folder = run.parent / "tensorboard" if args.tensorboard == Path() else args.tensorboard
    name = prefix.replace(" ", "") + (f"member{member}" if member > 1 else "")
    return TensorBoardLog(folder / run.name / name, resumed=args.resume)


def parser() -> Parser:
    """The options of the command."""
    return parser_of(__doc__)
