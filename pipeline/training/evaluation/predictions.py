"""What a head gets right and how sure it is: metrics, calibration and the table of predictions.

Probabilities of a video are the mean over its windows. Where single frames are labelled, windows take the place
of videos, and probabilities of a frame are the mean over the windows it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics

from pipeline.errors import UserError
from pipeline.files.tables import write_table
from pipeline.training.data.dataset import Dataset, Windows
from pipeline.training.evaluation.calibration import (
    bootstrap,
    coverage_curve,
    expected_calibration_error,
    find_temperature,
    log_loss,
    mean_by_video,
    most_confident,
    reliability,
)
from pipeline.training.heads.registry import softmax


@dataclass(frozen=True)
class Predictions:
    """Probabilities of the videos of one part, and of their windows."""

    part: str
    """train, val or test."""
    classes: tuple[str, ...]
    windows: Windows
    window_logits: np.ndarray
    """``(m, C)`` float32."""
    temperature: float
    videos: np.ndarray
    """``(n,)`` int64, rows of the dataset, rising."""
    labels: np.ndarray
    """``(n,)`` int64."""
    probabilities: np.ndarray
    """``(n, C)`` float32, per video."""

    def __repr__(self) -> str:
        return f"Predictions({self.part}, {len(self.videos)} videos, {len(self.windows)} windows)"

    @property
    def window_probabilities(self) -> np.ndarray:
        """``(m, C)`` float32."""
        return softmax(self.window_logits, self.temperature)

    @property
    def answers(self) -> np.ndarray:
        """``(n,)`` the most probable class of each video."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidences(self) -> np.ndarray:
        """``(n,)`` the probability of the answers."""
        return self.probabilities.max(axis=1)


def predictions_of(
    part: str, data: Dataset, windows: Windows, logits: np.ndarray, *, temperature: float = 1.0
) -> Predictions:
    """Bring the windows of a part together into videos.

    Args:
        part: its name.
        data: what the windows are over.
        windows: the windows of all videos of the part.
        logits: ``(m, C)`` of those windows.
        temperature: divides the logits.
    """
    videos, labels, of_window = _units(windows)
    return Predictions(
        part,
        data.classes,
        windows,
        logits,
        temperature,
        videos,
        labels,
        mean_by_video(logits, of_window, len(videos), temperature),
    )


def temperature_of(val: Predictions) -> float:
    """The temperature that suits validation videos best; see `calibrate.find_temperature`."""
    return find_temperature(val.window_logits, _units(val.windows)[2], val.labels)


def _units(windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is counted as right or wrong: videos, or windows where single frames are labelled.

    Returns:
        The row of the dataset and the label of each unit, and the unit of each window.
    """
    if windows.data.step_labels is not None:
        return windows.video, windows.labels, np.arange(len(windows))
    videos, of_window = np.unique(windows.video, return_inverse=True)
    return videos, windows.data.labels[videos], of_window


# -- metrics ---------------------------------------------------------------------------------------


def top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of videos whose class is among the ``k`` most probable."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def measure(predictions: Predictions, groups: Sequence[str]) -> dict[str, Any]:
    """All figures of one part.

    Args:
        predictions: of the part.
        groups: a group for each video of the whole dataset, for the interval of the accuracy.

    Raises:
        UserError: the part has no videos.
    """
    if not len(predictions.videos):
        raise UserError(f"there are no {predictions.part} videos to evaluate; choose another --split")
    labels, probabilities, answers = predictions.labels, predictions.probabilities, predictions.answers
    present = np.unique(labels)
    recalls = [float((answers[labels == label] == label).mean()) for label in present]
    return {
        "videos": len(labels),
        "windows": len(predictions.windows),
        "accuracy": float((answers == labels).mean()),
        "interval": bootstrap(answers == labels, [groups[row] for row in predictions.videos]),
        # The mean recall over the classes that occur; scikit-learn's warns where an answer never occurs as a label.
        "balanced_accuracy": float(np.mean(recalls)),
        "log_loss": log_loss(probabilities, labels),
        "top_k": {str(k): top_k(probabilities, labels, k) for k in (1, 2, 3, 5) if k < len(predictions.classes)},
        "ece": expected_calibration_error(probabilities, labels),
        "reliability": reliability(probabilities, labels),
        "coverage": coverage_curve(probabilities, labels),
        "mistakes": _examples(predictions, right=False),
        "successes": _examples(predictions, right=True),
        "per_class": per_class(predictions),
    }


def _examples(predictions: Predictions, *, right: bool, count: int = 12) -> list[dict[str, Any]]:
    """The most confident mistakes, or the most confident success of each class."""
    names, classes = predictions.windows.data.names, predictions.classes
    rows = most_confident(
        predictions.probabilities, predictions.labels, right=right, count=len(predictions.labels) if right else count
    )
    if right:
        first_of_class = {row["label"]: row for row in reversed(rows)}
        rows = sorted(first_of_class.values(), key=lambda row: -row["confidence"])[:count]
    return [
        {
            "video": names[predictions.videos[row["row"]]],
            "label": classes[row["label"]],
            "answer": classes[row["answer"]],
            "confidence": row["confidence"],
        }
        for row in rows
    ]


def per_class(predictions: Predictions) -> list[dict[str, Any]]:
    """Precision, recall, F1 and the number of videos of each class."""
    indices = range(len(predictions.classes))
    values = metrics.precision_recall_fscore_support(
        predictions.labels, predictions.answers, labels=list(indices), zero_division=0.0
    )
    return [
        {
            "class": predictions.classes[index],
            "precision": float(values[0][index]),
            "recall": float(values[1][index]),
            "f1": float(values[2][index]),
            "videos": int(values[3][index]),
        }
        for index in indices
    ]


def pooled_ece(parts: Sequence[Predictions], *, scaled: bool = True) -> float:
    """The calibration error over the videos of several folds together; one fold alone has few per bin.

    Args:
        parts: of different videos.
        scaled: with the temperatures that were found, or without.
    """
    if not scaled:
        parts = [predictions_of(part.part, part.windows.data, part.windows, part.window_logits) for part in parts]
    return expected_calibration_error(
        np.concatenate([part.probabilities for part in parts]), np.concatenate([part.labels for part in parts])
    )


def report_text(predictions: Predictions) -> str:
    """The classification report for the terminal, by scikit-learn."""
    return metrics.classification_report(
        predictions.labels,
        predictions.answers,
        labels=list(range(len(predictions.classes))),
        target_names=list(predictions.classes),
        zero_division=0.0,
        digits=3,
    ).rstrip()


def confusion(predictions: Predictions) -> np.ndarray:
    """``(C, C)`` int64: row is the true class, column the answer."""
    return metrics.confusion_matrix(
        predictions.labels, predictions.answers, labels=list(range(len(predictions.classes)))
    )


# -- tables ----------------------------------------------------------------------------------------


def write_predictions(parts: Sequence[Predictions], path: Path) -> None:
    """Write ``predictions.csv``: a row per video, per window where a video has several, and per labelled frame.

    Columns: level (video, window or frame), split, video, start (first step of a window, number of a frame), label,
    prediction, confidence, right (1 or 0), and a probability per class.
    """
    rows: list[dict[str, Any]] = []
    classes: tuple[str, ...] = parts[0].classes
    for part in parts:
        data = part.windows.data
        names = data.names
        if data.step_labels is None:
            for row, label, probabilities in zip(part.videos, part.labels, part.probabilities, strict=True):
                rows.append(_row("video", part, names[row], "", label, probabilities))
        if data.step_labels is not None or len(part.windows) > len(part.videos):
            for row, start, label, probabilities in zip(
                part.windows.video, part.windows.start, part.windows.labels, part.window_probabilities, strict=True
            ):
                rows.append(_row("window", part, names[row], int(start), label, probabilities))
        if data.step_labels is not None:
            for place, row, probabilities in frame_means(part):
                frame, label = int(data.frames[place]), int(data.step_labels[place])
                rows.append(_row("frame", part, names[row], frame, label, probabilities))
    columns = ["level", "split", "video", "start", "label", "prediction", "confidence", "right"]
    write_table(rows, [*columns, *(f"p({name})" for name in classes)], path)


def frame_means(part: Predictions) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (place in the dataset's steps, row of the video, mean probabilities) of each labelled frame."""
    data, windows, probabilities = part.windows.data, part.windows, part.window_probabilities
    assert data.step_labels is not None
    for row in np.unique(windows.video):
        steps = int(data.steps[row])
        total, count = np.zeros((steps, len(part.classes))), np.zeros(steps)
        for window in np.flatnonzero(windows.video == row):
            here = slice(windows.start[window], min(windows.start[window] + windows.length, steps))
            total[here] += probabilities[window]
            count[here] += 1
        for step in range(steps):
            place = int(data.offsets[row]) + step
            if count[step] and data.step_labels[place] >= 0:
                yield place, int(row), total[step] / count[step]


def _row(
    level: str, part: Predictions, video: str, start: int | str, label: int, probabilities: np.ndarray
) -> dict[str, Any]:
    best = int(probabilities.argmax())
    return {
        "level": level,
        "split": part.part,
        "video": video,
        "start": start,
        "label": part.classes[label],
        "prediction": part.classes[best],
        "confidence": f"{probabilities[best]:.6f}",
        "right": int(best == label),
        **{f"p({name})": f"{value:.6f}" for name, value in zip(part.classes, probabilities, strict=True)},
    }
