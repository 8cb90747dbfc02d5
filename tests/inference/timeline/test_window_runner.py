from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import VideoError
from pipeline.inference.timeline.window_grid import WindowGrid, aligned_starts
from pipeline.inference.timeline.window_runner import WindowRunner, frame_means
from pipeline.training.data.windows import WindowSpec


class Sum:
    """A head whose two probabilities tell which steps it was given, and in which order."""

    classes = ("a", "b")
    shape, dtype, batch = (1,), np.dtype(np.float32), 32

    def __init__(self, length: int) -> None:
        self.window = WindowSpec(length)

    def predict(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        assert not features[~mask].any()
        weights = np.arange(1, mask.shape[1] + 1)
        return np.stack([features[..., 0].sum(axis=1), (features[..., 0] * weights).sum(axis=1)], 1).astype(np.float32)


@given(st.integers(1, 120), st.integers(1, 12), st.integers(1, 40), st.data())
def test_each_window_has_its_own_features(steps, length, batch, data):
    stride = data.draw(st.integers(1, length))
    starts = aligned_starts(steps, length, stride)
    grid = WindowGrid(np.arange(steps), starts, np.minimum(starts + length, steps), steps)
    values = np.random.default_rng(steps).integers(0, 255, steps).astype(np.float32)
    runner = WindowRunner(Sum(length), grid)
    for start in range(0, steps, batch):
        runner.push(values[start : start + batch, None])
        # Only what open windows need is kept.
        assert len(runner._features) <= length + batch
    result = runner.finish()
    for row, (start, end) in enumerate(zip(grid.starts, grid.ends, strict=True)):
        part = values[start:end].astype(float)
        np.testing.assert_allclose(result[row], [part.sum(), (part * np.arange(1, len(part) + 1)).sum()])


def test_missing_frames_are_an_error():
    grid = WindowGrid(np.arange(8), np.array([0, 4]), np.array([4, 8]), 8)
    runner = WindowRunner(Sum(4), grid)
    runner.push(np.zeros((5, 1), np.float32))
    with pytest.raises(VideoError, match="only 5 of 8"):
        runner.finish()


@given(st.integers(1, 60), st.integers(1, 10), st.data())
def test_a_frame_has_the_mean_of_its_windows(frames, length, data):
    stride = data.draw(st.integers(1, length))
    starts = aligned_starts(frames, length, stride)
    spans = np.stack([starts, np.minimum(starts + length, frames)], 1)
    windows = np.random.default_rng(frames).dirichlet(np.ones(3), len(spans)).astype(np.float32)
    result = frame_means(windows, spans, frames)
    for frame in range(frames):
        covering = (spans[:, 0] <= frame) & (frame < spans[:, 1])
        np.testing.assert_allclose(result[frame], windows[covering].mean(axis=0), atol=1e-6)
