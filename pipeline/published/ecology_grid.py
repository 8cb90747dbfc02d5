"""The models of a search as folders of their own, with the names that a published grid search gave its outputs.

    results.json  loss_curve.png  confusion_matrix.png  frame_predictions.csv

beside all that a checkpoint has, so that each can be evaluated, compared and used to classify. ``results.json`` has
the checkpoint's own keys and the published ones.

Source: https://github.com/alxcnwy/Deep-Neural-Networks-for-Video-Classification (its README describes both files).
There a model is trained in three rounds, each at a tenth of the last one's learning rate: ``rounds: [3]`` in a grid.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.extraction.recipe import FRAME_CACHE
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.timesteps import StoredSteps
from pipeline.files.tables import read_table, write_table
from pipeline.training.checkpoint import MODEL_FILE, RESULTS_FILE, Checkpoint, write_folder
from pipeline.training.data.dataset import Dataset, open_dataset
from pipeline.training.evaluation.metrics import confusion, measure
from pipeline.training.evaluation.predict import predict
from pipeline.training.evaluation.predictions import Predictions, labelled_frame_means
from pipeline.training.experiments.save import CONFUSION_FILE, CURVES_FILE, HISTORY_FILE
from pipeline.training.reports import plots

LOSS_CURVE, FRAME_PREDICTIONS = "loss_curve.png", "frame_predictions.csv"
_SPLITS = {"train": "train", "val": "valid", "test": "test"}
_CELLS = {"lstm": "LSTM", "gru": "GRU", "rnn": "SimpleRNN", "conv1d": "Convolution1D"}
_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class GridModel:
    """One model of a search, measured on all parts of its split."""

    folder: Path
    """Its outputs."""
    results: dict[str, Any]
    """The content of its ``results.json``."""


def write_model(
    trial: Path,
    folder: Path,
    number: int,
    data: Dataset,
    parts: Mapping[str, np.ndarray],
    files: Mapping[tuple[str, int], str],
    *,
    verbose: bool = True,
    unlabelled: Path | None = None,
) -> GridModel:
    """Apply a trained point of a search to all parts of the split and write its folder, whole or not at all.

    Args:
        trial: the checkpoint.
        folder: what to write.
        number: the model's id.
        data: the store that it was trained on.
        parts: rows of the dataset by part; the test part too, which the search did not see.
        files: the names of the frames' files, where they are files, by video and number.
        verbose: whether progress was told.
        unlabelled: a store of other videos, whose frames have rows too, without label, split and error.

    Raises:
        UserError: the store does not fit the checkpoint.
    """
    checkpoint = Checkpoint.load(trial)
    found = {part: predict(checkpoint, data, rows, part) for part, rows in parts.items() if part != "test"}
    began = time.time()
    if len(parts["test"]):
        found["test"] = predict(checkpoint, data, parts["test"], "test")
    ended = time.time()
    figures = {part: measure(predictions, data.names) for part, predictions in found.items()}
    own = dict(checkpoint.metrics)
    own["split"] = {part: [data.names[row] for row in rows] for part, rows in parts.items()}
    for name in ("accuracy", "log_loss"):
        own[name] = {part: measured[name] for part, measured in figures.items()}
    results = own | {
        "measured": own["measured"] | {part: figures[part] for part in figures if part not in own["measured"]},
        "model_id": number,
        **published_settings(checkpoint),
        **_fit_of(checkpoint, figures),
        "fit_dt_test_start": _clock(began),
        "fit_dt_test_end": _clock(ended),
        "fit_dt_test_duration_seconds": str(round(ended - began)),
        **{f"data_total_rows_{_SPLITS[part]}": len(predictions.windows) for part, predictions in found.items()},
        "class_names": list(checkpoint.classes),
        "path_model": f"{folder}/",
        "verbose": verbose,
    }
    with write_folder(folder, overwrite=True) as temporary:
        shutil.copytree(trial, temporary, dirs_exist_ok=True)
        text = json.dumps(results, indent=4, sort_keys=True, ensure_ascii=False)
        (temporary / RESULTS_FILE).write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
        shutil.copy(trial / CURVES_FILE, temporary / LOSS_CURVE)
        shown = found.get("test") or found["val"]
        title = f"{shown.split}: accuracy {figures[shown.split]['accuracy']:.3f}"
        plots.save_figure(
            plots.confusion_matrix(confusion(shown), checkpoint.classes, title), temporary / CONFUSION_FILE
        )
        others = [] if unlabelled is None else [predict_unlabelled(checkpoint, unlabelled)]
        write_frame_predictions([*found.values(), *others], files, temporary / FRAME_PREDICTIONS)
    return GridModel(folder, results)


def published_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """The settings of a model under the published names; None where one has no meaning for it."""
    head, recipe = checkpoint.head, checkpoint.recipe
    values = {name: getattr(head, name, None) for name in ("base", "pooling", "trainable", "cell", "kernel", "weights")}
    sequence = _CELLS.get(values["cell"] or head.name)
    sizes = [*head.widths, *head.behind, 0, 0]
    return {
        "architecture": architecture(head.name, checkpoint.window.length, values["trainable"]),
        "pretrained_model_name": values["base"] or (None if recipe.backbone == FRAME_CACHE else recipe.backbone),
        "model_weights_path": values["weights"],
        "pooling": values["pooling"] or (None if recipe.keeps_images else recipe.pooling),
        "frame_size": [recipe.height, recipe.width],
        "num_features": checkpoint.dimensions,
        "sequence_length": checkpoint.window.length,
        "sequence_model": sequence,
        "sequence_model_layers": head.layers if sequence else None,
        **{f"layer_{number}_size": sizes[number - 1] for number in (1, 2, 3)},
        "dropout": head.dropout,
        "convolution_kernel_size": values["kernel"] if sequence == "Convolution1D" else None,
        "batch_size": checkpoint.metrics["training"]["batch"],
    }


def architecture(head: str, length: int, trainable: int | None) -> str:
    """The published name of what a head is; the head's own name where it was not among the published ones."""
    learnt = "trainable" if trainable else "frozen"
    if head in ("mlp", "image_cnn") and length == 1:
        return f"image_MLP_{learnt}"
    if head in ("concat", "concat_frames"):
        return "video_MLP_concat"
    if head in _CELLS or head in ("lrcn", "ecology-lrcnn"):
        return f"video_LRCNN_{learnt}"
    return {"c3d": "C3D", "c3d_small": "C3Dsmall", "ecology-c3d-small": "C3Dsmall"}.get(head, head)


def _fit_of(checkpoint: Checkpoint, figures: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """How the training went, and accuracy and loss of each part."""
    results = checkpoint.metrics
    history = read_table(checkpoint.folder / HISTORY_FILE)
    # Before the rounds of a training were kept, it was one, and the rate was halved within it.
    rounds = results.get("phases") or rounds_of([float(row["learning_rate"]) for row in history])
    ended = (checkpoint.folder / MODEL_FILE).stat().st_mtime
    before = list(itertools.accumulate(rounds))
    values: dict[str, Any] = {
        "model_param_count": results["parameters"],
        "fit_num_epochs": results["epochs"],
        "fit_best_round": 1 + sum(count < results["best_epoch"] for count in before),
        "fit_dt_train_start": _clock(ended - results["seconds"]),
        "fit_dt_train_end": _clock(ended),
        "fit_dt_train_duration_seconds": str(round(results["seconds"])),
    }
    values |= {f"fit_stopped_epoch{number}": count for number, count in enumerate(rounds, 1)}
    for part, measured in figures.items():
        values[f"fit_{part}_acc"], values[f"fit_{part}_loss"] = measured["accuracy"], measured["log_loss"]
    return values


def rounds_of(rates: Sequence[float]) -> list[int]:
    """How many epochs each learning rate was used: 1e-3 1e-3 5e-4 are 2 and 1."""
    return [len(list(same)) for _, same in itertools.groupby(rates)]


def predict_unlabelled(checkpoint: Checkpoint, folder: Path) -> Predictions:
    """What a checkpoint says of every frame of a store whose labels nobody knows.

    Raises:
        UserError: the store's features are of another recipe.
    """
    store = FeatureStore(folder)
    steps = StoredSteps(store, store.entries)
    rows = [
        {"video": name, "frame": frame, "label": checkpoint.classes[0]}  # any: a data set has labels
        for name, first in steps.first.items()
        for frame in steps.frames[first : first + store.entries[name].steps].tolist()
    ]
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "labels.csv"
        write_table(rows, ("video", "frame", "label"), table)
        data = open_dataset(folder, classes=checkpoint.classes, frame_labels=table)
    return predict(checkpoint, data, np.arange(len(data)), "unlabelled")


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime(_TIME)


def write_frame_predictions(parts: Sequence[Predictions], files: Mapping[tuple[str, int], str], path: Path) -> None:
    """Write ``frame_predictions.csv``: for each labelled frame a probability for each class, and what became of it.

    Columns: the classes; prediction; video; frame (its file, or its number); label; split (train, valid, test);
    error (1 where the prediction is wrong). The last three are empty for videos without labels.
    """
    classes, rows = parts[0].classes, []
    for part in parts:
        data = part.windows.data
        assert data.step_labels is not None
        for place, row, probabilities in labelled_frame_means(part):
            label, best = int(data.step_labels[place]), int(probabilities.argmax())
            name, frame = data.videos[row].name, int(data.frames[place])
            rows.append(
                {f"{one}": f"{value:.6f}" for one, value in zip(classes, probabilities, strict=True)}
                | {"prediction": classes[best], "video": name, "frame": files.get((name, frame)) or frame}
                | (
                    {"label": classes[label], "split": _SPLITS[part.split], "error": int(best != label)}
                    if part.split in _SPLITS
                    else {}
                )
            )
    columns = [*classes, "prediction", "video", "frame", "label", "split", "error"]
    write_table(rows, columns, path)
