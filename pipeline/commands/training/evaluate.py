"""Evaluate a checkpoint on the videos of a feature store.

--split test are the videos that were kept apart when the checkpoint was trained; for a store that took no part
in the training it is the catalog's own split, and --split all are all labelled videos.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.errors import UserError
from pipeline.files.atomic import write_whole
from pipeline.files.replacing import refuse_existing
from pipeline.training.checkpoint import CHECKPOINT_FILE

_PREDICTIONS, _MATRIX, _RESULTS = "predictions.csv", "confusion_matrix.png", "results.json"


def main(argv: Sequence[str] | None = None) -> int:
    parser = command.parser(__doc__, "python scripts/evaluate.py checkpoints/match features/match --split test")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="checkpoint folder of train.py")
    parser.add_argument("store", metavar="STORE", type=Path, help="feature store of the same recipe")
    parser.add_argument("--join", metavar="STORE", type=Path, help="the second store, as for train.py")
    parser.add_argument("--split", choices=("train", "val", "test", "all"), default="test", help="which videos")
    parser.add_argument("--labels", type=Path, help="CSV video,frame,label: labels of single frames, as in train.py")
    parser.add_argument("--memory", metavar="SIZE", help="as for train.py")
    parser.add_argument("--group", help="as for train.py; the interval of the accuracy draws whole groups")
    parser.add_argument("--out", type=Path, help="folder for predictions.csv, confusion_matrix.png and results.json")
    parser.add_argument("--overwrite", action="store_true", help="replace these files where they are there")
    args = parser.parse_args(argv)
    say = command.say(args.quiet)

    if args.out is not None:
        if (args.out / CHECKPOINT_FILE).exists():
            raise UserError(f"{args.out} is a checkpoint, whose own results are kept; choose another --out")
        for name in (_PREDICTIONS, _MATRIX, _RESULTS):
            refuse_existing(args.out / name, overwrite=args.overwrite)

    # Keras takes seconds to import; --help must not wait for it.
    from pipeline.files.sizes import parse_memory
    from pipeline.training.checkpoint import Checkpoint
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.data.fusion import join
    from pipeline.training.data.splits import groups_of
    from pipeline.training.evaluation.metrics import confusion, measure, report_text
    from pipeline.training.evaluation.predict import predict, rows_of_part, thinned_to
    from pipeline.training.evaluation.predictions import write_predictions
    from pipeline.training.reports import plots

    checkpoint = Checkpoint.load(args.checkpoint)
    stores = [args.store, *([args.join] if args.join else [])]
    data, *others = (
        open_dataset(
            store,
            classes=checkpoint.classes,
            frame_labels=args.labels,
            sampling=thinned_to(store, checkpoint.recipe),
            memory=parse_memory(args.memory) if args.memory else None,
        )
        for store in stores
    )
    for other in others:
        data = join(data, other)
    predictions = predict(checkpoint, data, rows_of_part(checkpoint, data, args.split), args.split)
    groups, _ = groups_of(data.videos, args.group)
    figures = measure(predictions, groups)
    say(report_text(predictions))
    if args.out is not None:
        write_predictions([predictions], args.out / _PREDICTIONS)
        title = f"{args.split}: accuracy {figures['accuracy']:.3f}, {figures['videos']} videos"
        plots.save(plots.confusion_matrix(confusion(predictions), data.classes, title), args.out / _MATRIX)
        with write_whole(args.out / _RESULTS) as temporary:
            temporary.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for row in figures["mistakes"][:5]:
        say(f"confident mistake: {row['video']} is {row['label']}, answered {row['answer']} ({row['confidence']:.2f})")
    if checkpoint.threshold:
        answered = predictions.confidences >= checkpoint.threshold
        right = (predictions.answers == predictions.labels)[answered]
        of_those = f", {right.mean():.3f} of them right" if len(right) else ""
        say(f"at least {checkpoint.threshold:g} sure: {answered.mean():.3f} of the videos{of_those}")
    low, high = figures["interval"]
    say(
        f"{args.checkpoint} on {figures['videos']} {args.split} videos: accuracy {figures['accuracy']:.3f} "
        f"(95 % {low:.3f} to {high:.3f}), balanced {figures['balanced_accuracy']:.3f}, "
        f"log loss {figures['log_loss']:.3f}, ECE {figures['ece']:.3f}"
    )
    return command.OK
