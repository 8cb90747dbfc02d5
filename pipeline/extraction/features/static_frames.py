"""A static camera: frames that barely differ from the last one that went through the network take its feature over.

Only where a recipe asks for it, since it changes the features. How far they are off is measured while it happens:
some of the frames that need not go through the network do, and their own features are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.lazy import cv2

_CHECK_FIRST, _CHECK_EVERY = 4, 32  # of the frames of a video that reuse a feature

FRESH, REUSED, CHECKED = 0, 1, 2
"""How a frame gets its feature: by its own image, from the last fresh frame, or so that its own is compared with it."""


class StaticFrames:
    """Tells for the images of one video, in order, which ones have to go through the network.

    Args:
        threshold: mean absolute difference in grey levels, up to which an image counts as the same.
        check: have some of those compared that need not go through it.
    """

    def __init__(self, threshold: float, *, check: bool = False) -> None:
        self._threshold = threshold
        self._check = check
        self._last: np.ndarray | None = None
        self._reused = 0

    def use_of(self, image: np.ndarray) -> int:
        """`FRESH`, `REUSED` or `CHECKED` for the next image ``(height, width, 3)`` uint8.

        Each image is compared with the last fresh one and not with the one before it, so that slow changes add up.
        """
        if self._last is None or cv2.norm(image, self._last, cv2.NORM_L1) > self._threshold * image.size:
            self._last = image.copy()
            return FRESH
        self._reused += 1
        return CHECKED if self._check and self._reused % _CHECK_EVERY == _CHECK_FIRST else REUSED


class SpreadFeatures:
    """Gives every frame of a video its feature, from those of the images that went through the network.

    Args:
        reuse: takes in the frames that were compared.
    """

    def __init__(self, reuse: Reuse) -> None:
        self._reuse = reuse
        self._last: np.ndarray | None = None  # (1, ...) of the last fresh frame

    def spread(self, features: np.ndarray | None, uses: np.ndarray) -> np.ndarray:
        """The features of the next frames.

        Args:
            features: ``(m, ...)`` of the frames that are not `REUSED`; None where there are none.
            uses: ``(k,)``, of all frames.

        Returns:
            ``(k, ...)``.
        """
        own = uses[uses != REUSED]
        known = [] if self._last is None else [self._last]
        if features is not None:
            known.append(features[own == FRESH])
        rows = known[0] if len(known) == 1 else np.concatenate(known)
        spread = rows[np.cumsum(uses == FRESH) - 1 + (self._last is not None)]
        self._last = rows[-1:].copy()
        self._reuse.frames += len(uses)
        self._reuse.reused += int(np.count_nonzero(uses != FRESH))
        if features is not None:
            for place, feature in zip(np.flatnonzero(uses == CHECKED), features[own == CHECKED], strict=True):
                self._reuse.compare(spread[place], feature)
        return spread


def reusing(network: Callable[[np.ndarray], np.ndarray], threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    """``network`` on live images of one source, in order, as a recipe with ``reuse_static`` wants it.

    Args:
        network: from ``(k, height, width, 3)`` uint8 to ``(k, D)``.
        threshold: of the recipe; 0 gives ``network`` itself.
    """
    if not threshold:
        return network
    static, features = StaticFrames(threshold), SpreadFeatures(Reuse())

    def spread(images: np.ndarray) -> np.ndarray:
        uses = np.array([static.use_of(image) for image in images], np.uint8)
        fresh = np.ascontiguousarray(images[uses == FRESH])
        return features.spread(network(fresh) if len(fresh) else None, uses)

    return spread


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
