"""What a head gets right and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.training.evaluation.calibration import (
    accuracy_interval,
    coverage_curve,
    expected_calibration_error,
    log_loss,
    most_confident,
    reliability,
)
from pipeline.training.evaluation.predictions import Predictions


def top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of videos whose class is among the ``k`` most probable."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def measure(predictions: Predictions, groups: Sequence[str]) -> dict[str, Any]:
    """All figures of one split.

    Args:
        predictions: of the split.
        groups: a group for each video of the whole dataset, for the interval of the accuracy.

    Raises:
        UserError: the split has no videos.
    """
    if not len(predictions.videos):
        raise UserError(f"there are no {predictions.split} videos to evaluate; choose another `split`")
    labels, probabilities, predicted = predictions.labels, predictions.probabilities, predictions.predicted
    present = np.unique(labels)
    recalls = [float((predicted[labels == label] == label).mean()) for label in present]
    return {
        "videos": len(labels),
        "windows": len(predictions.windows),
        "accuracy": float((predicted == labels).mean()),
        "interval": accuracy_interval(predicted == labels, [groups[row] for row in predictions.videos]),
        # The mean recall over the classes that occur; scikit-learn's warns where a prediction never occurs as a label.
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
        rows = sorted(first_of_class.values(), key=lambda row: -row["probability"])[:count]
    return [
        {
            "video": names[predictions.videos[row["row"]]],
            "label": classes[row["label"]],
            "prediction": classes[row["prediction"]],
            "probability": row["probability"],
        }
        for row in rows
    ]


def per_class(predictions: Predictions) -> list[dict[str, Any]]:
    """Precision, recall, F1 and the number of videos of each class."""
    counts = confusion(predictions)
    videos, found, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    rows = zip(predictions.classes, _shares(right, found), _shares(right, videos), videos.tolist(), strict=True)
    return [
        {
            "class": name,
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(_shares(2 * precision * recall, precision + recall)),
            "videos": count,
        }
        for name, precision, recall, count in rows
    ]


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """One by the other; 0 where there is nothing of the whole."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)


def pooled_ece(parts: Sequence[Predictions]) -> float:
    """The calibration error over the videos of several folds together; one fold alone has few per bin."""
    return expected_calibration_error(
        np.concatenate([part.probabilities for part in parts]), np.concatenate([part.labels for part in parts])
    )


def report_text(predictions: Predictions) -> str:
    """Precision, recall, F1 and number of videos of each class as a table, as scikit-learn's report has it."""
    rows = per_class(predictions)
    figures = np.array([[row["precision"], row["recall"], row["f1"]] for row in rows])
    videos = np.array([row["videos"] for row in rows])
    accuracy = float((predictions.predicted == predictions.labels).mean())
    means = (("macro avg", figures.mean(axis=0)), ("weighted avg", videos @ figures / videos.sum()))
    names = [row["class"] for row in rows]
    width = max(map(len, [*names, "weighted avg"]))

    def line(name: str, values: Sequence[float], count: int) -> str:
        return f"{name:>{width}} " + "".join(f" {value:9.3f}" for value in values) + f" {count:9}"

    return "\n".join(
        [
            " " * (width + 1) + "".join(f" {title:>9}" for title in ("precision", "recall", "f1-score", "support")),
            "",
            *(line(name, values.tolist(), count) for name, values, count in zip(names, figures, videos, strict=True)),
            "",
            f"{'accuracy':>{width}} {'':20} {accuracy:9.3f} {videos.sum():9}",
            *(line(name, values.tolist(), videos.sum()) for name, values in means),
        ]
    )


def confusion(predictions: Predictions) -> np.ndarray:
    """``(C, C)`` int64: row is the true class, column the prediction."""
    counts = np.zeros((len(predictions.classes), len(predictions.classes)), np.int64)
    np.add.at(counts, (predictions.labels, predictions.predicted), 1)
    return counts
