"""Evaluate a checkpoint on the videos of a feature store.

--split test are the videos that were kept apart when the checkpoint was trained; for a store that took no part
in the training it is the catalog's own split, and --split all are all labelled videos.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli import command
from pipeline.cli.fields import add_options
from pipeline.cli.parser import Parser
from pipeline.commands.training.data_options import DataOptions
from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.replacing import refuse_existing

if TYPE_CHECKING:
    from pipeline.training.checkpoint import Checkpoint
    from pipeline.training.evaluation.predictions import Predictions

_CONFIDENT = 0.5  # a mistake below it is not worth a line
_PREDICTIONS, _MATRIX, _RESULTS = "predictions.csv", "confusion_matrix.png", "results.json"


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/evaluate.py checkpoints/match features/match --split test")
    made.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="checkpoint folder of train.py")
    made.add_argument("store", metavar="STORE", type=Path, help="feature store of the same recipe")
    add_options(made, DataOptions, only=["fuse", "labels", "memory"])
    made.add_argument("--split", choices=("train", "val", "test", "all"), default="test", help="which videos")
    made.add_argument("--group", help="as for train.py; the interval of the accuracy draws whole groups")
    made.add_argument("--out", type=Path, help="folder for predictions.csv, confusion_matrix.png and results.json")
    made.add_argument("--overwrite", action="store_true", help="replace these files where they are there")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    _check(args)
    from pipeline.training.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(args.checkpoint)
    from pipeline.training.evaluation.predict import evaluate

    predictions = evaluate(
        checkpoint,
        *[args.store, *([args.fuse] if args.fuse else [])],
        split=args.split,
        frame_labels=args.labels,
        memory=args.memory,
    )
    # What follows imports scikit-learn and matplotlib, and what is wrong above must not wait for them.
    from pipeline.training.evaluation.metrics import measure, report_text
    from pipeline.training.likeness.groups import groups_for

    data = predictions.windows.data
    # Likeness needs the features of all videos, which is too much to read for an interval.
    groups, _ = groups_for(data, args.group if args.group or data.features.in_memory else "auto")
    figures = measure(predictions, groups)
    say = command.say(args.quiet)
    say(report_text(predictions))
    if args.out is not None:
        _write(args, predictions, figures)
    for line in _remarks(checkpoint, predictions, figures):
        say(line)
    low, high = figures["interval"]
    which = "videos" if args.split == "all" else f"{args.split} videos"
    say(
        f"{args.checkpoint} on {figures['videos']} {which}: accuracy {figures['accuracy']:.3f} "
        f"(95 % {low:.3f} to {high:.3f}), balanced {figures['balanced_accuracy']:.3f}, "
        f"log loss {figures['log_loss']:.3f}, ECE {figures['ece']:.3f}"
    )
    return command.OK


def _check(args: argparse.Namespace) -> None:
    """Refuse a folder that results must not be written to.

    Raises:
        UserError: it says why.
    """
    from pipeline.training.checkpoint import CHECKPOINT_FILE

    if args.out is None:
        if args.overwrite:
            raise UserError("--overwrite replaces files in the folder that --out names; add --out, or leave it out")
        return
    if (args.out / CHECKPOINT_FILE).exists():
        raise UserError(f"{args.out} is a checkpoint, whose own results are kept; choose another --out")
    for name in (_PREDICTIONS, _MATRIX, _RESULTS):
        refuse_existing(args.out / name, overwrite=args.overwrite)


def _write(args: argparse.Namespace, predictions: Predictions, figures: dict[str, Any]) -> None:
    """The files of --out."""
    from pipeline.training.evaluation.metrics import confusion
    from pipeline.training.evaluation.predictions import write_predictions
    from pipeline.training.reports import plots

    write_predictions([predictions], args.out / _PREDICTIONS)
    title = f"{args.split}: accuracy {figures['accuracy']:.3f}, {figures['videos']} videos"
    classes = predictions.windows.data.classes
    plots.save_figure(plots.confusion_matrix(confusion(predictions), classes, title), args.out / _MATRIX)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    with atomic_write(args.out / _RESULTS) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="surrogateescape")


def _remarks(checkpoint: Checkpoint, predictions: Predictions, figures: dict[str, Any]) -> Iterator[str]:
    """Confident mistakes, how many are sure enough, and how many the checkpoint learnt from."""
    for row in [row for row in figures["mistakes"] if row["probability"] >= _CONFIDENT][:5]:
        yield (
            f"confident mistake: {row['video']} is {row['label']}, "
            f"predicted {row['prediction']} ({row['probability']:.2f})"
        )
    if checkpoint.abstain_below:
        sure = predictions.confidences >= checkpoint.abstain_below
        right = (predictions.predicted == predictions.labels)[sure]
        of_those = f", {right.mean():.3f} of them right" if len(right) else ""
        yield f"at least {checkpoint.abstain_below:g} sure: {sure.mean():.3f} of the videos{of_those}"
    parts = checkpoint.metrics.get("split", {})
    learnt = parts if "all_videos" in checkpoint.metrics else ("train",)
    trained = {name for part in learnt for name in parts.get(part, ())}
    names = predictions.windows.data.names
    if seen := sum(names[row] in trained for row in predictions.videos):
        yield f"note: the checkpoint was trained on {seen:,} of these {figures['videos']:,} videos"
