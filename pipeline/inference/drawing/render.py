"""The second pass over a video: every frame again, with its labels drawn on it, into a new file.

The frames of the first pass are not kept for it: the timeline on the first frame shows the label of the last one, so
all of them would have to be kept, 1.4 MB each at 720p.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.inference.drawing import Style
from pipeline.inference.drawing.overlay import Overlay
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.parallel.prefetch import prefetch
from pipeline.videos.media import open_video
from pipeline.videos.media.canvas import Canvas
from pipeline.videos.media.writer import VideoWriter

_AHEAD = 8  # drawn frames that may wait for the encoder
_FALLBACK_FPS = 25.0  # of a video with one frame


def render_video(
    prediction: VideoPrediction,
    output: Path,
    *,
    style: Style = "bars",
    fps: float | None = None,
    codec: str = "xvid",
    show: Callable[[int, int], None] = lambda done, total: None,
    watch: Callable[[np.ndarray], bool] | None = None,
) -> Rendered:
    """Write the classified video with its labels drawn on it.

    The output has the frames of the input, its size as shown and its frame rate; formats that can keep the time of
    each frame. The encoder works beside the decoder and the drawing, with a few frames in memory, and no frame is
    turned into RGB for it.

    Args:
        prediction: what was found.
        output: the file to write; see `VideoWriter` for its extensions.
        style: what is drawn.
        fps: another frame rate for the same frames; the sound is left out then, as it would no longer fit.
        codec: of AVI files.
        show: called with frames done and frames in all.
        watch: given each frame as it is written, ``(height, width, 3)`` uint8 RGB; the video ends where it says False.

    Raises:
        UserError: the output cannot be written.
        VideoError: the video can no longer be read.
    """
    with contextlib.closing(rendering(prediction, output, style=style, fps=fps, codec=codec, watch=watch)) as steps:
        for done in steps:
            if isinstance(done, Rendered):
                return done
            show(done, len(prediction.times))
    raise AssertionError("the last step is what was rendered")


class Rendered(NamedTuple):
    """What became of a video."""

    frames: int
    notes: list[str]
    """Lines for the user."""


def rendering(
    prediction: VideoPrediction,
    output: Path,
    *,
    style: Style = "bars",
    fps: float | None = None,
    codec: str = "xvid",
    watch: Callable[[np.ndarray], bool] | None = None,
    finishing: Callable[[], None] = lambda: None,
) -> Generator[int | Rendered]:
    """`render_video` step by step: yields how many frames are written, and at last what became of it.

    Args:
        prediction, output, style, fps, codec, watch: as there.
        finishing: called when all frames are written and the sound is still to come, which tells nothing of itself.
    """
    info = prediction.info
    size = (info.width, info.height)
    rate = fps or info.fps or _FALLBACK_FPS
    notes = []
    overlay = Overlay(
        prediction.classes, size, style=style, labels=prediction.labels, important=prediction.probabilities.max(axis=0)
    )
    uneven = is_uneven(prediction.times)
    if uneven and fps is None and output.suffix.lower() == ".avi":
        notes.append(
            f"the frame rate varies and AVI has one rate: {output.name} shows all frames at the mean, {rate:.4g} "
            "frames/s; an .mp4 keeps the time of each"
        )
    sound = prediction.video if fps is None or abs(fps - info.fps) < 0.01 * info.fps else None
    with (
        VideoWriter(output, fps=rate, size=size, codec=codec, sound=sound) as writer,
        open_video(prediction.video) as reader,
    ):

        def drawn() -> Iterator[tuple[Canvas, float]]:
            for _, moment, frame in reader.decoded():
                canvas = writer.canvas(frame)
                place = frame_at(prediction.times, moment)
                for patch in overlay.patches(prediction.probabilities[place], int(prediction.labels[place]), place):
                    canvas.paint(patch)
                yield canvas, moment

        with prefetch(drawn(), _AHEAD) as canvases:
            for canvas, moment in canvases:
                writer.write_canvas(canvas, None if fps else moment)
                yield writer.frames
                if watch is not None and not watch(canvas.frame.to_ndarray(format="rgb24")):
                    writer.leave_out_sound()
                    notes.append(f"{output.name} ends after {writer.frames:,} frames, where the window was closed")
                    break
        if not writer.frames:
            raise UserError(f"{prediction.video} changed while it was read: no frame of it can be decoded any more")
        finishing()
    if writer.note:
        notes.append(writer.note)
    yield Rendered(writer.frames, notes)


def play_video(prediction: VideoPrediction, watch: Callable[[np.ndarray], bool], *, style: Style = "bars") -> None:
    """Show the classified video with its labels drawn on it, no faster than it is.

    Args:
        prediction: what was found.
        watch: given each frame, ``(height, width, 3)`` uint8 RGB; False ends it.
        style: what is drawn.

    Raises:
        VideoError: the video can no longer be read.
    """
    size = (prediction.info.width, prediction.info.height)
    important = prediction.probabilities.max(axis=0)
    overlay = Overlay(prediction.classes, size, style=style, labels=prediction.labels, important=important)
    began = time.monotonic()
    with open_video(prediction.video) as reader:
        for frame in reader:
            place = frame_at(prediction.times, frame.time)
            drawn = overlay.draw(frame.image, prediction.probabilities[place], int(prediction.labels[place]), place)
            time.sleep(max(0.0, frame.time - (time.monotonic() - began)))
            if not watch(drawn):
                return


def frame_at(times: np.ndarray, time: float) -> int:
    """The number of the frame that is shown at ``time`` seconds; ``times`` are ``(n,)`` rising seconds."""
    return max(0, int(np.searchsorted(times, time + 1e-4, side="right")) - 1)


def is_uneven(times: np.ndarray) -> bool:
    """Whether frames are off their even places by more than a frame's duration."""
    if len(times) < 3:
        return False
    even = np.linspace(times[0], times[-1], len(times))
    return bool(np.abs(times - even).max() > (times[-1] - times[0]) / (len(times) - 1))
