"""The frames of a video as the network saw them: cropped, made small, or as motion, and nothing drawn on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction.inputs.motion import InputMaker
from pipeline.extraction.recipe import Recipe
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.videos.media import open_video
from pipeline.videos.media.writer import VideoWriter

_FPS = 10.0


def write_seen(
    prediction: VideoPrediction,
    recipe: Recipe,
    path: Path,
    *,
    codec: str = "xvid",
    show: Callable[[], None] = lambda: None,
) -> int:
    """Write each frame once that went through the network, 10 a second.

    Args:
        prediction: what was found.
        recipe: of the network.
        path: the file to write; see `VideoWriter` for its extensions.
        codec: of AVI files.
        show: called after each frame.

    Returns:
        The number of frames.

    Raises:
        UserError: the file cannot be written.
        VideoError: the video can no longer be read.
    """
    size = (recipe.width, recipe.height)
    with open_video(prediction.video) as reader, VideoWriter(path, fps=_FPS, size=size, codec=codec) as writer:
        for frame in InputMaker(recipe).frames(reader, prediction.grid.frames):
            writer.write(np.ascontiguousarray(np.broadcast_to(frame.image, (*frame.image.shape[:2], 3))))
            show()
        if not writer.frames:
            raise UserError(f"{prediction.video} changed while it was read: no frame of it can be decoded any more")
    return writer.frames
