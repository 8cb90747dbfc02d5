"""What is chosen where a checkpoint is applied: how videos are read, and how labels are made of probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.errors import UserError
from pipeline.inference.timeline.smoothing import FORMS, Smoothing


@dataclass(frozen=True)
class ClassifySpec:
    """How a video is read and its prediction is made."""

    stride: int | None = None
    """Steps from one window to the next; a quarter of a window where none are given."""
    clip_seconds: float | None = None
    """With a sampling by count, such as uniform:N, read long videos as clips of this length; the median of the training
    clips where none is given."""
    smoothing: Smoothing = field(
        default=Smoothing(),
        metadata={
            "name": "smooth",
            "metavar": "KIND",
            "help": f"{FORMS}; K in frames, live in windows; A from 0 to 1",
        },
    )
    """How probabilities are smoothed over time."""
    min_duration: float = 0.0
    """Seconds; shorter segments go to a neighbour."""
    abstain_below: float | None = None
    """Below this probability the label is "unknown"; as trained where none is given."""

    def __post_init__(self) -> None:
        if self.stride is not None and self.stride < 1:
            raise UserError(f"`stride={self.stride}`: expected 1 or more steps")
        if not 0 <= self.min_duration < float("inf"):
            raise UserError(f"`min_duration={self.min_duration:g}`: expected seconds, 0 or more")
        if self.abstain_below is not None and not 0 <= self.abstain_below <= 1:
            raise UserError(f"`abstain_below={self.abstain_below:g}`: expected a probability from 0 to 1")
