"""Folders of frames and single images, read as videos: nothing has to be made of them first.

    video_1/video_1_00001.jpg, video_1/video_1_00002.jpg, ...    a video of as many frames, in natural order
    kitten.png                                                   a video of one frame

Times are in ``frames.csv`` beside the images (columns ``file`` and ``time``, as extract_frames.py writes them);
without it 25 frames a second are assumed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipeline.errors import VideoError
from pipeline.files.guard.regular_file import stat_regular
from pipeline.files.tables import read_as_written
from pipeline.files.text import natural_key
from pipeline.lazy import av, cv2, np
from pipeline.videos.media.frame import Frame, FramesMissing, Reader, VideoInfo
from pipeline.videos.media.open_file import check_size, check_times

IMAGE_EXTENSIONS = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
TIMES = "frames.csv"
_ASSUMED_RATE = 25.0
_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")


def is_image(name: str) -> bool:
    """Whether a file name is that of an image."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_EXTENSIONS


def image_names(folder: Path) -> list[str]:
    """The images right in a folder, in the order of frames."""
    return sorted((entry.name for entry in folder.iterdir() if is_image(entry.name)), key=natural_key)


def holds_frames(path: Path) -> bool:
    """Whether a folder has images right in it, so that it can be read as one video."""
    return path.is_dir() and any(is_image(entry.name) for entry in path.iterdir())


class ImageReader(Reader):
    """Reads a folder of images, or one image, as a video.

    Raises:
        VideoError: stage ``open``, where there are no images.
    """

    def __init__(self, path: str | Path, *, heartbeat: Callable[[], None] = lambda: None) -> None:
        self.path = Path(path)
        self._heartbeat = heartbeat
        self._info: VideoInfo | None = None
        try:
            self._files = self._listed()
        except OSError as error:
            raise VideoError("open", error.strerror or str(error)) from None
        if not self._files:
            raise VideoError("open", "the folder holds no images")
        self._named = len(self._files)
        self._times = self._read_times()

    def _listed(self) -> list[Path]:
        if not self.path.is_dir():
            stat_regular(self.path)
            return [self.path]
        return [self.path / name for name in image_names(self.path)]

    def _read_times(self) -> np.ndarray:
        table = self._files[0].parent / TIMES
        if self.path.is_dir() and table.is_file():
            try:
                known = {row["file"]: float(row["time"]) for row in read_as_written(table)[1]}
                times = np.array([known[file.name] for file in self._files])
            except (KeyError, ValueError):
                raise VideoError("open", f"{TIMES} does not give every image of the folder a time") from None
            if not np.all(np.diff(times) > 0) or not np.isfinite(times).all():
                raise VideoError("open", f"the times in {TIMES} do not rise with the names of the images")
            check_times(times)
            return times - times[0]
        return np.arange(len(self._files)) / _ASSUMED_RATE

    def close(self) -> None:
        """There is nothing to close: each image is opened for as long as it is read."""

    def times(self) -> np.ndarray:
        return self._times

    def decoded(self) -> Iterator[tuple[int, float, av.VideoFrame]]:
        for frame in self.frames():
            yield frame.index, frame.time, av.VideoFrame.from_ndarray(frame.image, format="rgb24")

    def scan(self) -> int:
        good = [place for place, file in enumerate(self._files) if _read(file) is not None]
        self._files = [self._files[place] for place in good]
        self._times = self._times[good] - (self._times[good[0]] if good else 0.0)
        self._info = None
        return len(good)

    def info(self) -> VideoInfo:
        if self._info is None:
            first = next(self.frames([0]), None) if self._files else None
            if first is None:
                raise VideoError("decode", "no frame can be decoded")
            span = float(self._times[-1])
            fps = (len(self._times) - 1) / span if span > 0 else _ASSUMED_RATE
            self._info = VideoInfo(
                frames=len(self._files),
                header_frames=self._named,
                fps=fps,
                width=first.image.shape[1],
                height=first.image.shape[0],
                duration=span + 1 / fps,
                codec=self._files[0].suffix[1:].lower(),
            )
        return self._info

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Frame]:
        wanted = np.asarray(list(indices) if indices is not None else range(len(self._files)), np.int64)
        if len(wanted) and (np.any(np.diff(wanted) <= 0) or wanted[0] < 0 or wanted[-1] >= len(self._files)):
            raise VideoError("sample", f"frame numbers must rise from 0 to {len(self._files) - 1}")
        shape = None
        for place in wanted.tolist():
            self._heartbeat()
            image = _read(self._files[place])
            if image is None:
                if indices is None:
                    continue
                raise FramesMissing("decode", f"{self._files[place].name} cannot be decoded")
            if shape not in (None, image.shape):
                size = f"{image.shape[1]}x{image.shape[0]}"
                raise VideoError("decode", f"{self._files[place].name} is {size}, unlike the images before it")
            shape = image.shape
            yield Frame(place, float(self._times[place]), image)


def _read(path: Path) -> np.ndarray | None:
    """``(height, width, 3)`` uint8, RGB, turned as its EXIF data says; None where it cannot be read.

    Raises:
        VideoError: stage ``open``; it is too large.
    """
    if not path.is_file():
        return None  # a pipe or a device
    try:
        data = np.fromfile(path, np.uint8)  # OpenCV cannot open every name; its decoder needs none.
    except OSError:
        return None
    if not len(data):
        return None
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # `check_size` says it, in one line and by the user's limit
    try:
        # The header alone tells how large an image is; the decoder would make room for it first.
        with Image.open(io.BytesIO(data.tobytes()), formats=_FORMATS) as header:
            check_size(*header.size)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except (OSError, SyntaxError, ValueError, cv2.error):
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
