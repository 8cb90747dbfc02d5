"""What is varied in windows of features from epoch to epoch."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pipeline.errors import UserError


@dataclass(frozen=True)
class FeatureAugmentation:
    """What is varied from epoch to epoch; 0 and False leave it as it is."""

    random_windows: bool = False
    """Windows begin anywhere in their video, anew in each epoch, instead of on the grid of the stride."""
    noise: float = 0.0
    """Normal noise on every feature, in standard deviations of that feature over the training windows."""
    time_mask: float = 0.0
    """The longest stretch of a window that is replaced by the mean features, as a share of its real steps.

    Source: Park et al. 2019, https://arxiv.org/abs/1904.08779"""
    mixup: float = 0.0
    """Two windows and their targets are mixed, with a share from Beta(X, X); 0.2 is usual.

    Source: Zhang et al. 2017, https://arxiv.org/abs/1710.09412"""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (value >= 0 and value < float("inf")):
                raise UserError(f"`{item.name}={value:g}`: expected 0 or more")
        if self.time_mask > 1:
            raise UserError(f"`time_mask={self.time_mask:g}`: expected a share from 0 to 1")
