"""The state of a training after an epoch, so that an interrupted one goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
import math
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.guard.archive import check_arrays
from pipeline.lazy import keras
from pipeline.training.loop.schedule import Epoch, Schedule

EVERY = 1.0  # seconds: epochs on features take milliseconds, and writing the state of each would take as long


class Resumable:
    """A file with all that the next epoch depends on, written whole.

    Args:
        path: the file; an existing one is continued.
        same: what must not have changed since: videos, split, head, settings. Plain values.
    """

    def __init__(self, path: Path, same: dict[str, Any]) -> None:
        self.path = path
        self._same = json.dumps(same, sort_keys=True)
        self._written = -math.inf

    @property
    def due(self) -> bool:
        """Whether the last state is old enough to be replaced; epochs that it lacks are trained again, and alike."""
        return time.monotonic() - self._written >= EVERY

    def write(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        best: list[np.ndarray],
        schedule: Schedule,
        random: np.random.Generator,
    ) -> None:
        """Keep the state after an epoch, until the next one is written."""
        arrays = {f"variable{i}": np.asarray(variable) for i, variable in enumerate(_variables(model, optimizer))}
        arrays |= {f"best{i}": values for i, values in enumerate(best)}
        state = {"same": self._same, "schedule": asdict(schedule), "random": random.bit_generator.state}
        with atomic_write(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **arrays)  # type: ignore[arg-type]
        self._written = time.monotonic()

    def schedule(self) -> Schedule | None:
        """How far the training was; None where there is no state.

        Raises:
            UserError: the state is damaged or of another training.
        """
        if not self.path.exists():
            return None
        with self._open() as file:
            values = json.loads(str(file["state"]))["schedule"]
            values["history"] = [Epoch(**row) for row in values["history"]]
            return Schedule(**values)

    def read(
        self, model: keras.Model, optimizer: keras.optimizers.Optimizer, random: np.random.Generator
    ) -> list[np.ndarray]:
        """Bring model, optimizer and random numbers to where they were.

        Returns:
            The best weights.

        Raises:
            UserError: the state is damaged or of another training.
        """
        with self._open() as file:
            for i, variable in enumerate(_variables(model, optimizer)):
                variable.assign(file[f"variable{i}"])
            best = [file[f"best{i}"] for i in range(len(model.get_weights()))]
            random.bit_generator.state = json.loads(str(file["state"]))["random"]
        return best

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            check_arrays(self.path)
            with np.load(self.path, allow_pickle=False) as file:
                if json.loads(str(file["state"]))["same"] != self._same:
                    raise UserError(
                        f"{self.path} is of a training with other videos or settings; repeat those, or delete the file"
                    )
                yield file
        except (OSError, LookupError, ValueError, TypeError, RecursionError, zipfile.BadZipFile) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self.path} is damaged ({' '.join(str(error).split())[:100]}); delete it") from None

    def remove(self) -> None:
        """Forget the state of a training that is finished."""
        self.path.unlink(missing_ok=True)


def _variables(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """All that an epoch changes; `variables` has the seeds of dropout, which `weights` leaves out."""
    return [*model.variables, *optimizer.variables]
