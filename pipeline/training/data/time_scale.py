"""How the clips that a head was trained on lie in time: a model must meet at inference what it met in training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimeScale:
    """How the training clips lay in time, all in seconds; 0 where it is not known (imported sequences)."""

    median: float
    """Median duration of the training clips."""
    shortest: float
    longest: float
    step: float | None = None
    """Time from one step to the next for recipes by rate; None where it depends on the clip's length."""
