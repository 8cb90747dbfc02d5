"""From which cosine on two videos are near-duplicates to a network: as alike as a video is to itself a moment later.

Networks differ in what they call alike: to one that was drawn at random all videos are, to DINOv2 few. So what is
measured on the user's own videos is how alike nineteen of twenty of them are to themselves, the first nine tenths
against the last nine tenths, and how alike videos of different classes are at most. With InceptionV3 and real weights
that is 0.977 on 72 clips of actions and 0.989 on 150 of fights; `groups.THRESHOLD` was chosen by looking at pairs.
"""

from __future__ import annotations

import numpy as np

from pipeline.training.data.dataset import Dataset

LOWEST, COPY_THRESHOLD = 0.95, 0.9999
_SHIFT = 0.1  # of a video's steps
_MOST_VIDEOS, _FEWEST_VIDEOS, _MOST_STEPS = 400, 8, 256
_OWN, _OTHERS = 0.05, 0.95  # quantiles; a few videos are cut in the middle, and a few are copies in a wrong class


def measured_threshold(data: Dataset) -> float | None:
    """The cosine of mean features, the mean of all videos subtracted; None where too few videos have two steps.

    Args:
        data: the videos.
    """
    rows = np.flatnonzero(data.steps >= 2)
    if len(rows) < _FEWEST_VIDEOS:
        return None
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_VIDEOS)).astype(np.int64)]
    centre = data.means.mean(axis=0, dtype=np.float64).astype(np.float32)
    own = np.array([_own_likeness(data, int(row), centre) for row in rows])
    least = float(np.quantile(own, _OWN))
    others = _others(data, rows, centre) if data.step_labels is None else 0.0
    return min(COPY_THRESHOLD, max(LOWEST, least, others))


def _own_likeness(data: Dataset, row: int, centre: np.ndarray) -> float:
    """The cosine of a video without its last steps to itself without its first ones."""
    count = min(int(data.steps[row]), _MOST_STEPS)
    steps = data.features.gather(data.offsets[[row]], np.array([count]), count)[0].reshape(count, -1)
    shift = max(1, round(_SHIFT * count))
    total = steps.astype(np.float32)
    first, last = total[: count - shift].mean(axis=0) - centre, total[shift:].mean(axis=0) - centre
    return float(first @ last / max(1e-12, np.linalg.norm(first) * np.linalg.norm(last)))


def _others(data: Dataset, rows: np.ndarray, centre: np.ndarray) -> float:
    """How alike a video is at most to one of another class, of nineteen of twenty videos."""
    labels = data.labels[rows]
    if len(set(labels.tolist())) < 2:
        return 0.0
    centred = data.means[rows].astype(np.float32) - centre
    units = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    cosines = np.where(labels[:, None] != labels[None], units @ units.T, -1)
    return float(np.quantile(cosines.max(axis=1), _OTHERS))
