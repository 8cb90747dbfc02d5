"""Presets by name: keras-hub downloads them from Kaggle, once, and keeps them."""

from __future__ import annotations

import difflib
import importlib.util
from pathlib import Path

from pipeline.errors import UserError
from pipeline.extraction.network.by_hub.families import FAMILIES
from pipeline.extraction.recipe import BY_HUB

_NEAREST = 3  # names that are like a wrong one


def check_hub(name: str) -> None:
    """Refuse a preset where keras-hub is missing.

    Raises:
        UserError: it is.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise UserError(f"{BY_HUB}{name} needs keras-hub: pip install video-pipeline[hub]")


def download(name: str, file: str) -> Path:
    """A file of a preset.

    Raises:
        UserError: keras-hub does not know the name, or the file cannot be had.
    """
    check_hub(name)
    check_name(name)
    from keras_hub.src.utils.preset_utils import get_file

    try:
        return Path(get_file(name, file))
    except Exception as error:  # noqa: BLE001  kagglehub and what it stands on raise of many kinds
        raise UserError(
            f"{BY_HUB}{name} cannot be downloaded ({reason(error)}); with a preset in a folder of this machine, name "
            f"{BY_HUB}FOLDER"
        ) from None


def check_name(name: str) -> None:
    """Refuse a name that keras-hub does not know.

    Raises:
        UserError: the nearest three are named, of the networks that take images.
    """
    import keras_hub

    backbones = [getattr(keras_hub.models, each, None) for each in FAMILIES]
    known = [preset for backbone in backbones if backbone is not None for preset in backbone.presets]
    every = list(keras_hub.models.Backbone.presets)
    if name not in every:
        like = difflib.get_close_matches(name, sorted(known), n=_NEAREST, cutoff=0)
        nearest = ", ".join(f"{BY_HUB}{each}" for each in like)
        raise UserError(f"{BY_HUB}{name} is no preset that keras-hub knows, and no folder; the nearest are {nearest}")


def reason(error: Exception) -> str:
    """The last of what an error says, in a few words."""
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:160]
