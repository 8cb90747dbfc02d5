"""A checkpoint applied to the videos of a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.store import read_recipe
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.data.dataset import Dataset, open_dataset, windows_of
from pipeline.training.data.fusion import check_sources, fuse_stores
from pipeline.training.evaluation.predictions import Predictions, predictions_of
from pipeline.training.heads.registry import check_input
from pipeline.videos.catalog.catalog import SPLITS
from pipeline.videos.media.sampling import Sampling

SPLITS_OR_ALL = (*SPLITS, "all")


def rows_of_split(checkpoint: Checkpoint, data: Dataset, split: str) -> np.ndarray:
    """Rows of the videos that were in a split when the checkpoint was trained.

    Where none of the videos took part in the training, the catalog's own splits count.

    Args:
        checkpoint: knows its split by the names of the videos.
        data: the store's videos.
        split: train, val, test or all.

    Raises:
        UserError: there is no such split, or it has no videos.
    """
    if split not in SPLITS_OR_ALL:
        raise UserError(f"`split={split!r}` is unknown; expected {', '.join(SPLITS_OR_ALL)}")
    if split == "all":
        return np.arange(len(data))
    trained_on: dict[str, list[str]] = checkpoint.metrics.get("split", {})
    known = {name for names in trained_on.values() for name in names}
    if known.isdisjoint(data.names):
        rows = [row for row, video in enumerate(data.videos) if video.split == split]
    else:
        names = set(trained_on.get(split, []))
        rows = [row for row, name in enumerate(data.names) if name in names]
    if not rows:
        raise UserError(f"{data.folder} has no {split} videos for {checkpoint.folder}; try `split=all`")
    return np.array(rows)


def thinned_to(folder: Path, recipe: Recipe) -> Sampling | None:
    """The sampling to read a store by, where it holds more frames than the checkpoint's recipe picks; else None."""
    stored = Sampling.parse(read_recipe(folder).sampling)
    wanted = Sampling.parse(recipe.sampling)
    return wanted if stored.contains(wanted) else None


def check_recipe(checkpoint: Checkpoint, data: Dataset) -> None:
    """Refuse features of another recipe.

    Raises:
        UserError: the line says what differs.
    """
    check_input(checkpoint.head, data.shape, str(data.folder))
    check_sources(checkpoint.folder, checkpoint.sources, data.sources)
    if data.recipe != checkpoint.recipe:
        raise UserError(
            f"{data.folder} has features of another recipe than {checkpoint.folder} was trained on: "
            f"{data.recipe.differences(checkpoint.recipe)}"
        )
    if data.shape != checkpoint.shape:
        raise UserError(
            f"{data.folder} has steps of {'x'.join(map(str, data.shape))} numbers, but {checkpoint.folder} "
            f"was trained on {'x'.join(map(str, checkpoint.shape))}"
        )


def predict(checkpoint: Checkpoint, data: Dataset, rows: np.ndarray, split: str) -> Predictions:
    """Probabilities of the videos ``rows``, windows as in training.

    Raises:
        UserError: the features are of another recipe.
    """
    check_recipe(checkpoint, data)
    windows = windows_of(data, rows, checkpoint.window)
    logits = np.empty((len(windows), len(checkpoint.classes)), np.float32)
    for block, features, mask in windows.blocks(checkpoint.batch):
        logits[block] = checkpoint.logits(features, mask)
    return predictions_of(split, data, windows, logits, temperature=checkpoint.temperature)


def evaluate(
    checkpoint: Checkpoint | str | Path,
    *stores: str | Path,
    split: str = "test",
    frame_labels: Path | None = None,
    memory: int | None = None,
) -> Predictions:
    """What a checkpoint says of labelled videos, for instance of those that its training never saw.

    Args:
        checkpoint: one, or its folder.
        stores: the store, or the two of a checkpoint of two streams. Denser ones are thinned to the recipe.
        split: train, val, test or all; see `rows_of_split`.
        frame_labels: as for `open_dataset`.
        memory: likewise.

    Raises:
        UserError: no checkpoint, no such videos, or features of another recipe.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint.load(checkpoint)
    data, *others = (
        open_dataset(
            store,
            classes=checkpoint.classes,
            frame_labels=frame_labels,
            sampling=thinned_to(Path(store), checkpoint.recipe),
            memory=memory,
        )
        for store in stores
    )
    for other in others:
        data = fuse_stores(data, other)
    return predict(checkpoint, data, rows_of_split(checkpoint, data, split), split)
