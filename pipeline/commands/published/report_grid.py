"""Write a folder for each model of searches and trainings: what was set, how it went, what it says of every frame.

Each folder OUT/1, OUT/2, ... (or of the --ids that are chosen) is a checkpoint, and has results.json with settings,
durations, stopped epochs, accuracy and loss on train, validation and test, and the number of parameters;
loss_curve.png; confusion_matrix.png; frame_predictions.csv. OUT/models.csv ranks them by validation loss. Choose by
that and not by the test column: the best of many on the test part is not as good as it looks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.files.guard.reading import read_object
from pipeline.files.locking import only_writer
from pipeline.files.tables import read_table, write_table
from pipeline.files.text import plural
from pipeline.training.checkpoint import check_free

_TABLE = "models.csv"
_SETTINGS = ("architecture", "pretrained_model_name", "pooling", "sequence_length", "sequence_model")
_SIZES = ("sequence_model_layers", "layer_1_size", "dropout", "batch_size", "model_param_count", "fit_num_epochs")
_FIGURES = tuple(f"fit_{part}_{what}" for part in ("train", "val", "test") for what in ("acc", "loss"))
COLUMNS = ("rank", "model_id", *_SETTINGS, *_SIZES, *_FIGURES, "fit_dt_train_duration_seconds", "trial")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        __doc__, "python scripts/report_grid.py checkpoints/search --labels labels.csv --out checkpoints/models"
    )
    made.add_argument(
        "searches", metavar="SEARCH", type=Path, nargs="+", help="folders of search.py, or checkpoints of train.py"
    )
    made.add_argument("--labels", type=Path, required=True, help="the labels of frames, as given to those")
    made.add_argument("--ids", type=int, nargs="+", metavar="N", help="ids of the models (default: 1, 2, ...)")
    made.add_argument("--unlabelled", type=Path, metavar="STORE", help="frame_predictions.csv has its frames too")
    made.add_argument("--out", type=Path, required=True, help="the folder for the models' folders")
    made.add_argument("--overwrite", action="store_true", help="replace models that are there")
    return made


@command.if_stopped("models that were finished are kept, and --overwrite writes them anew")
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    trials = [trial for folder in args.searches for trial in _trials(folder)]
    ids = args.ids or list(range(1, len(trials) + 1))
    if len(set(ids)) != len(trials) or min(ids) < 0:
        raise UserError(
            f"--ids {' '.join(map(str, ids))}: expected {len(trials)} different numbers, one for each model"
        )
    for number in ids:
        check_free(args.out / str(number), overwrite=args.overwrite)
    with only_writer(args.out / _TABLE):
        return _report(args, trials, ids)


def _report(args: argparse.Namespace, trials: list[Path], ids: list[int]) -> int:
    say = command.say(args.quiet)
    # Keras takes seconds to import; --help and mistakes must not wait for it.
    from pipeline.published.ecology_grid import write_model
    from pipeline.training.data.dataset import open_dataset

    files = {(row["video"], int(row["frame"])): row.get("file", "") for row in read_table(args.labels)}
    stores: dict[str, Any] = {}
    models = []
    for number, trial in zip(ids, trials, strict=True):
        store = _results(trial)["store"]
        if store not in stores:
            stores = {store: open_dataset(store, frame_labels=args.labels)}  # one at a time, as they may be large
        data, split = stores[store], _split_of(trial)
        rows = {part: _rows(data, names) for part, names in split.items()}
        model = write_model(
            trial,
            args.out / str(number),
            number,
            data,
            rows,
            files,
            verbose=not args.quiet,
            unlabelled=args.unlabelled,
        )
        models.append((model, trial))
        say(f"{model.folder}: {model.results['architecture']}, " + _accuracies(model.results))
    models.sort(key=lambda item: item[0].results["fit_val_loss"])
    rows_out = [
        {name: model.results.get(name, "") for name in COLUMNS} | {"rank": rank, "trial": str(trial)}
        for rank, (model, trial) in enumerate(models, 1)
    ]
    write_table(rows_out, COLUMNS, args.out / _TABLE)
    best = models[0][0]
    say(f"{args.out / _TABLE}: {plural(len(models), 'model')}; lowest validation loss: {best.folder}")
    return command.OK


def _trials(folder: Path) -> list[Path]:
    """The checkpoints of a search, over one store or several, or the one that the folder is."""
    if (folder / "checkpoint.json").is_file():
        return [folder]
    files = sorted([*folder.glob("trials/*/checkpoint.json"), *folder.glob("*/trials/*/checkpoint.json")])
    found = [path.parent for path in files if not path.parent.name.startswith(".")]
    if not found or not (folder / "best").is_dir():
        raise UserError(f"{folder} holds no finished search; run search.py --out {folder} first")
    return found


def _split_of(trial: Path) -> dict[str, list[str]]:
    """The split with its test part, which is noted in a search's best model only."""
    search = next((above for above in trial.parents[1:3] if (above / "best").is_dir()), None)
    own = _results(trial)["split"]
    return own if search is None or own.get("test") else _results(search / "best")["split"]


def _results(checkpoint: Path) -> dict[str, Any]:
    return read_object(checkpoint / "results.json")


def _rows(data, names: list[str]):
    import numpy as np

    wanted = set(names)
    return np.array([row for row, name in enumerate(data.names) if name in wanted], np.int64)


def _accuracies(results: dict[str, Any]) -> str:
    return ", ".join(
        f"{part} {results[f'fit_{part}_acc']:.3f}" for part in ("train", "val", "test") if f"fit_{part}_acc" in results
    )
