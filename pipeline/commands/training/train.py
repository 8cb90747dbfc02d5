"""Train a head on a feature store, or a network on a frame cache, and write a checkpoint folder.

The split is the catalog's (folders train, val, test) where it has one; otherwise it is drawn: shuffled,
stratified by class, and no group of videos on two sides. The test part is not looked at before the end.
With --folds K each video is tested once by a head that never saw its group, and no checkpoint is written
unless --out is given too, which then holds one folder per fold.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.extraction.inputs.augmentation import FORMS
from pipeline.videos.media.sampling import Sampling

# Options of the same name in `TrainSpec`.
_OF_SPEC: tuple[str, ...] = ("epochs", "batch", "learning_rate", "patience", "weight_decay", "label_smoothing", "seed")
_OF_SPEC += ("optimizer", "momentum", "fine_tune", "fine_tune_rate", "precision", "accumulate", "augment")
_OF_SPEC += ("plateau", "rate_decay")

if TYPE_CHECKING:
    from pipeline.training.data.dataset import Dataset
    from pipeline.training.data.splits import Split
    from pipeline.training.loop.schedule import Epoch
    from pipeline.training.loop.tensorboard import TensorBoardLog


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    args.command = shlex.join(["python", "scripts/train.py", *(sys.argv[1:] if argv is None else argv)])
    if args.folds is None and args.out is None:
        raise UserError("name the checkpoint folder by --out, for example --out checkpoints/match")
    if not 0 <= args.abstain_below < 1:
        raise UserError(f"--abstain-below {args.abstain_below:g}: expected 0 or more and less than 1")
    say = command.say(args.quiet)

    # Keras takes seconds to import; --help and mistakes above must not wait for it.
    from pipeline.files.sizes import parse_memory
    from pipeline.training.checkpoint import CHECKPOINT_FILE, check_free
    from pipeline.training.compute.devices import distribute
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.data.fusion import fuse_stores
    from pipeline.training.data.splits import groups_of, make_folds, make_split

    if note := distribute(args.devices):
        say(f"note: {note}")
    if args.resume and (args.out is None or args.folds is not None):
        raise UserError("--resume needs the --out of the interrupted run, and does not go with --folds")
    if args.out is not None:
        goes_on = args.resume and _state_of(args.out).exists()  # then what Ctrl-C kept is replaced
        if args.resume and not (goes_on or args.overwrite) and (args.out / CHECKPOINT_FILE).exists():
            raise UserError(f"{args.out} is finished, so there is nothing to resume; --overwrite trains it anew")
        check_free(args.out, overwrite=args.overwrite or goes_on)
    sampling = Sampling.parse(args.sampling) if args.sampling else None
    memory = parse_memory(args.memory) if args.memory else None
    data = open_dataset(args.store, frame_labels=args.labels, sampling=sampling, memory=memory)
    if args.join is not None:
        other = open_dataset(args.join, frame_labels=args.labels, sampling=sampling, memory=memory)
        data = fuse_stores(data, other)
    if not data.features.in_memory:
        say(f"note: {args.store} takes {data.features.nbytes / 2**30:.3g} GiB and is streamed from disk")
    groups, notes = groups_of(data.videos, args.group)
    for note in (*notes, *(f"{count} videos {reason} are left out" for reason, count in data.left_out.items())):
        say(f"note: {note}")
    if args.folds is not None:
        return _folds(args, data, groups, make_folds(data, groups, args.folds, seed=args.seed, val=args.val))
    split = make_split(data, groups, seed=args.seed, val=args.val, test=args.test, ignore=args.resplit)
    return _one(args, data, groups, split)


def _one(args: argparse.Namespace, data: Dataset, groups: list[str], split: Split) -> int:
    from pipeline.training.evaluation.metrics import report_text
    from pipeline.training.experiments.experiment import save_run

    say = command.say(args.quiet)
    for note in split.notes:
        say(f"note: {note}")
    say(f"{args.store}: {len(data.classes)} classes, {split.summary()}")
    run = _train(args, data, groups, split)
    checkpoint = save_run(run, args.out, overwrite=args.overwrite or args.resume)
    if not run.results["interrupted"]:
        _state_of(args.out).unlink(missing_ok=True)
    results = run.results
    for line in run.leaks.lines():
        say(line)
    if "test" in run.predictions:
        say(report_text(run.predictions["test"]))
    figures = ", ".join(f"{name} {value:.3f}" for name, value in results["accuracy"].items())
    stopped = "stopped by Ctrl-C, best so far kept; " if results["interrupted"] else ""
    say(
        f"{checkpoint.folder}: {stopped}accuracy {figures}; epoch {results['best_epoch']} of {results['epochs']}, "
        f"{results['parameters']:,} parameters, {results['seconds']:.1f} s"
    )
    return command.INTERRUPTED if results["interrupted"] else command.OK


def _folds(args: argparse.Namespace, data: Dataset, groups: list[str], splits: list[Split]) -> int:
    import numpy as np

    from pipeline.training.evaluation.metrics import pooled_ece
    from pipeline.training.experiments.experiment import save_run

    say = command.say(args.quiet)
    accuracies, losses, tested = [], [], []
    for number, split in enumerate(splits, 1):
        run = _train(args, data, groups, split, f"fold {number} ")
        if run.results["interrupted"]:
            raise KeyboardInterrupt
        accuracies.append(run.results["accuracy"]["test"])
        losses.append(run.results["log_loss"]["test"])
        tested.append(run.predictions["test"])
        say(
            f"fold {number}: test accuracy {accuracies[-1]:.3f}, log loss {losses[-1]:.3f} "
            f"({split.summary()}, epoch {run.results['best_epoch']} of {run.results['epochs']})"
        )
        for line in (*(f"note: {note}" for note in split.notes), *run.leaks.lines(3)):
            say(f"  {line}")
        if args.out is not None:
            save_run(run, args.out / f"fold{number}", overwrite=args.overwrite)
    say(
        f"{len(splits)} folds: test accuracy {np.mean(accuracies):.3f} ± {np.std(accuracies):.3f}, "
        f"lowest {min(accuracies):.3f}, log loss {np.mean(losses):.3f}, "
        f"ECE {pooled_ece(tested, scaled=False):.3f} before and {pooled_ece(tested):.3f} after temperature scaling"
    )
    return command.OK


def _train(args: argparse.Namespace, data: Dataset, groups: list[str], split: Split, prefix: str = ""):
    from pipeline.training.data.batches import FeatureAugmentation
    from pipeline.training.data.windows import WindowSpec, window_in_seconds
    from pipeline.training.experiments.experiment import train
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.spec import TrainSpec

    head = head_spec(
        args.head,
        units=args.units,
        layers=args.layers,
        dropout=args.dropout,
        bidirectional=not args.one_way,
        base=args.base,
        weights=args.weights,
        pooling=args.pooling,
        trainable=args.trainable,
        cell=args.cell,
        kernel=args.kernel,
    )
    window = data.default_window(split.train)
    if (args.window_seconds, args.stride_seconds) != (None, None):
        if (args.window, args.stride) != (None, None):
            raise UserError("--window and --stride count steps; use either them or --window-seconds, --stride-seconds")
        apart, sampling = data.step_seconds[split.train], Sampling.parse(data.recipe.sampling)
        window = window_in_seconds(
            args.window_seconds, args.stride_seconds, apart, sampling, policy=args.policy or "pad"
        )
    elif (args.window, args.stride, args.policy) != (None, None, None):
        length = window.length if args.window is None else args.window
        window = WindowSpec(length, args.stride or 0, args.policy or "pad")
    spec = TrainSpec(
        **{name: getattr(args, name) for name in _OF_SPEC if getattr(args, name) is not None},
        balance=args.balance,
        augmentation=FeatureAugmentation(args.random_windows, args.noise, args.time_mask, args.mixup),
    )
    state = None
    if args.out is not None and args.folds is None:
        state = _state_of(args.out)
        if not args.resume:
            state.unlink(missing_ok=True)
    log = _tensorboard(args, prefix)
    with command.progress(spec.epochs, "epoch", args.quiet, desc=prefix + head.name, leave=False) as bar:

        def on_epoch(epoch: Epoch) -> None:
            if log is not None:
                log.add(epoch)
            bar.set_postfix_str(f"val loss {epoch.val_loss:.3f}, val accuracy {epoch.val_accuracy:.3f}", refresh=False)
            bar.update()

        return train(
            data,
            split,
            head=head,
            groups=groups,
            window=window,
            spec=spec,
            abstain_below=args.abstain_below,
            command=args.command,
            state=state,
            on_epoch=on_epoch,
        )


def _state_of(out: Path) -> Path:
    """Where a training that is not finished keeps what --resume goes on from."""
    return out.parent / f"{out.name}.state.npz"


def _tensorboard(args: argparse.Namespace, prefix: str) -> TensorBoardLog | None:
    """Where --tensorboard wants the curves of this training, or of this fold."""
    if args.tensorboard is None:
        return None
    from pipeline.training.loop.tensorboard import TensorBoardLog

    run = args.out or Path(args.store.name)
    folder = run.parent / "tensorboard" if args.tensorboard == Path() else args.tensorboard
    return TensorBoardLog(folder / run.name / prefix.replace(" ", ""), resumed=args.resume)


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        __doc__,
        "python scripts/train.py features/match --out checkpoints/match\n"
        "  python scripts/train.py features/match --folds 5 --group 'person\\d'\n"
        "  python scripts/train.py features/frames --out checkpoints/lrcn --head lrcn --augment flip",
    )
    made.add_argument("store", metavar="STORE", type=Path, help="feature store of extract_features.py")
    data = made.add_argument_group("what is learnt from")
    data.add_argument(
        "--join", metavar="STORE", type=Path, help="a second store of the same videos and steps, such as of motion"
    )
    data.add_argument("--labels", type=Path, help="CSV video,frame,label[,split]: labels of single frames")
    data.add_argument("--sampling", help="thin a denser store to this sampling, such as uniform:20 of an 'all' store")
    data.add_argument(
        "--memory",
        metavar="SIZE",
        help="load a store of up to this size, such as 1.5G, and stream a larger one (default: half of what is free)",
    )
    made.add_argument("--out", type=Path, help="checkpoint folder to write")
    made.add_argument("--overwrite", action="store_true", help="replace the checkpoint folder if it exists")
    made.add_argument("--seed", type=int, default=0, help="of split, weights and shuffling")

    head = made.add_argument_group("head (defaults are the head's own)")
    head.add_argument("--head", default="gru", help="gru, lstm, ... (a wrong name lists all)")
    head.add_argument("--units", type=int, help="width of the hidden layers")
    head.add_argument("--layers", type=int, help="stacked layers, 1 to 4")
    head.add_argument("--one-way", action="store_true", help="recurrent layers read forwards only")
    head.add_argument("--dropout", type=float, help="share of values dropped in training")

    base = made.add_argument_group("networks on frames (stores of extract_features.py --backbone frames)")
    base.add_argument("--base", help="a network of keras.applications within the network, such as mobilenetv2")
    base.add_argument("--weights", help="of the base: imagenet, random[:SEED] or a file (default: imagenet)")
    base.add_argument("--pooling", help="of the base's output over the picture: avg or max")
    base.add_argument("--trainable", type=_layers, metavar="N", help="last layers of the base that learn, or 'all'")
    base.add_argument("--cell", help="of lrcn: lstm, gru, rnn or conv1d")
    base.add_argument("--kernel", type=int, help="of lrcn with conv1d: steps that a convolution sees")
    base.add_argument(
        "--fine-tune",
        type=_layers,
        metavar="N",
        help="two phases: first with the base frozen, then with its last N layers, or 'all', at a lower rate",
    )
    base.add_argument("--fine-tune-rate", type=float, help="rate of the second phase (default: a tenth of the first)")
    base.add_argument("--precision", help="of the arithmetic: float32 (default), bfloat16 or float16")
    base.add_argument("--augment", metavar="SPEC", help=f"vary sequences in training: {FORMS}")

    windows = made.add_argument_group("windows")
    windows.add_argument("--window", type=int, help="steps in a window (default: the whole sequence where it is short)")
    windows.add_argument("--stride", type=int, help="steps between the starts of windows (default: no overlap)")
    windows.add_argument("--window-seconds", type=float, metavar="S", help="windows of this duration instead")
    windows.add_argument("--stride-seconds", type=float, metavar="S", help="between the starts of such windows")
    windows.add_argument("--policy", choices=("pad", "drop"), help="of the steps after the last whole window")
    windows.add_argument("--random-windows", action="store_true", help="begin anywhere, anew in each epoch")

    split = made.add_argument_group("split")
    split.add_argument(
        "--group",
        help="videos of one group stay on one side: a regular expression on the name such as 'person\\d+', 'column' "
        "for the catalog's column, 'auto', or 'none' (default: the catalog's column where it is filled)",
    )
    split.add_argument("--folds", type=int, help="cross-validation by groups instead of one split")
    split.add_argument("--val", type=float, default=0.2, help="share of the training videos that choose the epoch")
    split.add_argument("--test", type=float, default=0.2, help="share of the videos to test, where a split is drawn")
    split.add_argument("--resplit", action="store_true", help="draw a split although the catalog has one")

    fit = made.add_argument_group("training")
    fit.add_argument("--epochs", type=int, help="the most epochs (default: 100)")
    fit.add_argument(
        "--resume", action="store_true", help="go on after the last epoch of an interrupted run with the same --out"
    )
    fit.add_argument("--patience", type=int, help="epochs without a better validation loss before stopping")
    fit.add_argument(
        "--plateau", type=int, metavar="N", help="halve the learning rate after N such epochs (default: 5)"
    )
    fit.add_argument("--rate-decay", type=float, metavar="X", help="divide it by 1 + X times the steps so far")
    fit.add_argument("--batch", type=int, help="windows in a step (default: 32, for networks on frames 8)")
    fit.add_argument("--accumulate", type=int, metavar="K", help="average the gradients of K steps: a batch K times")
    fit.add_argument("--optimizer", help="adam or sgd (default: the head's own)")
    fit.add_argument("--momentum", type=float, help="of sgd (default: 0.9)")
    fit.add_argument("--learning-rate", type=float, help="at the start")
    fit.add_argument(
        "--abstain-below", type=float, default=0.0, metavar="P", help="below this probability the label is 'unknown'"
    )
    fit.add_argument("--weight-decay", type=float, help="decoupled weight decay")
    fit.add_argument("--label-smoothing", type=float, help="share of the target that is spread over all classes")
    fit.add_argument("--balance", action="store_true", help="let rare classes weigh more")
    fit.add_argument("--noise", type=float, default=0.0, help="on the features, in standard deviations")
    fit.add_argument("--time-mask", type=float, default=0.0, help="longest share of a window that is hidden")
    fit.add_argument("--mixup", type=float, default=0.0, help="mix pairs of windows, Beta(x, x); 0.2 is usual")
    fit.add_argument("--devices", type=int, help="accelerators that share each batch, on JAX (default: all)")
    fit.add_argument(
        "--tensorboard",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="DIR",
        help="write curves for TensorBoard into a folder DIR/RUN (default: 'tensorboard' beside --out)",
    )
    return made


def _layers(text: str) -> int:
    """A number of layers; -1 stands for all."""
    return -1 if text == "all" else int(text)
