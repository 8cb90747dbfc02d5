"""The folder of a store: whether one may be made there, making it, and emptying it of what the store wrote."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.engines.choose import INT8
from pipeline.extraction.network.int8_model import INT8_FILES
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.store import (
    AUGMENTATION_FILE,
    CATALOG_FILE,
    RECIPE_FILE,
    SHARDS,
    format_of,
    read_recipe,
    read_recipe_file,
)
from pipeline.files.atomic import atomic_write, remove_abandoned
from pipeline.files.replacing import foreign_entries, refuse_overlap, remove_written
from pipeline.videos.catalog.failures import FAILURES_FILE

# Everything that a store writes; the recipe goes last, so that a removal that was stopped can be asked for again.
_STORE_FILES = (
    *(SHARDS, CATALOG_FILE, FAILURES_FILE, "failures-*-of-*.csv", AUGMENTATION_FILE),
    *(f"{INT8}/{name}" for name in INT8_FILES),
    RECIPE_FILE,
)


def check_place(folder: Path, source: Path | None = None, *, overwrite: bool = False) -> None:
    """Find out early whether a store can be made or continued in ``folder``; nothing is written.

    Args:
        folder: the store: absent, empty, or a feature store.
        source: the folder, table or video that features are made of.
        overwrite: whether what the store holds is to be thrown away.

    Raises:
        UserError: it cannot, or it would mix features with files of somebody else.
    """
    nearest = next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)
    if not nearest.is_dir():
        raise UserError(f"cannot write to {folder}: {nearest} is a file")
    if not os.access(nearest, os.W_OK):
        raise UserError(f"cannot write to {folder}: no permission to write in {nearest}")
    # A store's own catalog may be what a run goes by, unless it is about to be thrown away.
    if source is not None and (overwrite or source.is_dir()):
        refuse_overlap(folder, [source])
    if (folder / RECIPE_FILE).exists():
        read_recipe_file(folder)
    elif foreign := foreign_entries(folder, (SHARDS, INT8)):  # int8 is calibrated before there is a recipe
        raise UserError(f"{folder} is not a feature store and holds {foreign[0].name}; choose a new or empty folder")


def refuse_other_recipe(folder: Path, recipe: Recipe) -> None:
    """Refuse to continue a store with another recipe.

    Args:
        folder: a store.
        recipe: what is wanted; where it has no digest of the weights yet, any will do.

    Raises:
        UserError: that of the store is another one.
    """
    there = read_recipe(folder)
    wanted = recipe if recipe.weights_digest else replace(recipe, weights_digest=there.weights_digest)
    if there != wanted:
        raise UserError(
            f"{folder} holds features of another recipe: {wanted.differences(there)}; use another `out`, or "
            "`overwrite=True` to begin anew"
        )


def remove_store(folder: Path) -> None:
    """Delete what a store wrote into ``folder``; the folder and whatever else is in it stay.

    Raises:
        UserError: it is not a store.
    """
    check_place(folder)
    remove_abandoned(folder)
    remove_written(folder, _STORE_FILES)


def prepare_store(folder: Path, recipe: Recipe, weights: WeightsSource | None = None) -> None:
    """Make the folder with its ``recipe.json``, or check that what is there has the same recipe.

    Raises:
        UserError: another recipe, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        content: dict[str, Any] = {
            "format": format_of(recipe),
            "fingerprint": recipe.fingerprint,
            "recipe": recipe.to_dict(),
            "weights": {},
        }
        if (folder / RECIPE_FILE).exists():
            content = read_recipe_file(folder)
            refuse_other_recipe(folder, recipe)
        elif any(folder.glob(SHARDS)):
            raise UserError(f"{folder} has shards but no {RECIPE_FILE}; put that file back or use another `out`")
        known = content["weights"]
        if not (folder / RECIPE_FILE).exists() or (weights and weights.key() not in known):
            if weights:
                # A later run finds the digest of a source here and need not load the network to know it.
                known[weights.key()] = {"digest": recipe.weights_digest, "source": weights.absolute()}
                if weights.licence:
                    known[weights.key()]["licence"] = weights.licence
            with atomic_write(folder / RECIPE_FILE) as temporary:
                temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from None
