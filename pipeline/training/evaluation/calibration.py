"""How far confidence can be believed: temperature, calibration error, and what abstaining costs.

Probabilities here are ``(n, C)`` of videos, labels ``(n,)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.training.compute.apply_head import probabilities_of

_RANGE = (-3.0, 3.0)  # of the logarithm of the temperature

_BOOTSTRAP = 1 << 20  # numbers that are drawn at once; tens of thousands of groups would take gigabytes


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative logarithm of the true class's probability."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())


def mean_by_video(logits: np.ndarray, of_window: np.ndarray, videos: int, temperature: float) -> np.ndarray:
    """Probabilities of videos: the mean over their windows.

    Args:
        logits: ``(m, C)`` of windows.
        of_window: ``(m,)`` the video of each window, from 0.
        videos: how many there are.
        temperature: divides the logits.

    Returns:
        ``(videos, C)`` float32.
    """
    total = np.zeros((videos, logits.shape[1]), np.float64)
    np.add.at(total, of_window, probabilities_of(logits, temperature))
    return (total / np.maximum(1, np.bincount(of_window, minlength=videos))[:, None]).astype(np.float32)


def find_temperature(logits: np.ndarray, of_window: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the lowest log loss of validation videos, drawn to 1 where these are few.

    A handful of videos that are all right would ask for endless confidence. A normal prior on the logarithm of
    the temperature, worth about one video, keeps it sensible. Source of the method: Guo et al. 2017,
    https://arxiv.org/abs/1706.04599

    Args:
        logits: ``(m, C)`` of the validation windows.
        of_window: ``(m,)`` the video of each window, from 0.
        labels: ``(n,)`` of the videos.
    """

    from scipy.optimize import minimize_scalar

    def cost(log_temperature: float) -> float:
        probabilities = mean_by_video(logits, of_window, len(labels), float(np.exp(log_temperature)))
        return log_loss(probabilities, labels) * len(labels) + 0.5 * log_temperature**2

    return float(np.exp(minimize_scalar(cost, bounds=_RANGE, method="bounded").x))


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """The reliability diagram: for each bin of confidence, how many videos, their mean confidence and accuracy."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "from": index / bins,
            "to": (index + 1) / bins,
            "count": int((bin_of == index).sum()),
            "probability": float(confidence[bin_of == index].mean()),
            "accuracy": float(right[bin_of == index].mean()),
        }
        for index in range(bins)
        if (bin_of == index).any()
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over the bins, weighted by their size.

    Source: Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602
    """
    table = reliability(probabilities, labels, bins)
    return float(sum(row["count"] * abs(row["probability"] - row["accuracy"]) for row in table) / len(labels))


def coverage_curve(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """What abstaining below a threshold costs and brings.

    Returns:
        For thresholds 0, 0.05, ... 0.95: the share of videos that are sure enough and the accuracy of those.
        Thresholds that leave no video are left out.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    curve = []
    for threshold in np.arange(20) / 20:
        sure = confidence >= threshold
        if sure.any():
            row = {"threshold": threshold, "coverage": sure.mean(), "accuracy": right[sure].mean()}
            curve.append({name: float(value) for name, value in row.items()})
    return curve


def threshold_for_accuracy(probabilities: np.ndarray, labels: np.ndarray, accuracy: float) -> float:
    """The lowest probability such that predictions of at least that much are right in a share of ``accuracy``.

    Where not even the surest are, it is the probability of the surest.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidence, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Predictions that are equally sure are taken together.
    last = np.append(confidence[order][1:] != confidence[order][:-1], True)
    enough = np.flatnonzero((share >= accuracy) & last)
    return float(confidence[order][enough[-1] if len(enough) else 0])


def accuracy_interval(right: np.ndarray, groups: list[str], *, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """The 95 % interval of the accuracy if whole groups were drawn anew.

    Videos of one group succeed and fail together, so drawing single videos would promise too much.
    Source: Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x. Where every draw has the same accuracy, as when
    all videos are right, the interval is that of Wilson for so many groups.

    Args:
        right: ``(n,)`` bool, whether each video was predicted rightly.
        groups: ``n`` groups.
        seed: of the drawing.
        draws: how many.
    """
    _, of_video = np.unique(groups, return_inverse=True)
    sizes = np.bincount(of_video)
    hits = np.bincount(of_video, weights=right)
    random, even = np.random.default_rng(seed), np.full(len(sizes), 1 / len(sizes))
    at_once = max(1, _BOOTSTRAP // len(sizes))
    accuracies = []
    for start in range(0, draws, at_once):
        times = random.multinomial(len(sizes), even, size=min(at_once, draws - start))
        accuracies.append((times @ hits) / (times @ sizes))
    low, high = np.quantile(np.concatenate(accuracies), [0.025, 0.975])
    return (float(low), float(high)) if low < high else _wilson(float(np.mean(right)), len(sizes))


def _wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``count`` independent trials; doi:10.1080/01621459.1927.10502953."""
    z = 1.959964
    width = 1 + z**2 / count
    centre = (share + z**2 / (2 * count)) / width
    half = z * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / width
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def most_confident(probabilities: np.ndarray, labels: np.ndarray, *, right: bool, count: int) -> list[dict[str, Any]]:
    """Rows of the most confident right or wrong predicted, the most confident first."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    rows = np.flatnonzero((predicted == labels) == right)
    rows = rows[np.argsort(-confidence[rows], kind="stable")][:count]
    return [
        {
            "row": int(row),
            "label": int(labels[row]),
            "prediction": int(predicted[row]),
            "probability": float(confidence[row]),
        }
        for row in rows
    ]
