"""A live source with its labels drawn on it, written to a file while it is watched."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from pipeline.lazy import cv2
from pipeline.videos.media.writer import VideoWriter

FPS = 30.0  # of a file with one rate


class LiveRecording:
    """Writes frames as they come; the file is there when the ``with`` block ends, also by Ctrl-C.

    A format with one rate gets each frame as often as it takes to last as long as the source did. A stream that
    broke and came back goes on where it ended, at the size that it had first.

    Args:
        path: the file to write; see `VideoWriter` for its extensions.
        fps: frames per second, in formats with one rate.
        codec: of AVI files.
    """

    def __init__(self, path: Path, *, fps: float | None = None, codec: str = "xvid") -> None:
        self.path, self._fps, self._codec = path, fps or FPS, codec
        self._writer: VideoWriter | None = None
        self._before, self._last = 0.0, 0.0  # seconds of parts that are past, and of the last frame

    @property
    def frames(self) -> int:
        """How many were written."""
        return 0 if self._writer is None else self._writer.frames

    def __enter__(self) -> LiveRecording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            kept = kind is None or issubclass(kind, KeyboardInterrupt)
            self._writer.__exit__(None if kept else kind, None if kept else error, trace)

    def add(self, image: np.ndarray, time: float) -> None:
        """Append a frame.

        Args:
            image: ``(height, width, 3)`` uint8, RGB.
            time: seconds after the first frame of the stream; where it falls the stream began anew.

        Raises:
            UserError: the file cannot be written.
        """
        if self._writer is None:
            size = (image.shape[1], image.shape[0])
            self._writer = VideoWriter(self.path, fps=self._fps, size=size, codec=self._codec)
        if time < self._last:
            self._before += self._last
        self._last = time
        if (image.shape[1], image.shape[0]) != self._writer.size:
            image = cv2.resize(image, self._writer.size)
        now = self._before + time
        if self._writer.own_times:
            self._writer.write(image, now)
            return
        while self._writer.frames <= now * self._fps + 1e-6:
            self._writer.write(image)
