"""From features to the probabilities of windows: each image goes through the network once.

Features are kept for the windows that are still open, so memory does not grow with the video.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pipeline.errors import VideoError
from pipeline.inference.timeline.window_grid import WindowGrid
from pipeline.training.data.windows import WindowSpec


class WindowHead(Protocol):
    """What is used of a checkpoint."""

    @property
    def window(self) -> WindowSpec: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def batch(self) -> int: ...

    def predict(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray: ...


class WindowRunner:
    """Takes the features of a grid's steps in order and collects the probabilities of its windows.

    Args:
        head: the trained head.
        grid: the video's steps and windows.
    """

    def __init__(self, head: WindowHead, grid: WindowGrid) -> None:
        self._head = head
        self._grid = grid
        self._probabilities = np.empty((len(grid), len(head.classes)), np.float32)
        self._features = np.empty((0, *head.shape), head.dtype)  # of the steps from self._first on
        self._first = 0
        self._cut = 0  # windows whose features were cut out
        self._predicted = 0
        length = head.window.length
        self._waiting = np.zeros((head.batch, length, *head.shape), head.dtype)
        self._mask = np.zeros((head.batch, length), bool)
        self.done = 0
        """Steps whose features have come."""

    def push(self, features: np.ndarray) -> None:
        """Take what the head takes of the next steps, ``(k, *shape)``."""
        self._features = np.concatenate([self._features, features])
        self.done += len(features)
        while self._cut < len(self._grid) and self._grid.ends[self._cut] <= self.done:
            self._cut_out(int(self._grid.starts[self._cut]), int(self._grid.ends[self._cut]))
        if self._cut < len(self._grid):
            # No open window begins before this step.
            begin = int(self._grid.starts[self._cut])
            self._features = self._features[max(0, begin - self._first) :].copy()
            self._first = max(self._first, begin)

    def _cut_out(self, start: int, end: int) -> None:
        row = self._cut - self._predicted
        real = self._features[start - self._first : end - self._first]
        self._waiting[row, : len(real)] = real
        self._waiting[row, len(real) :] = 0
        self._mask[row] = np.arange(self._mask.shape[1]) < len(real)
        self._cut += 1
        if row + 1 == self._head.batch:
            self._predict()

    def _predict(self) -> None:
        count = self._cut - self._predicted
        if count:
            rows = slice(self._predicted, self._cut)
            self._probabilities[rows] = self._head.predict(self._waiting[:count], self._mask[:count])
            self._predicted = self._cut

    def finish(self) -> np.ndarray:
        """``(w, C)`` float32: probabilities of all windows.

        Raises:
            VideoError: fewer images came than the grid has steps.
        """
        if self.done < len(self._grid.frames):
            raise VideoError("decode", f"only {self.done} of {len(self._grid.frames)} wanted frames came")
        self._predict()
        return self._probabilities


def frame_means(windows: np.ndarray, spans: np.ndarray, frames: int) -> np.ndarray:
    """Probabilities of each frame: the mean over the windows that cover it.

    Args:
        windows: ``(w, C)`` float32.
        spans: ``(w, 2)`` first frame of each window and the frame after its last; together they cover all.
        frames: how many.

    Returns:
        ``(frames, C)`` float32.
    """
    changes = np.zeros(frames + 1, np.int64)
    np.add.at(changes, spans[:, 0], 1)
    np.add.at(changes, spans[:, 1], -1)
    covering = np.cumsum(changes[:-1])
    result = np.empty((frames, windows.shape[1]), np.float32)
    for column in range(windows.shape[1]):  # one class at a time: float64 sums of a long video stay small
        sums = np.zeros(frames + 1, np.float64)
        np.add.at(sums, spans[:, 0], windows[:, column].astype(np.float64))
        np.add.at(sums, spans[:, 1], -windows[:, column].astype(np.float64))
        result[:, column] = np.cumsum(sums[:-1]) / covering
    return np.clip(result, 0, 1)
