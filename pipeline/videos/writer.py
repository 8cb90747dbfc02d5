"""Writes frames to a video file: under a temporary name, renamed when all of them are in it.

with VideoWriter("result.avi", fps=25, size=(320, 240)) as video:
    video.write(image)   # (240, 320, 3) uint8, RGB
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.videos.reader import open_video

# XVID (MPEG-4 part 2) plays everywhere and is small; Motion JPEG is in every build of OpenCV.
_CODES = ("XVID", "MJPG")


class VideoWriter:
    """Writes one AVI file; use it in a ``with`` block.

    The file appears under its name when the block ends without an exception. Otherwise nothing is left,
    and a file that was there before stays as it was.

    Args:
        path: the file to write; it must end in ``.avi``.
        fps: frames per second, above 0.
        size: ``(width, height)`` of every frame in pixels, at least 2. These codecs need even numbers: the last
            column or row of an odd size is left out.

    Attributes:
        frames: how many frames were written.

    Raises:
        UserError: another extension, an impossible size or rate, or a folder that cannot be written.
    """

    def __init__(self, path: str | Path, *, fps: float, size: tuple[int, int]) -> None:
        self.path = Path(path)
        self.fps = fps
        self.size = size
        self.frames = 0
        if self.path.suffix.lower() != ".avi":
            raise UserError(f"cannot write {self.path}: the name of the output must end in .avi")
        if not (math.isfinite(fps) and 0 < fps <= 1000):
            raise UserError(f"cannot write {self.path} at {fps:g} frames per second; expected more than 0, up to 1000")
        if min(size) < 2:
            raise UserError(f"cannot write {self.path} at {size[0]}x{size[1]}; a video needs at least 2x2 pixels")
        self._even = (size[0] & -2, size[1] & -2)
        self._temporary = self.path.with_name(f".{os.getpid()}.{self.path.name}")
        self._writer = self._open()

    def _open(self) -> cv2.VideoWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise UserError(f"cannot write {self.path}: it is a folder")
            # OpenCV gives no reason when it cannot open a file; the system does.
            self._temporary.touch()
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None
        for code in _CODES:
            # The size is part of the file's header, so the codec is asked before the first frame.
            writer = cv2.VideoWriter(
                str(self._temporary), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), self.fps, self._even
            )
            if writer.isOpened():
                return writer
            writer.release()
        # This one is built into OpenCV itself and needs no FFmpeg.
        writer = cv2.VideoWriter(
            str(self._temporary), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), self.fps, self._even
        )
        if not writer.isOpened():
            self._discard()
            raise UserError(f"cannot write {self.path}: this OpenCV has neither of the codecs {', '.join(_CODES)}")
        return writer

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.release()
            self._discard()

    def write(self, image: np.ndarray) -> None:
        """Append one frame: ``(height, width, 3)`` uint8, RGB, of the size given at the start.

        Raises:
            ValueError: another shape or type.
        """
        width, height = self.size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise ValueError(f"expected a ({height}, {width}, 3) uint8 frame, not {image.shape} {image.dtype}")
        self._writer.write(cv2.cvtColor(image[: self._even[1], : self._even[0]], cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            UserError: no frame was written, or the disk did not take all of them.
        """
        self._writer.release()
        try:
            if not self.frames:
                raise UserError(f"cannot write {self.path}: not a single frame came")
            # OpenCV reports no failed writes, so the packets in the file are counted.
            stored = self._stored()
            if stored != self.frames:
                raise UserError(
                    f"cannot write {self.path}: only {stored:,} of {self.frames:,} frames are in it; is the disk full?"
                )
            os.replace(self._temporary, self.path)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None
        finally:
            self._discard()

    def _stored(self) -> int:
        try:
            with open_video(self._temporary) as video:
                return len(video.times())
        except VideoError:
            return 0

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)
