"""Writes frames of a video as images, with names that sort and a table of their times."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError, VideoError
from pipeline.files.replacing import foreign_entries, refuse_used_folder, replace_folder
from pipeline.files.tables import write_table
from pipeline.lazy import cv2, np
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import TIMEOUT, Ended, WorkerPool, threads_of_each
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import FramesMissing, Reader
from pipeline.videos.media.image_folder import TIMES, holds_frames
from pipeline.videos.media.sampling import Sampling

Format = Literal["jpg", "png"]


@dataclass(frozen=True)
class ImageSpec:
    """Which frames, and as what they are written."""

    sampling: Sampling = field(default=Sampling("all"), metadata={"metavar": "RULE"})
    """Which frames: all, every:N, fps:F, uniform:N, inner:N, stepped:N or first:N."""
    form: Format = field(default="jpg", metadata={"name": "format"})
    """Of the images."""
    quality: int = 95
    """Of JPEG, 1 to 100."""

    def __post_init__(self) -> None:
        if self.sampling.clip:
            raise UserError(
                f"`sampling={self.sampling}`: clips of frames are for networks; single frames are written, such as by "
                "`sampling=fps:8`"
            )
        if not 1 <= self.quality <= 100:
            raise UserError(f"`quality={self.quality}` is unknown to JPEG; expected 1 to 100")

    def encode(self, image: np.ndarray) -> bytes:
        """A frame ``(height, width, 3)`` uint8 RGB as the content of a file."""
        options = [cv2.IMWRITE_JPEG_QUALITY, self.quality] if self.form == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 3]
        return cv2.imencode(f".{self.form}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def export_frames(
    videos: Sequence[tuple[Path, Path]],
    spec: ImageSpec,
    *,
    overwrite: bool = False,
    workers: int = 2,
    timeout: float = TIMEOUT,
) -> Iterator[int | VideoError]:
    """Write frames of videos to ``folder/<folder's name>_00001.jpg``, ... and ``folder/frames.csv``.

    A folder appears when all of its images are written; it can be read again as a video.

    Args:
        videos: the path of each, and its folder, which must not exist, unless ``overwrite``.
        spec: which frames, and in which form.
        overwrite: replace the images and the table that an earlier run wrote there.
        workers: videos that are decoded at a time.
        timeout: seconds of silence after which a decoder is taken for hanging and is killed.

    Yields:
        For each video, in order, how many images were written, or why it cannot be read.

    Raises:
        UserError: a folder exists or cannot be written.
    """
    for _, folder in videos:
        refuse_used_folder(folder, overwrite=overwrite)
        if holds_frames(folder) and not (folder / TIMES).is_file():
            raise UserError(f"{folder} holds no {TIMES}, so this program did not write it; it is not replaced")
        for entry in foreign_entries(folder, _names_in(folder)):
            raise UserError(f"{folder} also holds {entry.name}, which this program did not write; it is not replaced")
    threads = threads_of_each(len(videos), workers)
    jobs = [(folder, (path, spec, threads)) for path, folder in videos]
    with WorkerPool(_encode_frames, jobs, workers=workers, timeout=timeout, ordered=True) as pool:
        messages = pool.messages()
        for _, folder in videos:
            try:
                yield _write_folder(folder, messages, spec.form)
            except VideoError as error:
                yield error
            except OSError as error:
                raise UserError(f"cannot write {folder}: {error.strerror}") from None


def _encode_frames(heartbeat: Heartbeat, path: Path, spec: ImageSpec, threads: int) -> Iterator[_Image | _Begin]:
    """In the worker: `_Begin` with the number of images, and the images."""
    with open_video(path, threads=threads, heartbeat=heartbeat) as video:
        try:
            yield from _encoded(video, spec)
        except FramesMissing:
            # The packets promised more than can be decoded: count what there is, and choose from that.
            video.scan()
            yield from _encoded(video, spec)


def _encoded(video: Reader, spec: ImageSpec) -> Iterator[_Image | _Begin]:
    indices = spec.sampling.indices(video.times())
    if not len(indices):
        raise VideoError("sample", "the video has no frame")
    yield _Begin(len(indices))
    for frame in video.frames(indices):
        # Encoded in memory, since OpenCV can neither write every name nor say why a write failed.
        yield _Image(frame.index, frame.time, spec.encode(frame.image))


@dataclass(frozen=True)
class _Begin:
    """So many images come; what came before is void."""

    images: int


@dataclass(frozen=True)
class _Image:
    frame: int
    time: float
    data: bytes


def _write_folder(folder: Path, messages: Iterator, form: Format) -> int:
    """Take the messages of one video and write its folder; only the number of its images is returned."""
    rows: list[dict] = []
    with replace_folder(folder, _names_in(folder)) as temporary:
        for _, message in messages:
            if isinstance(message, Ended):
                if message.error is not None:
                    raise message.error
                break
            if isinstance(message, _Begin):
                digits = max(5, len(str(message.images)))
                for row in rows:
                    (temporary / row["file"]).unlink()
                rows = []
                continue
            name = f"{folder.name}_{len(rows) + 1:0{digits}d}.{form}"
            (temporary / name).write_bytes(message.data)
            rows.append({"file": name, "frame": message.frame, "time": f"{message.time:.6f}"})
        write_table(rows, ("file", "frame", "time"), temporary / TIMES)
    return len(rows)


def _names_in(folder: Path) -> tuple[str, ...]:
    """Patterns of the names that are written into a folder."""
    name = glob.escape(folder.name)
    return TIMES, f"{name}_*.jpg", f"{name}_*.png"
