"""Windows: ``length`` consecutive steps of a sequence, taken every ``stride``. Pure functions on counts and arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import UserError
from pipeline.lazy import np
from pipeline.videos.media.sampling import Sampling

LONGEST_DEFAULT = 64  # steps; sequences up to this length are one window unless the user says otherwise
FRAMES_DEFAULT = 16  # steps of a window where single frames are labelled
MOST_STEPS = 10_000  # of a window; a recurrent head takes some seconds for each that is as long
_GRID = 16  # pixels of each side of a frame that stand for it, at most
Policy = Literal["pad", "drop"]


@dataclass(frozen=True)
class WindowSpec:
    """How a sequence is cut into windows."""

    length: int = field(metadata={"name": "window"})
    """Steps in a window; shorter sequences are padded on the right."""
    stride: int = field(
        default=0, metadata={"help": "steps from one window's start to the next one's (default: no overlap)"}
    )
    """Steps from one window's start to the next one's; 0 for no overlap."""
    policy: Policy = "pad"
    """What becomes of the steps after the last whole window: pad keeps them as one more window, drop leaves them out.

    The window that is kept is padded on the right. A sequence shorter than one window is always kept."""

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UserError(f"a window of {self.length} steps is impossible; expected 1 or more")
        if self.length > MOST_STEPS:
            raise UserError(f"a window of {self.length:,} steps is too long; expected at most {MOST_STEPS:,}")
        if self.stride < 0:
            raise UserError(f"a stride of {self.stride} steps is impossible; expected 1 or more, or 0 for no overlap")
        if self.policy not in ("pad", "drop"):
            raise UserError(f"window policy {self.policy!r} is unknown; expected pad or drop")
        object.__setattr__(self, "stride", self.stride or self.length)

    def starts(self, steps: int) -> np.ndarray:
        """First steps of the windows of a sequence.

            8 steps, length 4, stride 2: 0 2 4
            9 steps, length 4, stride 4: 0 4 8 (pad; the last holds one real step) or 0 4 (drop)

        Args:
            steps: real steps of the sequence.

        Returns:
            ``(n,)`` int64, rising; empty only for 0 steps.
        """
        if steps < 1:
            return np.arange(0)
        whole = np.arange(0, max(0, steps - self.length) + 1, self.stride)
        end = whole[-1] + self.length
        if self.policy == "pad" and end < steps:
            whole = np.append(whole, whole[-1] + self.stride)
            # A stride above the length can jump beyond the end.
            whole = whole[whole < steps]
        return whole.astype(np.int64)


def default_window(steps: list[int], *, by_count: bool) -> WindowSpec:
    """The window for sequences of these lengths.

    A recipe by count gives every video the same number of steps: one window is the whole sequence. So it is
    for other recipes while all sequences are short; long ones are cut, half overlapping, into windows that
    most sequences fill.

    Args:
        steps: real steps of each training sequence.
        by_count: `Sampling.by_count` of the recipe.
    """
    if not steps:
        raise UserError("there are no sequences to take windows of; extract features first")
    longest = max(steps)
    if by_count or longest <= LONGEST_DEFAULT:
        return WindowSpec(longest)
    length = min(LONGEST_DEFAULT, max(8, int(np.median(steps))))
    return WindowSpec(length, max(1, length // 2))


def window_for_frames(steps: list[int]) -> WindowSpec:
    """The window where single frames are labelled: short and half overlapping, as labels change within a video."""
    length = min(FRAMES_DEFAULT, max(steps))
    return WindowSpec(length, max(1, length // 2))


def window_in_seconds(
    seconds: float | None, stride: float | None, apart: np.ndarray, sampling: Sampling, *, policy: Policy = "pad"
) -> WindowSpec:
    """A window of a fixed duration, which slides over the video.

    Args:
        seconds: how long a window is.
        stride: seconds from one window's start to the next one's; None for no overlap.
        apart: ``(n,)`` seconds between the steps of each video, nan where it has one step only; the median counts.
        sampling: how the steps were picked.

    Raises:
        UserError: durations that cannot be, or a sampling whose steps lie further apart in longer videos.
    """
    for name, value in (("window_seconds", seconds), ("stride_seconds", stride)):
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"`{name}={value:g}`: expected seconds above 0")
    if seconds is None:
        raise UserError("`stride_seconds` needs `window_seconds`")
    known = apart[np.isfinite(apart) & (apart > 0)]
    if sampling.by_count or not len(known):
        raise UserError(
            f"`window_seconds` needs steps at a fixed distance, and {sampling} has none; extract by fps:F, every:N or "
            "all, or count the steps by `window`"
        )
    step = float(np.median(known))
    return WindowSpec(max(1, round(seconds / step)), 0 if stride is None else max(1, round(stride / step)), policy)


def cut(features: np.ndarray, starts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of one sequence.

    Args:
        features: ``(T, *shape)``, real steps only.
        starts: ``(n,)`` first steps, each below T.
        length: steps in a window.

    Returns:
        ``(n, length, *shape)`` of the same dtype, zeros where the sequence has ended, and the mask ``(n, length)``
        bool, True where a step is real.
    """
    windows = np.zeros((len(starts), length, *features.shape[1:]), features.dtype)
    mask = np.zeros((len(starts), length), bool)
    for row, start in enumerate(starts):
        real = features[start : start + length]
        windows[row, : len(real)] = real
        mask[row, : len(real)] = True
    return windows, mask


def some_pixels(steps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``(b, L, D)``: features as they are; of frames a grid of pixels, by which copies and scenes are known."""
    if len(shape) != 3:
        return steps
    height, width = (slice(None, None, -(-side // _GRID)) for side in shape[:2])
    return steps[:, :, height, width].reshape(*steps.shape[:2], -1)
