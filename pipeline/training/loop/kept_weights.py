"""Weights of single epochs, kept as files while a training goes on: of each improvement, or of each epoch."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras

from pipeline.files.atomic import put_in_place
from pipeline.training.checkpoint import WEIGHTS_FOLDER
from pipeline.training.loop.schedule import Epoch

Kept = Literal["improvement", "epoch"]


@dataclass(frozen=True)
class KeptWeights:
    """Where weights of epochs are kept, ``epoch007-0.4321.weights.h5`` with the validation loss in its name.

    They lie beside the checkpoint while it is trained, so that they are there whatever happens, and in it afterwards.
    """

    checkpoint: Path
    """The folder that the training will write."""
    every: Kept
    """Whether each epoch is kept, or those only that were the best so far."""

    @property
    def folder(self) -> Path:
        """Where the files are before the checkpoint is written."""
        return self.checkpoint.with_name(f"{self.checkpoint.name}.{WEIGHTS_FOLDER}")

    def begin(self, epochs: int) -> None:
        """Remove what an earlier training left behind, but for the ``epochs`` that this one goes on from."""
        before = self.checkpoint / WEIGHTS_FOLDER
        if epochs and before.is_dir():  # Ctrl-C has written the checkpoint with them
            shutil.copytree(before, self.folder, dirs_exist_ok=True)
        for path in self.folder.glob("*.weights.h5"):
            match = re.match(r"\.?epoch(\d+)-", path.name)
            if match and (int(match[1]) > epochs or path.name.startswith(".")):
                path.unlink()

    def add(self, model: keras.Model, epoch: Epoch, *, best: bool) -> None:
        """Keep the weights after an epoch, if they are to be kept."""
        if not best and self.every == "improvement":
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"epoch{epoch.epoch:03}-{epoch.val_loss:.4f}.weights.h5"
        unfinished = path.with_name(f".{path.name}")  # Keras wants this ending
        model.save_weights(unfinished)
        put_in_place(unfinished, path)

    def move_into(self, checkpoint: Path) -> None:
        """Put the files into the checkpoint folder that is being written."""
        if self.folder.is_dir():
            shutil.move(self.folder, checkpoint / WEIGHTS_FOLDER)
