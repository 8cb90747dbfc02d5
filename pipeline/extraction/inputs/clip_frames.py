"""Clips of frames for networks that take several at once, from frames that are decoded once although clips overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from pipeline.videos.media.frame import Frame, FramesMissing, Steps


def clips_of(frames: Iterator[tuple[Frame, ...]], steps: Steps) -> Iterator[tuple[Frame, ...]]:
    """Put frames together into the clips that steps are made of.

    Only frames are held that a clip still needs: those from its first one on.

    Args:
        frames: those that ``steps`` need, rising, each with its image ``(height, width, 3)`` for every network.
        steps: of the video.

    Yields:
        For each step and network its first frame's number, the time of its start in seconds, and the images of all
        its frames ``(T, height, width, 3)`` uint8.

    Raises:
        FramesMissing: a frame that is needed does not come.
    """
    held: deque[tuple[Frame, ...]] = deque()
    for time, numbers in zip(steps.times.tolist(), steps.members(), strict=True):
        first, last = int(numbers[0]), int(numbers[-1])
        while held and held[0][0].index < first:
            held.popleft()
        while not held or held[-1][0].index < last:
            frame = next(frames, None)
            if frame is None:
                raise FramesMissing("decode", f"frame {last} cannot be decoded")
            held.append(frame)
        places = np.searchsorted([frame[0].index for frame in held], numbers)
        inside = [held[place] for place in places.tolist()]
        yield tuple(
            Frame(first, time, np.stack([each.image for each in images])) for images in zip(*inside, strict=True)
        )
