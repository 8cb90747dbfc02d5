"""Writing a training as a checkpoint folder: the model, its form for OpenVINO, results, tables, pictures, a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.extraction.network.int8_model import QuantisedNetwork
from pipeline.files.tables import write_table
from pipeline.parallel.machine import versions
from pipeline.training.checkpoint import (
    BASE_FILE,
    CHECKPOINT_FILE,
    MODEL_FILE,
    RESULTS_FILE,
    Checkpoint,
    write_folder,
)
from pipeline.training.compute.apply_head import HeadFunction, run_in_batches
from pipeline.training.compute.stored_head import store_head
from pipeline.training.evaluation.metrics import confusion
from pipeline.training.evaluation.predictions import write_predictions
from pipeline.training.experiments.experiment import Run
from pipeline.training.heads.video_networks import base_of
from pipeline.training.loop.fit import batch_of
from pipeline.training.loop.kept_weights import KeptWeights
from pipeline.training.reports import plots
from pipeline.training.reports.report import render_report
from pipeline.version import VERSION

HISTORY_FILE, PREDICTIONS_FILE = "history.csv", "predictions.csv"
CURVES_FILE, CONFUSION_FILE = "curves.png", "confusion_matrix.png"
REPORT_FILE = "report.html"
_PACKAGES = ("keras", "tensorflow", "jax", "numpy", "scikit-learn")  # whose versions a checkpoint notes


def save_run(run: Run, folder: str | Path, *, overwrite: bool = False, kept: KeptWeights | None = None) -> Checkpoint:
    """Write the checkpoint folder whole or not at all; ``kept`` are weights of single epochs that move into it.

    Raises:
        UserError: the folder exists and ``overwrite`` is False.
    """
    folder = Path(folder)
    checkpoint = _describe(run, folder)
    with write_folder(folder, overwrite=overwrite) as temporary:
        _write_model(run, temporary)
        if kept is not None:
            kept.move_into(temporary)
        if reason := _store_head(run, temporary):
            run.results["notes"].append(f"Keras applies the head, and not OpenVINO, which starts faster: {reason}")
        (temporary / CHECKPOINT_FILE).write_text(checkpoint.to_json(), encoding="utf-8")
        _write_results(run, temporary, checkpoint)
    return Checkpoint.load(folder)


def _describe(run: Run, folder: Path) -> Checkpoint:
    """What is in the folder, as its JSON file says it."""
    data, single = run.data, len(run.trained.members) == 1
    return Checkpoint(
        folder=folder,
        classes=data.classes,
        sources=data.sources,
        window=run.window,
        head=run.head,
        shape=data.shape,
        time_scale=data.time_scale(run.split.train),
        temperature=run.results["temperature"] if single else 1.0,
        member_temperature=run.trained.temperature,
        abstain_below=run.results["abstain_below"],
        members=len(run.trained.members),
        versions=versions(*_PACKAGES) | {"pipeline": VERSION, "precision": data.precision},
    )


def _write_model(run: Run, temporary: Path) -> None:
    """The head, the base of one that learnt from frames, and the network of int8 that the features are of."""
    data = run.data
    if data.recipe.quantised:  # joined stores are never of int8
        QuantisedNetwork.open(data.folder, data.recipe.quantised).copy_to(temporary)
    run.trained.model.save(temporary / MODEL_FILE)
    base = base_of(run.trained.learner.model) if len(run.trained.members) == 1 else None
    if base is not None and run.trained.spec.phases(run.head)[-1].layers:
        base.save_weights(temporary / BASE_FILE)


def _store_head(run: Run, folder: Path) -> str:
    """The head for OpenVINO, tried on windows of validation as they are and cut short; why not, where it cannot be."""
    windows, classes = run.trained.members[0].val, len(run.data.classes)
    size = batch_of(windows)
    features, mask = windows.gather(np.arange(min(len(windows), size, 32)))
    steps = np.random.default_rng(0).integers(1, windows.length + 1, (len(mask), 1))
    cut = mask & (np.arange(windows.length) < steps)
    features, mask = np.concatenate([features, features]), np.concatenate([mask, cut])

    def logits(function: HeadFunction) -> np.ndarray:
        return run_in_batches(function, features, mask, classes, size)

    def applied(function: HeadFunction | None) -> np.ndarray:
        return run.trained.averaged(logits) if function is None else logits(function)

    shape = (size, windows.length, *run.data.shape)
    return store_head(folder, run.trained.heads, folder / MODEL_FILE, applied, shape, run.trained.temperature)


def _write_results(run: Run, temporary: Path, checkpoint: Checkpoint) -> None:
    """Figures, curves and predictions, as tables, pictures and a page."""
    text = json.dumps(run.results, indent=2, ensure_ascii=False, allow_nan=False)
    (temporary / RESULTS_FILE).write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
    history = run.trained.history
    write_table([epoch.row() for epoch in history], list(history[0].row()), temporary / HISTORY_FILE)
    write_predictions(list(run.predictions.values()), temporary / PREDICTIONS_FILE)
    plots.save_figure(run.curves(), temporary / CURVES_FILE)
    shown = run.predictions.get("test") or run.predictions["val"]
    title = f"{shown.split}: accuracy {run.results['accuracy'][shown.split]:.3f}, {len(shown.videos)} videos"
    counts = confusion(shown)
    plots.save_figure(plots.confusion_matrix(counts, run.data.classes, title), temporary / CONFUSION_FILE)
    page = render_report(
        run.results,
        run.trained.curves(),
        counts,
        run.data,
        title=checkpoint.folder.name,
        versions=checkpoint.versions,
    )
    (temporary / REPORT_FILE).write_text(page, encoding="utf-8", errors="replace")
