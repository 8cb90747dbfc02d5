"""A static camera: frames that barely differ from the last one that went through the network take its feature over.

Only where a recipe asks for it, since it changes the features. How far they are off is measured while it happens:
some of the frames that need not go through the network do, and their own features are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

_CHECK_FIRST, _CHECK_EVERY, _CHECK_MOST = 4, 32, 500  # of the frames that reuse a feature


class StaticFrames:
    """Tells for the pictures of one video, in order, which ones have to go through the network.

    Args:
        threshold: mean absolute difference in grey levels, up to which a picture counts as the same.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._last: np.ndarray | None = None

    def fresh(self, images: np.ndarray) -> np.ndarray:
        """``(k,)`` bool of the next pictures ``(k, height, width, 3)`` uint8: False where the last feature will do.

        Each picture is compared with the last one that was not like the one before it, so that slow changes add up.
        """
        fresh = np.ones(len(images), bool)
        for number, image in enumerate(images):
            if self._last is not None:
                fresh[number] = cv2.norm(image, self._last, cv2.NORM_L1) > self._threshold * image.size
            if fresh[number]:
                self._last = image.copy()
        return fresh


@dataclass
class Reuse:
    """How often features were reused in a run, and how far off they were on a sample of those frames."""

    frames: int = 0
    reused: int = 0
    checked: int = 0
    """Frames that reused a feature and went through the network all the same."""
    cosines: float = 0.0
    """Sum over the checked frames of the cosine between the reused feature and their own."""
    worst: float = 1.0

    def __bool__(self) -> bool:
        return self.frames > 0

    def __str__(self) -> str:
        text = f"{self.reused / max(1, self.frames):.1%} of {self.frames:,} frames reused a feature"
        if not self.checked:
            return text
        return (
            f"{text}; on {self.checked} of them its cosine to their own is {self.cosines / self.checked:.4f} on "
            f"average and {self.worst:.4f} at worst"
        )

    def check_next(self) -> bool:
        """Count a frame that reuses a feature; True where it shall be checked."""
        self.reused += 1
        return self.checked < _CHECK_MOST and self.reused % _CHECK_EVERY == _CHECK_FIRST

    def compare(self, reused: np.ndarray, own: np.ndarray) -> None:
        """Take in a checked frame: both features ``(D,)``."""
        if not (np.isfinite(reused).all() and np.isfinite(own).all()):
            return  # such a video is given up
        lengths = float(np.linalg.norm(reused) * np.linalg.norm(own))
        cosine = float(reused @ own) / lengths if lengths else float(np.array_equal(reused, own))
        self.checked += 1
        self.cosines += cosine
        self.worst = min(self.worst, cosine)

    def merge(self, other: Reuse) -> None:
        """Add what happened elsewhere."""
        self.frames += other.frames
        self.reused += other.reused
        self.checked += other.checked
        self.cosines += other.cosines
        self.worst = min(self.worst, other.worst)

    def to_json(self) -> str:
        """For the provenance of a shard."""
        content: dict[str, float] = {"frames": self.frames, "reused": self.reused, "checked": self.checked}
        if self.checked:
            content |= {"cosine_mean": self.cosines / self.checked, "cosine_worst": self.worst}
        return json.dumps(content)


def reusing(network: Callable[[np.ndarray], np.ndarray], threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    """``network`` on the pictures of one video, batch by batch, as a recipe with ``reuse_static`` wants it.

    Args:
        network: from ``(k, height, width, 3)`` uint8 to ``(k, D)``.
        threshold: of the recipe; 0 gives ``network`` itself.
    """
    if not threshold:
        return network
    static = StaticFrames(threshold)
    last = np.empty((0, 0), np.float32)

    def features(images: np.ndarray) -> np.ndarray:
        nonlocal last
        fresh = static.fresh(images)
        known = network(np.ascontiguousarray(images[fresh])) if fresh.any() else last[:0]
        rows = np.concatenate([last, known]) if len(last) else known
        last, before = rows[-1:].copy(), len(last)
        return rows[np.cumsum(fresh) - 1 + before]

    return features
