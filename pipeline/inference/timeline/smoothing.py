"""Smoothing against flicker: pure functions on probability vectors over time, and labels from them.

    none          as they come
    mean:K        mean of the last K vectors, the present one included (K=1 is none)
    centred:K     mean of the K vectors around each
    median:K      median of the last K vectors, scaled to sum to 1
    exponential:A each vector counts A, all before it 1-A: A=1 is none

At the beginning, and for ``centred`` at the end too, there are fewer vectors, and those are used. The rolling
mean is the method of https://pyimagesearch.com/2019/07/15/video-classification-with-keras-and-deep-learning/
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import UserError
from pipeline.files.text import parse_rule
from pipeline.lazy import np

Kind = Literal["none", "mean", "centred", "median", "exponential"]
FORMS = "none, mean:K, centred:K, median:K or exponential:A"
UNKNOWN = -1
"""The label of a frame whose best class is not probable enough."""


def rolling_mean(values: np.ndarray, count: int) -> np.ndarray:
    """Mean of the last ``count`` rows of ``(n, C)``, the present one included."""
    return _range_means(values, lambda places: (np.maximum(places - count + 1, 0), places + 1))


def centred_mean(values: np.ndarray, count: int) -> np.ndarray:
    """Mean of the ``count`` rows around each row of ``(n, C)``; of an even count the extra one lies before."""
    before, after = count // 2, (count - 1) // 2
    last = len(values)
    return _range_means(values, lambda places: (np.maximum(places - before, 0), np.minimum(places + after + 1, last)))


def _range_means(values: np.ndarray, limits: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    if len(values) == 0:
        return values
    begin, end = limits(np.arange(len(values)))
    result = np.empty_like(values)
    for column in range(values.shape[1]):  # one class at a time: a long video's sums in float64 stay small
        sums = np.concatenate([[0.0], np.cumsum(values[:, column], dtype=np.float64)])
        result[:, column] = (sums[end] - sums[begin]) / (end - begin)
    return np.maximum(result, 0)


def rolling_median(values: np.ndarray, count: int) -> np.ndarray:
    """Median of the last ``count`` rows of ``(n, C)``, scaled so that each row sums to 1 again."""
    result = np.empty_like(values)
    for place in range(min(count - 1, len(values))):
        result[place] = np.median(values[: place + 1], axis=0)
    if len(values) >= count:
        windows = np.lib.stride_tricks.sliding_window_view(values, count, axis=0)
        block = max(1, (8 << 20) // (count * values.shape[1]))  # the median copies what it looks at
        for start in range(0, len(windows), block):
            part = np.median(windows[start : start + block], axis=-1)
            result[count - 1 + start : count - 1 + start + len(part)] = part
    total = result.sum(axis=1, keepdims=True)
    return np.where(total > 0, result / np.where(total > 0, total, 1), values)


def exponential_mean(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponentially weighted mean of ``(n, C)``: each new row counts ``weight``."""
    result = np.empty_like(values)
    for place, row in enumerate(values):
        result[place] = row if place == 0 else weight * row + (1 - weight) * result[place - 1]
    return result


_SMOOTH: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "none": lambda values, _: values,
    "mean": lambda values, k: rolling_mean(values, int(k)),
    "centred": lambda values, k: centred_mean(values, int(k)),
    "median": lambda values, k: rolling_median(values, int(k)),
    "exponential": exponential_mean,
}


@dataclass(frozen=True)
class Smoothing:
    """A rule that smooths probabilities; written and read as text such as ``mean:128``."""

    kind: Kind = "none"
    """One of none, mean, centred, median, exponential."""
    amount: float = 1
    """A number of vectors, or the weight of a new vector (exponential)."""

    def __post_init__(self) -> None:
        if self.kind not in _SMOOTH:
            raise UserError(f"smoothing {self.kind!r} is unknown; expected {FORMS}")
        if self.kind == "exponential":
            if not 0 < self.amount <= 1:
                raise UserError(f"smoothing 'exponential' needs a weight above 0, up to 1, not {self.amount:g}")
        elif not (math.isfinite(self.amount) and self.amount >= 1 and self.amount == int(self.amount)):
            raise UserError(f"smoothing '{self.kind}' needs a whole number of frames from 1, not {self.amount:g}")

    @classmethod
    def parse(cls, text: str) -> Smoothing:
        """Read ``none``, ``mean:128``, ``centred:25``, ``median:9`` or ``exponential:0.1``.

        Raises:
            UserError: the text is none of these.
        """
        kind, amount = parse_rule(text, "smoothing", FORMS)
        kind = "centred" if kind == "centered" else kind
        if kind != "none" and kind in _SMOOTH and amount is None:
            raise UserError(f"smoothing {text!r} has no number; expected {FORMS}")
        return cls(kind, 1.0 if amount is None else amount)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.kind if self.kind == "none" else f"{self.kind}:{self.amount:.12g}"

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Smooth ``(n, C)`` probabilities; the result has the same shape, and its rows sum to 1."""
        return _SMOOTH[self.kind](values, self.amount)


class LiveSmoother:
    """The same for vectors that come one by one: gives what `Smoothing` gives for the present one.

    Raises:
        UserError: ``centred`` needs the future, which live frames do not have.
    """

    def __init__(self, smoothing: Smoothing) -> None:
        if smoothing.kind == "centred":
            raise UserError(
                f"smoothing {smoothing} looks ahead, which live is impossible; take mean, median or another"
            )
        self._smoothing = smoothing
        few = smoothing.kind in ("none", "exponential")
        self._last: deque[np.ndarray] = deque(maxlen=1 if few else int(smoothing.amount))

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        """Take in one ``(C,)`` vector and return the smoothed one."""
        if self._smoothing.kind == "exponential" and self._last:
            weight = self._smoothing.amount
            vector = weight * vector + (1 - weight) * self._last[0]
        self._last.append(vector)
        return self._smoothing(np.stack(list(self._last)))[-1] if self._smoothing.kind != "exponential" else vector


# -- labels ----------------------------------------------------------------------------------------


def choose_labels(probabilities: np.ndarray, abstain_below: float = 0.0) -> np.ndarray:
    """``(n,)`` int64: the best class of each row of ``(n, C)``, `UNKNOWN` where it is below ``abstain_below``."""
    best = probabilities.argmax(axis=1).astype(np.int64)
    best[probabilities.max(axis=1) < abstain_below] = UNKNOWN
    return best


def runs(labels: np.ndarray) -> np.ndarray:
    """``(r, 2)`` int64: first place and place after the last of each run of equal labels in ``(n,)``."""
    if len(labels) == 0:
        return np.empty((0, 2), np.int64)
    cuts = np.flatnonzero(np.diff(labels)) + 1
    return np.stack([np.append(0, cuts), np.append(cuts, len(labels))], axis=1).astype(np.int64)


def drop_short(
    labels: np.ndarray, probabilities: np.ndarray, times: np.ndarray, end: float, least: float
) -> np.ndarray:
    """Give runs shorter than ``least`` seconds to a neighbour, the shortest first, until none is left.

    Of two neighbours the one whose class is more probable in the short run gets it; "unknown" counts as
    improbable. A video that is shorter than ``least`` keeps one label.

    Args:
        labels: ``(n,)`` classes, or `UNKNOWN`.
        probabilities: ``(n, C)``.
        times: ``(n,)`` seconds.
        end: seconds at which the last frame's showing ends.
        least: seconds.
    """
    found = runs(labels)
    if len(found) == 0:
        return labels
    borders, names = np.append(found[:, 0], len(labels)), labels[found[:, 0]]
    seconds = np.append(times, end)
    while len(names) > 1:
        lengths = np.diff(seconds[borders])
        at = int(lengths.argmin())
        if lengths[at] >= least - 1e-6:
            break
        mean = probabilities[borders[at] : borders[at + 1]].mean(axis=0)
        beside = [int(names[other]) for other in (at - 1, at + 1) if 0 <= other < len(names)]
        names[at] = max(beside, key=lambda label: mean[label] if label != UNKNOWN else -1.0)
        # What is equal now becomes one run.
        kept = np.append(True, np.diff(names) != 0)
        borders, names = np.append(borders[:-1][kept], len(labels)), names[kept]
    return np.repeat(names, np.diff(borders))
